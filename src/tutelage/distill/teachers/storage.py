"""What a network computes as rows of the cache: the parts of its output, and how each of them is stored."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self

import torch
from torch import Tensor

from tutelage.cache import Field
from tutelage.types import Output, transfer

Storage = Literal["auto", "fp32", "bf16", "int8"]
_DTYPES: Mapping[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}
_STEPS = 127  # of int8, on either side of 0


class Part(NamedTuple):
    """One tensor of a network's output.

    Attributes:
        kind: a feature at a tap, or a prediction.
        name: of the tap or of the task.
        task: of a tap with one feature per task, whose feature it is.
    """

    kind: Literal["tap", "prediction"]
    name: str
    task: str | None = None

    @property
    def label(self) -> str:
        """What the user calls it."""
        return f"{self.kind} {self.name}{f'/{self.task}' if self.task else ''}"


def split_output(output: Output, taps: Collection[str], tasks: Collection[str]) -> dict[Part, Tensor]:
    """The parts of an output: some of its taps, and the predictions of some tasks."""
    parts: dict[Part, Tensor] = {}
    for name in sorted(taps):
        tap = output.taps[name]
        if isinstance(tap, dict):
            parts |= {Part("tap", name, task): feature for task, feature in tap.items()}
        else:
            parts[Part("tap", name)] = tap
    return parts | {Part("prediction", t): output.predictions[t] for t in tasks}


def join_output(parts: Mapping[Part, Tensor]) -> Output:
    """The output that has these parts."""
    output = Output({}, {})
    for part, value in parts.items():
        if part.kind == "prediction":
            output.predictions[part.name] = value
        elif part.task is None:
            output.taps[part.name] = value
        else:
            tap = output.taps.setdefault(part.name, {})
            assert isinstance(tap, dict)
            tap[part.task] = value
    return output


@dataclass(frozen=True)
class Packing:
    """How the values of one part are stored, one row per image.

    With `auto` they are stored in the dtype in which the network gives them, bit for bit; with `fp32` and `bf16` in
    that dtype. With `int8`, x[c] of each image and channel is stored as round(x[c] / s[c]) with s[c] = max |x[c]| / 127
    in fp32. What is read has the dtype of the network.

    Args:
        shape: of one image, as the network gives it: [C, ...].
        dtype: of the network.
        storage: how it is stored.
        channels_last: whether the network gives it in this memory layout, in which it is then stored and read.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    storage: Storage
    channels_last: bool

    @classmethod
    def of(cls, values: Tensor, storage: Storage) -> Self:
        """That of a part [B, C, ...], as a network gave it."""
        last = values.ndim == 4 and not values.is_contiguous()
        last = last and values.is_contiguous(memory_format=torch.channels_last)
        return cls(tuple(values.shape[1:]), values.dtype, storage, last)

    def record(self) -> dict[str, Any]:
        """Plain values."""
        dtype = str(self.dtype).removeprefix("torch.")
        return {"shape": [*self.shape], "dtype": dtype, "storage": self.storage, "channels_last": self.channels_last}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """That of what `record` returned."""
        shape, dtype = tuple(record["shape"]), getattr(torch, record["dtype"])
        return cls(shape, dtype, record["storage"], record["channels_last"])

    @property
    def fields(self) -> dict[str, Field]:
        """The fields of a row."""
        shape = (*self.shape[1:], self.shape[0]) if self.channels_last else self.shape
        if self.storage == "int8":
            scales = self.shape[:1]
            return {"values": Field(shape, torch.int8), "scale": Field(scales, torch.float32)}
        return {"values": Field(shape, _DTYPES.get(self.storage, self.dtype))}

    def pack(self, values: Tensor) -> dict[str, Tensor]:
        """Rows of [B, C, ...], on the host."""
        fields: dict[str, Tensor] = {}
        if self.storage == "int8":
            x = values.float()
            scale = x.abs().flatten(2).amax(2) / _STEPS if x.ndim > 2 else x.abs() / _STEPS  # [B, C]
            fields["scale"] = scale.cpu()
            values = (x / self._by_channel(scale.clamp(min=torch.finfo(torch.float32).tiny))).round()
        if self.channels_last:
            values = values.movedim(1, -1)
        fields["values"] = values.to(self.fields["values"].dtype).cpu().contiguous()
        return fields

    def unpack(self, fields: Mapping[str, Tensor], device: torch.device) -> Tensor:
        """[B, C, ...] on a device, of what `pack` returned."""
        values = transfer(fields["values"], device, True)
        if self.channels_last:
            values = values.movedim(-1, 1)
        if self.storage == "int8":
            values = values.float() * self._by_channel(transfer(fields["scale"], device, True))
        return values.to(self.dtype)

    def _by_channel(self, scale: Tensor) -> Tensor:
        return scale.view(*scale.shape, *[1] * (len(self.shape) - 1))


def bytes_per_image(packings: Iterable[Packing]) -> int:
    """What one image takes on the disk: of each part its fields, the digest of its image and a checksum."""
    return sum(16 + sum(field.bytes for field in packing.fields.values()) for packing in packings)
