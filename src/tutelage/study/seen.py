"""One label of one split, as the check saw it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tutelage.data.look import Stored
from tutelage.study.findings import Checked
from tutelage.types.look import Measures


@dataclass(frozen=True)
class Seen:
    """The checked images of a split that have a label, or all of them.

    Attributes:
        split: "train" or "test".
        checked: Those that have it.
        label: The task; "" for the images.
        samples: The images of the split.
        looked_at: How many of them were checked.
        measures: The values of the label.
    """

    split: str
    checked: Sequence[Checked]
    label: str
    samples: int
    looked_at: int
    measures: Measures

    @cached_property
    def stored(self) -> Counter[Stored]:
        """How the label is stored -> how often."""
        return Counter(x.finding.stored[self.label] for x in self.checked if self.label in x.finding.stored)

    @property
    def all(self) -> bool:
        """Whether all samples were checked."""
        return self.looked_at == self.samples

    def first(self, stored: Stored) -> str:
        """The first file that is stored so."""
        checked = next(x for x in self.checked if x.finding.stored.get(self.label) == stored)
        return str(checked.where(self.label or None))

    @property
    def place(self) -> str:
        """The folder of the label, or its task."""
        where = Path(self.checked[0].where(self.label or None) if self.checked else "")
        return (
            str(where.parent)
            if where.suffix and len(where.parts) > 1
            else (f"tasks.{self.label}" if self.label else "data")
        )
