"""The tasks of a study, built of its values: how they read their metrics and draw, for whoever shows results."""

import copy
from collections.abc import Mapping
from typing import Any

from jsonargparse import ArgumentParser

from tutelage.errors import UserError
from tutelage.types import Task
from tutelage.values import rephrase


def build_tasks(values: Mapping[str, Any]) -> dict[str, Task]:
    """The tasks of a study's values, and nothing else: no data, no network, no device.

    Raises:
        UserError: a task cannot be built.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--tasks", type=dict[str, Task])
    try:
        parsed = parser.parse_object({"tasks": copy.deepcopy(values.get("tasks"))})
        tasks: dict[str, Task] = parser.instantiate(parsed).tasks
    except Exception as error:  # of jsonargparse, or whatever a task of the user raises when it is built
        raise UserError(rephrase(error)) from error
    return tasks
