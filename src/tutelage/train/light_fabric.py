"""Imports Lightning Fabric without torchmetrics: Fabric asks for its version by importing it, which takes seconds."""

from collections.abc import Callable
from importlib import metadata
from typing import Any

from lightning_utilities.core import imports
from packaging.version import Version


def _compare(package: str, op: Callable[..., Any], version: str, use_base_version: bool = False) -> bool:
    """What `lightning_utilities.core.imports.compare_version` says, from the metadata of the package."""
    try:
        installed = Version(metadata.version(package))
    except metadata.PackageNotFoundError:
        return False
    found = Version(installed.base_version) if use_base_version else installed
    return bool(op(found, Version(version)))


_import_and_compare = imports.compare_version
imports.compare_version = _compare
try:
    import lightning_fabric  # noqa: F401  # its modules keep what they read now
finally:
    imports.compare_version = _import_and_compare
