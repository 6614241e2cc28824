from typing import Any

import pytest
import torch
from tests.nets.deep_supervision_tester import DeepSupervisionTester, depends, ids
from tests.nets.net_tester import WIDTHS
from torch import Tensor, nn
from torch.nn.functional import batch_norm, conv2d

from tutelage.nets import PADNet
from tutelage.nets.pad_net import GatedMessages, Joined, Messages, MessagesGatedBySender, Residual
from tutelage.types import MultiTaskNet

NARROW = {"decoder_channels": 8}
DPT = {"decoder_intermediate_channels": [4, 6, 8, 8], "decoder_fusion_channels": 8}
STAGES = {"stage1", "stage2", "stage3", "stage4"}


class PADNetTester(DeepSupervisionTester):
    taps = {*STAGES, "bottleneck", "initial", "last"}
    firsts = ("initial",)

    def first_head(self, net: MultiTaskNet, scale: int, task: str) -> nn.Module:
        return net.initial_heads[task]

    def test_a_tap_after_distillation_is_of_all_decoders(self, net: MultiTaskNet, images: Tensor) -> None:
        output = net(images, tasks=())
        for t, decoder in net.decoders.items():
            assert depends(output, output.taps["initial"]["depth"], decoder) == {t == "depth"}
            assert depends(output, output.taps["last"]["depth"], decoder) == {True}

    def test_ownership(self, net: MultiTaskNet) -> None:
        assert ids(net.shared_parameters()) == ids([*net.encoder.parameters(), *net.decoders.parameters()])
        for t in WIDTHS:
            own = [net.heads[t], net.initial_heads[t], net.distillations[t], net.refinements[t]]
            assert ids(net.task_parameters(t)) == ids([p for module in own for p in module.parameters()])


class TestPADNet(PADNetTester):
    taps = {*PADNetTester.taps, "stage5"}

    def make(self, widths: dict[str, int]) -> MultiTaskNet:
        return PADNet(widths, "test_resnet", decoder_args=NARROW)


class TestJoined(PADNetTester):
    def make(self, widths: dict[str, int]) -> MultiTaskNet:
        return PADNet(widths, "test_convnext", "UPerNet", "a", decoder_args=NARROW)


class TestMessages(PADNetTester):
    def make(self, widths: dict[str, int]) -> MultiTaskNet:
        return PADNet(widths, "test_vit", "DPT", "b", decoder_args=DPT)


def built(*tasks: str, seed: int = 0, **arguments: Any) -> PADNet:
    torch.manual_seed(seed)
    widths = {t: WIDTHS[t] for t in tasks or WIDTHS}
    return PADNet(widths, "test_resnet", **{"decoder_args": NARROW, **arguments})


def features(tasks: tuple[str, ...] = ("b", "c", "a")) -> dict[str, Tensor]:
    """Features of some tasks, in an order that is not that of their names."""
    generator = torch.Generator().manual_seed(1)
    return {t: torch.randn(2, 4, 5, 6, generator=generator) for t in tasks}


def slow(f: Tensor, weight: Tensor) -> Tensor:
    """A 3x3 convolution, position by position."""
    y = torch.zeros_like(f)
    for row in range(f.shape[2]):
        for column in range(f.shape[3]):
            for i in range(3):
                for j in range(3):
                    r, c = row + i - 1, column + j - 1
                    if 0 <= r < f.shape[2] and 0 <= c < f.shape[3]:
                        y[:, :, row, column] += f[:, :, r, c] @ weight[:, :, i, j].T
    return y


def reference(kind: type[nn.Module], task: str, f: dict[str, Tensor], state: dict[str, Tensor]) -> Tensor:
    """The formulas of the papers."""
    if kind is Joined:
        return torch.cat([f["a"], f["b"], f["c"]], 1)
    y = f[task].clone()
    for other in f:
        if other != task:
            told = slow(f[other], state[f"messages.{other}.weight"])
            if kind is GatedMessages:
                told = told / (1 + (-slow(f[task], state["gate.weight"])).exp())
            if kind is MessagesGatedBySender:
                told = told / (1 + (-slow(f[other], state[f"gates.{other}.weight"])).exp())
            y += told
    return y


@torch.no_grad()
@pytest.mark.parametrize("task", ["a", "b", "c"])
@pytest.mark.parametrize("kind", [Joined, Messages, GatedMessages, MessagesGatedBySender])
def test_distillation_is_the_papers(kind: Any, task: str) -> None:
    torch.manual_seed(0)
    f = features()
    module = kind(task, f, 4)
    torch.testing.assert_close(module(f), reference(kind, task, f, module.state_dict()))


@torch.no_grad()
@pytest.mark.parametrize("kind", [Joined, Messages, GatedMessages, MessagesGatedBySender])
def test_the_order_of_many_tasks_does_not_matter(kind: Any) -> None:
    torch.manual_seed(0)
    f = features(("e", "b", "d", "c", "a"))
    turned = dict(reversed(f.items()))
    one, other = kind("a", f, 4), kind("a", turned, 4)
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(f), other(turned))


@pytest.mark.parametrize("kind", [Joined, Messages, GatedMessages, MessagesGatedBySender])
def test_a_single_task_is_told_nothing(kind: Any) -> None:
    f = features(("a",))
    module = kind("a", f, 4)
    assert torch.equal(module(f), f["a"])
    assert not list(module.parameters())


@pytest.mark.parametrize(("kernels", "inputs"), [((3, 3), 8), ((3, 3), 5), ((1, 3, 1), 8), ((1, 3, 1), 5)])
@pytest.mark.parametrize("training", [False, True])
def test_a_residual_block(kernels: tuple[int, ...], inputs: int, training: bool) -> None:
    torch.manual_seed(0)
    block = Residual(inputs, 8, kernels).train(training)
    for p in block.parameters():
        nn.init.uniform_(p, -1, 1)
    x = torch.randn(2, inputs, 5, 6)
    state = {name: value.clone() for name, value in block.state_dict().items()}

    def layer(x: Tensor, conv: str, norm: str) -> Tensor:
        weight = state[f"{conv}.weight"]
        y = conv2d(x, weight, padding=weight.shape[2] // 2)
        norms = [state[f"{norm}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")]
        return batch_norm(y, *norms, training=training)

    y = x
    for k in range(len(kernels)):
        y = layer(y.relu() if k else y, f"f.{3 * k}", f"f.{3 * k + 1}")
    shortcut = layer(x, "shortcut.0", "shortcut.1") if inputs != 8 else x
    torch.testing.assert_close(block(x), (y + shortcut).relu())
    shapes = [tuple(x.shape) for name, x in state.items() if x.ndim == 4 and name.startswith("f.")]
    inner = 8 if kernels == (3, 3) else 2
    sides = [inputs, *[inner] * (len(kernels) - 1), 8]
    assert shapes == [(sides[k + 1], sides[k], kernel, kernel) for k, kernel in enumerate(kernels)]


@torch.no_grad()
@pytest.mark.parametrize("distillation", ["a", "b", "c"])
def test_what_the_head_reads(distillation: Any) -> None:
    net = built(distillation=distillation).eval()
    kind = {"a": Joined, "b": Messages, "c": GatedMessages}[distillation]
    assert {type(module) for module in net.distillations.values()} == {kind}
    taps = net(torch.rand(2, 3, 64, 96)).taps
    for t in WIDTHS:
        others = {"a": "depth", "b": "normals", "c": "segmentation"}  # their order by name
        if kind is Joined:
            told = torch.cat([taps["initial"][name] for name in others.values()], 1)
        else:
            told = reference(kind, t, taps["initial"], net.distillations[t].state_dict())
        torch.testing.assert_close(net.refinements[t](told), taps["last"][t])
        blocks = [(b.f[0].in_channels, [layer.kernel_size[0] for layer in b.f[::3]]) for b in net.refinements[t]]
        assert blocks == [(24 if kind is Joined else 8, [1, 3, 1]), (8, [1, 3, 1])]


@torch.no_grad()
def test_without_messages_a_task_is_its_single_task_network() -> None:
    every = built().eval()
    images, state = torch.rand(2, 3, 64, 96), every.state_dict()
    for name, value in state.items():
        if ".messages." in name:
            value.zero_()
    output = every(images)
    for t in WIDTHS:
        alone = built(t, seed=1).eval()
        alone.load_state_dict({name: state[name] for name in alone.state_dict()})
        one = alone(images)
        assert torch.equal(one.predictions[t], output.predictions[t])
        assert torch.equal(one.taps["last"][t], output.taps["last"][t])


def test_decoders_and_heads_begin_apart() -> None:
    net = built()
    for modules in (net.decoders, net.initial_heads, net.refinements):
        begun = [torch.cat([p.flatten() for p in modules[t].parameters() if p.ndim > 1]) for t in WIDTHS]
        assert not any(torch.equal(begun[i][:8], begun[j][:8]) for i in range(3) for j in range(i))
    assert not torch.equal(net.initial_heads["depth"][0].weight, net.heads["depth"][0].weight)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: PADNet({}), "PADNet: expected one task or more"),
        (lambda: PADNet({"a": 0}), "PADNet: .* at least one channel"),
        (lambda: built(distillation="d"), r"PADNet\.distillation: expected one of a, b, c, found `d`; correct it"),
        (lambda: PADNet({"a": 1}, "resnet51"), r"PADNet\.encoder: expected a network of timm, found `resnet51`"),
        (lambda: built(decoder="UNet"), r"PADNet\.decoder: expected one of .*; found `UNet`"),
        (lambda: built("depth")(torch.rand(2, 3, 32, 32), ["a"]), "PADNet: expected tasks among depth; found `a`"),
        (lambda: built("depth").task_parameters("a"), "PADNet: expected tasks among depth; found `a`"),
    ],
)
def test_mistakes(build: Any, message: str) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match=message) as error:
        build()
    assert "\n" not in str(error.value)
