"""The processes that compute one run together, as everything but `train.world` sees them."""

from typing import TypeVar

from torch import Tensor

T = TypeVar("T")


class World:
    """The processes of a run: here a single one, in which nothing is communicated and nothing costs anything.

    Every process takes a slice of the images of every batch, and what is a sum over images is added over the processes.
    The methods that communicate are called by all processes, in the same order.

    Attributes:
        size: The number of processes.
        rank: Which of them this is, from 0.
        local_rank: Which of those of its machine this is, from 0.
    """

    size, rank, local_rank = 1, 0, 0

    @property
    def main(self) -> bool:
        """Whether this is the process that writes files and speaks to the user."""
        return self.rank == 0

    def part(self, count: int) -> slice:
        """The slice of this process of `count` things: sizes differ by at most one, and may be 0."""
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def sum(self, x: Tensor) -> Tensor:
        """Add a tensor over the processes, in place; the result is the same, bit for bit, in all of them."""
        return x

    def start_sum(self, x: Tensor) -> None:
        """Begin to add a tensor over the processes, in place; it may be read after `wait`."""

    def wait(self) -> None:
        """Wait for the sums that have begun."""

    def gather(self, value: T) -> list[T]:
        """A value of every process, in their order: numbers, texts, tensors on the CPU and containers of them."""
        return [value]

    def asked_to_stop(self) -> int:
        """The number of a signal that asks the run to stop and did not arrive in this process; 0: none."""
        return 0
