from collections import defaultdict
from collections.abc import Collection
from dataclasses import replace

import pytest
import torch
from tests.train.fixture import TASKS, Images, Net, Run
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # the field's name for it

from tutelage.balance import Uniform
from tutelage.distill import FeatureDistiller
from tutelage.train import PartialStep, TrainConfig, make_batch, training_step
from tutelage.types import Output


class Deep(Net):
    """A net that predicts the depth on its way, too, and asks for small weights there."""

    def __init__(self, widths: dict[str, int]) -> None:
        super().__init__(widths)
        self.early = nn.Conv2d(3, 1, 1)

    def forward(self, images: Tensor, tasks: Collection[str] | None = None) -> Output:
        output = super().forward(images, tasks)
        return replace(
            output,
            auxiliary={"depth": [self.early(images), 2 * self.early(images)]},
            penalties={"depth": self.early.weight.square().sum() + output.taps["last"].mean()},
        )


@pytest.mark.parametrize("groups", [[[1, 0, 2, 4]], [[1, 0], [2, 4]], [[0], [1, 2, 4]]])
def test_a_networks_auxiliary_predictions_and_penalties_are_of_their_tasks_loss(groups: list[list[int]]) -> None:
    torch.manual_seed(0)
    net = Deep({t: task.width for t, task in TASKS.items()})
    images = Images()
    parts = [[make_batch([images[i] for i in group], TASKS)] for group in groups]
    for part, reduce in zip(parts, PartialStep.split(parts, None), strict=True):
        training_step(part, net, TASKS, None, Uniform(), reduce)
    found = {name: p.grad for name, p in net.named_parameters()}
    net.zero_grad()
    targets = [batch.targets for (batch,) in parts]
    counts = {t: sum(of[t].count() for of in targets if t in of) for t in TASKS}
    loss = torch.zeros(())
    for (batch,) in parts:
        output = net(batch.images)
        for t, target in batch.targets.items():
            made = [output.predictions[t], *output.auxiliary.get(t, [])]
            loss = loss + sum(TASKS[t].loss(y, target).sum for y in made) / counts[t]
            if t == "depth":  # as a mean over valid pixels: a part without depth has no say
                loss = loss + output.penalties[t] * target.valid.sum() / counts[t]
    loss.backward()
    for name, p in net.named_parameters():
        torch.testing.assert_close(found[name], p.grad, rtol=1e-5, atol=1e-7, msg=name)


def test_a_distilled_step_is_the_gradient_of_the_papers_formula() -> None:
    """L = sum_t l_t + sum_t lambda_t d(A_t(phi), phi_t), written out pixel by pixel in fp64."""
    torch.manual_seed(0)
    widths = {t: task.width for t, task in TASKS.items()}
    student, teachers = Net(widths).double(), {t: Net({t: width}).double() for t, width in widths.items()}
    images = Images()
    batch = make_batch([images[i] for i in (1, 2, 4)], TASKS)
    batch.images = batch.images.double()
    weights = {"segmentation": 1.0, "depth": 2.0}
    distiller = FeatureDistiller(student, teachers, batch.images, {"last": "last"}, weights).double()
    training_step([batch], student, TASKS, distiller, Uniform(), PartialStep.split([[batch]], distiller)[0])
    found = [p.grad.clone() for p in (*student.parameters(), *distiller.parameters())]

    parameters = [*student.parameters(), *distiller.parameters()]
    output = student(batch.images)
    losses = defaultdict(list)
    for b in range(3):
        for y in range(8):
            for x in range(12):
                label = int(batch.targets["segmentation"].value[b, y, x])
                if label >= 0:
                    logits = output.predictions["segmentation"][b, :, y, x].double()
                    losses["segmentation"].append(-F.log_softmax(logits, 0)[label])
                metres = batch.targets["depth"].value[b, 0, y, x].double()
                if metres != 0:
                    losses["depth"].append((output.predictions["depth"][b, 0, y, x] - metres).abs())
    total = sum(torch.stack(values).mean() for values in losses.values())
    for t, teacher in teachers.items():
        kernel = distiller.adaptors[t]["last"].conv.weight[:, :, 0, 0]
        phi_t = teacher(batch.images).taps["last"]
        distances = []
        for b in range(3):
            for y in range(8):
                for x in range(12):
                    a, r = kernel @ output.taps["last"][b, :, y, x], phi_t[b, :, y, x].detach()
                    a, r = a / (a.dot(a) + 1e-6).sqrt(), r / (r.dot(r) + 1e-6).sqrt()
                    distances.append((a - r).dot(a - r))
        total = total + weights[t] * torch.stack(distances).mean()
    expected = torch.autograd.grad(total, parameters)
    for value, reference in zip(found, expected, strict=True):
        # The losses and counts of the library are fp32 by contract; the formula here is fp64.
        torch.testing.assert_close(value, reference, rtol=2e-4, atol=1e-6)


def test_a_task_without_labels_moves_nothing_but_what_is_shared() -> None:
    run = Run(TrainConfig(epochs=1), distill=False).build()
    batch = make_batch([Images()[0], Images()[3]], TASKS)  # neither has depth
    assert set(batch.targets) == {"segmentation"}
    training_step([batch], run.student, TASKS, None, run.balancer, PartialStep.split([[batch]], None)[0])
    assert all(p.grad is None for p in run.student.task_parameters("depth"))
