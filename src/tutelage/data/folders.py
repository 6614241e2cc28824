"""A folder of images, and a folder of labels for every task."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import get_args

from tutelage.data.base import DataSource, Split, check_arguments
from tutelage.data.files import TEXTS, check_below, doubts_of_splits, find_split_folders, folders_in, none_found
from tutelage.data.fingerprint import arguments_text, fingerprint_of_files, ranked
from tutelage.data.folder_dataset import FolderDataset
from tutelage.data.look import unused_files, without_image
from tutelage.data.modalities import Modality
from tutelage.data.patterns import Excluded, folder_of_split, pattern_in
from tutelage.data.samples import Memory, Samples
from tutelage.errors import UserError
from tutelage.files import expand_home
from tutelage.images import Size
from tutelage.pictures import PICTURES
from tutelage.types.look import LeftOut, Warned


@dataclass
class Label:
    """Where the labels of a task are, and of which kind.

    Args:
        folder: The sub-folder of each split, or a pattern of its files.
        kind: How the labels are decoded, resized and augmented.
    """

    folder: str
    kind: Modality


class Folders(DataSource):
    """The files `root/train/<folder>/<stem>.<suffix>` and, if there are any, `root/test/...` or `root/val/...`.

    Files of one stem belong together. They are .npy, pictures of any usual format and, for labels of the whole
    image, .txt. Every image has a file in the folder of every label, unless `partial` is true; a stem without an image
    is left out. `test/` (or `val/`) is the `test` split. Where neither exists, a fixed part of `train/` is held out:
    the same stems on every machine for the same `holdout_seed`. Without a folder `train/`, all of `root` is divided so.

    A pattern in place of a folder takes files of any names (`Pattern`): `*_mask` are the files `1_mask.png`, ... beside
    the images `*`, and `*/depth/*` those in the folders `depth` of several scenes. A file that several patterns fit
    belongs to the one with most letters. `{split}` stands for the folder of a split where that is not the first one:
    `masks/{split}`.

    Args:
        root: The folder with `train` and perhaps `test` or `val`, or with the folders of images and labels.
        labels: Task -> folder and kind.
        image: The folder of the images, or a pattern of their files.
        size: Height and width to which images and labels are resized; None keeps those of the files.
        holdout: The part of `train` that is held out as `test` where there is no such folder.
        holdout_seed: Which part is held out.
        cache: Keep decoded and resized samples in memory.
        name: The name of the source; by default that of `root`.
        partial: A stem without a file in a label's folder lacks that label; otherwise `check` raises.
        train: The folder of `train`; by default `train` where there is one.
        test: The folder of `test`; by default `test` or `val`, if there is one. That of `train`: a part is held out.
        exclude: Files that are not read: paths under `root`, and patterns of them.

    Raises:
        UserError: An argument is out of range.
    """

    def __init__(
        self,
        root: Path,
        labels: dict[str, Label],
        image: str = "image",
        size: Size | None = None,
        holdout: float = 0.2,
        holdout_seed: int = 0,
        cache: bool = False,
        name: str | None = None,
        partial: bool = False,
        train: str | None = None,
        test: str | None = None,
        exclude: Collection[str] = (),
    ) -> None:
        check_arguments(holdout, size)
        self.root, self.labels, self.image = expand_home(root), labels, image
        self.size, self.holdout, self.holdout_seed, self.cache = size, holdout, holdout_seed, cache
        self.name, self.partial = name or self.root.name, partial
        self.train, self.test, self.exclude = train, test, exclude
        self.modalities: Mapping[str, Modality] = {task: label.kind for task, label in labels.items()}
        self._splits: dict[Split, Samples] = {}  # kept, so that all runs of a study share the cache

    def split(self, split: Split) -> Samples:
        """The samples of a split, in the order of their stems."""
        if split not in self._splits:
            folder = self._folders[split]
            labels = {t: (label.kind, self.files[folder, label.folder]) for t, label in self.labels.items()}
            dataset = FolderDataset(self.files[folder, self.image], labels, self._stems(split), self.size, self.root)
            self._splits[split] = Memory(dataset) if self.cache else dataset
        return self._splits[split]

    def check(self, tasks: Collection[str]) -> None:
        """Raise unless folders and files exist and every task has labels: for all images, unless `partial`."""
        self.check_names(tasks)
        if not self.root.is_dir():
            raise UserError(f"data.root: expected a folder with train/{self.image}, found no folder {self.root}")
        folders = {f"labels.{t}.folder": label.folder for t, label in self.labels.items()}
        check_below(self.root, train=self.train, test=self.test, image=self.image, **folders)
        Excluded(self.exclude, self.root).check()
        for folder in dict.fromkeys(self._folders.values()):
            for name in [self.image, *(self.labels[t].folder for t in tasks)]:
                path = self.root / pattern_in(folder, name).folder
                if not path.is_dir():
                    beside = "" if folder else f" (or train/{name} in {self.root})"
                    raise UserError(f"{path}: expected a folder{beside}, found none; see the layout in docs/data.md")
                if not self.files[folder, name]:
                    if self.exclude and pattern_in(folder, name).files(self.root, self._suffixes(name)):
                        raise UserError(
                            f"data.exclude: expected files left in {path}, found all of them excluded; correct it"
                        )
                    if "*" in name:
                        raise UserError(f"{path}: expected files that {name} fits, found none; correct the pattern")
                    raise UserError(
                        f"{none_found(path, self._suffixes(name))}; add some, or name another folder: {name}/**/* has "
                        "sub-folders, too"
                    )
        for split in get_args(Split):
            stems = self._stems(split)
            if not stems:
                raise UserError(f"{self.root}: expected images for {split}, found none; add images or change holdout")
            for t in tasks:
                self._check_stems(split, stems, self.labels[t].folder)

    def _check_stems(self, split: Split, stems: list[str], folder: str) -> None:
        files = self.files[self._folders[split], folder]
        path = self.root / pattern_in(self._folders[split], folder).folder
        missing = [stem for stem in stems if stem not in files]
        if len(missing) == len(stems):
            raise UserError(
                f"{path}: expected files named like the images of {split} ({stems[0]}, ...), found none in common "
                f"({next(iter(files))}, ...); rename them"
            )
        if missing and not self.partial:
            names = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
            raise UserError(
                f"{path}: expected a file for each of the {len(stems)} images of {split}, found "
                f"{len(stems) - len(missing)}; missing are {names}; add them, or set data.init_args.partial: true"
            )

    def fingerprint(self) -> str:
        """Depends on the files' names and contents, and on the arguments."""
        arguments = arguments_text(self.image, self.labels, self.size, self.holdout, self.holdout_seed)
        return fingerprint_of_files(arguments, self._named_files())

    def origin(self) -> str:
        """The folder, the kinds of labels and the size."""
        return arguments_text(self.root.resolve().as_posix(), self.image, self.labels, self.size)

    def left_out(self) -> list[LeftOut]:
        """Files that lie beside those that are used."""
        used = {path for files in self.files.values() for path in files.values()}
        folders = [self.root / pattern_in(split, name).folder for split, name in self.files]
        folders = [*folders, *(path.parent for path in used)]
        rest = unused_files(folders, used, (*PICTURES, *TEXTS), Excluded(self.exclude, self.root))
        for split in dict.fromkeys(self._folders.values()):
            images = self.files[split, self.image]
            for name in dict.fromkeys(label.folder for label in self.labels.values()):
                rest += without_image(self.files[split, name], images)
        return rest

    def doubts(self) -> list[Warned]:
        """Images to evaluate on that are not read."""
        held_out = self.test is None and self._folders["train"] and self._folders["test"] == self._folders["train"]
        return doubts_of_splits(str(self.root), "data.test", self._beside()) if held_out else []

    def _named_files(self) -> Iterator[tuple[str, Path]]:
        for folder in dict.fromkeys(self._folders.values()):
            for name in self._names:
                yield from (
                    (path.relative_to(self.root).as_posix(), path) for path in self.files[folder, name].values()
                )

    @cached_property
    def files(self) -> dict[tuple[str, str], dict[str, Path]]:
        """(folder of a split, sub-folder or pattern) -> stem, or what the stars stand for -> file."""
        excluded = Excluded(self.exclude, self.root)
        files = {}
        for folder in dict.fromkeys(self._folders.values()):
            patterns = {name: pattern_in(folder, name) for name in self._names}
            for name, pattern in patterns.items():
                finer = [other for other in patterns.values() if other.literal > pattern.literal]
                files[folder, name] = {
                    key: path
                    for key, path in pattern.files(self.root, self._suffixes(name), finer).items()
                    if path not in excluded
                }
        return files

    @property
    def _names(self) -> list[str]:
        return [self.image, *(label.folder for label in self.labels.values())]

    def _suffixes(self, name: str) -> tuple[str, ...]:
        kinds = [label.kind for label in self.labels.values() if label.folder == name]
        return TEXTS if name != self.image and not any(kind.dense for kind in kinds) else PICTURES

    @cached_property
    def _folders(self) -> dict[Split, str]:
        """Split -> its folder; that of `train` for both where a part is held out; "" where no folder divides splits."""
        train, test = find_split_folders(self.root, self._has, self._beside(), self.train, self.test)
        return {"train": train, "test": train if test is None else test}

    def _beside(self) -> set[str]:
        """The names of the folders where those of the splits are."""
        places = {(self.root / folder_of_split("_", name)).parent for name in self._names}
        return {name for place in places for name in folders_in(place)}

    def _has(self, split: str) -> bool:
        """Whether there is a folder for a split of this name."""
        return any((self.root / folder_of_split(split, name)).is_dir() for name in self._names)

    def _stems(self, split: Split) -> list[str]:
        stems = list(self.files[self._folders[split], self.image])
        if self._folders["test"] != self._folders["train"]:
            return stems
        # By the rank of a hash of seed and stem: independent of the machine, and of what else is in the folder.
        held = set(ranked(stems, self.holdout_seed)[: round(self.holdout * len(stems))])
        return [stem for stem in stems if (stem in held) == (split == "test")]
