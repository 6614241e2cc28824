"""Files of weights of other libraries, read as tensors: no code in them is run."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from tutelage.errors import UserError
from tutelage.reading import check_regular

Safe = Callable[..., Any] | tuple[Callable[..., Any], str]  # as torch.serialization.safe_globals takes it


def read_state_dict(path: Path, safe: Sequence[Safe] = ()) -> dict[str, Tensor]:
    """The tensors of a .safetensors file, or of a file of torch with a state_dict, alone or as `state_dict` or `model`.

    Args:
        path: The file.
        safe: Classes that a file of torch may name besides tensors and plain values.

    Raises:
        ValueError: The file cannot be read, wants to run code, or holds something else.
    """
    check_regular(path)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(list(safe)):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's kinds of errors depend on the bytes of the file
        code = re.search(r"GLOBAL (\S+)", str(error))
        if code:
            raise UserError(
                f"{path}: expected tensors, found a file that wants to run `{code[1]}`; nothing of it was run; take "
                "another file"
            ) from error
        raise UserError(
            f"{path}: expected a file of tensors, found one that cannot be read ({type(error).__name__}); nothing of "
            "it was run; check the path or download it again"
        ) from error
    for key in ("state_dict", "model"):
        content = content.get(key, content) if isinstance(content, dict) else content
    if isinstance(content, dict) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items()):
        return content
    keys = f" of {', '.join(map(str, list(content)[:4]))}" if isinstance(content, dict) else ""
    raise UserError(
        f"{path}: expected a state_dict, alone or as `state_dict` or `model`, found a {type(content).__name__}{keys}"
    )


def load_into(net: nn.Module, path: Path, prefix: str) -> None:
    """Load the tensors of a file whose names begin with `prefix`, which is left out of them.

    Raises:
        UserError: They are not those of the module; the line says which prefix would fit, if one does.
    """
    found = read_state_dict(path)
    own = net.state_dict()
    state = {name.removeprefix(prefix): x for name, x in found.items() if name.startswith(prefix)}
    needed = [name for name in own if name in state or "num_batches_tracked" not in name]
    missing, others = [name for name in needed if name not in state], [name for name in state if name not in own]
    if missing or others:
        raise UserError(
            f"{path}: expected the module's tensors, {_names(missing, others)}; {_fitting(own, found, prefix)}"
        )
    for name, x in state.items():
        if own[name].shape != x.shape:
            raise UserError(
                f"{path}: expected the module's tensors, `{name}` of shape {list(own[name].shape)}, found "
                f"{list(x.shape)}; give the weights of this module, or the arguments with which theirs was built"
            )
    net.load_state_dict(state, strict=False)


def _names(missing: list[str], others: list[str]) -> str:
    """What is not as expected: the first of the names that a file lacks, and of those that nobody needs."""
    lacking, extra = (
        " and ".join([f"`{names[0]}`"] + ([f"{len(names) - 1} more"] if len(names) > 1 else [])) if names else ""
        for names in (missing, others)
    )
    if missing and others:
        return f"{lacking}, found {extra} instead"
    return f"{lacking}, found none of that name" if missing else f"and no others, found {extra}, too"


def _fitting(own: Mapping[str, Tensor], found: Mapping[str, Tensor], prefix: str) -> str:
    """What to do: another prefix, where one gives the module's names; else other weights."""
    first = next(iter(own))
    for name in found:
        other = name.removesuffix(first)
        if name.endswith(first) and other != prefix and all(f"{other}{n}" in found for n in own if "num_b" not in n):
            return f"set `prefix` to `{other}`" if other else "leave `prefix` out"
    return "give the weights of this module"
