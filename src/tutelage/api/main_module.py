"""Classes of a script or a notebook, which other programs cannot import."""

from collections.abc import Mapping
from typing import Any

import __main__
from tutelage.errors import UserError


def check_main_module(values: Mapping[str, Any], jobs: int) -> None:
    """Raise a UserError where another process would have to import a class that a notebook defines.

    Args:
        values: of the study.
        jobs: the processes that will train.
    """
    if jobs > 1 and not hasattr(__main__, "__file__") and (name := _of_main(values)):
        raise UserError(
            f"jobs: expected 1, since no other process can import {name}, which a notebook defines, found {jobs}; put "
            "it into a module, or train with jobs=1"
        )


def _of_main(value: Any) -> str | None:
    """The first class path in plain values that is one of `__main__`."""
    if isinstance(value, str):
        return value if value.startswith("__main__.") else None
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return next((name for item in items if (name := _of_main(item))), None)
