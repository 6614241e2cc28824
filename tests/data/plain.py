"""A source without files whose images have the labels that a test wants."""

from collections.abc import Collection, Mapping, Sequence
from hashlib import blake2b

import torch
from torch.nn.functional import normalize

from tutelage.data import ClassesLabel, DataSource, DepthLabel, Modality, NormalsLabel, Samples
from tutelage.data.base import Split
from tutelage.images import Size
from tutelage.types import Sample

KINDS: Mapping[str, Modality] = {"segmentation": ClassesLabel(), "depth": DepthLabel(), "normals": NormalsLabel()}


class Plain(DataSource):
    """Image i of a split, and its labels, are noise: functions of (seed, split, i).

    Args:
        train: number of training images.
        test: number of validation images.
        size: height and width.
        tasks: whose labels it has.
        lacks: task -> images without its label, in both splits.
        blank: task -> images whose label says nothing.
        known: which image has which label is known without reading it.
        classes: of `segmentation`.
        seed: of everything.
        name: of the source.
        forbidden: a split that nobody may look at.
    """

    def __init__(
        self,
        train: int = 6,
        test: int = 3,
        size: Size = (8, 12),
        tasks: Sequence[str] = ("segmentation", "depth"),
        lacks: dict[str, list[int]] | None = None,
        blank: dict[str, list[int]] | None = None,
        known: bool = True,
        classes: int = 13,
        seed: int = 0,
        name: str = "plain",
        forbidden: str = "",
    ) -> None:
        self.lengths = {"train": train, "test": test}
        self.size, self.lacks, self.blank = size, lacks or {}, blank or {}
        self.known, self.classes, self.seed, self.name, self.forbidden = known, classes, seed, name, forbidden
        self.modalities = {t: KINDS[t] for t in tasks}
        self.read: list[tuple[str, int]] = []  # (split, index) of every sample that was

    def split(self, split: Split) -> Samples:
        assert split != self.forbidden
        return _Noise(self, split)

    def check(self, tasks: Collection[str]) -> None:
        self.check_names(tasks)

    def fingerprint(self) -> str:
        arguments = (self.lengths, self.size, self.seed, list(self.modalities), self.lacks, self.blank, self.classes)
        return blake2b(repr(arguments).encode(), digest_size=8).hexdigest()


class _Noise(Samples):
    def __init__(self, source: Plain, split: Split) -> None:
        self.source, self.split = source, split

    def __len__(self) -> int:
        return self.source.lengths[self.split]

    def __getitem__(self, index: int) -> Sample:
        if index >= len(self):  # less than 0 is taken, as lists do
            raise IndexError(index)
        source = self.source
        source.read.append((self.split, index))
        draw = torch.Generator().manual_seed(10_000 * (source.seed + 1) + 1000 * (self.split == "test") + index)
        labels = {
            "segmentation": torch.randint(-1, source.classes, source.size, generator=draw),
            "depth": torch.rand(1, *source.size, generator=draw).mul(4).sub(0.5).clamp(min=0),
            "normals": normalize(torch.randn(3, *source.size, generator=draw), dim=0),
        }
        image = torch.randint(0, 256, (3, *source.size), generator=draw) / 255
        for t, nothing in (("segmentation", -1), ("depth", 0), ("normals", 0)):
            if index in source.blank.get(t, ()):
                labels[t] = torch.full_like(labels[t], nothing)
        return Sample(image=image, labels={t: labels[t] for t in self._tasks(index)})

    def tasks(self, index: int) -> Collection[str] | None:
        return self._tasks(index) if self.source.known else None

    def where(self, index: int, task: str | None = None) -> str:
        return f"{self.source.name}: {self.split} image {index}"

    def _tasks(self, index: int) -> list[str]:
        return [t for t in self.source.modalities if index not in self.source.lacks.get(t, ())]
