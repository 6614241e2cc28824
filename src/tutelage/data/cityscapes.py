"""Cityscapes with 19 or 7 classes and inverse depth."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from tutelage.data.folders import Folders, Label
from tutelage.data.modalities import ClassesLabel, DepthLabel, Size
from tutelage.errors import UserError

# The folders that labels may be in, in the order in which they are looked for: `tutelage prepare`'s, and MTAN's two.
_FOLDERS: dict[int, tuple[str, ...]] = {19: ("label_19", "label"), 7: ("label7", "label_7", "label")}


@dataclass
class InverseDepthLabel(DepthLabel):
    """One over the distance of every pixel: float32 [1, H, W], 0 where there is none; nearest pixel.

    It grows where a surface comes nearer, and is near 0 for what is far away.

    Args:
        scale: of a picture's values, in the unit that is wanted; by default that of MTAN's files, where 65535 is 1; a
            .npy holds the values.
    """

    scale: float = 1 / 65535

    def zoom(self, x: Tensor, scale: float) -> Tensor:
        """The values times `scale`: the same surface, seen larger, is nearer."""
        return x * scale


class Cityscapes(Folders):
    """Cityscapes (Cordts et al., CVPR 2016), tasks `segmentation` and `depth`, which is an inverse depth.

    Reads `train|val/{image,label,depth}/*` in either form: what `tutelage prepare cityscapes` writes (label with 19
    classes and label7 with 7, 255 where there is none, depth in 16 bits), or the .npy files of MTAN's preprocessing
    (image in 0..1; labels, -1 where there is none, in `label` with 7 classes at 128x256, in `label_7` and `label_19` at
    256x512). An inverse depth of 1 is a distance of 1.85 m in both.

    Args:
        root: folder with `train` and perhaps `val`.
        size: height and width; the paper's is 128x256.
        classes: 19, the official train ids, or 7, their categories.
        holdout: part of `train` that is held out where there is no `val`.
        holdout_seed: which part.
        cache: keep decoded and resized samples in memory.
        partial: a stem without a file in a label's folder lacks that label; otherwise `check` refuses it.
    """

    def __init__(
        self,
        root: Path,
        size: Size = (128, 256),
        classes: Literal[7, 19] = 19,
        holdout: float = 0.2,
        holdout_seed: int = 0,
        cache: bool = False,
        partial: bool = False,
    ) -> None:
        if classes not in _FOLDERS:
            raise UserError(f"data.classes: expected 7 or 19, found {classes}")
        names = _FOLDERS[classes]
        folder = next((name for name in names if (Path(root) / "train" / name).is_dir()), names[-1])
        labels = {"segmentation": Label(folder, ClassesLabel()), "depth": Label("depth", InverseDepthLabel())}
        self.classes = classes
        super().__init__(root, labels, "image", size, holdout, holdout_seed, cache, "cityscapes", partial)

    def check(self, tasks: Collection[str]) -> None:
        """As of any folders; and MTAN's `label` is not taken for 19 classes."""
        super().check(tasks)
        folder = self.labels["segmentation"].folder
        if self.classes == 19 and folder == "label":
            file = next(iter(self.files["train", folder].values()), None)
            if file is not None and file.suffix == ".npy" and "segmentation" in tasks:
                raise UserError(
                    f"data.classes: expected 7 for {file.parent}, MTAN's labels of 7 classes, found 19; set it to 7, "
                    "or take MTAN's files of 256x512, which have label_19"
                )
