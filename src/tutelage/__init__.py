"""Teach one network many tasks."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tutelage.api import Results, Study, distill
    from tutelage.deploy import load

__all__ = ["Results", "Study", "distill", "load"]
_ORIGINS = {"Results": "tutelage.api", "Study": "tutelage.api", "load": "tutelage.deploy"}
_PACKAGES = ("balance", "data", "deploy", "distill", "metrics", "nets", "report", "study", "tasks", "train", "types")


def __getattr__(name: str) -> Any:
    if name in _ORIGINS:  # and not before: `import tutelage` stays light
        return getattr(import_module(_ORIGINS[name]), name)
    if name in _PACKAGES:  # `distill` is a function, too: the package can be called
        return import_module(f"tutelage.{name}")
    raise AttributeError(f"module 'tutelage' has no attribute '{name}'")
