"""The student alone, as one module: from images to the activated predictions of its tasks."""

import re
from collections.abc import Collection, Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from tutelage.errors import UserError
from tutelage.images import Image, Size, as_image, check_images, resize_image
from tutelage.types import MultiTaskNet, Task, is_reserved


class Predictor(nn.Module):
    """A network with the activations of its tasks and the size of the images that it was trained on.

        x' = resize(x, size)            y'_t = net(x')_t            y_t = activate_t(resize(y'_t, size of x))

    where `resize` is bilinear with antialiasing, as the data resize images, and leaves an image of that size as it is.
    Raw outputs of the whole image are not resized. The raw output is resized, not the prediction: so classes follow
    from interpolated logits, and normals have unit length again. With `size` None images keep their size.

    The network normalises the images itself. A predictor stays in eval mode: its `train()` has no effect. Call
    `net.train()` to continue training.

    Args:
        net: A network with a head for each of these tasks, or more.
        tasks: name -> task.
        size: Height and width that images are resized to; None: images keep their size.
        config: The config from which `build` builds the same predictor; `save` needs it.

    Raises:
        ValueError: There is no task, a name has other characters than letters, digits, `_` and `-`, or `size` is not
            positive.
    """

    def __init__(
        self,
        net: MultiTaskNet,
        tasks: Mapping[str, Task],
        size: Size | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        check_names(tasks)
        if size is not None and (len(size) != 2 or min(size) < 1):
            raise UserError(f"size: expected height and width of at least 1, found {size}")
        self.net, self.tasks, self.size, self.config = net, dict(tasks), size, config
        self.dense = {t for t, task in self.tasks.items() if task.dense}
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode, whatever `mode` is."""
        return super().train(False)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """{task: activated prediction} of images [B, 3, H, W], uint8 or float in 0..1, on the network's device.

        Dense predictions have the size of the images: int64 or float32 [B, H, W] or [B, C, H, W].

        Raises:
            ValueError: The images have another shape or type.
        """
        if images.ndim != 4 or images.shape[1] != 3 or not (images.dtype == torch.uint8 or images.is_floating_point()):
            raise UserError(
                f"images: expected [B, 3, H, W] of uint8, or of floats in 0..1, found {list(images.shape)} of "
                f"{images.dtype}"
            )
        x = images.float() / 255 if images.dtype == torch.uint8 else images.float()
        size = (x.shape[2], x.shape[3])
        if self.size is not None:
            x = resize_image(x, self.size)
        output = self.net(x.to(self._weight.dtype), tasks=list(self.tasks))
        activated = {}
        for t, task in self.tasks.items():
            raw = output.predictions[t]
            if t in self.dense and raw.shape[2:] != size:
                raw = interpolate(raw.float(), size, mode="bilinear", antialias=True)
            activated[t] = task.activate(raw)
        return activated

    @torch.no_grad()
    def predict(self, image: Image) -> dict[str, Tensor]:
        """{task: activated prediction} of one image, without a batch dimension, on the CPU.

        Args:
            image: A file, a picture of Pillow, or an array or tensor [3, H, W] or [H, W, 3] of bytes or of floats in
                0..1. A tensor [B, 3, H, W] is a batch, and its predictions have a batch dimension.

        Raises:
            ValueError: The argument is no image.
        """
        batch = isinstance(image, Tensor) and image.ndim == 4
        images = check_images(image) if isinstance(image, Tensor) and batch else as_image(image)[None]
        predictions = self(images.to(self._weight.device))
        return {t: (value if batch else value[0]).cpu() for t, value in predictions.items()}

    @property
    def _weight(self) -> Tensor:
        return next((p for p in self.net.parameters() if p.is_floating_point()), torch.zeros(()))


def check_names(tasks: Collection[str]) -> None:
    """Raise a UserError where there is no task, or where a name cannot be part of a file's name."""
    if not tasks:
        raise UserError("tasks: expected one task or more, found none")
    for name in tasks:
        if not re.fullmatch(r"\w[\w-]*", name):
            raise UserError(f"tasks: expected names of letters, digits, '_' and '-', found `{name[:80]}`")
        if is_reserved(name):  # networks keep their heads under these names
            raise UserError(
                f"tasks: expected names that torch's modules have no other use for, found `{name}`; rename the task"
            )
