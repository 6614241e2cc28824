"""Files of weights of other libraries, read as tensors: no code in them is run."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from tutelage.errors import UserError

Safe = Callable[..., Any] | tuple[Callable[..., Any], str]  # as torch.serialization.safe_globals takes it


def read_state_dict(path: Path, safe: Sequence[Safe] = ()) -> dict[str, Tensor]:
    """The tensors of a .safetensors file, or of a file of torch with a state_dict, alone or as `state_dict` or `model`.

    Args:
        path: The file.
        safe: Classes that a file of torch may name besides tensors and plain values.

    Raises:
        ValueError: The file cannot be read, wants to run code, or holds something else.
    """
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
