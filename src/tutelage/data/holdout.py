"""A part of the training images as validation images, so that tuning never reads `val`."""

from collections.abc import Collection
from functools import cached_property
from hashlib import blake2b

from tutelage.data.base import Chosen, DataSource, Samples, Split, Wrapper, identity, ranked
from tutelage.errors import UserError


class HoldOut(Wrapper):
    """Another source's `train` in two: `val` is a fixed part of it, `train` the rest. Its own `val` is never read.

    Sample i of the source's `train` is held out by the rank of a hash of (seed, i) among the samples that are known to
    have the labels of the same tasks, so that both parts have them alike: the same samples on every machine.
    Neighbouring frames of a video may come into different parts.

    Args:
        source: where the images come from.
        part: of its `train`, that is held out.
        seed: which part.
    """

    def __init__(self, source: DataSource, part: float = 0.2, seed: int = 0) -> None:
        if not 0 < part < 1:
            raise UserError(f"data.part: expected a part between 0 and 1, found {part}")
        super().__init__(source)
        self.part, self.seed = part, seed

    def around(self, source: DataSource) -> "HoldOut":
        """The same part of another source."""
        return HoldOut(source, self.part, self.seed)

    def split_of_source(self, split: Split) -> Samples:
        """The rest of the source's `train`, or the part of it that is held out, in the source's order."""
        return Chosen(self._train, self._indices[split])

    def check(self, tasks: Collection[str]) -> None:
        """As the source says, and both parts have samples."""
        super().check(tasks)
        for part in self.parts().values():
            assert isinstance(part.source, HoldOut)
            part.source._refuse_nothing()

    def _refuse_nothing(self) -> None:
        for split, indices in self._indices.items():
            if not indices:
                raise UserError(
                    f"data.part: expected samples for {split}, found none: {self.part} of {len(self._train)} training "
                    f"samples are {len(self._indices['val'])}; add images or take another part"
                )

    def fingerprint(self) -> str:
        """Of the source, of the part and of the seed."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:  # once: a tuning asks for it with every trial
        arguments = (identity(self.source), self.part, self.seed)
        return blake2b(repr(arguments).encode(), digest_size=8).hexdigest()

    @cached_property
    def _train(self) -> Samples:
        return self.source.split("train")

    @cached_property
    def _indices(self) -> dict[Split, list[int]]:
        alike: dict[frozenset[str] | None, list[int]] = {}
        for i in ranked(len(self._train), str(self.seed)):
            tasks = self._train.tasks(i)
            alike.setdefault(None if tasks is None else frozenset(tasks), []).append(i)
        held = {i for indices in alike.values() for i in indices[: round(self.part * len(indices))]}
        return {"train": [i for i in range(len(self._train)) if i not in held], "val": sorted(held)}
