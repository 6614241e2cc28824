"""What is balanced, and what balancers share."""

from collections.abc import Iterable
from typing import Literal

from torch import Tensor

from tutelage.types import Terms

Balance = Literal["task", "task+distill", "separately"]


def objectives(terms: Terms, balance: Balance) -> tuple[dict[str, dict[str, Tensor]], list[Tensor]]:
    """The objectives o_t that a method balances, by group and task, and the terms that are added as they are.

    Args:
        terms: of a part of a step, over the counts of the whole step; what counts nothing in the step, a task without a
            label or a teacher without an image, has none here.
        balance: what happens to the distillation terms d_t (lambda_t is in them).
            `task`: o_t = l_t, and d_t is added as it is: the paper's way.
            `task+distill`: o_t = l_t + d_t.
            `separately`: o_t = l_t, and d_t is a second group, balanced by itself.
    """
    tasks = {t: term.mean() for t, term in terms.task.items() if bool(term.count > 0)}
    distill = {t: term.mean() for t, term in terms.distill.items() if bool(term.count > 0)}
    if balance == "task":
        return {"task": tasks}, list(distill.values())
    if balance == "separately":
        return {"task": tasks, **({"distill": distill} if distill else {})}, []
    both = {t: tasks[t] + distill[t] if t in distill else loss for t, loss in tasks.items()}
    return {"task": both | {t: d for t, d in distill.items() if t not in tasks}}, []


def groups(balance: Balance) -> tuple[str, ...]:
    """The groups of `objectives`."""
    return ("task", "distill") if balance == "separately" else ("task",)


def backward(losses: Iterable[Tensor], terms: Terms) -> None:
    """Add to `.grad` the gradient of sum losses + sum_t lambda_t d_t.

    The balanced losses come first; the distillation terms are added as they are, lambda_t being in them already.
    """
    parts = [*losses, *(term.mean() for term in terms.distill.values())]
    if any(part.requires_grad for part in parts):  # a part of a step may have no label at all
        sum(parts[1:], start=parts[0]).backward()  # type: ignore[no-untyped-call]  # of torch
