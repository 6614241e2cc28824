"""What a row of a shard holds: which values, in which types."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tutelage.cache import Field
from tutelage.data.coding import Bytes, Coding, Same, Scaled, Whole, smallest
from tutelage.data.labels import DepthLabel
from tutelage.data.modalities import Modality
from tutelage.types import Sample

STAMP_BYTES = 16
_IMAGE, _STATE, _STAMP = "image", "state", "stamp"
_CODINGS = {coding.__name__: coding for coding in (Bytes, Same, Scaled, Whole)}


@dataclass(frozen=True)
class Layout:
    """The fields of a row: the image, the labels, what the row has, and the stamp of its sample.

    Attributes:
        codings: "" for the image, or a task -> how its values are stored.
        shapes: "" or a task -> the shape of a value.
    """

    codings: Mapping[str, Coding]
    shapes: Mapping[str, tuple[int, ...]]

    @classmethod
    def fitting(cls, samples: Sequence[Sample], kinds: Mapping[str, Modality]) -> "Layout | None":
        """The layout that takes the fewest bytes for some samples; None where they do not have one shape."""
        values = {"": [sample["image"] for sample in samples]}
        for task in kinds:
            if labels := [sample["labels"][task] for sample in samples if task in sample["labels"]]:
                values[task] = labels
        codings = {
            name: smallest(of_all, image=not name, scale=_scale(kinds.get(name))) for name, of_all in values.items()
        }
        one_shape = all(x.shape == of_all[0].shape for of_all in values.values() for x in of_all)
        if not one_shape or any(coding is None for coding in codings.values()):
            return None
        fitted = {name: coding for name, coding in codings.items() if coding is not None}
        return cls(fitted, {name: tuple(of_all[0].shape) for name, of_all in values.items()})

    @property
    def tasks(self) -> list[str]:
        """The tasks whose labels a row can hold."""
        return [name for name in self.codings if name]

    @property
    def fields(self) -> dict[str, Field]:
        """The fields of the entry."""
        rows = {self.field(name): Field(self.shapes[name], coding.stored) for name, coding in self.codings.items()}
        return {**rows, _STATE: Field((1 + len(self.tasks),), torch.uint8), _STAMP: Field((STAMP_BYTES,), torch.uint8)}

    def field(self, name: str) -> str:
        """The field of a task's labels, or of the image: a task's name need not be the name of a file."""
        return f"label{self.tasks.index(name)}" if name else _IMAGE

    def pack(self, sample: Sample, stamp: Tensor) -> dict[str, Tensor]:
        """The row of a sample, each field [1, ...]; one that says so where the sample does not fit."""
        values = {"": sample["image"], **sample["labels"]}
        codes = {name: self._encode(name, x) for name, x in values.items()}
        fits = all(x is not None for x in codes.values())
        row: dict[str, Tensor] = {_STAMP: stamp[None]}
        state = [int(fits), *(int(fits and task in codes) for task in self.tasks)]
        row[_STATE] = torch.tensor([state], dtype=torch.uint8)
        for name, coding in self.codings.items():
            x = codes.get(name) if fits else None
            row[self.field(name)] = (torch.zeros(self.shapes[name], dtype=coding.stored) if x is None else x)[None]
        return row

    def _encode(self, name: str, values: Tensor) -> Tensor | None:
        if name not in self.codings or tuple(values.shape) != self.shapes[name]:
            return None
        coding = self.codings[name]
        return coding.encode(values) if values.dtype == coding.values else None

    def record(self) -> dict[str, Any]:
        """Plain values, for the key of the entry."""
        return {name: [*_plain(coding), list(self.shapes[name])] for name, coding in self.codings.items()}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Layout":
        """The layout of what `record` returned."""
        codings, shapes = dict[str, Coding](), dict[str, tuple[int, ...]]()
        for name, (kind, arguments, shape) in record.items():
            made = {key: getattr(torch, x) if key == "stored" else x for key, x in arguments.items()}
            codings[name], shapes[name] = _CODINGS[kind](**made), tuple(shape)
        return cls(codings, shapes)


def state_of(entry_rows: Tensor) -> tuple[bool, Tensor]:
    """Of the states of some rows: whether all hold their samples, and which labels they have, bool [n, tasks]."""
    return bool(entry_rows[:, 0].all()), entry_rows[:, 1:].bool()


def _scale(kind: Modality | None) -> float | None:
    return kind.scale if isinstance(kind, DepthLabel) else None


def _plain(coding: Coding) -> tuple[str, dict[str, Any]]:
    arguments = {key: str(x).removeprefix("torch.") if key == "stored" else x for key, x in vars(coding).items()}
    return type(coding).__name__, arguments
