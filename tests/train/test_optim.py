import copy
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from tutelage.errors import UserError
from tutelage.train import Cosine, Optim, Optimisers


def adam(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=1.0)


def build(epochs: int = 4, steps: int = 20, **kwargs: object) -> tuple[Optimisers, nn.Parameter]:
    parameter = nn.Parameter(torch.ones(2))
    parts = {"student": ([parameter], Optim(adam, **kwargs)), "adaptors": ([], Optim())}
    return Optimisers(parts, epochs, steps), parameter


def test_a_part_without_parameters_has_no_optimiser() -> None:
    assert list(build()[0].lr()) == ["student"]


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
def test_cosine_ends_at_zero_with_the_run() -> None:
    optimisers, _ = build(scheduler=Cosine)
    rates = []
    for _ in range(5):
        rates.append(optimisers.lr()["student"])
        optimisers.end_epoch()
    assert rates == pytest.approx([(1 + math.cos(math.pi * n / 4)) / 2 for n in range(5)])


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
def test_a_warm_up_comes_before_the_cosine() -> None:
    optimisers, parameter = build(epochs=10, steps=10, scheduler=partial(Cosine, warmup=0.3), interval="step")
    rates = []
    for _ in range(11):
        rates.append(optimisers.lr()["student"])
        optimisers.zero_grad()
        parameter.sum().backward()
        optimisers.step()
    assert rates == pytest.approx([1 / 4, 2 / 4, 3 / 4, *((1 + math.cos(math.pi * n / 7)) / 2 for n in range(8))])
    alone = Cosine(adam([nn.Parameter(torch.ones(2))]), total=4, warmup=0.5)
    assert alone.get_last_lr() == pytest.approx([1 / 3])


def test_a_warm_up_for_longer_than_the_run_is_one_line() -> None:
    with pytest.raises(UserError, match=r"scheduler.warmup: expected a part of the run in 0 <= warmup < 1, found 1$"):
        Cosine(adam([nn.Parameter(torch.ones(2))]), warmup=1)


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
def test_the_rate_is_halved_after_the_epoch_not_before_its_first_step() -> None:
    optimisers, _ = build(scheduler=lambda o: torch.optim.lr_scheduler.StepLR(o, 2, 0.5))
    rates = []
    for _ in range(5):
        rates.append(optimisers.lr()["student"])
        optimisers.end_epoch()
    assert rates == [1, 1, 0.5, 0.5, 0.25]


def test_state_round_trip() -> None:
    def advance(optimisers: Optimisers, parameter: nn.Parameter) -> None:
        optimisers.zero_grad()
        parameter.square().sum().backward()
        optimisers.step()

    a, p = build(scheduler=Cosine, interval="step")
    for _ in range(3):
        advance(a, p)
    b, q = build(scheduler=Cosine, interval="step")
    q.data.copy_(p.data)
    b.load_state_dict(copy.deepcopy(a.state_dict()))
    for _ in range(3):
        advance(a, p)
        advance(b, q)
    assert torch.equal(p, q)
    assert a.lr() == b.lr()


def test_a_longer_run_stretches_a_scheduler_with_a_length_of_its_own() -> None:
    def halved(optimizer: torch.optim.Optimizer, size: int = 2) -> torch.optim.lr_scheduler.LRScheduler:
        return torch.optim.lr_scheduler.StepLR(optimizer, size, gamma=0.5)

    def rates(stretch: float, epochs: int, resume: int | None = None, scheduler: Any = halved) -> list[float]:
        def build() -> Optimisers:
            step = Optim(lambda p: torch.optim.SGD(p, lr=1.0), scheduler)
            parts = {"student": ([torch.nn.Parameter(torch.zeros(1))], step)}
            return Optimisers(parts, epochs, epochs, stretch=stretch)

        optimisers, found = build(), []
        for epoch in range(epochs):
            if epoch == resume:
                state, optimisers = optimisers.state_dict(), build()
                optimisers.load_state_dict(state)
            found.append(optimisers.lr()["student"])
            optimisers.step()
            optimisers.end_epoch()
        return found

    assert rates(1.0, 4) == [1, 1, 0.5, 0.5]
    assert rates(2.5, 10) == [1] * 5 + [0.5] * 5
    assert rates(2.5, 10, resume=4) == rates(2.5, 10)
    assert rates(0.5, 4, scheduler=partial(halved, size=4)) == [1, 1, 0.5, 0.5]
    assert rates(7 / 3, 36, scheduler=partial(halved, size=15))[34:] == [1, 0.5]  # 35 / (7 / 3) is a little below 15
    cosine = [(1 + math.cos(math.pi * n / 4)) / 2 for n in range(4)]
    assert rates(3.0, 12, scheduler=partial(Cosine, total=4)) == pytest.approx([rate for rate in cosine for _ in "123"])
    assert rates(3.0, 12, scheduler=Cosine)[6] == pytest.approx(0.5)


def test_adam_is_one_kernel_on_a_cpu_unless_the_user_chooses() -> None:
    def groups(**kwargs: object) -> dict[str, Any]:
        parts = {"student": ([nn.Parameter(torch.ones(2))], Optim(partial(torch.optim.AdamW, **kwargs)))}
        return Optimisers(parts, 1, 1).optimizers["student"].param_groups[0]

    assert groups()["fused"]
    assert groups(foreach=True)["fused"] is None
    assert groups(foreach=False)["fused"] is None
    assert groups(fused=False)["fused"] is False
    assert not groups(amsgrad=True, differentiable=True)["fused"]


def test_one_kernel_takes_the_steps_of_the_formula() -> None:
    optimisers, parameter = build()
    m = v = torch.zeros(2)
    expected = torch.ones(2)
    for n in range(1, 4):
        optimisers.zero_grad()
        parameter.square().sum().backward()
        optimisers.step()
        m, v = 0.9 * m + 0.1 * 2 * expected, 0.999 * v + 0.001 * (2 * expected).square()
        expected = expected - m / (1 - 0.9**n) / ((v / (1 - 0.999**n)).sqrt() + 1e-8)
        torch.testing.assert_close(parameter.detach(), expected)
    assert optimisers.optimizers["student"].param_groups[0]["fused"]


def test_a_checkpoint_without_it_continues_bit_for_bit() -> None:
    def advance(optimisers: Optimisers, parameter: nn.Parameter) -> None:
        optimisers.zero_grad()
        (parameter.sin() * torch.arange(1.0, 3.0)).sum().backward()
        optimisers.step()

    a, p = build()
    a.optimizers["student"].param_groups[0]["fused"] = None  # as versions before had it
    advance(a, p)
    b, q = build()
    q.data.copy_(p.data)
    b.load_state_dict(copy.deepcopy(a.state_dict()))
    for _ in range(3):
        advance(a, p)
        advance(b, q)
    assert b.optimizers["student"].param_groups[0]["fused"] is None
    assert torch.equal(p, q)


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD])
def test_one_kernel_is_right_whatever_the_strides(kind: Callable[..., torch.optim.Optimizer]) -> None:
    """A gradient with other strides than its parameter, then state with others, as of a run in another layout."""
    torch.manual_seed(0)
    start, gradient = torch.randn(8, 4, 3, 3), torch.randn(8, 4, 3, 3)
    found = []
    for fused, layout in (
        (False, torch.contiguous_format),
        (True, torch.channels_last),
        (True, torch.contiguous_format),
    ):
        p = nn.Parameter(start.clone(memory_format=layout))
        optimisers = Optimisers({"student": ([p], Optim(partial(kind, lr=0.1, fused=fused)))}, 1, 1)
        p.grad = gradient.clone()
        optimisers.step()
        state = optimisers.state_dict()
        for values in state["optimizers"]["student"]["state"].values():
            values |= {name: x.contiguous() for name, x in values.items() if torch.is_tensor(x)}
        optimisers.load_state_dict(state)
        p.grad = gradient.to(memory_format=torch.channels_last) * 2
        optimisers.step()
        found.append(p.detach())
    torch.testing.assert_close(found[1], found[0])
    torch.testing.assert_close(found[2], found[0])
