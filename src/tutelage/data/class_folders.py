"""A folder for every class."""

from collections.abc import Collection
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

from tutelage.data.base import Split
from tutelage.data.files import PICTURES, parts
from tutelage.data.items import Items, ItemSource
from tutelage.data.modalities import ClassLabel, Size
from tutelage.errors import UserError


class ClassFolders(ItemSource):
    """`root/train/<class>/<image>` and, where there is one, `root/val/...` alike, as torchvision's `ImageFolder`.

    Classes are numbered from 0 in the order of their folders' names in `train`, as `ImageFolder` does. Images are the
    .jpg, .jpeg, .png and .npy files of a folder.

    Args:
        root: folder with `train` and perhaps `val`.
        task: name of the label.
        size: height and width of all images; none leaves them as they are.
        holdout: part of `train` that is held out where there is no `val`: image i by the rank of a hash of (seed, i).
        holdout_seed: which part.
        cache: keep decoded and resized images in memory.
        name: of the source; by default the name of `root`.
    """

    def __init__(
        self,
        root: Path,
        task: str = "class",
        size: Size | None = None,
        holdout: float = 0.2,
        holdout_seed: int = 0,
        cache: bool = False,
        name: str | None = None,
    ) -> None:
        self.root, self.task = Path(root), task
        super().__init__(name or self.root.name, {task: ClassLabel()}, size, holdout, holdout_seed, cache)

    @cached_property
    def classes(self) -> list[str]:
        """The names of the classes, in the order of their numbers."""
        return sorted(self.files["train"])

    @cached_property
    def files(self) -> dict[Split, dict[str, list[Path]]]:
        """train, and val where there is one -> class -> images."""
        splits: tuple[Split, ...] = ("train", "val") if (self.root / "val").is_dir() else ("train",)
        return {split: _list(self.root / split) for split in splits}

    def datasets(self) -> dict[Split, Items]:
        """The images of `train` and, where there is one, `val`."""
        found: dict[Split, Items] = {}
        for split, files in self.files.items():
            pictures = [(path, self._number(path.parent)) for name in sorted(files) for path in files[name]]
            found[split] = _Pictures(_Files(pictures, self.task), self.modalities, self.size, f"data.{split}")
        return found

    def _number(self, folder: Path) -> int:
        if folder.name not in self._numbers:
            raise UserError(
                f"{folder}: expected a class that {self.root / 'train'} has, too ({', '.join(self.classes[:5])}, ...), "
                "found another; remove or rename it"
            )
        return self._numbers[folder.name]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.classes)}

    def check(self, tasks: Collection[str]) -> None:
        """Folders and images are there, of the same classes in both splits."""
        self.check_names(tasks)
        if not self.root.is_dir():
            raise UserError(f"data.root: expected a folder with train/CLASS/..., found no folder {self.root}")
        for split, files in self.files.items():
            if not files:
                raise UserError(f"{self.root / split}: expected a folder for every class, found none; see docs/own.md")
            for name, paths in files.items():
                if not paths:
                    raise UserError(f"{self.root / split / name}: expected {', '.join(PICTURES)} files, found none")
        super().check(tasks)

    def fingerprint(self) -> str:
        """Of the files' names, sizes and parts of their content, and of what is done to them."""
        arguments = (self.task, self.size, self.holdout, self.holdout_seed)
        digest = blake2b(repr(arguments).encode(), digest_size=8)
        for path in (path for files in self.files.values() for name in sorted(files) for path in files[name]):
            digest.update(f"{path.relative_to(self.root).as_posix()}:{path.stat().st_size}\n".encode())
            digest.update(parts(path))
        return digest.hexdigest()


class _Files:
    def __init__(self, pictures: list[tuple[Path, int]], task: str) -> None:
        self.pictures, self.task = pictures, task

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> dict[str, object]:
        path, number = self.pictures[index]
        return {"image": path, "labels": {self.task: number}}


class _Pictures(Items):
    def tasks(self, index: int) -> Collection[str]:
        """Every image has a class."""
        return list(self.modalities)

    def where(self, index: int, task: str | None = None) -> str:
        """The path of the image."""
        return str(self.dataset.pictures[index][0])


def _list(folder: Path) -> dict[str, list[Path]]:
    if not folder.is_dir():
        return {}
    return {
        path.name: sorted(
            file for file in path.iterdir() if file.suffix.lower() in PICTURES and not file.name.startswith(".")
        )
        for path in folder.iterdir()
        if path.is_dir() and not path.name.startswith(".")
    }
