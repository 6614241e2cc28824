"""Parts of people."""

from tutelage.tasks.segmentation import Segmentation
from tutelage.types import Colour

_PARTS: dict[str, Colour] = {
    "background": (170, 178, 194),
    "head": (255, 217, 47),
    "torso": (214, 96, 77),
    "upper arm": (31, 120, 180),
    "lower arm": (146, 220, 243),
    "upper leg": (102, 194, 70),
    "lower leg": (145, 10, 50),
}


class HumanParts(Segmentation):
    """The part of a person that every pixel shows: background, head, torso, upper and lower arms, upper and lower legs.

    The seven classes of PASCAL-Part (Chen et al., CVPR 2014) in the order of the multi-task literature (ASTMT,
    arXiv:1904.08918; MTI-Net, arXiv:2001.06902), 0 to 6. Otherwise a `Segmentation`.

    The literature measures only images with a person. Here every labelled pixel counts: to measure the same, give
    images without a person no label (`partial: true`, docs/data.md).
    """

    def __init__(self) -> None:
        super().__init__(len(_PARTS), list(_PARTS))
        self.colours = list(_PARTS.values())
