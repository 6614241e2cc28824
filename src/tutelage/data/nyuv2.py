"""NYU-Depth-v2 with 13 classes, depth and normals."""

from pathlib import Path

from tutelage.data.folders import Folders, Label
from tutelage.data.labels import ClassesLabel, DepthLabel
from tutelage.data.normals_label import NormalsLabel
from tutelage.images import Size


class NYUv2(Folders):
    """NYU-Depth-v2 (Silberman et al., ECCV 2012): tasks `segmentation`, `depth` and `normals`.

    Reads `{train,test}/{image,label,depth,normal}/N.*`, with `val` in place of `test` if need be, in two forms that the
    suffix tells apart: the .npy files of MTAN's preprocessing (image in 0..1, label -1 where there is none, depth in
    metres, normal [H, W, 3]), and pictures (label 255 where there is none, depth in metres x 25.5 in 8 bits, normal n
    as (n + 1) x 127.5).

    Args:
        root: The folder with `train` and perhaps `test` or `val`.
        size: Height and width to which images and labels are resized; the paper's is 288x384.
        holdout: The part of `train` that is held out as `test` where there is no such folder.
        holdout_seed: Which part is held out.
        cache: Keep decoded and resized samples in memory.
        partial: A stem without a file in a label's folder lacks that label; otherwise `check` raises.

    Raises:
        UserError: An argument is out of range.
    """

    def __init__(
        self,
        root: Path,
        size: Size = (288, 384),
        holdout: float = 0.2,
        holdout_seed: int = 0,
        cache: bool = False,
        partial: bool = False,
    ) -> None:
        labels = {
            "segmentation": Label("label", ClassesLabel()),
            "depth": Label("depth", DepthLabel(scale=1 / 25.5)),
            "normals": Label("normal", NormalsLabel()),
        }
        super().__init__(root, labels, "image", size, holdout, holdout_seed, cache, "nyuv2", partial)
