"""A folder for every class."""

from collections.abc import Collection
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from unicodedata import normalize

from tutelage.data.base import Split
from tutelage.data.files import check_below, doubts_of_splits, find_split_folders, folders_in, none_found
from tutelage.data.fingerprint import arguments_text, fingerprint_of_files, stamp_of_files
from tutelage.data.items import Items, ItemSource
from tutelage.data.look import unused_files
from tutelage.data.patterns import Excluded, check_name
from tutelage.data.whole_labels import ClassLabel
from tutelage.errors import UserError
from tutelage.files import expand_home
from tutelage.images import Size
from tutelage.layout import holds_studies
from tutelage.pictures import PICTURES
from tutelage.types.look import LeftOut, Warned


class ClassFolders(ItemSource):
    """The images `root/train/<class>/<image>` and, if there are any, `root/test/...` or `root/val/...`.

    This is the layout of torchvision's `ImageFolder`, and classes are numbered as there: from 0, in the order of their
    folders' names in `train`. Images are the pictures and .npy files of a folder. `test/` (or `val/`) is the
    `test` split; where neither exists, a part of `train` is held out: image i by the rank of a hash of (seed, i).
    Without a folder `train/`, the folders of the classes are those of `root`.

    Args:
        root: The folder with `train` and perhaps `test` or `val`, or with the folders of the classes.
        task: The name of the label.
        size: Height and width to which images are resized; None keeps those of the files.
        holdout: The part of `train` that is held out as `test` where there is no such folder.
        holdout_seed: Which part is held out.
        cache: Keep decoded and resized samples in memory.
        name: The name of the source; by default that of `root`.
        train: The folder of `train`; by default `train` where there is one.
        test: The folder of `test`; by default `test` or `val`, if there is one. That of `train`: a part is held out.
        exclude: Files that are not read: paths under `root`, and patterns of them.

    Raises:
        UserError: An argument is out of range.
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
        train: str | None = None,
        test: str | None = None,
        exclude: Collection[str] = (),
    ) -> None:
        self.root, self.task, self.train, self.test, self.exclude = expand_home(root), task, train, test, exclude
        super().__init__(name or self.root.name, {task: ClassLabel()}, size, holdout, holdout_seed, cache)

    @cached_property
    def classes(self) -> list[str]:
        """The names of the classes, in the order of their numbers."""
        return sorted(self.files["train"])

    @cached_property
    def files(self) -> dict[Split, dict[str, list[Path]]]:
        """`train`, and `test` if there is a folder for it -> class -> images."""
        return {split: self._list(folder) for split, folder in self._folders.items()}

    def _list(self, split: str) -> dict[str, list[Path]]:
        """Class -> images of a split's folder; "": those of `root`, whose other folders are the classes."""
        excluded, folder = Excluded(self.exclude, self.root), self.root / split
        others = () if split else self._folders.values()
        classes: dict[str, list[Path]] = {}
        for path in folder.iterdir() if folder.is_dir() else ():
            if not path.is_dir() or path.name.startswith(".") or path.name in others:
                continue
            pictures = [
                check_name(file)
                for file in path.iterdir()
                if file.suffix.lower() in PICTURES and not file.name.startswith(".")
            ]
            images = sorted(file for file in pictures if file not in excluded)
            if images or not (pictures or holds_studies(path)):  # an empty folder is a class, of which `check` speaks
                classes[check_name(path).name] = images
        return classes

    @cached_property
    def _folders(self) -> dict[Split, str]:
        train, test = find_split_folders(self.root, self._has, folders_in(self.root), self.train, self.test)
        return {"train": train} if test is None else {"train": train, "test": test}

    def _has(self, split: str) -> bool:
        return (self.root / split).is_dir()

    def datasets(self) -> dict[Split, Items]:
        """The images of `train` and, if there is a folder for it, `test`."""
        datasets: dict[Split, Items] = {}
        for split, folders in self.files.items():
            pictures = [(path, self._number(path.parent)) for name in sorted(folders) for path in folders[name]]
            files = _Files(pictures, self.task, self.root)
            datasets[split] = _Pictures(files, self.modalities, self.size, f"data.{split}")
        return datasets

    def _number(self, folder: Path) -> int:
        name = normalize("NFC", folder.name)
        if name not in self._numbers:
            raise UserError(
                f"{folder}: expected a class that {self.root / self._folders['train']} has, too "
                f"({', '.join(self.classes[:5])}, ...), found another; remove or rename it"
            )
        return self._numbers[name]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        """Name -> number; one name may be written in several ways: an accent as a letter of its own, for example."""
        return {normalize("NFC", name): number for number, name in enumerate(self.classes)}

    def check(self, tasks: Collection[str]) -> None:
        """Raise unless folders and images exist, of the same classes in both splits."""
        self.check_names(tasks)
        if not self.root.is_dir():
            raise UserError(f"data.root: expected a folder with train/CLASS/..., found no folder {self.root}")
        check_below(self.root, train=self.train, test=self.test)
        Excluded(self.exclude, self.root).check()
        for split, files in self.files.items():
            if not files:
                raise UserError(
                    f"{self.root / self._folders[split]}: expected a folder for every class, found none; "
                    "see docs/own.md"
                )
            for name, paths in files.items():
                if not paths:
                    folder = self.root / self._folders[split] / name
                    raise UserError(f"{none_found(folder, PICTURES)}; add some, or remove the folder")
            if len({normalize("NFC", name) for name in files}) < len(files):
                names = sorted(files, key=lambda name: normalize("NFC", name))
                a, b = next((a, b) for a, b in pairwise(names) if normalize("NFC", a) == normalize("NFC", b))
                raise UserError(
                    f"{self.root / self._folders[split] / a}: expected one folder for each class, found another one of "
                    f"the same name in other letters of Unicode ({a!a}, {b!a}); put them together"
                )
        super().check(tasks)

    def fingerprint(self) -> str:
        """Depends on the files' names and contents, and on the arguments."""
        arguments = arguments_text(self.task, self.size, self.holdout, self.holdout_seed)
        paths = [path for files in self.files.values() for name in sorted(files) for path in files[name]]
        return fingerprint_of_files(arguments, ((path.relative_to(self.root).as_posix(), path) for path in paths))

    def left_out(self) -> list[LeftOut]:
        """Files that lie beside those that are used, also beside the folders of the classes."""
        used = {path for files in self.files.values() for paths in files.values() for path in paths}
        splits = [self.root / folder for folder in self._folders.values()]
        folders = [*splits, *(path.parent for path in used)]
        return unused_files(folders, used, PICTURES, Excluded(self.exclude, self.root))

    def doubts(self) -> list[Warned]:
        """Folders of alike names, numbers in another order than their texts, and images to evaluate on, unread."""
        held_out = self.test is None and self._folders["train"] and "test" not in self._folders
        unread = doubts_of_splits(str(self.root), "data.test", folders_in(self.root)) if held_out else []
        return [*self._alike(), *self._out_of_order(), *unread]

    def _alike(self) -> list[Warned]:
        alike: dict[str, str] = {}
        for name in self.classes:
            other = alike.setdefault(" ".join(name.casefold().split()), name)
            if other != name:
                text = f"expected classes of different names, found `{name}` beside `{other}`; put them together"
                return [Warned(str(self.root / self._folders["train"] / name), f"{text} where they are one class")]
        return []

    def _out_of_order(self) -> list[Warned]:
        if not all(name.isdecimal() for name in self.classes) or self.classes == sorted(self.classes, key=int):
            return []
        number, name = next((i, a) for i, a in enumerate(self.classes) if a != sorted(self.classes, key=int)[i])
        text = (
            f"expected folders of numbers in their order, found `{name}` as class {number}, since classes are numbered"
        )
        return [Warned(str(self.root / self._folders["train"]), f"{text} in the order of texts; write 02 before 10")]

    def origin(self) -> str:
        """The folder and the size: the stamps have the classes."""
        return arguments_text(self.root.resolve().as_posix(), self.task, self.size)


class _Files:
    def __init__(self, pictures: list[tuple[Path, int]], task: str, root: Path) -> None:
        self.pictures, self.task, self.root = pictures, task, root

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> dict[str, object]:
        path, number = self.pictures[index]
        return {"image": path, "labels": {self.task: number}}


class _Pictures(Items):
    def tasks(self, index: int) -> Collection[str]:
        """Every image has a class."""
        return list(self.modalities)

    def stamp(self, index: int) -> str | None:
        """Of the image, and of the number of its class, which depends on the other folders."""
        path, number = self.dataset.pictures[index]
        return stamp_of_files([(path.relative_to(self.dataset.root).as_posix(), path)], number)

    def where(self, index: int, task: str | None = None) -> str:
        """The path of the image."""
        return str(self.dataset.pictures[index][0])
