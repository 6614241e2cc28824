from collections import defaultdict

import pytest
import torch
from tests.train.fixture import TASKS, Images, Net, Run
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the field's name for it

from tutelage.balance import Uncertainty, Uniform
from tutelage.distill import FeatureDistiller
from tutelage.train import Part, TrainConfig, make_batch, training_step


def gradient(groups: list[list[int]], distill: bool = True) -> dict[str, Tensor]:
    run = Run(TrainConfig(epochs=1), distill=distill).build()
    images = Images()
    parts = [[make_batch([images[i] for i in group], TASKS)] for group in groups]
    for part, reduce in zip(parts, Part.split(parts, run.distiller), strict=True):
        training_step(part, run.student, TASKS, run.distiller, run.balancer, reduce)
    return {name: p.grad for name, p in run.student.named_parameters()}


@pytest.mark.parametrize("distill", [False, True])
@pytest.mark.parametrize("groups", [[[0, 1, 2], [3, 4, 5]], [[0], [1, 2, 3], [4, 5]], [[0, 3], [1, 2, 4, 5]]])
def test_accumulated_parts_give_the_gradient_of_the_whole_step(groups: list[list[int]], distill: bool) -> None:
    # Images 0 and 3 have no depth: a mean of the parts' means would weigh the others' pixels wrongly.
    whole = gradient([[0, 1, 2, 3, 4, 5]], distill)
    for name, value in gradient(groups, distill).items():
        torch.testing.assert_close(value, whole[name], rtol=1e-5, atol=1e-7, msg=name)


def test_accumulated_parts_give_the_balancers_own_gradient() -> None:
    """A part without any depth has its share of what uncertainty weighting adds once a step."""

    def gradients(groups: list[list[int]]) -> list[Tensor]:
        run = Run(TrainConfig(epochs=1), balancer=Uncertainty, distill=False).build()
        images = Images()
        parts = [[make_batch([images[i] for i in group], TASKS)] for group in groups]
        for part, reduce in zip(parts, Part.split(parts, None), strict=True):
            training_step(part, run.student, TASKS, None, run.balancer, reduce)
        return [p.grad for p in (*run.balancer.parameters(), *run.student.parameters())]

    for value, whole in zip(gradients([[0, 3], [1, 2]]), gradients([[0, 1, 2, 3]]), strict=True):
        torch.testing.assert_close(value, whole, rtol=1e-5, atol=1e-7)


def test_a_part_without_any_label_is_no_error() -> None:
    run = Run(TrainConfig(epochs=1), distill=False).build()
    bare = {**Images()[0], "labels": {}}
    parts = [[make_batch([bare], TASKS)], [make_batch([Images()[1]], TASKS)]]
    for part, reduce in zip(parts, Part.split(parts, None), strict=True):
        training_step(part, run.student, TASKS, None, run.balancer, reduce)
    assert all(p.grad.isfinite().all() for p in run.student.parameters())


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
    training_step([batch], student, TASKS, distiller, Uniform(), Part.split([[batch]], distiller)[0])
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
    training_step([batch], run.student, TASKS, None, run.balancer, Part.split([[batch]], None)[0])
    assert all(p.grad is None for p in run.student.task_parameters("depth"))
