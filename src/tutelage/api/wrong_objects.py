"""One line for an object of another kind than `tutelage.distill` takes."""

from collections.abc import Mapping

from torch import nn
from torch.utils.data import DataLoader, Dataset

from tutelage.data import DataSource
from tutelage.errors import UserError
from tutelage.types import Task
from tutelage.types.network import check_network


def check_objects(student: object, data: object, tasks: object, teachers: object) -> None:
    """Raise a UserError that says what was expected, what was found, and how it becomes that."""
    if not isinstance(tasks, Mapping) or not tasks:
        found = type(tasks).__name__ if tasks else "none"
        raise UserError(f"tasks: expected tasks by name, such as {{'depth': tutelage.tasks.Depth()}}, found {found}")
    for t, task in tasks.items():
        if not isinstance(task, Task):
            found = f"the class {task.__name__}" if isinstance(task, type) else type(task).__name__
            raise UserError(f"tasks['{t}']: expected a task such as tutelage.tasks.Depth(), found {found}")
    if not isinstance(data, DataSource):
        remedy = "give a source such as tutelage.data.Folders(...)"
        if isinstance(data, Dataset | DataLoader):
            remedy = "wrap the dataset: tutelage.data.FromDataset(dataset, {TASK: KIND OF LABEL})"
        raise UserError(f"data: expected a tutelage.data.DataSource, found {type(data).__name__}; {remedy}")
    if isinstance(student, nn.Module) or not callable(student):
        check_network(student, "student", f"{{{', '.join(f'{t!r}: {task.width}' for t, task in tasks.items())}}}")
    if isinstance(student, nn.Module):
        for name, teacher in teachers.items() if isinstance(teachers, Mapping) else ():
            if student in (teacher, getattr(teacher, "net", None), getattr(teacher, "network", None)):
                raise UserError(
                    f"student: expected another object than teachers['{name}'], which is frozen, found the same; give "
                    "copy.deepcopy(student)"
                )
        if not any(p.requires_grad for p in student.parameters()):
            raise UserError(
                "student: expected parameters that can be trained, found all of them frozen; call its requires_grad_()"
            )
