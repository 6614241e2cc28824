"""Which feature of a teacher pulls on which feature of the student."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tutelage.distill.teachers.teacher import Teacher, listed
from tutelage.errors import UserError
from tutelage.types import MultiTaskNet, Output

Taps = Mapping[str, Tensor | dict[str, Tensor]]  # a tap is one feature for all tasks, or one per task (MTAN)


@dataclass(frozen=True)
class Link:
    """One tap of a teacher that is matched to one tap of the student, with an adaptor of its own.

    Attributes:
        teacher: The teacher's name.
        term: The key of the term that the distance belongs to: the teacher's name, or `teacher/task` for a feature of
            one task of a teacher of several.
        task: The task whose feature is read where a tap has one per task; None: both taps are shared by all tasks.
        tap: The student's tap.
        teacher_tap: The teacher's tap.
    """

    teacher: str
    term: str
    task: str | None
    tap: str
    teacher_tap: str

    @property
    def name(self) -> str:
        """What the log calls it."""
        return f"{self.term}/{self.tap}"


def link(teacher: Teacher, match: Mapping[str, str], student: Taps, taught: Taps) -> list[Link]:
    """The links of one teacher, in the order of `match`.

    A teacher of one task reads that task's feature of a tap that has one per task. A teacher of several tasks has one
    link for a pair of taps that are both shared, and one link per task otherwise.

    Args:
        teacher: The teacher.
        match: {student's tap: teacher's tap}.
        student: The taps of the student.
        taught: The taps of the teacher.

    Raises:
        ValueError: If a network lacks a tap, or a tap has one feature per task but none of this teacher's task.
    """
    links: list[Link] = []
    for k, k_t in match.items():
        _check(k, student, "the student")
        _check(k_t, taught, f"the teacher `{teacher.name}`")
        per_task = [name for name, tap in ((k, student[k]), (k_t, taught[k_t])) if isinstance(tap, dict)]
        if per_task and not teacher.tasks:
            raise UserError(
                f"teachers.{teacher.name}.match: expected taps that all tasks share, since the teacher has no tasks, "
                f"found `{per_task[0]}` with one feature per task; match another tap"
            )
        tasks = teacher.tasks if per_task or len(teacher.tasks) == 1 else (None,)
        for task in tasks:
            _check_task(task, k, student, "the student")
            _check_task(task, k_t, taught, f"the teacher `{teacher.name}`")
            term = teacher.name if task is None else teacher.term(task)
            links.append(Link(teacher.name, term, task, k, k_t))
    return links


def matches(
    teachers: Mapping[str, Teacher], match: Mapping[str, str], taps: Collection[str] | None
) -> dict[str, dict[str, str]]:
    """{student's tap: teacher's tap} of every teacher: its own `match`, or the one that is given.

    Args:
        teachers: By name.
        match: For the teachers without a `match` of their own.
        taps: The student's taps that are used; None: all.

    Raises:
        ValueError: If there is no match, `taps` names a tap of none, or leaves a teacher nothing.
    """
    of = {name: match if teacher.match is None else teacher.match for name, teacher in teachers.items()}
    if not match and not all(of.values()):
        raise UserError("FeatureDistiller.match: expected {student's tap: teacher's tap}, found none")
    names = dict.fromkeys(k for one in (match, *of.values()) for k in one)
    for k in taps or ():
        if k not in names:
            raise UserError(f"FeatureDistiller.taps: expected taps of `match` ({listed(names)}), found `{k}`")
    used = {name: {k: k_t for k, k_t in one.items() if taps is None or k in taps} for name, one in of.items()}
    for name in (name for name, one in used.items() if not one):
        raise UserError(
            f"FeatureDistiller.taps: expected one of the taps that the teacher `{name}` is matched to "
            f"({listed(of[name])}), found {listed(taps or ())}"
        )
    return used


@torch.no_grad()
def network_taps(net: MultiTaskNet, images: Tensor) -> Taps:
    """The taps of a network, whose modes and batch-norm statistics stay as they are."""
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        output: Output = net(images, tasks=())
        return output.taps
    finally:
        for module, mode in modes:
            module.training = mode


def read_tap(taps: Taps, name: str, task: str | None) -> Tensor:
    """The feature at a tap: the shared one, or that of `task`."""
    feature = taps[name]
    if not isinstance(feature, dict):
        return feature
    assert task is not None
    return feature[task]


def _check(name: str, taps: Taps, owner: str) -> None:
    if name not in taps:
        raise UserError(f"FeatureDistiller.match: expected taps of {owner} ({listed(taps)}), found `{name}`")


def _check_task(task: str | None, name: str, taps: Taps, owner: str) -> None:
    tap = taps[name]
    if isinstance(tap, dict) and task is not None and task not in tap:
        raise UserError(
            f"FeatureDistiller.match: expected a feature of `{task}` at the tap `{name}` of {owner}, found features of "
            f"{listed(tap)}"
        )


def by_term(links: Iterable[Link]) -> dict[str, list[Link]]:
    """The links by the key of their term."""
    grouped: dict[str, list[Link]] = {}
    for one in links:
        grouped.setdefault(one.term, []).append(one)
    return grouped
