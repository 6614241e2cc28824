"""The views of training images that come again in every epoch, and loading them in any order."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from tutelage.data import Augment
from tutelage.train.seed import derive
from tutelage.train.streams import Stream
from tutelage.train.views import Views
from tutelage.types import ViewKey

Flips = tuple[bool, ...]


def repeated_views(augment: Augment | None) -> tuple[int | None, Flips] | None:
    """The views of an image that an augmentation shows again and again.

    Returns:
        The number of fixed views, None if there are none, and for exact views whether each is the mirror image; None if
        views do not come again.
    """
    if augment is None:
        return None, (False,)
    if augment.views is not None:
        return augment.views, ()
    if type(augment) is not Augment or set(augment.scales) != {1}:
        return None
    return None, {0.0: (False,), 1.0: (True,)}.get(float(augment.flip), (False, True))


class _Repeated(Dataset[Tensor]):
    def __init__(self, stream: Stream, augment: Augment | None) -> None:
        self.stream, self.views = stream, Views([stream], {}, augment)

    def __getitem__(self, keys: Sequence[ViewKey]) -> Tensor:
        return torch.stack([self._image(key) for key in keys])

    def _image(self, key: ViewKey) -> Tensor:
        if key.number is None:
            image = self.stream.samples[key.index]["image"]
            return image.flip(-1) if key.flipped else image
        assert self.views.augment is not None
        assert self.views.augment.views is not None
        first = derive(self.views.seed, "first view", key.index)  # of pass 0; the others follow in turn
        turn = (key.number - first) % self.views.augment.views
        return self.views.view(self.stream, (turn, key.index))["image"]


def load_repeated(
    stream: Stream, augment: Augment | None, batches: Sequence[Sequence[ViewKey]], workers: int = 0
) -> Iterator[Tensor]:
    """The images [B, 3, H, W] of batches of views that come again, bit for bit as training sees them.

    Args:
        stream: that they are of.
        augment: that shows them.
        batches: the views of each batch.
        workers: processes that load them.
    """
    own = torch.Generator()  # a loader draws a number when it begins, which is not of the run's
    views = _Repeated(stream, augment)
    yield from DataLoader(views, batch_size=None, sampler=batches, num_workers=workers, generator=own)
