"""Gradients are added over the processes while the backward pass that completes them is under way."""

import pytest
import torch
from torch import Tensor, nn

from tutelage.train.gradients import Gradients
from tutelage.types import World


class Two(World):
    """Two processes of the same images; remembers how far the backward pass was when each sum began."""

    size = 2

    def __init__(self, first: nn.Parameter) -> None:
        self.first = first
        self.under_way: list[bool] = []

    def sum(self, x: Tensor) -> Tensor:
        return x.mul_(2)

    def start_sum(self, x: Tensor) -> None:
        self.under_way.append(self.first.grad is None)
        self.sum(x)


@pytest.mark.parametrize("last_pass", [True, False])
def test_sums_begin_during_the_last_pass(last_pass: bool) -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5), nn.Linear(5, 2))
    unused = nn.Parameter(torch.ones(2))
    world = Two(next(net.parameters()))
    images = torch.rand(6, 3)
    expected = torch.autograd.grad(net(images).square().sum(), list(net.parameters()))
    with Gradients(world, [unused, *net.parameters()], bucket=1) as gradients:
        for _ in range(2):
            net.zero_grad()
            world.under_way.clear()
            with gradients.during(last_pass):
                net(images).square().sum().backward()
            gradients.finish()
            assert len(world.under_way) == 7
            # The sums of the two layers behind the first one: nothing of that has a gradient yet.
            assert sum(world.under_way) >= 4 if last_pass else not any(world.under_way)
            assert unused.grad is None
            for p, g in zip(net.parameters(), expected, strict=True):
                torch.testing.assert_close(p.grad, 2 * g)
    assert not any(p._post_accumulate_grad_hooks for p in net.parameters())
