"""Features inside a module: where they are, and how they become [B, C, ...]."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from tutelage.errors import UserError, one_line


@dataclass
class Tap:
    """The place of a feature in a module, and its layout, from which it becomes [B, C, ...].

    Args:
        path: The path of the submodule, as in `named_modules()`; "" is the module itself.
        output: Which of its outputs: an index of a tuple or a key of a dict. None: the output is a tensor.
        layout: None: unchanged, [B, C, H, W] or [B, C]; `channels_first`: unchanged, any shape; `channels_last`:
            [B, ..., C] becomes [B, C, ...]; `grid`: tokens [B, N, C] become a map [B, C, h, w] with the aspect ratio of
            the image; `mean`: the mean over the positions of [B, C, ...], [B, C].
        skip: Number of leading tokens that are no positions (class, registers), for `channels_last` and `grid`.
    """

    path: str
    output: str | int | None = None
    layout: Literal["channels_first", "channels_last", "grid", "mean"] | None = None
    skip: int = 0


def select(value: Any, which: str | int | None, key: str) -> Tensor:
    """One tensor of a module's output, by index or key; None: the output itself."""
    y = value
    if isinstance(which, str):
        y = value.get(which) if isinstance(value, Mapping) else getattr(value, which, None)
    elif which is not None:
        parts = tuple(value.values()) if isinstance(value, Mapping) else value  # as transformers numbers its outputs
        y = parts[which] if isinstance(parts, tuple | list) and -len(parts) <= which < len(parts) else None
    if not isinstance(y, Tensor):
        raise UserError(
            f"TappedModule.{key}: expected the index or key of a tensor, found `{which}` in {describe(value)}"
        )
    return y


def channels_first(key: str, tap: Tap, x: Tensor, aspect: float) -> Tensor:
    """A feature as [B, C, ...]; `aspect` is the height of the image divided by its width."""
    if x.ndim < 2 or (tap.layout is None and x.ndim not in (2, 4)) or (tap.layout == "grid" and x.ndim != 3):
        raise UserError(f"{key}: expected [B, C, H, W] or [B, C], found {describe(x)}; give a `layout` that fits it")
    y = x[:, tap.skip :].movedim(-1, 1) if tap.layout in ("channels_last", "grid") else x
    if tap.layout == "mean":
        y = y.flatten(2).mean(2)
    if tap.layout == "grid":
        n, h = y.shape[2], max(1, round((y.shape[2] * aspect) ** 0.5))
        if n % h or abs(n / h**2 * aspect - 1) > 0.5:
            raise UserError(f"{key}: expected tokens in a grid with the image's sides, found {n}; mend `skip`")
        y = y.reshape(*y.shape[:2], h, -1)
    return y


def describe(x: Any) -> str:
    """What a module returned or raised, for messages."""
    if isinstance(x, Exception):
        return one_line(x)
    if isinstance(x, Tensor):
        return f"a tensor {list(x.shape)}"
    inside = ", ".join(map(str, x)) if isinstance(x, Mapping) else len(x) if isinstance(x, tuple | list) else ""
    return f"a {type(x).__name__}" + (f" of {inside}" if inside else "")
