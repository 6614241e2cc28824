"""One teacher: a network with a name, the tasks that it teaches, and what is matched of it."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import get_args

from tutelage.distill.match import Match
from tutelage.errors import UserError
from tutelage.types import MultiTaskNet, Teach, is_reserved
from tutelage.types.network import check_network


@dataclass
class Teacher:
    """A network that teaches one task, several tasks, or none in particular (a foundation model: features only).

    Args:
        name: Names the teacher in logs, weights and `state_dict`; without `/` and `.`.
        network: The network. A distiller freezes it and puts it in eval mode. Several teachers may hold the same
            network, which then runs once for all that see the same images.
        tasks: The tasks that it teaches; several teachers may teach the same task. Empty: only its features are used,
            and its term belongs to no task.
        match: {student's tap: teacher's tap}, or a `TapMatch` in place of the teacher's tap; None: the distiller's
            `match`.
        sees: `all`: it is run on every image. `own`: on the images with a label of at least one of its tasks. None: the
            distiller's `teach`.
        weight: A factor of its lambda, beside the distiller's `weights` and `scale`.
        size: The height and width to which images are resized for it, such as those that it was trained with; None: it
            sees them as the student does.
        moves: Whether the network changes while it teaches, so that nothing that it computes is kept.

    Raises:
        ValueError: If the name contains `/` or `.` or is one that torch's modules use, a task is given twice, `sees` is
            neither, or `own` without tasks, `match` is empty, the weight is negative or not finite, or `size` is below
            1.
    """

    name: str
    network: MultiTaskNet
    tasks: tuple[str, ...]
    match: Match | None = None
    sees: Teach | None = None
    weight: float = 1.0
    size: tuple[int, int] | None = None
    moves: bool = False

    def __post_init__(self) -> None:
        self.tasks = tuple(self.tasks)
        widths = ", ".join(f"{t!r}: CHANNELS" for t in self.tasks)
        check_network(self.network, f"teachers['{self.name}']", f"{{{widths}}}")
        key = f"teachers.{self.name}"
        if not self.name or "/" in self.name or "." in self.name:
            raise UserError(f"{key}: expected a name without `/` and `.`, found `{self.name}`; rename the teacher")
        if is_reserved(self.name):
            raise UserError(
                f"{key}: expected a name that torch's modules have no other use for, found `{self.name}`; take "
                f"another, such as `{self.name}_`"
            )
        if len(set(self.tasks)) < len(self.tasks):
            raise UserError(f"{key}.tasks: expected each task once, found {', '.join(self.tasks)}")
        if self.sees not in (None, *get_args(Teach)):
            raise UserError(f"{key}.sees: expected one of {', '.join(get_args(Teach))}, found `{self.sees}`")
        if self.sees == "own" and not self.tasks:
            raise UserError(f"{key}.sees: expected `all` for a teacher without tasks, found `own`; name its tasks")
        if self.match is not None and not self.match:
            raise UserError(f"{key}.match: expected {{student's tap: teacher's tap}}, found none; leave it out")
        if not 0 <= self.weight < inf:
            raise UserError(f"{key}.weight: expected a number of at least 0, found {self.weight}")
        if self.size is not None and min(self.size) < 1:
            raise UserError(f"{key}.size: expected height and width of at least 1, found {self.size}")

    def term(self, task: str) -> str:
        """The key of a term that is of one of its tasks: the teacher's name, or `teacher/task` if it has several."""
        return self.name if len(self.tasks) == 1 else f"{self.name}/{task}"


def named_teachers(
    teachers: Mapping[str, Teacher | MultiTaskNet], only: Collection[str] | None = None, owner: str = "distiller"
) -> dict[str, Teacher]:
    """The teachers by name; a network alone, under the name of a task, is the teacher of that task.

    Args:
        teachers: A `Teacher` under its own name, or a network under its task's.
        only: The names of those that are kept, in the order of `teachers`; None: all.
        owner: The class that has `only`, for the message.

    Raises:
        ValueError: If a `Teacher` stands under another name, a network under a name that no teacher can have, or `only`
            names none of them.
    """
    for name in only or ():
        if name not in teachers:
            raise UserError(f"{owner}.only: expected names of teachers ({list_names(teachers)}), found `{name}`")
    named: dict[str, Teacher] = {}
    for name, teacher in teachers.items():
        if only is not None and name not in only:
            continue
        named[name] = teacher if isinstance(teacher, Teacher) else Teacher(name, teacher, (name,))
        if named[name].name != name:
            raise UserError(f"teachers.{name}: expected the teacher of that name, found `{named[name].name}`")
    return named


def check_tasks(teachers: Mapping[str, Teacher], tasks: Collection[str]) -> None:
    """Raise a ValueError if a teacher does not fit the student's tasks.

    Args:
        teachers: By name.
        tasks: The tasks that the student is trained on.
    """
    for name, teacher in teachers.items():
        for task in teacher.tasks:
            if task not in tasks:
                raise UserError(
                    f"teachers.{name}.tasks: expected tasks of the student ({list_names(tasks)}), found `{task}`"
                )
        if name in tasks and name not in teacher.tasks:  # a balancer would take its term for that task's
            raise UserError(
                f"teachers.{name}: expected a teacher of `{name}`, since it has the name of that task, found one of "
                f"{', '.join(teacher.tasks) or 'no task'}; give it another name"
            )


def check_set_up(owner: object, tasks: Collection[str], wanted: Iterable[str]) -> None:
    """Raise where a distiller lacks a task, as before its `setup`.

    Args:
        owner: The distiller.
        tasks: Those that it has.
        wanted: Those whose losses it takes.
    """
    if missing := [t for t in wanted if t not in tasks]:
        raise UserError(
            f"{type(owner).__name__}: expected the task `{missing[0]}`, whose loss it takes, found none; call its "
            "setup({name: task}) first"
        )


def list_names(names: Iterable[str]) -> str:
    """Names for a message."""
    return ", ".join(names) or "none"
