import pytest
import torch
from tests.nets.net_tester import WIDTHS, NetTester
from torch import Tensor
from torch.nn.functional import batch_norm, conv2d, linear, relu

from tutelage.nets import ResNet
from tutelage.types import MultiTaskNet


class TestResNet(NetTester):
    size = (32, 24)
    sizes = ((8, 8), (16, 16), (28, 28), (9, 33))
    dense = False
    taps = {"stage1", "stage2", "stage3", "bottleneck", "last"}

    def build(self, widths: dict[str, int]) -> MultiTaskNet:
        return ResNet(widths, filters=(8, 16, 16), blocks=2)


class TestGroups(TestResNet):
    def build(self, widths: dict[str, int]) -> MultiTaskNet:
        return ResNet(widths, filters=(8, 16, 32), blocks=1, norm="group")


def test_parameters_are_those_of_resnet26() -> None:
    with torch.device("meta"):
        net = ResNet({"digit": 10})
    weights = [p for p in net.parameters() if p.ndim > 1]
    assert len(weights) == 26
    stages, sizes, norms = ((32, 64), (64, 128), (128, 256)), 3 * 9 * 32, 2 * (32 + 256)
    for inputs, outputs in stages:
        sizes += 9 * (inputs * outputs + 7 * outputs * outputs)
        norms += 8 * 2 * outputs
    assert sum(p.numel() for p in net.parameters()) == sizes + norms + 256 * 10 + 10 == 5_817_258


def plain(net: ResNet, images: Tensor) -> Tensor:
    """The follow-up's network for even sizes, weight after weight, in eval mode with fresh statistics."""
    weights = iter([p for name, p in net.named_parameters() if not name.startswith("heads")])

    def normalised_conv(x: Tensor, stride: int) -> Tensor:
        x = conv2d(x, next(weights), stride=stride, padding=1)
        return normalise(x)

    def normalise(x: Tensor) -> Tensor:
        zeros, ones = torch.zeros(x.shape[1]), torch.ones(x.shape[1])
        return batch_norm(x, zeros, ones, next(weights), next(weights))

    x = normalised_conv(images, 1)
    for stage in net.stages:
        for number in range(len(stage)):
            y = normalised_conv(relu(normalised_conv(x, 2 if number == 0 else 1)), 1)
            if number == 0:
                x = (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4
                x = torch.cat([x, torch.zeros(len(x), y.shape[1] - x.shape[1], *x.shape[2:])], 1)
            x = relu(x + y)
    return linear(normalise(x).flatten(2).mean(2), net.heads["depth"].weight, net.heads["depth"].bias)


@torch.no_grad()
def test_the_forward_is_the_follow_ups() -> None:
    torch.manual_seed(0)
    net, images = ResNet(WIDTHS, filters=(8, 16, 24), blocks=2).eval(), torch.rand(3, 3, 16, 32)
    for p in net.parameters():
        if p.ndim == 1:
            p.uniform_(0.5, 1.5)
    torch.testing.assert_close(net(images).predictions["depth"], plain(net, images))


def test_taps() -> None:
    output = ResNet({"a": 5}, filters=(8, 12), blocks=1)(torch.rand(2, 3, 17, 30))
    assert {name: tuple(tap.shape) for name, tap in output.taps.items()} == {
        "stage1": (2, 8, 9, 15),
        "stage2": (2, 12, 5, 8),
        "bottleneck": (2, 12, 5, 8),
        "last": (2, 12),
    }
    assert output.taps["bottleneck"] is output.taps["stage2"]
    assert output.shared == (output.taps["last"],)


@torch.no_grad()
def test_groups_look_at_one_image_alone() -> None:
    images = torch.rand(3, 3, 16, 16)
    for norm, alone in (("group", True), ("batch", False)):
        net = ResNet({"a": 2}, filters=(8, 32), blocks=1, norm=norm)
        one, all_three = net(images[:1]).predictions["a"], net(images).predictions["a"][:1]
        assert torch.allclose(one, all_three, atol=1e-5) is alone
    groups = [m.num_groups for m in ResNet({"a": 2}, norm="group").modules() if isinstance(m, torch.nn.GroupNorm)]
    assert sorted(set(groups)) == [2, 4, 8, 16]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ResNet({}), "expected one task or more"),
        (lambda: ResNet({"a": 0}), "at least one channel"),
        (lambda: ResNet({"a": 1}, filters=()), r"one stage or more that do not decrease, found \[\]"),
        (lambda: ResNet({"a": 1}, filters=(64, 32)), r"do not decrease, found \[64, 32\]"),
        (lambda: ResNet({"a": 1}, filters=(0, 32)), r"do not decrease, found \[0, 32\]"),
        (lambda: ResNet({"a": 1}, blocks=0), "at least one block per stage, found 0"),
        (lambda: ResNet({"a": 1}, (4, 4, 4), 1)(torch.rand(1, 3, 7, 64)), r"at least 8x8, found \(7, 64\)"),
        (lambda: ResNet({"a": 1}, (4,), 1)(torch.rand(1, 3, 2, 2), ["b"]), "tasks among a; found `b`"),
    ],
)
def test_mistakes(build: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        build()
    assert "\n" not in str(error.value)
