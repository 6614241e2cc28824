"""Weights that an earlier version saved under other names."""

from collections.abc import Mapping, MutableMapping
from functools import partial
from typing import Any

from torch import nn


def accept_old_names(module: nn.Module, names: Mapping[str, str]) -> None:
    """Let `load_state_dict` of a module, or of one that contains it, take tensors under old names.

    Args:
        module: The module.
        names: {old: new}, both relative to the module.
    """
    module.register_load_state_dict_pre_hook(partial(_rename, dict(names)))  # type: ignore[no-untyped-call]  # torch's


def _rename(
    names: Mapping[str, str], _: nn.Module, state: MutableMapping[str, Any], prefix: str, *others: object
) -> None:
    for old, new in names.items():
        if prefix + old in state:
            state[prefix + new] = state.pop(prefix + old)
