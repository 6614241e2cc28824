import pytest
import torch
from tests.reference.distill_reference import bilinear, conv1x1

from tutelage.distill import Conv1x1, Identity


@pytest.mark.parametrize("size", [(4, 6), (8, 12), (5, 13), (2, 3), (3, 4)])  # equal, larger, smaller
def test_convolves_and_resizes(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    adaptor, feature = Conv1x1(5, 3), torch.randn(2, 5, 4, 6)
    expected = conv1x1(adaptor.conv.weight, bilinear(feature, *size))
    torch.testing.assert_close(adaptor(feature, size), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("size", "convolved"), [((8, 12), (4, 6)), ((2, 3), (2, 3))])
def test_convolves_where_positions_are_fewer(size: tuple[int, int], convolved: tuple[int, int]) -> None:
    adaptor, feature = Conv1x1(5, 3), torch.randn(2, 5, 4, 6)
    seen: list[torch.Size] = []
    adaptor.conv.register_forward_hook(lambda module, args, result: seen.append(result.shape[2:]))
    assert adaptor(feature, size).shape == (2, 3, *size)
    assert seen == [convolved]


def test_gradients_reach_feature_and_weight() -> None:
    adaptor, feature = Conv1x1(5, 3), torch.randn(2, 5, 4, 6, requires_grad=True)
    adaptor(feature, (2, 3)).square().sum().backward()
    assert feature.grad is not None
    assert feature.grad.isfinite().all()
    assert adaptor.conv.weight.grad is not None


def test_init() -> None:
    """Xavier normal has variance 2 / (in + out); PyTorch's default is uniform within 1 / sqrt(in)."""
    torch.manual_seed(0)
    weight = Conv1x1(256, 64).conv.weight
    torch.testing.assert_close(weight.std().item(), (2 / 320) ** 0.5, rtol=0.05, atol=0)
    assert weight.abs().max() > 1 / 256**0.5
    assert Conv1x1(256, 64, init="default").conv.weight.abs().max() <= 1 / 256**0.5


def test_parameters_are_one_matrix_without_bias() -> None:
    assert {name: tuple(p.shape) for name, p in Conv1x1(5, 3).named_parameters()} == {"conv.weight": (3, 5, 1, 1)}


def test_identity_only_resizes() -> None:
    feature = torch.randn(2, 3, 4, 6)
    assert Identity(3, 3)(feature, (4, 6)) is feature
    torch.testing.assert_close(Identity(3, 3)(feature, (8, 12)), bilinear(feature, 8, 12), rtol=1e-4, atol=1e-5)
    assert not list(Identity(3, 3).parameters())
    with pytest.raises(ValueError, match=r"expected as many channels .* found 3 and 4; take Conv1x1"):
        Identity(3, 4)
