"""Omniglot: handwritten characters of fifty alphabets, each drawn by twenty people."""

import re
from collections.abc import Collection
from functools import cached_property
from pathlib import Path

import torch

from tutelage.data.base import DataSource, Split
from tutelage.data.digits.arrays import at_least, fetch
from tutelage.data.fingerprint import fingerprint_of_files, stamp_of_files
from tutelage.data.samples import Memory, Samples
from tutelage.data.whole_labels import ClassLabel
from tutelage.errors import UserError
from tutelage.files import expand_home
from tutelage.images import Size, read_rgb, resize_image
from tutelage.types import Sample

_FOLDERS = ("images_background", "images_evaluation")
_DOWNLOAD = "unpack images_background.zip and images_evaluation.zip of https://github.com/brendenlake/omniglot there"
_FIRST_HELD = 16  # of the drawings of a character, 1 to 20


class Omniglot(DataSource):
    """Omniglot (Lake et al., Science 2015) as classification: 1623 characters, 20 drawings of each, 105x105, ink black.

    Reads `root/omniglot-py/images_{background,evaluation}/ALPHABET/characterNN/NNNN_MM.png`, where torchvision puts
    them. All characters of both folders are classes, numbered in the order of folder, alphabet and character
    (torchvision numbers them in the order of the file system). Drawings MM = 01..15 are `train` (24,345 images),
    16..20 are `test` (8,115); each drawing of a character is by another person.

    The Visual Decathlon (Rebuffi et al., NeurIPS 2017) has this task with another choice of drawings, so that its
    numbers are not comparable. The original paper's one-shot protocol, with characters never seen in training, is
    another task.

    Args:
        root: The folder with `omniglot-py`.
        task: The name of the task.
        size: Height and width to which images are resized, with antialiasing, in steps of 1/255.
        download: Let torchvision download missing files when the data are checked.

    Raises:
        UserError: A size is below 1.
    """

    name = "omniglot"
    size: Size

    def __init__(self, root: Path, task: str = "omniglot", size: Size = (32, 32), download: bool = False) -> None:
        at_least(1, {"size": min(size)})
        self.root, self.task, self.size, self.download = expand_home(root), task, size, download
        self.modalities = {task: ClassLabel()}
        self._splits: dict[Split, Samples] = {}  # kept, so that all runs of a study share them

    def split(self, split: Split) -> Samples:
        """The drawings of a split by character, each kept in memory once it has been read."""
        if split not in self._splits:
            drawings = [(p, c) for p, c, held in self._drawings if held == (split == "test")]
            self._splits[split] = Memory(_Drawings(drawings, self.task, self.size, self.root))
        return self._splits[split]

    def check(self, tasks: Collection[str]) -> None:
        """Raise unless the task has this name and both folders have drawings for both splits."""
        self.check_names(tasks)
        for name in _FOLDERS:
            folder = Path("omniglot-py", name)
            if self.download and not (self.root / folder).is_dir():
                fetch("Omniglot", self.root, background=name == "images_background")
            if not (self.root / folder).is_dir():
                raise UserError(
                    f"data.root: expected a folder {folder} in {self.root}, found none; {_DOWNLOAD}, into omniglot-py"
                )
            if not any(self.root / folder in p.parents for p, _, _ in self._drawings):
                raise UserError(
                    f"{self.root / folder}: expected ALPHABET/characterNN/NNNN_MM.png, found none; {_DOWNLOAD}"
                )
        for split in ("train", "test"):
            if not len(self.split(split)):
                drawings = "01 to 15" if split == "train" else "16 to 20"
                raise UserError(f"{self.root}: expected drawings {drawings} for {split}, found none; {_DOWNLOAD}")

    def fingerprint(self) -> str:
        """Depends on the files' names and contents, and on the arguments."""
        files = ((path.relative_to(self.root).as_posix(), path) for path, _, _ in self._drawings)
        return fingerprint_of_files(repr((self.task, self.size)), files)

    @cached_property
    def classes(self) -> list[str]:
        """The characters, as ALPHABET/characterNN, in the order of their numbers."""
        return [f"{folder.parent.name}/{folder.name}" for folder in self._characters]

    @cached_property
    def _characters(self) -> list[Path]:
        return [
            folder
            for name in _FOLDERS
            for folder in sorted((self.root / "omniglot-py" / name).glob("*/*"))
            if folder.is_dir() and not folder.name.startswith(".")
        ]

    @cached_property
    def _drawings(self) -> list[tuple[Path, int, bool]]:
        """The file of each drawing, its class, and whether it belongs to `test`."""
        return [
            (path, label, _number(path) >= _FIRST_HELD)
            for label, folder in enumerate(self._characters)
            for path in sorted(folder.glob("[!.]*.png"))
        ]


def _number(path: Path) -> int:
    match = re.fullmatch(r"\d+_(\d\d)", path.stem)
    if match is None or not 1 <= int(match[1]) <= 20:
        raise UserError(f"{path}: expected a name NNNN_MM.png with MM from 01 to 20, found `{path.name}`; remove it")
    return int(match[1])


class _Drawings(Samples):
    def __init__(self, drawings: list[tuple[Path, int]], task: str, size: Size, root: Path) -> None:
        self.drawings, self.task, self.size, self.root = drawings, task, size, root

    def __len__(self) -> int:
        return len(self.drawings)

    def __getitem__(self, index: int) -> Sample:
        path, label = self.drawings[index]
        image = resize_image(read_rgb(path), self.size)
        image = (image * 255).round() / 255  # what `Memory` keeps as bytes
        return Sample(image=image, labels={self.task: torch.tensor(label)})

    def tasks(self, index: int) -> Collection[str]:
        """The only task."""
        return [self.task]

    def stamp(self, index: int) -> str | None:
        """Of the drawing, and of the number of its class, which depends on the other folders."""
        path, label = self.drawings[index]
        return stamp_of_files([(path.relative_to(self.root).as_posix(), path)], label)

    def where(self, index: int, task: str | None = None) -> str:
        """The path of the drawing."""
        return str(self.drawings[index][0])
