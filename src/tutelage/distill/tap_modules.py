"""One module per term and tap, in nested ModuleDicts: {term: {tap: module}}."""

from typing import cast

from torch import nn


def put_module(modules: nn.ModuleDict, term: str, tap: str, module: nn.Module) -> None:
    """Register a module under a term and a tap."""
    if key(term) not in modules:
        modules[key(term)] = nn.ModuleDict()
    cast(nn.ModuleDict, modules[key(term)])[key(tap)] = module


def get_module(modules: nn.ModuleDict, term: str, tap: str) -> nn.Module:
    """The module of a term and a tap."""
    return cast(nn.ModuleDict, modules[key(term)])[key(tap)]


def key(name: str) -> str:
    """A name as a key of a ModuleDict: a tap may be a module's path, and keys have no dots."""
    return name.replace(".", "/")
