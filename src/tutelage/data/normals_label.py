"""Surface normals for every pixel; docs/data.md has the numeric contract."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from tutelage.data.look.measure import Measure, measure_values
from tutelage.data.look.stored import Stored
from tutelage.data.modalities import Modality
from tutelage.errors import UserError
from tutelage.images import Size, describe
from tutelage.pictures import Array

_GREY = 1.0  # steps of 8 bits: a component that is nearer to 0 may be noise
_SHORT = 1e-3  # a shorter normal is none
_OFF, _MOSTLY = 0.05, 0.5  # most lengths are off by less, unless values are encoded in another way


@dataclass
class NormalsLabel(Modality):
    """The surface normal of every pixel: float32 [3, H, W] of unit length, x right, y up, z towards the viewer.

    (0, 0, 0) means "no label". Resizing takes the mean over each pixel's area and normalises it again. Pictures hold
    n = value / 127.5 - 1, and black or grey, (127, 127, 127) or so, where there is no label: a vector that 8 bits
    cannot tell from the zero vector has no direction. A .npy holds components [H, W, 3].
    """

    content = "normals"
    batched = True
    use = "vectors"

    def convert(self, array: Array, mode: str, where: str) -> Tensor:
        """[3, H, W], unit length."""
        if array.ndim != 3 or array.shape[2] != 3:
            raise UserError(
                f"{where}: expected normals [H, W, 3], found {describe(array, mode)}; save three values per pixel"
            )
        with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and no label
            n = torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)).astype(np.float32))
        if mode:
            none = (n == 0).all(0) | ((n - 127.5).abs() <= _GREY).all(0)
            return _unit(torch.where(none, 0.0, n / 127.5 - 1))
        n = torch.where(n.isfinite().all(0), n, 0.0)
        _check_components(n, array.dtype, where)
        return _unit(n)

    def measure(self, x: Tensor) -> Measure:
        """All but zero vectors are labels."""
        return measure_values(x, (x != 0).any(0))

    def reading(self, stored: Stored) -> str:
        """How colours stand for components."""
        return "value / 127.5 - 1; black and grey are no label" if stored.picture else "components"

    def resize(self, x: Tensor, image: Size, size: Size) -> Tensor:
        """The normalised mean over each pixel's area; pixels without a normal are left out of it."""
        if x.shape[-2:] == size:
            return x
        resized = interpolate(x if x.ndim == 4 else x[None], size, mode="bilinear", antialias=True)
        return _unit(resized if x.ndim == 4 else resized[0])

    def flip(self, x: Tensor) -> Tensor:
        """Mirrored left to right, with x negated."""
        mirrored = x.flip(-1)
        mirrored[..., 0, :, :].neg_()
        return mirrored


def _check_components(n: Tensor, dtype: np.dtype[Any], where: str) -> None:
    """Raise where an array holds colours of normals, in 0..255 or in 0..1, in place of components in -1..1."""
    if dtype.kind != "f":
        raise UserError(
            f"{where}: expected components of normals in -1..1, as floats, found {dtype}; write value / 127.5 - 1, or "
            "save a picture"
        )
    if _unit_share(n) > _MOSTLY:
        return
    for text, mapped, colours in (("2 n - 1", 2 * n - 1, "0..1"), ("value / 127.5 - 1", n / 127.5 - 1, "0..255")):
        if _unit_share(torch.where((n == 0).all(0), 0.0, mapped)) > _MOSTLY:
            raise UserError(
                f"{where}: expected components of normals in -1..1, found colours of normals in {colours}; write {text}"
            )


def _unit_share(n: Tensor) -> float:
    """The share of vectors [3, H, W] of unit length among those that have a direction; 0 where none has."""
    lengths = n.norm(dim=0)
    lengths = lengths[lengths > _SHORT]
    return float(((lengths - 1).abs() < _OFF).float().mean()) if len(lengths) else 0.0


def _unit(n: Tensor) -> Tensor:
    x, y, z = n.unbind(-3)
    length = _root((x * x).add_(y * y).add_(z * z)).unsqueeze(-3)  # `norm` over a dimension of three is far slower
    return (n / length.clamp(min=_SHORT)).masked_fill_(~(length > _SHORT), 0.0)


def _root(x: Tensor) -> Tensor:
    """The float32 nearest to the square root, on every device: torch's own may be the one beside it on a CPU."""
    if x.is_cuda:
        return x.double().sqrt().float()
    np.sqrt(x.numpy(), out=x.numpy())
    return x
