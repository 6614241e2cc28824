import pytest
import torch
from tests.reference.distill_reference import distance, norm_add, norm_clamp
from torch import Tensor

from tutelage.distill import Distance, NormalisedL2


class DistanceTester:
    """What every distance of ours promises; a new one inherits it and names itself in `distance`."""

    @pytest.fixture
    def distance(self) -> Distance:
        raise NotImplementedError

    @pytest.fixture(params=["dense", "channels_last", "one position", "flat"])
    def pair(self, request: pytest.FixtureRequest) -> tuple[Tensor, Tensor]:
        shape = {"one position": (3, 5, 1, 1), "flat": (3, 5)}.get(request.param, (3, 5, 4, 6))
        torch.manual_seed(0)
        a, b = torch.randn(shape), torch.randn(shape)
        if request.param == "channels_last":
            a, b = a.contiguous(memory_format=torch.channels_last), b.contiguous(memory_format=torch.channels_last)
        return a, b

    def test_one_value_an_image_each_its_own(self, distance: Distance, pair: tuple[Tensor, Tensor]) -> None:
        a, b = pair
        d = distance(a, b)
        assert d.shape == (3,)
        torch.testing.assert_close(d, torch.cat([distance(a[i : i + 1], b[i : i + 1]) for i in range(3)]))

    def test_0_for_equal_and_within_0_and_4(self, distance: Distance, pair: tuple[Tensor, Tensor]) -> None:
        a, b = pair
        torch.testing.assert_close(distance(a, a), torch.zeros(3), atol=1e-6, rtol=0)
        torch.testing.assert_close(distance(a, -a), torch.full((3,), 4.0))
        assert (distance(a, b) > 0).all()
        assert (distance(a, b) < 4).all()

    def test_symmetric(self, distance: Distance, pair: tuple[Tensor, Tensor]) -> None:
        a, b = pair
        torch.testing.assert_close(distance(a, b), distance(b, a))

    def test_the_scale_of_either_does_not_matter(self, distance: Distance, pair: tuple[Tensor, Tensor]) -> None:
        a, b = pair
        torch.testing.assert_close(distance(7 * a, b * 0.3), distance(a, b), rtol=1e-4, atol=1e-5)

    def test_gradient_against_finite_differences(self, distance: Distance, pair: tuple[Tensor, Tensor]) -> None:
        a, b = (x.double().requires_grad_() for x in pair)
        assert torch.autograd.gradcheck(distance, (a, b))

    @pytest.mark.parametrize("dead", ["a", "b", "both"])
    def test_all_zero_positions(self, distance: Distance, pair: tuple[Tensor, Tensor], dead: str) -> None:
        a, b = (x.clone() for x in pair)
        if dead != "b":
            a.zero_()
        if dead != "a":
            b.zero_()
        a.requires_grad_()
        d = distance(a, b)
        d.sum().backward()
        torch.testing.assert_close(d.detach(), torch.full((3,), 0.0 if dead == "both" else 1.0), rtol=1e-4, atol=0)
        assert a.grad is not None
        assert a.grad.isfinite().all()

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_in_fp32_under_autocast(self, distance: Distance, pair: tuple[Tensor, Tensor], dtype: torch.dtype) -> None:
        a, b = (x.to(dtype) for x in pair)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            d = distance(a, b)
            exact = distance(*pair)
        assert d.dtype == torch.float32
        torch.testing.assert_close(d, distance(a.float(), b.float()), rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(exact, distance(*pair), rtol=0, atol=0)

    def test_shapes_that_differ_are_named(self, distance: Distance) -> None:
        with pytest.raises(ValueError, match=r"has shape \(1, 2, 3, 3\), the teacher's \(1, 4, 3, 3\)"):
            distance(torch.rand(1, 2, 3, 3), torch.rand(1, 4, 3, 3))


class TestNormalisedL2Add(DistanceTester):
    @pytest.fixture
    def distance(self) -> Distance:
        return NormalisedL2(epsilon=1e-6, guard="add")


class TestNormalisedL2Clamp(DistanceTester):
    @pytest.fixture
    def distance(self) -> Distance:
        return NormalisedL2(epsilon=1e-12, guard="clamp")


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


def test_gradient_keeps_the_features_dtype() -> None:
    a = torch.randn(2, 3, 4, 4, dtype=torch.bfloat16, requires_grad=True)
    NormalisedL2()(a, torch.randn(2, 3, 4, 4, dtype=torch.bfloat16)).sum().backward()
    assert a.grad is not None
    assert a.grad.dtype == torch.bfloat16


def test_epsilon_that_is_not_positive() -> None:
    with pytest.raises(ValueError, match=r"epsilon should be positive\. Found 0\."):
        NormalisedL2(epsilon=0)
