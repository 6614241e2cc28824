"""One teacher: a network with a name, the tasks that it teaches, and what is matched of it."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from tutelage.errors import UserError
from tutelage.types import MultiTaskNet, Teach


@dataclass
class Teacher:
    """A network that teaches one task, several tasks, or none in particular (a foundation model: features only).

    Args:
        name: Names the teacher in logs, weights and `state_dict`; without `/` and `.`.
        network: The network. A distiller freezes it and puts it in eval mode. Several teachers may hold the same
            network, which then runs once for all that see the same images.
        tasks: The tasks that it teaches; several teachers may teach the same task. Empty: only its features are used,
            and its term belongs to no task.
        match: {student's tap: teacher's tap}; None: the distiller's `match`.
        sees: `all`: it is run on every image. `own`: on the images with a label of at least one of its tasks. None: the
            distiller's `teach`.
        weight: A factor of its lambda, beside the distiller's `weights` and `scale`.

    Raises:
        ValueError: If a task is given twice, `sees` is `own` without tasks, or `match` is empty.
    """

    name: str
    network: MultiTaskNet
    tasks: tuple[str, ...]
    match: dict[str, str] | None = None
    sees: Teach | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        self.tasks = tuple(self.tasks)
        where = f"teachers.{self.name}"
        if len(set(self.tasks)) < len(self.tasks):
            raise UserError(f"{where}.tasks: expected each task once, found {', '.join(self.tasks)}")
        if self.sees == "own" and not self.tasks:
            raise UserError(f"{where}.sees: expected `all` for a teacher without tasks, found `own`; name its tasks")
        if self.match is not None and not self.match:
            raise UserError(f"{where}.match: expected {{student's tap: teacher's tap}}, found none; leave it out")

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
        owner: Who has `only`, for the message.

    Raises:
        ValueError: If a `Teacher` stands under another name or its name contains `/` or `.`, or `only` names none of
            them.
    """
    for name in only or ():
        if name not in teachers:
            raise UserError(f"{owner}.only: expected names of teachers ({listed(teachers)}), found `{name}`")
    named: dict[str, Teacher] = {}
    for name, teacher in teachers.items():
        if only is not None and name not in only:
            continue
        if not isinstance(teacher, Teacher):
            named[name] = Teacher(name, teacher, (name,))
            continue
        if teacher.name != name:
            raise UserError(f"teachers.{name}: expected the teacher of that name, found `{teacher.name}`")
        if not name or "/" in name or "." in name:
            raise UserError(f"teachers.{name}: expected a name without `/` and `.`, found `{name}`; rename the teacher")
        named[name] = teacher
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
                    f"teachers.{name}.tasks: expected tasks of the student ({listed(tasks)}), found `{task}`"
                )
        if not teacher.tasks and name in tasks:
            raise UserError(
                f"teachers.{name}: expected another name than a task's for a teacher without tasks, found that of the "
                f"task `{name}`; rename it, or give it `tasks: [{name}]`"
            )


def listed(names: Iterable[str]) -> str:
    """Names for a message."""
    return ", ".join(names) or "none"
