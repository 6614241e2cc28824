"""The base of networks with timm's encoders and smp's decoders: normalising, padding, decoders, heads, resizing."""

from collections.abc import Collection, Mapping

from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from tutelage.errors import UserError
from tutelage.nets.smp import Features, Parts, build_head, clone_reinitialised, decode
from tutelage.nets.widths import check_widths, resolve_tasks
from tutelage.types import MultiTaskNet

_PROBLEMS = {  # what torch says of a batch -> what a decoder expected, and what to do
    "more than 1 value per channel": "two images or more in a batch to train a decoder whose batch norm reads one "
    "number per image and channel, found one; raise train.batch_size or take another decoder",
    "Output size is too small": "larger images for a decoder that pools the encoder's last feature, found a feature "
    "of which nothing is left; enlarge the images, lower output_stride or take another decoder",
}


class Decoders(MultiTaskNet):
    """A network with one head per task, and one decoder per task where the decoder is not shared.

    Images are normalised and padded to a multiple of the encoder's stride; predictions are resized and cropped back.

    Args:
        widths: Channels of each task's head.
        parts: The network of one task in parts; decoders and heads are built like its own.
        decoded: The tasks with a decoder of their own.

    Raises:
        ValueError: There is no task, or a width is not positive.
    """

    mean: Tensor  # [3, 1, 1]
    std: Tensor

    def __init__(self, widths: Mapping[str, int], parts: Parts, decoded: Collection[str]) -> None:
        super().__init__()
        check_widths(self, widths)
        self.decoders = nn.ModuleDict({task: clone_reinitialised(parts.decoder) for task in decoded})
        self.heads = nn.ModuleDict({task: build_head(parts.head, width) for task, width in widths.items()})
        self.multiple = parts.multiple
        self.register_buffer("mean", parts.mean)
        self.register_buffer("std", parts.std)

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """The parameters of the task's head and own decoder; in a single-task network, all."""
        (task,) = resolve_tasks(self, [task], self.heads)
        if len(self.heads) == 1:
            return list(self.parameters())
        own = [self.heads[task], *([self.decoders[task]] if task in self.decoders else [])]
        return [p for module in own for p in module.parameters()]

    def _enter(self, images: Tensor) -> Tensor:
        """Images [B, 3, H, W] normalised and padded, as the encoder reads them."""
        height, width = images.shape[2:]
        missing = (0, -width % self.multiple, 0, -height % self.multiple)
        return pad((images - self.mean) / self.std, missing, mode="replicate")

    def _decode(self, decoder: nn.Module, features: Features) -> Tensor:
        try:
            return decode(decoder, features)
        except (RuntimeError, ValueError) as error:
            problem = next((problem for text, problem in _PROBLEMS.items() if text in str(error)), None)
            if problem is None:
                raise
            raise UserError(f"{type(self).__name__}: expected {problem}") from error

    def _predict(self, task: str, z: Tensor, entered: Tensor, images: Tensor) -> Tensor:
        """The prediction [B, width, H, W] of a task from its decoder's output z."""
        return self._resize(self.heads[task](z), entered, images)

    def _resize(self, y: Tensor, entered: Tensor, images: Tensor) -> Tensor:
        """The output of a head, at every position of the images."""
        y = interpolate(y, entered.shape[2:], mode="bilinear")
        return y[..., : images.shape[2], : images.shape[3]]
