"""What every distance promises."""

import pytest
import torch
from torch import Tensor

from tutelage.distill import Distance

SHAPES = {
    "dense": (4, 5, 2, 3),
    "channels_last": (4, 5, 2, 3),
    "tokens": (4, 5, 6),
    "one position": (4, 5, 1, 1),
    "flat": (4, 5),
}


def features(kind: str) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    a, b = torch.randn(SHAPES[kind]), torch.randn(SHAPES[kind])
    if kind == "channels_last":
        return a.contiguous(memory_format=torch.channels_last), b.contiguous(memory_format=torch.channels_last)
    return a, b


class DistanceTester:
    """A new distance inherits it, names itself in `distance` and says here what holds for it; both are tested."""

    scale_invariant: bool  # d(s a, t b) = d(a, b)
    symmetric: bool
    largest: float | None  # the end of its range; None: it has none
    dead: tuple[float, float] | None  # d where one feature is zero, and where both are; None: it follows the other one
    sees_channels: bool = True  # notices when the channels of one feature are permuted
    independent_images: bool = True  # an image's value does not depend on the others of the batch

    @pytest.fixture
    def distance(self) -> Distance:
        raise NotImplementedError

    @pytest.fixture(params=["channels_last", "tokens", "one position", "flat"])
    def pair(self, request: pytest.FixtureRequest) -> tuple[Tensor, Tensor]:
        return features(request.param)

    def test_one_value_an_image(self, distance: Distance, pair: tuple[Tensor, Tensor]) -> None:
        a, b = pair
        d = distance(a, b)
        assert d.shape == (4,)
        alone = torch.cat([distance(a[i : i + 1], b[i : i + 1]) for i in range(4)])
        if self.independent_images:
            torch.testing.assert_close(d, alone)
        else:
            assert (d == d[0]).all()
            assert not torch.allclose(d, alone)

    def test_range(self, distance: Distance, pair: tuple[Tensor, Tensor]) -> None:
        a, b = pair
        torch.testing.assert_close(distance(a, a), torch.zeros(4), atol=1e-6, rtol=0)
        assert (distance(a, b) > 1e-3).all()
        if self.largest is None:
            assert (distance(1000 * a, -1000 * b) > 10).all()
        else:
            assert (distance(1000 * a, -1000 * b) < self.largest).all()

    def test_symmetric(self, distance: Distance, pair: tuple[Tensor, Tensor]) -> None:
        a, b = pair
        assert torch.allclose(distance(a, b), distance(b, a)) == self.symmetric

    def test_scale(self, distance: Distance, pair: tuple[Tensor, Tensor]) -> None:
        a, b = pair
        for scaled in (distance(7 * a, b), distance(a, 0.3 * b)):
            assert torch.allclose(scaled, distance(a, b), rtol=1e-4, atol=1e-5) == self.scale_invariant

    def test_channels_are_axis_1_and_positions_the_rest(self, distance: Distance, pair: tuple[Tensor, Tensor]) -> None:
        a, b = pair
        if a.ndim > 2:
            torch.testing.assert_close(distance(a.flatten(2), b.flatten(2)), distance(a, b))
        turned = a.flip(1)
        torch.testing.assert_close(distance(turned, b.flip(1)), distance(a, b))
        assert torch.allclose(distance(turned, b), distance(a, b)) != self.sees_channels

    def test_gradient_against_finite_differences(self, distance: Distance, pair: tuple[Tensor, Tensor]) -> None:
        a, b = (x.double().requires_grad_() for x in pair)
        assert torch.autograd.gradcheck(distance, (a, b))

    @pytest.mark.parametrize("dead", ["a", "b", "both"])
    def test_zero_features(self, distance: Distance, pair: tuple[Tensor, Tensor], dead: str) -> None:
        a, b = (x.clone() for x in pair)
        if dead != "b":
            a.zero_()
        if dead != "a":
            b.zero_()
        a.requires_grad_()
        d = distance(a, b)
        d.sum().backward()
        if self.dead is not None:
            torch.testing.assert_close(d.detach(), torch.full((4,), self.dead[dead == "both"]), rtol=1e-4, atol=0)
        assert d.isfinite().all()
        assert a.grad is not None
        assert a.grad.isfinite().all()

    def test_features_that_are_zero_in_places(self, distance: Distance, pair: tuple[Tensor, Tensor]) -> None:
        a, b = (x.clone() for x in pair)
        a[0], a[1, ..., 0], b[2] = 0, 0, 0
        a.requires_grad_()
        d = distance(a, b)
        d.sum().backward()
        assert d.isfinite().all()
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

    def test_the_gradient_has_the_type_of_the_feature(self, distance: Distance, pair: tuple[Tensor, Tensor]) -> None:
        a, b = (x.bfloat16() for x in pair)
        exact = a.float().requires_grad_()
        a.requires_grad_()
        distance(a, b).sum().backward()
        distance(exact, b.float()).sum().backward()
        assert a.grad is not None
        assert a.grad.dtype == torch.bfloat16
        torch.testing.assert_close(a.grad.float(), exact.grad, rtol=1e-2, atol=1e-4)

    def test_shapes_that_differ_are_named(self, distance: Distance) -> None:
        with pytest.raises(
            ValueError, match=r"equal shape, found \(1, 2, 3, 3\) of the adaptor and \(1, 4, 3, 3\) of the teacher"
        ):
            distance(torch.rand(1, 2, 3, 3), torch.rand(1, 4, 3, 3))
