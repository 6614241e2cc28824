"""A source without some of its training labels, to measure what labels are worth."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cached_property

from tutelage.data.base import DataSource, Split, Wrapper, under_key
from tutelage.data.fingerprint import fingerprint_of_text, identity, ranked
from tutelage.data.packed import Column, Packed
from tutelage.data.samples import Around, Samples
from tutelage.errors import UserError
from tutelage.types import Sample


class HideLabels(Wrapper):
    """A source of which only a part of the training images keep their label of a task; `test` keeps all labels.

    The part is of the images that are known to have the label; if `disjoint`, of all images.

    Which images keep the label of a task follows from the rank of a hash: of (seed, index) if `disjoint`, otherwise of
    (seed, task, index). It is the same on every machine. Unless `disjoint`, a larger part contains a smaller one.

    Args:
        source: The source of images and labels.
        keep: Task -> the part of the training images that keep its label; a task that is not named keeps all labels.
        disjoint: No image keeps the labels of two of the tasks in `keep`.
        seed: Which images keep their labels.

    Raises:
        UserError: A part is not in (0, 1], or disjoint parts add up to more than 1.
    """

    def __init__(self, source: DataSource, keep: dict[str, float], disjoint: bool = False, seed: int = 0) -> None:
        super().__init__(source)
        for t, part in keep.items():
            if t not in source.modalities:
                names = ", ".join(source.modalities)
                raise UserError(f"data.keep.{t}: expected a task with labels in the source ({names}), found `{t}`")
            if not 0 < part <= 1:
                raise UserError(f"data.keep.{t}: expected a part above 0 and up to 1, found {part}")
        if disjoint and sum(keep.values()) > 1 + 1e-9:
            raise UserError(
                f"data.keep: expected disjoint parts of at most 1 together, found {sum(keep.values()):g}; lower them, "
                "or set disjoint: false"
            )
        self.keep, self.disjoint, self.seed = keep, disjoint, seed

    def wrap(self, source: DataSource) -> "HideLabels":
        """Another source whose labels are hidden in the same way, for the tasks that it has."""
        keep = {t: part for t, part in self.keep.items() if t in source.modalities}
        return HideLabels(source, keep, self.disjoint, self.seed)

    def split_of_source(self, split: Split) -> Samples:
        """The source's samples; those of `train` without the hidden labels."""
        samples = self.source.decoded(split)
        return _Hidden(samples, self.modalities, self._kept) if split == "train" else samples

    def check(self, tasks: Collection[str]) -> None:
        """Raise where the source does, or if no image keeps the label of a task."""
        try:
            super().check(tasks)
        except ValueError as error:  # of a source of the user, too
            raise under_key(error, "data.source") from error
        for part in self.parts().values():
            assert isinstance(part.source, HideLabels)
            for t, kept in part.source._kept.items():
                labelled = part.source._labelled(t)
                if t in tasks and labelled and kept.isdisjoint(labelled):
                    raise UserError(
                        f"data.keep.{t}: expected some of the {len(labelled)} training images with its label to keep "
                        f"it, found {self.keep[t]} of them, which is none; raise it"
                    )

    def fingerprint(self) -> str:
        """Depends on the source and on the arguments."""
        arguments = (identity(self.source), self.keep, self.disjoint, self.seed)
        return fingerprint_of_text(repr(arguments) + self._of_labelled)

    @property
    def _of_labelled(self) -> str:
        """What tells the fingerprint from that of earlier versions, which took the part of all images."""
        parts = [part.source for part in self.parts().values() if isinstance(part.source, HideLabels)]
        sparse = any(
            len(x._labelled(t)) < len(x.source.split("train")) for x in parts for t in x.keep if not self.disjoint
        )
        return " of the labelled" if sparse else ""

    @cached_property
    def _kept(self) -> dict[str, set[int]]:
        """Task -> the training samples that keep its label."""
        kept: dict[str, set[int]] = {}
        count, begin = len(self.source.split("train")), 0.0
        for t, part in self.keep.items():
            if self.disjoint:  # of all images, whatever labels they have
                order = ranked(range(count), self.seed)
                kept[t] = set(order[round(begin * count) : round((begin + part) * count)])
                begin += part
            else:
                labelled = self._labelled(t)
                kept[t] = set(ranked(labelled, f"{self.seed}/{t}")[: round(part * len(labelled))])
        return kept

    def _labelled(self, task: str) -> list[int]:
        """The training samples that have a label of a task, as far as the source knows."""
        samples = self.source.split("train")
        tasks = map(samples.tasks, range(len(samples)))
        return [i for i, own in enumerate(tasks) if own is None or task in own]


class _Hidden(Around):
    def __init__(self, dataset: Samples, modalities: Collection[str], kept: dict[str, set[int]]) -> None:
        super().__init__(dataset)
        self.modalities, self.kept = modalities, kept

    def __getitem__(self, index: int) -> Sample:
        sample = self.dataset[index]
        labels = {t: label for t, label in sample["labels"].items() if self._keeps(t, index)}
        return Sample(**{**sample, "labels": labels})

    def pack(self, indices: Sequence[int], tasks: Collection[str]) -> Packed:
        """The source's, without the hidden labels."""
        packed = self.dataset.pack(indices, tasks)
        labels: dict[str, Column] = {}
        for t, x in packed.labels.items():
            present = tuple(p and self._keeps(t, i) for p, i in zip(x.present, indices, strict=True))
            if any(present):
                labels[t] = replace(x, present=present)
        return replace(packed, labels=labels)

    def tasks(self, index: int) -> Collection[str]:
        """The tasks whose label is kept; of all tasks of the source if it cannot tell which labels a sample has."""
        tasks = self.dataset.tasks(index)
        return {t for t in (self.modalities if tasks is None else tasks) if self._keeps(t, index)}

    def _keeps(self, task: str, index: int) -> bool:
        return task not in self.kept or index in self.kept[task]
