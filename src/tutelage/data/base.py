"""The base classes of data sources."""

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tutelage.data.modalities import Modality
from tutelage.data.samples import Concatenation, Samples
from tutelage.errors import UserError
from tutelage.images import Size
from tutelage.recorded import Recorded
from tutelage.types.look import LeftOut, Warned

if TYPE_CHECKING:
    from tutelage.data.shards import Keeper

# `test` is read once, after training. What selects anything (`tutelage tune`) takes a part of `train` (`HoldOut`).
Split = Literal["train", "test"]
_KEY = re.compile(r"(?<!\S)data\.(?=\w+(?![\w/\\]))")  # the beginning of a source's key, but not of a path


@dataclass
class WeightedSource:
    """One source of a mix, and its weight.

    Attributes:
        source: The source.
        weight: Its share of a step's images against the other weights; None: in proportion to its number of images.
    """

    source: "DataSource"
    weight: float | None = None


class DataSource(Recorded, ABC):
    """Images and labels of one origin, in two splits: `train`, and `test`, which is read once, after training.

    Attributes:
        name: The name of the source.
        modalities: Task -> the kind of its labels, which says how they are resized, flipped and zoomed.
        size: The height and width to which all images are resized; None where images keep their own size.
        trusted: A program makes the samples, so that a few of them are checked before training instead of all.
        sampled: The fingerprint was read from a few samples, and does not see a change of the others.
        in_memory: Reading a sample costs no more than copying it.
        keeper: Keeps decoded samples for all runs, see `keep_decoded`.
    """

    name: str
    modalities: Mapping[str, Modality]
    size: Size | None = None
    trusted: bool = False
    sampled: bool = False
    in_memory: bool = False
    keeper: "Keeper | None" = None

    def parts(self) -> dict[str, WeightedSource]:
        """The sources that are trained on side by side, by name: most sources have one part, themselves."""
        return {self.name: WeightedSource(self)}

    @abstractmethod
    def split(self, split: Split) -> Samples:
        """The samples of a split."""

    def decoded(self, split: Split) -> Samples:
        """The samples of a split as runs read them: from a shard, where one is kept."""
        return self.split(split) if self.keeper is None else self.keeper.samples(self, split)

    def keep_decoded(self, keeper: "Keeper") -> None:
        """Have decoded samples kept from now on; a source that has a keeper stays with it."""
        self.keeper = self.keeper or keeper

    @abstractmethod
    def check(self, tasks: Collection[str]) -> None:
        """Raise a one-line UserError if `tasks` cannot be trained on these data."""

    def left_out(self) -> Sequence[LeftOut]:
        """Files that lie beside those that are used, and why they are not read."""
        return ()

    def doubts(self) -> Sequence[Warned]:
        """What is suspicious of the source, besides the values of its samples."""
        return ()

    @abstractmethod
    def fingerprint(self) -> str:
        """A short text that changes with the data, as far as a quick look can tell, and not when they are moved."""

    def origin(self) -> str:
        """What samples depend on apart from their stamps: where the files lie, and how they are decoded.

        It is found without reading a file where that is possible; by default it is the fingerprint.
        """
        return self.fingerprint()

    def check_names(self, tasks: Collection[str]) -> None:
        """Raise a UserError if a task has no labels here."""
        for task in tasks:
            if task not in self.modalities:
                names = ", ".join(self.modalities) or "none"
                raise UserError(f"tasks.{task}: expected the name of a label of the data ({names}), found `{task}`")


class Wrapper(DataSource):
    """A source made from another one by changing it. If that one has several parts, each part is changed.

    Args:
        source: The source to change.
    """

    def __init__(self, source: DataSource) -> None:
        self.source = source
        self.name, self.modalities, self.trusted = source.name, source.modalities, source.trusted
        self.size, self.sampled = source.size, source.sampled

    @abstractmethod
    def wrap(self, source: DataSource) -> DataSource:
        """Another source, changed in the same way."""

    @abstractmethod
    def split_of_source(self, split: Split) -> Samples:
        """The samples of a split, if the source has a single part."""

    def parts(self) -> dict[str, WeightedSource]:
        """Every part of the source, changed."""
        parts = self.source.parts()
        if list(parts) == [self.source.name]:
            return {self.name: WeightedSource(self)}
        return {name: WeightedSource(self.wrap(part.source), part.weight) for name, part in parts.items()}

    def split(self, split: Split) -> Samples:
        """The samples of a split, part after part."""
        parts = [part.source for part in self.parts().values()]
        return self.split_of_source(split) if parts == [self] else Concatenation([x.split(split) for x in parts])

    def keep_decoded(self, keeper: "Keeper") -> None:
        """Keep the samples of the source, before they are changed."""
        self.source.keep_decoded(keeper)

    def check(self, tasks: Collection[str]) -> None:
        """Raise where the source does."""
        self.source.check(tasks)

    def left_out(self) -> Sequence[LeftOut]:
        """The answer of the source."""
        return self.source.left_out()

    def doubts(self) -> Sequence[Warned]:
        """The answer of the source."""
        return self.source.doubts()


def under_key(error: ValueError, key: str) -> UserError:
    """A source's error with the key that its user knows, below `key`: `data.root` becomes `data.source.root`."""
    return UserError(_KEY.sub(f"{key}.", str(error), count=1))


def check_arguments(holdout: float, size: Size | None) -> None:
    """Raise a UserError if the held-out part or the size is out of range."""
    if not 0 < holdout < 1:
        raise UserError(f"data.holdout: expected a part between 0 and 1, found {holdout}")
    if size is not None and min(size) < 1:
        raise UserError(f"data.size: expected height and width of at least 1, found {size}")
