"""The parts of the objective, as sums and counts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor


@dataclass
class Term:
    """A part of the objective as (sum, count), so that parts of a step can be added before they are divided."""

    sum: Tensor
    count: Tensor

    def __add__(self, other: "Term") -> "Term":
        return Term(self.sum + other.sum, self.count + other.count)

    def __iter__(self) -> Iterator[Tensor]:
        yield self.sum
        yield self.count

    def detach(self) -> "Term":
        """The same without a graph."""
        return Term(self.sum.detach(), self.count)

    def mean(self) -> Tensor:
        """sum / count, and 0 (with zero gradient) where the count is 0."""
        return self.sum / self.count.clamp(min=1)


class TermMap(dict[str, Term]):
    """Terms by key: a task, or a term of a distiller. A missing key reads as a zero term (sum 0, count 0)."""

    def __missing__(self, key: str) -> Term:
        return Term(torch.tensor(0.0), torch.tensor(0))

    def __iadd__(self, other: Mapping[str, Term]) -> Self:
        for key, term in other.items():
            self[key] = self[key] + term
        return self


@dataclass
class Terms:
    """The objective of a step.

    Attributes:
        task: Task -> its loss l_t.
        distill: Name of a teacher, or `teacher/task` -> lambda d, the weighted distance to it.
    """

    task: TermMap = field(default_factory=TermMap)
    distill: TermMap = field(default_factory=TermMap)
