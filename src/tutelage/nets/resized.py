"""A network that sees its images in another size than that of the data."""

from collections.abc import Collection

from torch import Tensor, nn
from torch.nn.functional import interpolate

from tutelage.images import Size, resize_on_grid
from tutelage.types import MultiTaskNet, Output


class Resized(MultiTaskNet):
    """Resizes images for a network, and its maps of raw predictions back to the images, as `Predictor` does.

    Both ways are bilinear with antialiasing. Taps stay as the network computes them.

    Args:
        widths: {task: channels}; not read, since the network has its heads already.
        net: A network.
        size: Height and width of the images that it sees.
    """

    def __init__(self, widths: dict[str, int], net: MultiTaskNet, size: Size) -> None:
        super().__init__()
        self.net, self.size = net, size

    def forward(self, images: Tensor, tasks: Collection[str] | None = None) -> Output:
        """Predictions of `tasks` (None: all) in the size of the images [B, 3, H, W], and every tap."""
        output: Output = self.net(resize_on_grid(images, self.size), tasks=tasks)
        size = images.shape[2:]
        predictions = {
            t: interpolate(y.float(), size, mode="bilinear", antialias=True)
            if y.ndim == 4 and y.shape[2:] != size
            else y
            for t, y in output.predictions.items()
        }
        return Output(predictions, output.taps, output.shared)

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """Those of the network."""
        return self.net.task_parameters(task)

    def shared_parameters(self) -> list[nn.Parameter]:
        """Those of the network."""
        return self.net.shared_parameters()
