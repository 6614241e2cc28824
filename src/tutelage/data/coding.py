"""How values are stored in fewer bytes, so that exactly the same values come back."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # by their bytes
_SMALL = (torch.uint8, torch.int16)
_STORABLE = (torch.float32, torch.float64, torch.int64, torch.int32, torch.int16, torch.uint8, torch.bool)


class Coding(ABC):
    """A way to store values: elementwise, and without any loss.

    Attributes:
        stored: The type of the stored numbers.
        values: The type of the values.
    """

    stored: torch.dtype
    values: torch.dtype

    @abstractmethod
    def decode(self, codes: Tensor) -> Tensor:
        """The values of stored numbers of any shape, on their device."""

    def decode_each(self, codes: Tensor) -> Tensor:
        """`decode` of a batch [B, ...]: on a CPU one after the other, so that no step waits for main memory."""
        if codes.is_cuda:
            return self.decode(codes)
        values = torch.empty(codes.shape, dtype=self.values)
        for one, of_one in zip(values, codes, strict=True):
            self._decode_to(one, of_one)
        return values

    def _decode_to(self, values: Tensor, codes: Tensor) -> None:
        """Decode on a CPU, to memory that is there."""
        values.copy_(self.decode(codes))

    @abstractmethod
    def _codes(self, values: Tensor) -> Tensor:
        """The stored numbers of values, if these can be stored."""

    def encode(self, values: Tensor) -> Tensor | None:
        """The stored numbers of values, or None where other values would come back, be it in one bit."""
        codes = self._codes(values)
        return codes if _equal_bits(self.decode(codes), values) else None


@dataclass(frozen=True)
class Same(Coding):
    """The values as they are.

    Args:
        stored: Their type.
    """

    stored: torch.dtype

    @property
    def values(self) -> torch.dtype:  # type: ignore[override]  # it follows from `stored`
        """The same type."""
        return self.stored

    def decode(self, codes: Tensor) -> Tensor:
        """The values themselves."""
        return codes

    def decode_each(self, codes: Tensor) -> Tensor:
        """The values themselves."""
        return codes

    def _codes(self, values: Tensor) -> Tensor:
        return values


@dataclass(frozen=True)
class Bytes(Coding):
    """Pictures of 8 bits: k / 255 as k."""

    stored = torch.uint8
    values = torch.float32

    def decode(self, codes: Tensor) -> Tensor:
        """float32, k / 255."""
        # By a number of the host a GPU would not divide: it multiplies by 1 / 255, which is off by a bit for some k.
        return torch.div(codes, torch.full((), 255.0, device=codes.device))

    def _decode_to(self, values: Tensor, codes: Tensor) -> None:
        values.copy_(codes).div_(255.0)

    def _codes(self, values: Tensor) -> Tensor:
        return (values.clamp(0, 1) * 255).round().to(torch.uint8)


@dataclass(frozen=True)
class Whole(Coding):
    """Whole numbers, int64.

    Args:
        stored: A smaller type of whole numbers.
        lowest: The number that the type's least one stands for.
    """

    stored: torch.dtype
    lowest: int = -1  # no label
    values = torch.int64

    def decode(self, codes: Tensor) -> Tensor:
        """int64."""
        return codes.long().add_(self._offset)

    def _decode_to(self, values: Tensor, codes: Tensor) -> None:
        values.copy_(codes).add_(self._offset)

    @property
    def _offset(self) -> int:
        return self.lowest - torch.iinfo(self.stored).min

    def _codes(self, values: Tensor) -> Tensor:
        return (values - self._offset).to(self.stored)


@dataclass(frozen=True)
class Scaled(Coding):
    """Multiples of a unit in float32, as pictures of depth have them: float32(k * scale), computed in float64.

    Args:
        stored: A type of whole numbers; its least one stands for 0.
        scale: The unit.
    """

    stored: torch.dtype
    scale: float
    values = torch.float32

    def decode(self, codes: Tensor) -> Tensor:
        """float32."""
        return codes.double().sub_(torch.iinfo(self.stored).min).mul_(self.scale).float()

    def _codes(self, values: Tensor) -> Tensor:
        info = torch.iinfo(self.stored)
        codes = (values.double() / self.scale).nan_to_num().round() + info.min
        return codes.clamp(info.min, info.max).to(self.stored)


def smallest(values: Sequence[Tensor], image: bool = False, scale: float | None = None) -> Coding | None:
    """The coding in the fewest bytes that gives all of some values back; None where their types differ or are rare.

    Args:
        values: Tensors of one kind of data.
        image: They are images in 0..1.
        scale: The unit of which they may be multiples.
    """
    dtype = values[0].dtype
    if any(x.dtype != dtype for x in values) or dtype not in _STORABLE:
        return None
    candidates: list[Coding] = []
    if dtype == torch.float32 and image:
        candidates = [Bytes()]
    elif dtype == torch.float32 and scale is not None:
        candidates = [Scaled(stored, scale) for stored in _SMALL]
    elif dtype == torch.int64:
        candidates = [Whole(stored) for stored in _SMALL]
    fitting = (coding for coding in candidates if all(coding.encode(x) is not None for x in values))
    return next(fitting, Same(dtype))


def _equal_bits(a: Tensor, b: Tensor) -> bool:
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.is_floating_point():  # nan equals nan, and 0 is not -0
        a, b = (x.contiguous().view(_INTEGERS[x.element_size()]) for x in (a, b))
    return torch.equal(a, b)
