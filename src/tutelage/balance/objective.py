"""What is balanced: the objectives of a method, and the terms that each is made of."""

from collections.abc import Collection, Iterable, Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from tutelage.types import Distiller, Term, Terms, World

Balance = Literal["task", "task+distill", "separately"]
Groups = dict[str, dict[str, Tensor]]  # by group and objective


class ObjectiveTerm(NamedTuple):
    """A term that an objective contains, and the number of objectives that it is divided among."""

    term: Term
    objectives: int = 1

    def mean(self) -> Tensor:
        """The share of one objective: the term's mean over what it counts, divided."""
        mean = self.term.mean()
        return mean if self.objectives == 1 else mean / self.objectives


class Objectives:
    """The objectives o_t that a method balances, by group, from the terms of a step.

    l_t is the loss of task t, d_k the distillation term with the key k (lambda is in it), and T_k are the tasks that k
    counts for (`Distiller.teaches`): one for the teacher of a task, several for a teacher of several, none for a
    teacher of no task. `balance` says what an objective is:

    - `task`: o_t = l_t, and every d_k is added as it is, unweighted: the paper's way.
    - `task+distill`: o_t = l_t + sum over the k with t in T_k of d_k / |T_k|; a d_k without tasks is an objective of
      its own, named k.
    - `separately`: o_t = l_t, and the d_k form a second group, "distill", that is balanced by itself.

    The loss of a network that learns beside the student (`Distiller.references`) is always added as it is.

    Args:
        balance: What an objective is.
        tasks: The tasks that are trained, in their order.
        distiller: Gives the keys of the distillation terms. None: the keys are names of tasks.

    Attributes:
        names: The names of the objectives by group, in a fixed order: of tasks as in `tasks`, then others as the
            distiller gives them. A state with one entry per objective has its entries in this order.
        references: The keys of terms that are always added as they are.
    """

    def __init__(self, balance: Balance, tasks: Collection[str] = (), distiller: Distiller | None = None) -> None:
        self.balance: Balance = balance
        self._teaches: Mapping[str, tuple[str, ...]] = {} if distiller is None else distiller.teaches()
        self.references = frozenset(() if distiller is None else distiller.references().values())
        taught = [k for k in self._teaches if k not in self.references]
        keys = [*(t for t in tasks if t in taught), *(k for k in taught if k not in tasks)]
        self.names: dict[str, list[str]] = {"task": list(tasks)}
        if balance == "task+distill":
            self.names["task"] += [k for k in keys if not self._teaches[k]]
        if balance == "separately":
            self.names["distill"] = keys or list(tasks)

    def all_names(self) -> list[str]:
        """The names of the objectives of all groups, each once."""
        return list(dict.fromkeys(name for names in self.names.values() for name in names))

    def tasks(self, group: str, name: str) -> tuple[str, ...]:
        """The tasks that an objective counts for: those whose heads it may reach."""
        return self.taught(name) if group == "distill" or name in self._alone() else (name,)

    def taught(self, key: str) -> tuple[str, ...]:
        """T_k."""
        return self._teaches.get(key, (key,))

    def _alone(self) -> set[str]:
        return {key for key, tasks in self._teaches.items() if not tasks}

    def gather(self, terms: Terms) -> tuple[dict[str, dict[str, list[ObjectiveTerm]]], list[Term]]:
        """The terms of every objective, by group and name, and the terms that are added as they are."""
        task = {t: [ObjectiveTerm(term)] for t, term in terms.task.items()}
        if self.balance == "task":
            return {"task": task}, list(terms.distill.values())
        rest = [term for key, term in terms.distill.items() if key in self.references]
        distances = {key: term for key, term in terms.distill.items() if key not in self.references}
        if self.balance == "separately":
            distill = {key: [ObjectiveTerm(term)] for key, term in distances.items()}
            return {"task": task, **({"distill": distill} if distill else {})}, rest
        for key, term in distances.items():
            tasks = self.taught(key)
            for name in tasks or (key,):
                task.setdefault(name, []).append(ObjectiveTerm(term, len(tasks) or 1))
        return {"task": task}, rest

    def split(self, terms: Terms) -> tuple[Groups, list[Tensor]]:
        """The objectives by group and name, and the values that are added as they are.

        Args:
            terms: Of a part of a step, over the counts of the whole step. A term that counts nothing in the step (a
                task without a label, a teacher without an image) is in no objective.
        """
        present = Terms()
        present.task.update({t: term for t, term in terms.task.items() if bool(term.count > 0)})
        present.distill.update({k: term for k, term in terms.distill.items() if bool(term.count > 0)})
        gathered, rest = self.gather(present)
        groups: Groups = {}
        for group, objectives in gathered.items():
            groups[group] = {name: total(term.mean() for term in members) for name, members in objectives.items()}
        return groups, [term.mean() for term in rest]


def add_losses(groups: Groups, world: World, device: torch.device) -> Groups:
    """The objectives of a step of which each process has a part, in all of them: detached, in fp64, on a device."""
    if world.size == 1:
        return groups
    values = [value.detach() for named in groups.values() for value in named.values()]
    if not values:
        return groups
    sums = iter(world.sum(torch.stack([x.to(device, torch.float64) for x in values])))
    return {group: {name: next(sums) for name in named} for group, named in groups.items()}


def total(values: Iterable[Tensor]) -> Tensor:
    """The sum of one value or more, in their order."""
    first, *rest = values
    return sum(rest, start=first)


def backward(values: Iterable[Tensor]) -> None:
    """Add the gradient of a sum of values to `.grad`; of nothing where no value has a graph."""
    values = list(values)
    if any(value.requires_grad for value in values):  # a part of a step may have no label at all
        total(values).backward()  # type: ignore[no-untyped-call]  # torch has no annotation here
