"""A part of `train` in place of `test`, so that tuning never reads `test`."""

from collections.abc import Collection
from functools import cached_property

from tutelage.data.base import DataSource, Split, Wrapper, under_key
from tutelage.data.fingerprint import fingerprint_of_text, identity, ranked
from tutelage.data.samples import Samples, Subset
from tutelage.errors import UserError


class HoldOut(Wrapper):
    """A source whose `train` is divided: `test` is a fixed part of it, `train` the rest. Its own `test` is never read.

    Sample i of the source's `train` is held out by the rank of a hash of (seed, i) among the samples that are known to
    have labels of the same tasks; rounding is carried from one such group to the next. So both parts have each task's
    labels in the same proportion, and they are the same on every machine. Neighbouring frames of a video may be divided
    between the parts.

    Args:
        source: The source of images and labels.
        part: The part of its `train` that is held out.
        seed: Which part is held out.

    Raises:
        UserError: `part` is not between 0 and 1.
    """

    def __init__(self, source: DataSource, part: float = 0.2, seed: int = 0) -> None:
        if not 0 < part < 1:
            raise UserError(f"data.part: expected a part between 0 and 1, found {part}")
        super().__init__(source)
        self.part, self.seed = part, seed

    def wrap(self, source: DataSource) -> "HoldOut":
        """Another source, divided in the same way."""
        return HoldOut(source, self.part, self.seed)

    def split_of_source(self, split: Split) -> Samples:
        """The held-out part of the source's `train`, or the rest, in the source's order."""
        return Subset(self.source.decoded("train"), self._indices[split])

    def check(self, tasks: Collection[str]) -> None:
        """Raise where the source does, or if a part has no samples."""
        try:
            super().check(tasks)
        except ValueError as error:  # of a source of the user, too
            raise under_key(error, "data.source") from error
        for part in self.parts().values():
            assert isinstance(part.source, HoldOut)
            part.source._check_parts()

    def _check_parts(self) -> None:
        for split, indices in self._indices.items():
            if not indices:
                raise UserError(
                    f"data.part: expected samples for {split}, found none: {self.part} of {len(self._train)} training "
                    f"samples are {len(self._indices['test'])}; add images or take another part"
                )

    def fingerprint(self) -> str:
        """Depends on the source and on the arguments."""
        arguments = (identity(self.source), self.part, self.seed)
        return fingerprint_of_text(repr(arguments) + self.of_rounding())

    def of_rounding(self) -> str:
        """What tells the fingerprint from that of earlier versions, which rounded the part of every group by itself."""
        parts = [part.source for part in self.parts().values() if isinstance(part.source, HoldOut)]
        return " carried" if any(x._chosen(carry=True) != x._chosen(carry=False) for x in parts) else ""

    @cached_property
    def _train(self) -> Samples:
        return self.source.split("train")

    @cached_property
    def _groups(self) -> list[list[int]]:
        """The training samples with labels of the same tasks, by rank."""
        by_tasks: dict[frozenset[str] | None, list[int]] = {}
        for i in ranked(range(len(self._train)), self.seed):
            tasks = self._train.tasks(i)
            by_tasks.setdefault(None if tasks is None else frozenset(tasks), []).append(i)
        return list(by_tasks.values())

    def _chosen(self, carry: bool) -> set[int]:
        """The training samples that are held out; rounding is carried over to the next group, or not."""
        held, before = set[int](), 0
        for indices in self._groups:
            after = before + len(indices)
            held.update(indices[: round(self.part * after) - round(self.part * before)])
            before = after if carry else 0
        return held

    @cached_property
    def _indices(self) -> dict[Split, list[int]]:
        held = self._chosen(carry=True)
        return {"train": [i for i in range(len(self._train)) if i not in held], "test": sorted(held)}


class WithoutValidation(Wrapper):
    """A source whose `train` lacks the part that `HoldOut` of the same source holds out; `test` is the source's own.

    Args:
        source: The source of images and labels.
        part: The part of its `train` that is held out.
    """

    def __init__(self, source: DataSource, part: float) -> None:
        super().__init__(source)
        self.part, self._held = part, HoldOut(source, part)

    def wrap(self, source: DataSource) -> "WithoutValidation":
        """Another source, without the same part."""
        return WithoutValidation(source, self.part)

    def split_of_source(self, split: Split) -> Samples:
        """The rest of the source's `train`, in the source's order, or its `test`."""
        return self.source.decoded("test") if split == "test" else self._held.split("train")

    def fingerprint(self) -> str:
        """Depends on the source and on the part."""
        return fingerprint_of_text(repr((identity(self.source), self.part, "validation")) + self._held.of_rounding())
