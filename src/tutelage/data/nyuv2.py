"""NYU-Depth-v2 with 13 classes, depth and normals."""

from pathlib import Path

from tutelage.data.folders import Folders, Label
from tutelage.data.modalities import ClassesLabel, DepthLabel, NormalsLabel, Size


class NYUv2(Folders):
    """NYU-Depth-v2 (Silberman et al., ECCV 2012), tasks `segmentation`, `depth` and `normals`.

    Reads `train|val/{image,label,depth,normal}/N.*` in either form, by suffix: the .npy files of MTAN's preprocessing
    (image in 0..1, label -1 where there is none, depth in metres, normal [H, W, 3]), or pictures (label 255 where there
    is none, depth in metres x 25.5 in 8 bits, normal as value / 127.5 - 1).

    Args:
        root: folder with `train` and perhaps `val`.
        size: height and width; the paper's is 288x384.
        holdout: part of `train` that is held out where there is no `val`.
        holdout_seed: which part.
        cache: keep decoded and resized samples in memory.
        partial: a stem without a file in a label's folder lacks that label; otherwise `check` refuses it.
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
