"""What a network computes, read from the cache in place of running it, where each view of a batch comes again."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b

import torch
from torch import Tensor

from tutelage.cache import Entry
from tutelage.distill.teachers.storage import Packing, Part, join_output
from tutelage.types import Batch, Output, ViewKey

DIGEST = "image"  # the field with the digest of the image that a row was computed from


@dataclass(frozen=True)
class RowNumbers:
    """The row of each view: row v + V i holds view v of sample `indices[i]`.

    Args:
        indices: of the samples in their split.
        numbers: of the fixed views of each sample; None: there are none, but exact views.
        flips: of the exact views, whether each is the mirror image.
    """

    indices: Sequence[int]
    numbers: int | None = None
    flips: tuple[bool, ...] = (False,)

    def __len__(self) -> int:
        return len(self.indices) * self.views

    @property
    def views(self) -> int:
        """V, the number of views of each sample."""
        return len(self.flips) if self.numbers is None else self.numbers

    def keys(self, rows: Sequence[int]) -> list[ViewKey]:
        """The views of some rows; of numbered ones, only the augmentation knows whether they are mirrored."""
        pairs = [divmod(row, self.views) for row in rows]
        if self.numbers is not None:
            return [ViewKey(self.indices[i], number=v, exact=False) for i, v in pairs]
        return [ViewKey(self.indices[i], flipped=self.flips[v]) for i, v in pairs]

    def rows(self, views: Sequence[ViewKey]) -> Tensor | None:
        """The rows of some views, int64; None if one of them has none."""
        rows = [self._row(view) for view in views]
        return None if -1 in rows or not rows else torch.tensor(rows)

    def _row(self, view: ViewKey) -> int:
        place = self._places.get(view.index)
        if (
            place is None
            or not view.repeats
            or view.split != "train"
            or (view.number is None) != (self.numbers is None)
        ):
            return -1
        if view.number is not None:
            return place * self.views + view.number if view.number < self.views else -1
        return place * self.views + self.flips.index(view.flipped) if view.flipped in self.flips else -1

    @cached_property
    def _places(self) -> dict[int, int]:
        return {index: place for place, index in enumerate(self.indices)}


class CachedOutput:
    """What one network computes for the images of one source.

    A row is read only for the very image that it was computed from: it keeps the image's digest, which a process
    compares when it reads the row for the first time.

    Args:
        entries: each part of the output, how it is stored, and where.
        rows: which row a view has.
        note: is told once of an image that has changed.
    """

    def __init__(
        self, entries: Mapping[Part, tuple[Packing, Entry]], rows: RowNumbers, note: Callable[[str], None]
    ) -> None:
        self.entries, self.rows, self._note = entries, rows, note
        self._verified = torch.zeros(len(rows), dtype=torch.bool)
        self._noted = False

    def read(
        self, batch: Batch, indices: Tensor | None, taps: Collection[str], tasks: Collection[str]
    ) -> Output | None:
        """Some taps and predictions for some images of a batch; None where the network has to compute them.

        Args:
            batch: images, with their views.
            indices: of the images, on the host; None: all.
            taps: the taps.
            tasks: the tasks whose predictions are read.
        """
        views = batch.views if indices is None else [batch.views[i] for i in indices.tolist()] if batch.views else []
        rows = self.rows.rows(views)
        if rows is None or not self._verify(rows, batch.images, indices):
            return None
        parts = {
            part: packing.unpack({name: entry.read(name, rows) for name in packing.fields}, batch.images.device)
            for part, (packing, entry) in self.entries.items()
            if (part.name in taps if part.kind == "tap" else part.name in tasks)
        }
        return join_output(parts)

    def _verify(self, rows: Tensor, images: Tensor, indices: Tensor | None) -> bool:
        """Whether the rows are whole, and of these images."""
        new = ~self._verified[rows]
        if not new.any():
            return True
        chosen = new.nonzero().squeeze(1)
        if not all(bool(entry.has(rows[chosen]).all()) for _, entry in self.entries.values()):
            return False
        places = chosen if indices is None else indices[chosen]
        digests = image_digests(images[places.to(images.device)])
        same = all(torch.equal(entry.read(DIGEST, rows[chosen]), digests) for _, entry in self.entries.values())
        if same:
            self._verified[rows[chosen]] = True
        elif not self._noted:
            self._note(
                "teacher cache: an image is not the one that its row was computed from, so that teachers run on it in "
                "every step; if images have changed, `tutelage cache clear teachers` makes room for new rows"
            )
            self._noted = True
        return same


def image_digests(images: Tensor) -> Tensor:
    """A digest of the values of each image [B, 3, H, W]: int64 [B]."""
    rows = images.cpu().contiguous()
    digests = [blake2b(row.numpy().data, digest_size=8).digest() for row in rows]
    return torch.tensor([int.from_bytes(digest, "little", signed=True) for digest in digests])


def fill_rows(
    entries: Mapping[Part, tuple[Packing, Entry]], rows: Tensor, parts: Mapping[Part, Tensor], digests: Tensor
) -> None:
    """Write the rows of some images that are not there yet.

    Raises:
        OSError: the disk is full, for example.
    """
    for part, (packing, entry) in entries.items():
        missing = ~entry.has(rows)
        if missing.any():
            fields = {**packing.pack(parts[part]), DIGEST: digests}
            entry.write(rows[missing], {name: values[missing] for name, values in fields.items()})
