"""What every network of timm's encoders and smp's decoders has: the way in, decoders and heads, the way out."""

from collections.abc import Collection, Mapping

from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from tutelage.errors import UserError
from tutelage.nets.smp import Features, Parts, clone_reinitialised, decode, head
from tutelage.nets.widths import check_widths, resolve_tasks
from tutelage.types import MultiTaskNet

_PROBLEMS = {  # of torch with a batch, and what is to be done
    "more than 1 value per channel": "two images or more in a batch to train a decoder whose batch norm reads one "
    "number an image and channel, found one; raise train.batch_size or take another decoder",
    "Output size is too small": "larger images for a decoder that pools the encoder's last feature, found some of "
    "which nothing is left; enlarge them, lower output_stride or take another decoder",
}


class Decoders(MultiTaskNet):
    """Images enter normalised and continued to a multiple; a task's decoder, head and resizing make its prediction.

    Args:
        widths: Channels of each task's head.
        made: One task's network in parts, whose decoder and head others are made like.
        decoded: Tasks with a decoder of their own.

    Raises:
        ValueError: There is no task, or a width is not positive.
    """

    mean: Tensor  # [3, 1, 1]
    std: Tensor

    def __init__(self, widths: Mapping[str, int], made: Parts, decoded: Collection[str]) -> None:
        super().__init__()
        check_widths(self, widths)
        self.decoders = nn.ModuleDict({task: clone_reinitialised(made.decoder) for task in decoded})
        self.heads = nn.ModuleDict({task: head(made.head, width) for task, width in widths.items()})
        self.multiple = made.multiple
        self.register_buffer("mean", made.mean)
        self.register_buffer("std", made.std)

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """Those of the task's head and its own decoder; all, where the network has one task."""
        (task,) = resolve_tasks(self, [task], self.heads)
        if len(self.heads) == 1:
            return list(self.parameters())
        own = [self.heads[task], *([self.decoders[task]] if task in self.decoders else [])]
        return [p for module in own for p in module.parameters()]

    def _enter(self, images: Tensor) -> Tensor:
        """What the encoder reads of images [B, 3, H, W]."""
        height, width = images.shape[2:]
        missing = (0, -width % self.multiple, 0, -height % self.multiple)
        return pad((images - self.mean) / self.std, missing, mode="replicate")

    def _decode(self, decoder: nn.Module, features: Features) -> Tensor:
        try:
            return decode(decoder, features)
        except (RuntimeError, ValueError) as error:
            found = next((problem for text, problem in _PROBLEMS.items() if text in str(error)), None)
            if found is None:
                raise
            raise UserError(f"{type(self).__name__}: expected {found}") from error

    def _predict(self, task: str, z: Tensor, entered: Tensor, images: Tensor) -> Tensor:
        """The prediction [B, width, H, W] of a task from its decoder's output."""
        return self._resize(self.heads[task](z), entered, images)

    def _resize(self, y: Tensor, entered: Tensor, images: Tensor) -> Tensor:
        """What a head says, at every position of the images."""
        y = interpolate(y, entered.shape[2:], mode="bilinear")
        return y[..., : images.shape[2], : images.shape[3]]
