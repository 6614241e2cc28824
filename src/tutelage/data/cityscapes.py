"""Cityscapes with 19 or 7 classes and inverse depth."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from tutelage.data.folders import Folders, Label
from tutelage.data.labels import ClassesLabel, InverseDepthLabel
from tutelage.errors import UserError
from tutelage.files import expand_home
from tutelage.images import Size
from tutelage.pictures import Array

# Classes -> the folders that may hold the labels, in the order in which they are looked for: those that `tutelage
# prepare` writes, and MTAN's two.
_FOLDERS: dict[int, tuple[str, ...]] = {19: ("label_19", "label"), 7: ("label7", "label_7", "label")}


@dataclass
class TrainIdsLabel(ClassesLabel):
    """The classes of Cityscapes that networks are trained on; the ids 0..33 of the official files are refused.

    Args:
        classes: 19 train ids, or their 7 categories.
    """

    classes: int = 19

    def convert(self, array: Array, mode: str, where: str) -> Tensor:
        """[1, H, W], int64."""
        label = super().convert(array, mode, where)
        if int(label.max()) >= self.classes:
            raise UserError(
                f"{where}: expected classes 0..{self.classes - 1}, 255 for none, found {int(label.max())}; where "
                "these are Cityscapes' ids 0..33 (labelIds), write train ids with `tutelage prepare cityscapes`"
            )
        return label


class Cityscapes(Folders):
    """Cityscapes (Cordts et al., CVPR 2016): tasks `segmentation` and `depth`, which is an inverse depth.

    Reads `{train,test}/{image,label,depth}/*`, with `val` in place of `test` if need be, in two forms: the pictures
    that `tutelage prepare cityscapes` writes (19 classes in `label` and 7 in `label7`, 255 where there is no label,
    depth in 16 bits), and the .npy files of MTAN's preprocessing (images in 0..1; labels, -1 where there is none, of 7
    classes in `label` at 128x256, or of 7 and 19 classes in `label_7` and `label_19` at 256x512). An inverse depth of 1
    is a distance of 1.85 m in both.

    Args:
        root: The folder with `train` and perhaps `test` or `val`.
        size: Height and width to which images and labels are resized; the paper's is 128x256.
        classes: 19 for the official train ids, 7 for their categories.
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
        size: Size = (128, 256),
        classes: Literal[7, 19] = 19,
        holdout: float = 0.2,
        holdout_seed: int = 0,
        cache: bool = False,
        partial: bool = False,
    ) -> None:
        names = _FOLDERS[classes]
        folder = next((name for name in names if (expand_home(root) / "train" / name).is_dir()), names[-1])
        labels = {
            "segmentation": Label(folder, TrainIdsLabel(classes=classes)),
            "depth": Label("depth", InverseDepthLabel()),
        }
        self.classes = classes
        super().__init__(root, labels, "image", size, holdout, holdout_seed, cache, "cityscapes", partial)

    def check(self, tasks: Collection[str]) -> None:
        """Raise as `Folders` does, or if MTAN's labels of 7 classes would be taken for 19."""
        super().check(tasks)
        folder = self.labels["segmentation"].folder
        if self.classes == 19 and folder == "label":
            file = next(iter(self.files["train", folder].values()), None)
            if file is not None and file.suffix == ".npy" and "segmentation" in tasks:
                raise UserError(
                    f"data.classes: expected 7 for {file.parent}, MTAN's labels of 7 classes, found 19; set it to 7, "
                    "or take MTAN's files of 256x512, which have label_19"
                )
