"""The tasks that a network is built for, and those that it is asked about."""

from collections.abc import Collection, Iterable, Mapping

from torch import nn

from tutelage.errors import UserError


def check_widths(net: nn.Module, widths: Mapping[str, int]) -> None:
    """Raise a ValueError where there is no task, or one has no channel."""
    if not widths or min(widths.values()) < 1:
        raise UserError(
            f"{type(net).__name__}: expected one task or more with at least one channel each, found {dict(widths)}"
        )


def resolve_tasks(net: nn.Module, tasks: Collection[str] | None, own: Iterable[str]) -> list[str]:
    """The tasks that are asked for (None: all), which have to be among a network's own."""
    names = list(own)
    for task in tasks or ():
        if task not in names:
            raise UserError(f"{type(net).__name__}: expected tasks among {', '.join(names) or 'none'}; found `{task}`")
    return names if tasks is None else list(tasks)
