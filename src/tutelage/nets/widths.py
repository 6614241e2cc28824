"""Checks of the tasks that a network is built for, and of those that a call requests."""

from collections.abc import Collection, Iterable, Mapping

from torch import nn

from tutelage.errors import UserError


def check_widths(net: nn.Module, widths: Mapping[str, int]) -> None:
    """Raise a UserError where there is no task, or a task has no channel."""
    if not widths or min(widths.values()) < 1:
        raise UserError(
            f"{type(net).__name__}: expected one task or more with at least one channel each, found {dict(widths)}"
        )


def resolve_tasks(net: nn.Module, tasks: Collection[str] | None, own: Iterable[str]) -> list[str]:
    """The requested tasks (None: all); a UserError where one of them is not the network's."""
    names = list(own)
    for task in tasks or ():
        if task not in names:
            raise UserError(f"{type(net).__name__}: expected tasks among {', '.join(names) or 'none'}; found `{task}`")
    return names if tasks is None else list(tasks)
