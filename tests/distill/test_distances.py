from collections.abc import Callable
from typing import Literal

import pytest
import torch
from tests.distill.distance_tester import DistanceTester, features
from tests.reference.distill_reference import (
    attention_transfer,
    cauchy_schwarz_both_ways,
    cosine,
    distance,
    kl,
    mean_over_positions,
    norm_add,
    norm_clamp,
    smooth_l1,
    squared_error,
)
from torch import Tensor

from tutelage.distill import KL, L2, AttentionTransfer, CauchySchwarz, Cosine, Distance, NormalisedL2, SmoothL1
from tutelage.distill.distances import normalised_l2


class TestNormalisedL2Add(DistanceTester):
    scale_invariant, symmetric, largest, dead = True, True, 4.0, (1.0, 0.0)

    @pytest.fixture
    def distance(self) -> Distance:
        return NormalisedL2(epsilon=1e-6, guard="add")


class TestNormalisedL2Clamp(DistanceTester):
    scale_invariant, symmetric, largest, dead = True, True, 4.0, (1.0, 0.0)

    @pytest.fixture
    def distance(self) -> Distance:
        return NormalisedL2(epsilon=1e-12, guard="clamp")


class TestCosine(DistanceTester):
    scale_invariant, symmetric, largest, dead = True, True, 2.0, (1.0, 1.0)

    @pytest.fixture
    def distance(self) -> Distance:
        return Cosine()


class TestL2(DistanceTester):
    scale_invariant, symmetric, largest, dead = False, True, None, None

    @pytest.fixture
    def distance(self) -> Distance:
        return L2()


class TestSmoothL1(DistanceTester):
    scale_invariant, symmetric, largest, dead = False, True, None, None

    @pytest.fixture
    def distance(self) -> Distance:
        return SmoothL1(beta=0.5)


class TestKL(DistanceTester):
    scale_invariant, symmetric, largest, dead = False, False, None, None

    @pytest.fixture
    def distance(self) -> Distance:
        return KL(temperature=2.0)

    def test_a_constant_at_a_position_does_not_matter(self, distance: Distance, pair: tuple[Tensor, Tensor]) -> None:
        a, b = pair
        shift = torch.randn_like(a[:, :1])
        torch.testing.assert_close(distance(a + shift, b - shift), distance(a, b), rtol=1e-4, atol=1e-6)


class TestCauchySchwarz(DistanceTester):
    scale_invariant, symmetric, largest, dead = False, True, None, None

    @pytest.fixture(params=[1.0, 0.0], ids=["both ways", "channels alone"])
    def distance(self, request: pytest.FixtureRequest) -> Distance:
        return CauchySchwarz(positions=request.param)

    def test_one_channel_is_compared_over_its_positions(self, distance: Distance) -> None:
        a, b = (x[:, :1] for x in features("tokens"))
        assert ((distance(a, b) > 1e-3) == bool(distance.positions)).all()


class TestAttentionTransfer(DistanceTester):
    scale_invariant, symmetric, largest, dead = True, True, 2.0, (1.0, 0.0)
    sees_channels = False

    @pytest.fixture(params=["channels_last", "tokens"])
    def pair(self, request: pytest.FixtureRequest) -> tuple[Tensor, Tensor]:
        return features(request.param)

    @pytest.fixture(params=[1.0, 2.0])
    def distance(self, request: pytest.FixtureRequest) -> Distance:
        return AttentionTransfer(request.param)

    @pytest.mark.parametrize("kind", ["one position", "flat"])
    def test_a_single_position_is_refused(self, distance: Distance, kind: str) -> None:
        with pytest.raises(ValueError, match=r"more than one position, .* found shape \(4, 5.*take another distance"):
            distance(*features(kind))


FORMULAS: dict[str, tuple[Distance, Callable[[Tensor, Tensor], Tensor]]] = {
    "cosine": (Cosine(), lambda a, b: mean_over_positions(a, b, cosine)),
    "l2": (L2(), lambda a, b: mean_over_positions(a, b, squared_error)),
    "smooth l1": (SmoothL1(0.7), lambda a, b: mean_over_positions(a, b, lambda p, q: smooth_l1(p, q, 0.7))),
    "kl": (KL(3.0), lambda a, b: mean_over_positions(a, b, lambda p, q: kl(p, q, 3.0))),
    "cauchy-schwarz": (CauchySchwarz(0.5, 2.0, 3.0), lambda a, b: cauchy_schwarz_both_ways(a, b, 0.5, 2.0, 3.0)),
    "attention": (AttentionTransfer(), lambda a, b: attention_transfer(a, b, 2.0)),
    "attention, p = 3": (AttentionTransfer(3.0), lambda a, b: attention_transfer(a, b, 3.0)),
}


@pytest.mark.parametrize("kind", ["dense", "tokens"])
@pytest.mark.parametrize("name", FORMULAS)
def test_value_and_gradient_equal_the_formula(name: str, kind: str) -> None:
    ours, formula = FORMULAS[name]
    a, b = (x.double() for x in features(kind))
    a.requires_grad_()
    expected, d = formula(a, b), ours(a, b)
    torch.testing.assert_close(d, expected)
    weights = torch.arange(1.0, 5.0, dtype=torch.float64)
    want, got = (torch.autograd.grad((weights * x).sum(), a)[0] for x in (expected, d))
    torch.testing.assert_close(got, want)


def test_cosine_is_half_of_the_papers_distance() -> None:
    a, b = features("dense")
    torch.testing.assert_close(2 * Cosine()(a, b), NormalisedL2()(a, b), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SmoothL1(0.0), r"SmoothL1\.beta: expected a positive number, found 0\.0; .* take"),
        (lambda: KL(-1.0), r"KL\.temperature: expected a positive number, found -1\.0; take"),
        (lambda: CauchySchwarz(-1.0), r"CauchySchwarz\.channels: expected a weight of at least 0, found -1\.0"),
        (lambda: CauchySchwarz(0, 0), r"CauchySchwarz: expected `channels` or `positions` above 0, found both 0"),
        (lambda: CauchySchwarz(temperature=0), r"CauchySchwarz\.temperature: expected a positive number, found 0"),
        (lambda: AttentionTransfer(0.5), r"AttentionTransfer\.p: expected at least 1, found 0\.5; below"),
    ],
)
def test_wrong_arguments(make: Callable[[], Distance], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(("guard", "epsilon", "norm"), [("add", 1e-6, norm_add), ("clamp", 1e-12, norm_clamp)])
@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-13])  # the guard does nothing, something, everything
def test_value_and_gradient_equal_the_loop(guard, epsilon, norm, scale) -> None:
    torch.manual_seed(0)
    a = (torch.randn(2, 3, 4, 5) * scale).requires_grad_()
    b = torch.randn(2, 3, 4, 5).relu()
    expected = distance(a.double(), b.double(), norm)
    (gradient,) = torch.autograd.grad(expected, a)
    d = NormalisedL2(epsilon, guard)(a, b).mean()
    d.backward()
    torch.testing.assert_close(d.double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(a.grad, gradient, rtol=1e-4, atol=1e-6 * float(gradient.abs().max()))


def test_a_distance_of_ones_own_runs_outside_autocast() -> None:
    class Gram(Distance):
        def per_image(self, a: Tensor, b: Tensor) -> Tensor:
            return (a @ b.transpose(-1, -2)).flatten(1).sum(1)  # a product that autocast would take in bf16

    a, b = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        d = Gram()(a, b)
    assert d.dtype == torch.float32
    torch.testing.assert_close(d, Gram()(a, b), rtol=0, atol=0)


def test_long_sums_keep_fp32_precision() -> None:
    """Sums over many positions and channels are as exact as fp32 allows."""
    torch.manual_seed(0)
    a, b = torch.randn(2, 64, 96, 128), torch.randn(2, 64, 96, 128).relu()
    d = NormalisedL2()
    torch.testing.assert_close(d(a, b), d(a.double(), b.double()).float(), rtol=1e-6, atol=0)


def test_epsilon_that_is_not_positive() -> None:
    with pytest.raises(ValueError, match=r"NormalisedL2.epsilon: expected a positive number, found 0"):
        NormalisedL2(epsilon=0)


@pytest.mark.parametrize("guard", ["add", "clamp"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_blocks_do_not_change_the_normalised_l2(
    guard: Literal["add", "clamp"], dtype: torch.dtype, layout: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(2, 5, 9, 6, generator=generator).to(dtype).contiguous(memory_format=layout) for _ in range(2))

    def values(block: int) -> tuple[torch.Tensor, ...]:
        monkeypatch.setattr(normalised_l2, "_BLOCK", block)
        x, y = a.detach().requires_grad_(), b.detach().requires_grad_()
        d = NormalisedL2(guard=guard)(x, y)
        return (d, *torch.autograd.grad(d.sum(), (x, y)))

    whole = values(2**20)
    for block, lengths in ((135, [2, 2, 2, 2, 1]), (60, [1] * 9)):  # the last is as long as the others, or not
        monkeypatch.setattr(normalised_l2, "_BLOCK", block)
        assert [a[part].shape[2] for part in normalised_l2._blocks(a)] == lengths
        for own, expected in zip(values(block), whole, strict=True):
            torch.testing.assert_close(own, expected)
