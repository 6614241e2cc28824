"""Teach one network many tasks."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tutelage.deploy import load

__all__ = ["load"]


def __getattr__(name: str) -> Any:
    if name == "load":  # and not before: `import tutelage` stays light
        from tutelage.deploy import load

        return load
    raise AttributeError(f"module 'tutelage' has no attribute '{name}'")
