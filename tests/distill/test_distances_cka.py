import pytest
import torch
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import KernelCenterer
from tests.distill.distance_tester import SHAPES, DistanceTester, features
from tests.reference.distill_reference import cka, median_distance, per_image_vectors, rbf
from torch import Tensor

from tutelage.distill import CKA, RBFCKA, Distance, LinearCKA


class CKATester(DistanceTester):
    symmetric, largest, dead = True, 1.0, (1.0, 1.0)
    independent_images = sees_channels = False

    @pytest.fixture(params=["channels_last", "flat"])
    def pair(self, request: pytest.FixtureRequest) -> tuple[Tensor, Tensor]:
        return features(request.param)

    def test_a_rotation_does_not_matter(self, distance: Distance, pair: tuple[Tensor, Tensor]) -> None:
        a, b = pair
        rotation, _ = torch.linalg.qr(torch.randn(5, 5))
        turned = torch.einsum("bc...,cd->bd...", a, rotation)
        torch.testing.assert_close(distance(turned, b), distance(a, b), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(distance(turned, a), torch.zeros(4), rtol=0, atol=1e-6)
        stretched = torch.einsum("bc...,cd->bd...", a, rotation * torch.tensor([9.0, 1, 1, 1, 1]))
        assert (distance(stretched, a) > 1e-2).all()

    def test_the_order_of_the_images_does_not_matter_if_it_is_the_same(
        self, distance: Distance, pair: tuple[Tensor, Tensor]
    ) -> None:
        a, b = pair
        torch.testing.assert_close(distance(a.flip(0), b.flip(0)), distance(a, b))
        assert not torch.allclose(distance(a.roll(1, 0), b), distance(a, b), rtol=1e-3)

    def test_positions_are_averaged(self, distance: Distance) -> None:
        a, b = features("dense")
        torch.testing.assert_close(distance(a.mean((2, 3)), b.mean((2, 3))), distance(a, b))

    @pytest.mark.parametrize("images", [1, 2])
    def test_one_or_two_images_say_nothing(self, distance: Distance, pair: tuple[Tensor, Tensor], images: int) -> None:
        a, b = (x[:images].clone() for x in pair)
        a.requires_grad_()
        d = distance(a, b)
        d.sum().backward()
        assert torch.equal(d, torch.zeros(images))
        assert a.grad is not None
        assert torch.equal(a.grad, torch.zeros_like(a))

    def test_equal_images(self, distance: Distance) -> None:
        a, b = (x[:1].expand(4, *x.shape[1:]).clone() for x in features("dense"))
        a.requires_grad_()
        d = distance(a, b)
        d.sum().backward()
        torch.testing.assert_close(d.detach(), torch.ones(4), rtol=0, atol=1e-3)
        assert a.grad is not None
        assert a.grad.isfinite().all()


class TestLinearCKA(CKATester):
    scale_invariant = True

    @pytest.fixture
    def distance(self) -> Distance:
        return LinearCKA()


class TestLinearCKAOfFeaturesAsTheyAre(CKATester):
    scale_invariant = True

    @pytest.fixture
    def distance(self) -> Distance:
        return LinearCKA(normalise=False)


class TestRBFCKAMedian(CKATester):
    scale_invariant = True

    @pytest.fixture
    def distance(self) -> Distance:
        return RBFCKA()

    def test_gradient_against_finite_differences(self, distance: Distance, pair: tuple[Tensor, Tensor]) -> None:
        """The median is a constant for the gradient: it is that of the same bandwidth as a number."""
        a, b = (x.double().reshape(4, 5, -1).mean(2) for x in pair)
        sigma = median_distance(list(a))
        b = b * (sigma / median_distance(list(b)))  # the same median
        a.requires_grad_()
        want, got = (torch.autograd.grad(RBFCKA(s, normalise=False)(a, b).sum(), a)[0] for s in (sigma, "median"))
        assert want.any()
        torch.testing.assert_close(got, want)


class TestRBFCKAFixed(CKATester):
    scale_invariant = True

    @pytest.fixture
    def distance(self) -> Distance:
        return RBFCKA(bandwidth=0.7)


class TestRBFCKAOfFeaturesAsTheyAre(CKATester):
    scale_invariant = False

    @pytest.fixture
    def distance(self) -> Distance:
        return RBFCKA(bandwidth=1.5, normalise=False)


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("kernel", ["linear", "fixed", "median"])
@pytest.mark.parametrize("kind", ["dense", "flat"])
def test_value_and_gradient_equal_the_formula(kernel: str, normalise: bool, kind: str) -> None:
    a, b = (x.double() for x in features(kind))
    a.requires_grad_()
    kernels = []
    for x in (per_image_vectors(a, normalise), per_image_vectors(b, normalise)):
        sigma = 0.8 if kernel == "fixed" else median_distance(x)
        kernels.append([[(p * q).sum() if kernel == "linear" else rbf(p, q, sigma) for q in x] for p in x])
    ours: dict[str, CKA] = {
        "linear": LinearCKA(normalise), "fixed": RBFCKA(0.8, normalise), "median": RBFCKA("median", normalise),
    }  # fmt: skip
    expected, d = 1 - cka(*kernels), ours[kernel](a, b)
    torch.testing.assert_close(d, expected.expand(4))
    want, got = (torch.autograd.grad(x, a)[0] for x in (expected, d.mean()))
    torch.testing.assert_close(got, want)


def test_kernels_of_another_library() -> None:
    a, b = features("flat")
    kernels = [KernelCenterer().fit_transform(rbf_kernel(x.numpy(), gamma=1 / (2 * 1.5**2))).ravel() for x in (a, b)]
    lengths = [(k @ k) ** 0.5 for k in kernels]
    expected = 1 - kernels[0] @ kernels[1] / (lengths[0] * lengths[1])
    assert float(RBFCKA(1.5, normalise=False)(a, b)[0]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("distance", [LinearCKA(normalise=False), RBFCKA(normalise=False)])
def test_without_normalising_a_shift_of_all_images_does_not_matter(distance: CKA) -> None:
    a, b = features("flat")
    torch.testing.assert_close(distance(a + torch.arange(5.0), b - 3), distance(a, b), rtol=1e-4, atol=1e-5)


def test_pairs_at_distance_0_are_not_in_the_median() -> None:
    a, b = torch.randn(SHAPES["flat"]), torch.randn(SHAPES["flat"])
    a[1:] = a[1]  # three of six pairs are at distance 0, the others at one
    sigma = float((a[0] - a[1]).norm())
    b = b * (sigma / median_distance(list(b)))
    torch.testing.assert_close(RBFCKA(normalise=False)(a, b), RBFCKA(sigma, normalise=False)(a, b))


def test_bandwidth_that_is_not_positive() -> None:
    with pytest.raises(ValueError, match=r"RBFCKA\.bandwidth: expected a positive number or `median`, found 0"):
        RBFCKA(bandwidth=0.0)
