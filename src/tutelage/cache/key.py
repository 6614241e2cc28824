"""What an entry of the cache depends on, and the name that follows from it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from math import prod
from typing import Any, NamedTuple, Self

import torch

_FORMAT = 1  # raised whenever the files of an entry change


class Field(NamedTuple):
    """What one row of a field holds.

    Attributes:
        shape: of a row; () is one number.
        dtype: of its values, which are stored bit for bit.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def bytes(self) -> int:
        """Of a row."""
        return prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class Key:
    """All that an entry depends on: another fact, another number of rows or other fields are another entry.

    Attributes:
        kind: the folder of entries that it belongs to, such as `teachers`.
        facts: plain values.
        rows: the number of rows of every field.
        fields: by name.
        label: what the user calls the entry; no part of its identity.
    """

    kind: str
    facts: Mapping[str, Any]
    rows: int
    fields: Mapping[str, Field]
    label: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        assert self.rows > 0
        assert self.fields
        assert not any("/" in name for name in self.fields), "a field is a file"

    @property
    def bytes(self) -> int:
        """What the rows of an entry take on the disk."""
        return self.rows * (8 + sum(one.bytes for one in self.fields.values()))

    @property
    def digest(self) -> str:
        """The name of the entry's folder: blake2b of the canonical JSON of all but the label."""
        text = json.dumps(self._identity(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return blake2b(text.encode(), digest_size=16).hexdigest()

    def record(self) -> dict[str, Any]:
        """Plain values, for key.json."""
        return {"label": self.label, **self._identity()}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """The key of what `record` returned."""
        fields = {name: Field(tuple(shape), getattr(torch, dtype)) for name, (shape, dtype) in record["fields"].items()}
        return cls(record["kind"], record["facts"], record["rows"], fields, record["label"])

    def _identity(self) -> dict[str, Any]:
        fields = {
            name: [list(one.shape), str(one.dtype).removeprefix("torch.")] for name, one in sorted(self.fields.items())
        }
        return {"format": _FORMAT, "kind": self.kind, "facts": self.facts, "rows": self.rows, "fields": fields}
