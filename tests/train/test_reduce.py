import pytest
import torch
from tests.train.fixture import TASKS, Images, Run
from torch import Tensor

from tutelage.balance import Uncertainty
from tutelage.train import PartialStep, TrainConfig, make_batch, training_step


def gradient(groups: list[list[int]], distill: bool = True) -> dict[str, Tensor]:
    run = Run(TrainConfig(epochs=1), distill=distill).build()
    images = Images()
    parts = [[make_batch([images[i] for i in group], TASKS)] for group in groups]
    for part, reduce in zip(parts, PartialStep.split(parts, run.distiller), strict=True):
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
        for part, reduce in zip(parts, PartialStep.split(parts, None), strict=True):
            training_step(part, run.student, TASKS, None, run.balancer, reduce)
        return [p.grad for p in (*run.balancer.parameters(), *run.student.parameters())]

    for value, whole in zip(gradients([[0, 3], [1, 2]]), gradients([[0, 1, 2, 3]]), strict=True):
        torch.testing.assert_close(value, whole, rtol=1e-5, atol=1e-7)


def test_a_part_without_any_label_is_no_error() -> None:
    run = Run(TrainConfig(epochs=1), distill=False).build()
    bare = {**Images()[0], "labels": {}}
    parts = [[make_batch([bare], TASKS)], [make_batch([Images()[1]], TASKS)]]
    for part, reduce in zip(parts, PartialStep.split(parts, None), strict=True):
        training_step(part, run.student, TASKS, None, run.balancer, reduce)
    assert all(p.grad.isfinite().all() for p in run.student.parameters())
