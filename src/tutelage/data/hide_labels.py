"""Some of the training labels taken away: how much do labels help?"""

from collections.abc import Collection
from functools import cached_property
from hashlib import blake2b

from tutelage.data.base import DataSource, Samples, Split, Wrapper, identity, ranked, renamed
from tutelage.errors import UserError
from tutelage.types import Sample


class HideLabels(Wrapper):
    """Another source whose training labels are kept for a part of the images only; `val` keeps all of its own.

    Which images keep the label of a task is fixed by the rank of a hash of (seed, index) or, unless `disjoint`, of
    (seed, task, index): the same on every machine. Unless `disjoint`, a larger part has the images of a smaller one.

    Args:
        source: where images and labels come from.
        keep: task -> part of the training images that keep its label; a task that is not named keeps all.
        disjoint: no image keeps the labels of two of the tasks in `keep`.
        seed: which images.

    Raises:
        ValueError: A part is not between 0 and 1, or disjoint parts are more than 1 together.
    """

    def __init__(self, source: DataSource, keep: dict[str, float], disjoint: bool = False, seed: int = 0) -> None:
        super().__init__(source)
        for t, part in keep.items():
            if t not in source.modalities:
                known = ", ".join(source.modalities)
                raise UserError(f"data.keep.{t}: expected a task with labels in the source ({known}), found `{t}`")
            if not 0 < part <= 1:
                raise UserError(f"data.keep.{t}: expected a part above 0 and up to 1, found {part}")
        if disjoint and sum(keep.values()) > 1 + 1e-9:
            raise UserError(
                f"data.keep: expected disjoint parts of at most 1 together, found {sum(keep.values()):g}; lower them, "
                "or set disjoint: false"
            )
        self.keep, self.disjoint, self.seed = keep, disjoint, seed

    def around(self, source: DataSource) -> "HideLabels":
        """The same of another source, for the tasks that it has."""
        keep = {t: part for t, part in self.keep.items() if t in source.modalities}
        return HideLabels(source, keep, self.disjoint, self.seed)

    def split_of_source(self, split: Split) -> Samples:
        """The source's samples; those of `train` with fewer labels."""
        return self._train if split == "train" else self.source.split(split)

    def check(self, tasks: Collection[str]) -> None:
        """As the source says, and some image keeps each label."""
        try:
            super().check(tasks)
        except UserError as error:
            raise renamed(error, "data.source") from error
        for part in self.parts().values():
            assert isinstance(part.source, HideLabels)
            train = part.source._train
            for t, kept in train.kept.items():
                if t in tasks and not kept:
                    raise UserError(
                        f"data.keep.{t}: expected some of the {len(train)} training images to keep its label, found "
                        f"{self.keep[t]} of them, which is none; raise it"
                    )

    def fingerprint(self) -> str:
        """Of the source and of what is kept."""
        arguments = (identity(self.source), self.keep, self.disjoint, self.seed)
        return blake2b(repr(arguments).encode(), digest_size=8).hexdigest()

    @cached_property
    def _train(self) -> "_Hidden":
        samples = self.source.split("train")
        kept: dict[str, set[int]] = {}
        count, begin = len(samples), 0.0
        for t, part in self.keep.items():
            if self.disjoint:
                order = ranked(count, str(self.seed))
                kept[t] = set(order[round(begin * count) : round((begin + part) * count)])
                begin += part
            else:
                kept[t] = set(ranked(count, f"{self.seed}/{t}")[: round(part * count)])
        return _Hidden(samples, self.modalities, kept)


class _Hidden(Samples):
    def __init__(self, dataset: Samples, modalities: Collection[str], kept: dict[str, set[int]]) -> None:
        self.dataset, self.modalities, self.kept = dataset, modalities, kept

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        sample = self.dataset[index]
        labels = {t: label for t, label in sample["labels"].items() if self._has(t, index)}
        return Sample(**{**sample, "labels": labels})

    def tasks(self, index: int) -> Collection[str]:
        """Those that are kept, as far as the source says; of one that does not say, all that it may have are."""
        known = self.dataset.tasks(index)
        return {t for t in (self.modalities if known is None else known) if self._has(t, index)}

    def where(self, index: int, task: str | None = None) -> str:
        """As the source says."""
        return self.dataset.where(index, task)

    def _has(self, task: str, index: int) -> bool:
        return task not in self.kept or index in self.kept[task]
