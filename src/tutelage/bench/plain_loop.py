"""The training step as one writes it by hand for one network and three tasks, without this library's loop."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from tutelage.bench.networks import Network
from tutelage.tasks import Depth, Segmentation
from tutelage.train import seeded
from tutelage.types import Batch, MaskedTarget, Task


class PlainLoop:
    """Forward, the losses of the paper, backward, Adam: the reference that the library's step must not be slower than.

    Args:
        network: what is trained.
        tasks: the tasks.
        batch: what every step sees, on the device that computes.
        precision: `32-true`, or `bf16-mixed`, by autocast.
        channels_last: the memory layout.
    """

    def __init__(
        self, network: Network, tasks: dict[str, Task], batch: Batch, precision: str, channels_last: bool
    ) -> None:
        device = batch.images.device
        layout = torch.channels_last if channels_last else torch.contiguous_format
        with seeded(0, "bench"):
            net = network.build({t: task.width for t, task in tasks.items()})
        self.net = net.to(device).to(memory_format=layout).train()
        self.optimizer = torch.optim.Adam(self.net.parameters())
        self.images = batch.images.to(memory_format=layout)
        self.tasks, self.targets, self.bf16 = tasks, batch.targets, precision != "32-true"

    def steps(self, count: int = 1) -> None:
        """Train for a few steps."""
        for _ in range(count):
            self._step()

    def _step(self) -> None:
        self.optimizer.zero_grad()
        with torch.autocast(self.images.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            predictions = self.net(self.images).predictions
        losses = [self._loss(t, prediction.float()) for t, prediction in predictions.items()]
        torch.autograd.backward(torch.stack(losses).sum())
        self.optimizer.step()

    def _loss(self, name: str, prediction: Tensor) -> Tensor:
        target = self.targets[name]
        assert isinstance(target, MaskedTarget)
        if isinstance(self.tasks[name], Segmentation):
            return cross_entropy(prediction, target.value, ignore_index=-1)
        mask = target.valid
        if isinstance(self.tasks[name], Depth):
            return ((prediction - target.value).abs().squeeze(1) * mask).sum() / mask.sum()
        return ((1 - (normalize(prediction, dim=1) * target.value).sum(1)) * mask).sum() / mask.sum()
