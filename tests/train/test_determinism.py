import warnings

import pytest
import torch
from torch.nn.functional import max_unpool2d

from tutelage.nets import SegNet
from tutelage.tasks import Segmentation
from tutelage.tasks.segmentation import _cross_entropy
from tutelage.train import deterministic
from tutelage.types import DeterministicWarning

IMAGES = torch.rand(2, 3, 33, 47, generator=torch.Generator().manual_seed(0))


def flags() -> tuple[bool, bool, bool]:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.deterministic,
    )


def test_the_mode_ends_with_the_block() -> None:
    before = flags()
    with deterministic(True):
        assert flags() == (True, True, True)
    assert flags() == before
    with pytest.raises(KeyError), deterministic(True):
        raise KeyError
    assert flags() == before


def test_off_changes_nothing() -> None:
    before = flags()
    with deterministic(False) as found:
        assert flags() == before
    assert found == {}


def test_an_operation_without_a_deterministic_algorithm_is_named() -> None:
    x, index = torch.nn.functional.max_pool2d(IMAGES[..., :32, :46], 2, return_indices=True)
    with deterministic(True) as found:
        max_unpool2d(x, index, [2, 2])
    assert "max_unpooling2d_forward_out" in found
    assert "results may differ" in found["max_unpooling2d_forward_out"]


def test_other_warnings_are_shown() -> None:
    with pytest.warns(UserWarning, match="something else"), deterministic(True):
        warnings.warn("something else", stacklevel=1)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_segnet_takes_another_unpooling_with_the_same_result(layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    net = SegNet({"segmentation": 4}, filters=(4, 6, 6, 8, 8)).to(memory_format=layout)
    images = IMAGES.contiguous(memory_format=layout)

    def gradients() -> list[torch.Tensor]:
        net.zero_grad()
        net(images).predictions["segmentation"].square().sum().backward()
        return [p.grad.clone() for p in net.parameters()]

    expected = gradients()
    with deterministic(True) as found:
        actual = gradients()
    assert found["max_unpool2d"] == "scatter in its place"
    for a, b in zip(actual, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_the_cross_entropy_of_a_gpu_is_the_same() -> None:
    logits = torch.randn(2, 5, 4, 6, generator=torch.Generator().manual_seed(0), requires_grad=True)
    task = Segmentation(classes=5)
    labels = torch.randint(-1, 5, (2, 4, 6), generator=torch.Generator().manual_seed(1))
    target = task.collate([*labels], torch.zeros(2, 3, 4, 6))
    with pytest.warns(DeterministicWarning, match="replaced by gather"):
        other = _cross_entropy(logits, target)
    torch.testing.assert_close(other, task.loss(logits, target).sum)
    a, b = (torch.autograd.grad(x, logits)[0] for x in (other, task.loss(logits, target).sum))
    torch.testing.assert_close(a, b)
