"""The general dataset: a folder of images and a folder for every kind of label."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

from torch import Tensor

from tutelage.data.base import DataSource, Memory, Samples, Split
from tutelage.data.files import PICTURES, TEXTS, list_files, parts
from tutelage.data.modalities import Modality, Rgb, Size
from tutelage.errors import UserError
from tutelage.types import Sample


@dataclass
class Label:
    """Where a task's labels are and what they are.

    Args:
        folder: sub-folder of the split.
        kind: how they are decoded, resized and augmented.
    """

    folder: str
    kind: Modality


class Folders(DataSource):
    """`root/train/<folder>/<stem>.<suffix>` and, where there is one, `root/val/...` alike.

    Files of different folders belong together by stem; suffixes are .npy, .png (8 or 16 bits), .jpg, .jpeg and, for
    labels of the whole image, .txt. Every image has a file in every label's folder, unless `partial` allows otherwise;
    a stem without an image is left out. Where `val/` is missing, a fixed part of `train/` is held out: the same stems
    on every machine for the same `holdout_seed`.

    Args:
        root: folder with `train` and perhaps `val`.
        labels: task -> folder and kind.
        image: the images' folder.
        size: height and width of everything; none leaves files as they are.
        holdout: part of `train` that is held out where there is no `val`.
        holdout_seed: which part.
        cache: keep decoded and resized samples in memory.
        name: of the source; by default the name of `root`.
        partial: a stem without a file in a label's folder lacks that label; otherwise `check` refuses it.
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
    ) -> None:
        if not 0 < holdout < 1:
            raise UserError(f"data.holdout: expected a part between 0 and 1, found {holdout}")
        if size is not None and min(size) < 1:
            raise UserError(f"data.size: expected height and width of at least 1, found {size}")
        self.root, self.labels, self.image = Path(root), labels, image
        self.size, self.holdout, self.holdout_seed, self.cache = size, holdout, holdout_seed, cache
        self.name, self.partial = name or self.root.name, partial
        self.modalities: Mapping[str, Modality] = {task: label.kind for task, label in labels.items()}
        self._splits: dict[Split, Samples] = {}  # kept, so that every run of a study shares their memory

    def split(self, split: Split) -> Samples:
        """The samples of a split, in the order of their stems."""
        if split not in self._splits:
            folder = self._folder(split)
            labels = {t: (label.kind, self.files[folder, label.folder]) for t, label in self.labels.items()}
            dataset = FolderDataset(self.files[folder, self.image], labels, self._stems(split), self.size)
            self._splits[split] = Memory(dataset) if self.cache else dataset
        return self._splits[split]

    def check(self, tasks: Collection[str]) -> None:
        """Folders and files are there, and every task has labels: for all images, unless `partial`."""
        self.check_names(tasks)
        if not self.root.is_dir():
            raise UserError(f"data.root: expected a folder with train/{self.image}, found no folder {self.root}")
        for folder in ["train", *(["val"] if self._has_val else [])]:
            for name in [self.image, *(self.labels[t].folder for t in tasks)]:
                path = self.root / folder / name
                if not path.is_dir():
                    raise UserError(f"{path}: expected a folder, found none; see the layout in docs/data.md")
                if not self.files[folder, name]:
                    raise UserError(f"{path}: expected {', '.join(self._suffixes(name))} files, found none")
        for split in ("train", "val"):
            stems = self._stems(split)
            if not stems:
                raise UserError(f"{self.root}: expected images for {split}, found none; add images or change holdout")
            for t in tasks:
                self._check_stems(split, stems, self.labels[t].folder)

    def _check_stems(self, split: Split, stems: list[str], folder: str) -> None:
        path, files = self.root / self._folder(split) / folder, self.files[self._folder(split), folder]
        missing = [stem for stem in stems if stem not in files]
        if len(missing) == len(stems):
            raise UserError(
                f"{path}: expected files named like the images of {split} ({stems[0]}, ...), found none in common "
                f"({next(iter(files))}, ...); rename them"
            )
        if missing and not self.partial:
            named = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
            raise UserError(
                f"{path}: expected a file for each of the {len(stems)} images of {split}, found "
                f"{len(stems) - len(missing)}; missing are {named}; add them, or set data.partial: true"
            )

    def fingerprint(self) -> str:
        """Of the files' names, sizes and parts of their content, and of what is done to them."""
        digest = blake2b(
            repr((self.image, self.labels, self.size, self.holdout, self.holdout_seed)).encode(), digest_size=8
        )
        for folder in ("train", "val"):
            for name in self._names:
                for stem, path in self.files[folder, name].items():
                    digest.update(f"{folder}/{name}/{stem}{path.suffix}:{path.stat().st_size}\n".encode())
                    digest.update(parts(path))
        return digest.hexdigest()

    @cached_property
    def files(self) -> dict[tuple[str, str], dict[str, Path]]:
        """(train or val, sub-folder) -> stem -> file."""
        return {(f, n): list_files(self.root / f / n, self._suffixes(n)) for f in ("train", "val") for n in self._names}

    @property
    def _names(self) -> list[str]:
        return [self.image, *(label.folder for label in self.labels.values())]

    def _suffixes(self, name: str) -> tuple[str, ...]:
        kinds = [label.kind for label in self.labels.values() if label.folder == name]
        return TEXTS if name != self.image and not any(kind.dense for kind in kinds) else PICTURES

    @property
    def _has_val(self) -> bool:
        return (self.root / "val").is_dir()

    def _folder(self, split: Split) -> str:
        return "val" if split == "val" and self._has_val else "train"

    def _stems(self, split: Split) -> list[str]:
        stems = list(self.files[self._folder(split), self.image])
        if self._has_val:
            return stems
        # Ranked by a hash of seed and stem: independent of the machine, and of what else is in the folder.
        ranked = sorted(stems, key=lambda stem: blake2b(f"{self.holdout_seed}/{stem}".encode(), digest_size=8).digest())
        held = set(ranked[: round(self.holdout * len(stems))])
        return [stem for stem in stems if (stem in held) == (split == "val")]


class FolderDataset(Samples):
    """The samples of some stems.

    Args:
        image: stem -> image file.
        labels: task -> kind and (stem -> label file).
        stems: their order.
        size: height and width of everything; none leaves files as they are.
    """

    def __init__(
        self,
        image: Mapping[str, Path],
        labels: Mapping[str, tuple[Modality, Mapping[str, Path]]],
        stems: list[str],
        size: Size | None,
    ) -> None:
        self.image, self.labels, self.stems, self.size = image, labels, stems, size

    def __len__(self) -> int:
        return len(self.stems)

    def __getitem__(self, index: int) -> Sample:
        stem, rgb = self.stems[index], Rgb()
        image = rgb.decode(self.image[stem])
        shape = (image.shape[1], image.shape[2])
        labels: dict[str, Tensor] = {}
        for task, (kind, files) in self.labels.items():
            if stem not in files:
                continue
            labels[task] = kind.label(kind.decode(files[stem]), shape, self.size, str(files[stem]))
        return Sample(image=rgb.resize(image, self.size or shape), labels=labels)

    def tasks(self, index: int) -> Collection[str]:
        """Those with a file."""
        return [t for t, (_, files) in self.labels.items() if self.stems[index] in files]

    def where(self, index: int, task: str | None = None) -> str:
        """The path of the image, or of the label."""
        files = self.image if task is None else self.labels[task][1]
        return str(files[self.stems[index]])
