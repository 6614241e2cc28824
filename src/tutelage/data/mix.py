"""Several sources that are trained on side by side."""

from collections.abc import Collection
from itertools import combinations
from typing import TYPE_CHECKING

from tutelage.data.base import DataSource, Split, WeightedSource, under_key
from tutelage.data.fingerprint import fingerprint_of_text, identity
from tutelage.data.samples import Concatenation, Samples
from tutelage.errors import UserError, positive_number

if TYPE_CHECKING:
    from tutelage.data.shards import Keeper


class Mix(DataSource):
    """Several sources, each with its own images, sizes and labels; every step takes one batch of each source.

    A task may have its labels in one source or in several. The batches of a step go through the network one by one, so
    that sources may differ in size; the losses of a step are divided by the number of labels of the whole step. An
    epoch is one pass through the source that takes longest; the other sources start over meanwhile.

    Args:
        sources: Name -> source.
        weights: Name -> weight: a source's share of a step's images against the other weights; 1 for a source that is
            not named. None: in proportion to the sources' numbers of images, so that an epoch sees each image about
            once.

    Raises:
        UserError: There are fewer than two sources, a source is a mix itself, the labels of a task are of different
            kinds, or `weights` names another source or is not positive.
    """

    name = "mix"

    def __init__(self, sources: dict[str, DataSource], weights: dict[str, float] | None = None) -> None:
        if len(sources) < 2:
            raise UserError(f"data.sources: expected two sources or more, found {len(sources)}; name one as `data`")
        for name, source in sources.items():
            if list(source.parts()) != [source.name] or "/" in name:
                raise UserError(
                    f"data.sources.{name}: expected a single source and a name without `/`, found "
                    f"{type(source).__name__}; name its sources here instead"
                )
        for name, weight in (weights or {}).items():
            if name not in sources:
                raise UserError(
                    f"data.weights.{name}: expected one of the sources, {', '.join(sources)}; found `{name}`"
                )
            positive_number(f"data.weights.{name}", weight)
        self.sources, self.weights = sources, weights
        for (name, source), (other, other_source) in combinations(sources.items(), 2):
            for t in source.modalities.keys() & other_source.modalities.keys():
                kind, other_kind = type(source.modalities[t]).__name__, type(other_source.modalities[t]).__name__
                if kind != other_kind:
                    raise UserError(
                        f"data.sources.{other}: expected labels of the kind {kind} for `{t}`, as `{name}` has, found "
                        f"{other_kind}; give one of the two tasks another name"
                    )
        self.modalities = {t: kind for source in sources.values() for t, kind in source.modalities.items()}
        self.trusted = all(source.trusted for source in sources.values())
        first, *others = (source.size for source in sources.values())
        self.size = first if all(size == first for size in others) else None

    def parts(self) -> dict[str, WeightedSource]:
        """The sources and their weights."""
        return {
            name: WeightedSource(source, None if self.weights is None else self.weights.get(name, 1.0))
            for name, source in self.sources.items()
        }

    def split(self, split: Split) -> Samples:
        """The samples of a split, source after source."""
        return Concatenation([source.decoded(split) for source in self.sources.values()])

    def decoded(self, split: Split) -> Samples:
        """The same: each source keeps its own."""
        return self.split(split)

    def keep_decoded(self, keeper: "Keeper") -> None:
        """Keep the samples of every source."""
        for source in self.sources.values():
            source.keep_decoded(keeper)

    def check(self, tasks: Collection[str]) -> None:
        """Raise unless every task has labels in some source, or where a source raises for the tasks that it has."""
        self.check_names(tasks)
        for name, source in self.sources.items():
            try:
                source.check([t for t in tasks if t in source.modalities])
            except ValueError as error:  # of a source of the user, too
                raise under_key(error, f"data.sources.{name}") from error

    def fingerprint(self) -> str:
        """Depends on all sources."""
        identities = {name: identity(source) for name, source in self.sources.items()}
        return fingerprint_of_text(repr(identities))
