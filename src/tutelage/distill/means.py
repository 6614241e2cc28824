"""Means for the log."""

from torch import Tensor


class Means:
    """Means over the images of a step, kept on the device."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def add(self, name: str, values: Tensor) -> None:
        """Add one value per image, [B]."""
        total = values.detach().sum()
        self.sums[name] = self.sums[name] + total if name in self.sums else total
        self.counts[name] = self.counts.get(name, 0) + len(values)

    def read(self) -> dict[str, Tensor]:
        """{name: mean}."""
        return {name: total / self.counts[name] for name, total in self.sums.items()}
