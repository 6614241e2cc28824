import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.nets.deep_supervision_tester import DeepSupervisionTester, depends, ids
from tests.nets.net_tester import WIDTHS
from torch import Tensor, nn
from torch.nn.functional import batch_norm, conv2d, interpolate

from tutelage.nets import MTINet
from tutelage.nets.mti_net import Propagation
from tutelage.types import MultiTaskNet

NORM = ("running_mean", "running_var", "weight", "bias")
FIRSTS = ("initial1", "initial2", "initial3", "initial4")


class MTINetTester(DeepSupervisionTester):
    taps = {"stage1", "stage2", "stage3", "stage4", "bottleneck", *FIRSTS, "last"}
    firsts = FIRSTS

    def first_head(self, net: MultiTaskNet, scale: int, task: str) -> nn.Module:
        return net.initial_heads[scale][task]


class TestPyramid(MTINetTester):
    def make(self, widths: dict[str, int]) -> MultiTaskNet:
        return MTINet(widths, "test_convnext", channels=8)


class TestProjections(MTINetTester):
    taps = {*MTINetTester.taps, "stage5"}

    def make(self, widths: dict[str, int]) -> MultiTaskNet:
        return MTINet(widths, "test_resnet", channels=[4, 6, 8, 16])


def built(*tasks: str, seed: int = 0, channels: int | Sequence[int] = (4, 6, 8, 16)) -> MTINet:
    torch.manual_seed(seed)
    return MTINet({t: WIDTHS[t] for t in tasks or WIDTHS}, "test_convnext", channels=channels)


def images(height: int = 64, width: int = 96) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
@pytest.mark.parametrize("tasks", [("b", "c", "a"), ("b", "a"), ("a",)])
def test_propagation_is_the_papers(tasks: tuple[str, ...]) -> None:
    torch.manual_seed(0)
    f = {t: torch.randn(2, 16, 5, 6) for t in tasks}
    module = Propagation(f, 16).eval()
    joined = torch.cat([f[t] for t in sorted(tasks)], 1)
    if len(tasks) > 1:
        assert [conv.out_channels for conv in module.weigh.modules() if isinstance(conv, nn.Conv2d)][-1] == 16 * len(f)
        assert module.weigh[-1].in_channels == 4 * len(f)
        scores = module.weigh(joined)
        masked = torch.zeros_like(joined)
        for channel in range(16):
            each = [scores[:, 16 * t + channel].exp() for t in range(len(tasks))]
            for t in range(len(tasks)):
                masked[:, 16 * t + channel] = joined[:, 16 * t + channel] * each[t] / sum(each)
    else:
        assert module.weigh is None
        masked = joined
    z = module.reduce(masked)
    actual = module(f)
    assert actual.keys() == f.keys()
    for t in tasks:
        state = module.excite[t].state_dict()
        hidden = (z.mean((2, 3)) @ state["fc1.weight"].flatten(1).T + state["fc1.bias"]).relu()
        assert hidden.shape == (2, 1)  # 16 / 16
        gate = (hidden @ state["fc2.weight"].flatten(1).T + state["fc2.bias"]).sigmoid()
        torch.testing.assert_close(actual[t], f[t] + gate[:, :, None, None] * z)


@torch.no_grad()
def test_a_pyramid_adds_the_coarser_map() -> None:
    net = built(channels=4)
    x = [torch.randn(1, c, 16 // 2**k, 16 // 2**k) for k, c in enumerate((24, 32, 48, 64))]
    p, maps = net.pyramid.state_dict(), list(net.pyramid(dict(zip("1234", x, strict=True))).values())
    above: Tensor | None = None
    for k in (3, 2, 1, 0):
        y = conv2d(x[k], p[f"inner_blocks.{k}.0.weight"], p[f"inner_blocks.{k}.0.bias"])
        if above is not None:
            y = y + above.repeat_interleave(2, 2).repeat_interleave(2, 3)
        above = y
        weight, bias = p[f"layer_blocks.{k}.0.weight"], p[f"layer_blocks.{k}.0.bias"]
        torch.testing.assert_close(maps[k], conv2d(y, weight, bias, padding=1))


@torch.no_grad()
def test_projections_see_their_map_alone() -> None:
    net = built()
    x = [torch.randn(1, c, 4, 4) for c in (24, 32, 48, 64)]
    p, maps = net.pyramid.state_dict(), list(net.pyramid(dict(zip("1234", x, strict=True))).values())
    for k in range(4):
        torch.testing.assert_close(maps[k], conv2d(x[k], p[f"{k}.weight"], p[f"{k}.bias"]))


def test_blocks_have_their_channels() -> None:
    net = built()

    def channels(blocks: nn.Module) -> list[tuple[int, ...]]:
        return [(b.f[0].in_channels, b.f[0].out_channels, b.f[3].out_channels) for b in blocks if hasattr(b, "f")]

    for s, (c, brought) in enumerate(((4, 6), (6, 8), (8, 16), (16, 0))):
        for t in WIDTHS:
            assert channels(net.initial[s][t]) == [(c + brought, c, c), (c, c, c)]  # r
        if s:
            every, inner = 3 * c, 3 * c // 4
            assert channels(net.propagations[s - 1].weigh) == [(every, inner, inner), (inner, inner, inner)]  # f
            assert channels([net.propagations[s - 1].reduce]) == [(every, c, c)]  # g


class OldPyramid(nn.Module):
    """What MTI-Net had in place of torchvision's FPN: the same values, other names of tensors."""

    def __init__(self, inputs: list[int], channels: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(i, channels, 1) for i in inputs)
        self.smooth = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in inputs)

    def forward(self, maps: dict[str, Tensor]) -> dict[str, Tensor]:
        sums: list[Tensor] = []
        for lateral, x in zip(reversed(self.lateral), reversed(list(maps.values())), strict=True):
            x = lateral(x)
            sums.insert(0, x + interpolate(sums[0], x.shape[2:]) if sums else x)
        return {name: smooth(x) for name, smooth, x in zip(maps, self.smooth, sums, strict=True)}


class OldExcitation(nn.Sequential):
    """What it had in place of torchvision's squeeze and excitation."""

    def __init__(self, channels: int, inner: int) -> None:
        squeeze, excite = nn.Conv2d(channels, inner, 1), nn.Conv2d(inner, channels, 1)
        super().__init__(nn.AdaptiveAvgPool2d(1), squeeze, nn.ReLU(), excite, nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * x


@pytest.mark.parametrize("as_part", [True, False])
def test_weights_of_earlier_versions_load_and_give_the_same_values(
    as_part: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("tutelage.nets.mti_net._pyramid", OldPyramid)
        patch.setattr("tutelage.nets.mti_net._excitation", lambda channels: OldExcitation(channels, channels // 16))
        old = built(channels=16)
        drawn = torch.rand(1)
    state = old.state_dict()
    assert {"pyramid.lateral.3.weight", "propagations.0.excite.depth.3.bias"} <= state.keys()
    new = built(channels=16)
    assert torch.equal(torch.rand(1), drawn)  # the same random numbers were used
    for a, b in zip(old.parameters(), new.parameters(), strict=True):  # in one order: optimisers count on it
        assert torch.equal(a, b)
    nn.init.zeros_(new.pyramid.inner_blocks[0][0].weight)
    if as_part:
        nn.ModuleDict({"net": new}).load_state_dict({f"net.{name}": x for name, x in state.items()})
    else:
        torch.save(state, tmp_path / "old.pt")
        new.load_state_dict(torch.load(tmp_path / "old.pt"))
        assert "pyramid.lateral.3.weight" in state
    a, b = old(images()), copy.deepcopy(new)(images())
    for t in WIDTHS:
        assert torch.equal(a.predictions[t], b.predictions[t])
    grads = [torch.autograd.grad(y.predictions["depth"].sum(), net.pyramid.parameters()) for y, net in ((a, old),)]
    new(images()).predictions["depth"].sum().backward()
    assert all(torch.equal(x, p.grad) for x, p in zip(grads[0], new.pyramid.parameters(), strict=True))
    with pytest.raises(RuntimeError, match=r"Missing key.*pyramid\.inner_blocks\.0\.0\.bias"):
        new.load_state_dict({name: x for name, x in state.items() if name != "pyramid.lateral.0.bias"})


def up(x: Tensor, like: Tensor) -> Tensor:
    return interpolate(x, like.shape[2:], mode="bilinear")


@torch.no_grad()
@pytest.mark.parametrize("channels", [8, (4, 6, 8, 16)])
def test_the_network_is_the_formulas_of_its_docstring(channels: int | Sequence[int]) -> None:
    net = built(channels=channels).eval()
    taps = net(images()).taps
    maps = list(net.pyramid({f"{s}": taps[f"stage{s}"] for s in (1, 2, 3, 4)}).values())
    assert [x.shape[1] for x in maps] == ([8] * 4 if channels == 8 else list(channels))
    propagated: dict[str, Tensor] = {}
    for s in (3, 2, 1, 0):
        f = {}
        for t in WIDTHS:
            x = torch.cat([maps[s], up(propagated[t], maps[s])], 1) if propagated else maps[s]
            f[t] = net.initial[s][t](x)
            torch.testing.assert_close(taps[f"initial{s + 1}"][t], f[t])
        propagated = net.propagations[s - 1](f) if s else {}
    for t in WIDTHS:
        distilled = []
        for s in range(4):
            f, p = taps[f"initial{s + 1}"], net.distillations[s][t].state_dict()
            d = f[t]
            for other in WIDTHS:
                if other != t:
                    gate = conv2d(f[other], p[f"gates.{other}.weight"], padding=1).sigmoid()
                    d = d + gate * conv2d(f[other], p[f"messages.{other}.weight"], padding=1)
            distilled.append(d)
        joined = torch.cat([up(d, distilled[0]) for d in distilled], 1)
        h = net.aggregations[t].state_dict()
        normed = batch_norm(conv2d(joined, h["0.weight"], h["0.bias"]), *(h[f"1.{name}"] for name in NORM))
        torch.testing.assert_close(taps["last"][t], normed.relu())


@pytest.mark.parametrize("tasks", [None, [], ["normals"]])
def test_taps_are_of_all_tasks_at_every_scale(tasks: list[str] | None) -> None:
    taps = built()(images(), tasks).taps
    shapes = {"initial1": (4, 16, 24), "initial2": (6, 8, 12), "initial3": (8, 4, 6), "initial4": (16, 2, 3)}
    shapes |= {"last": (34, 16, 24)}
    for name, shape in shapes.items():
        assert {t: tuple(x.shape) for t, x in taps[name].items()} == dict.fromkeys(WIDTHS, (2, *shape))


def test_who_reads_whom() -> None:
    net = built()
    output = net(images())
    for s in range(4):
        for t in WIDTHS:
            coarsest_alone = {t == "depth"} if s == 3 else {True}
            assert depends(output, output.taps[f"initial{s + 1}"]["depth"], net.initial[3][t]) == coarsest_alone
            assert depends(output, output.predictions["depth"], net.initial[s][t]) == {True}
            assert depends(output, output.predictions["depth"], net.initial_heads[s][t]) == {False}
            assert depends(output, output.predictions["depth"], net.distillations[s][t]) == {t == "depth"}
            assert depends(output, output.auxiliary["depth"][s], net.initial_heads[s][t]) == {t == "depth"}


def test_ownership() -> None:
    net = built()
    shared = (net.encoder, net.pyramid, net.initial, net.propagations)
    assert ids(net.shared_parameters()) == ids([p for module in shared for p in module.parameters()])
    for t in WIDTHS:
        own = [net.heads[t], net.aggregations[t], *(of[t] for of in (*net.initial_heads, *net.distillations))]
        assert ids(net.task_parameters(t)) == ids([p for module in own for p in module.parameters()])


def test_a_single_task_network_weighs_and_tells_nothing() -> None:
    names = {name.split(".")[0] for name, _ in built("depth").named_parameters()}
    assert "distillations" not in names
    assert not [name for name, _ in built("depth").named_parameters() if ".weigh." in name]
    assert [name for name, _ in built("depth", "normals").named_parameters() if ".weigh." in name]


@pytest.mark.parametrize("encoder", ["hrnet_w18_small", "swin_tiny_patch4_window7_224", "vgg11"])
def test_other_encoders(encoder: str) -> None:
    with torch.device("meta"):
        output = MTINet({"a": 3}, encoder, channels=4)(torch.zeros(2, 3, 70, 90))
    assert [tuple(output.taps[name]["a"].shape) for name in FIRSTS] == [
        (2, 4, 24, 24), (2, 4, 12, 12), (2, 4, 6, 6), (2, 4, 3, 3)
    ]  # fmt: skip
    assert output.predictions["a"].shape == (2, 3, 70, 90)


def test_one_image_of_one_coarsest_position() -> None:
    net = built("depth")
    with pytest.raises(ValueError, match=r"MTINet: expected two images or more .*, found one; raise") as error:
        net(torch.rand(1, 3, 20, 32))
    assert "\n" not in str(error.value)
    assert net(torch.rand(1, 3, 20, 33)).predictions["depth"].shape == (1, 1, 20, 33)
    assert net(torch.rand(2, 3, 32, 32)).predictions["depth"].shape == (2, 1, 32, 32)
    assert net.eval()(torch.rand(1, 3, 20, 32)).predictions["depth"].shape == (1, 1, 20, 32)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MTINet({}), "MTINet: expected one task or more"),
        (lambda: MTINet({"a": 0}), "MTINet: .* at least one channel"),
        (lambda: built(channels=0), r"MTINet\.channels: expected one number from 1 on, or 4, .*; found 0"),
        (lambda: built(channels=[8, 8]), r"MTINet\.channels: .* found \[8, 8\]"),
        (lambda: built(channels=[8, 8, 0, 8]), r"MTINet\.channels: .* found \[8, 8, 0, 8\]"),
        (lambda: built(channels=[]), r"MTINet\.channels: .* found \[\]"),
        (lambda: MTINet({"a": 1}, "test_vit"), r"MTINet\.encoder: .* found `test_vit` with others; take a CNN"),
        (lambda: MTINet({"a": 1}, "resnet51"), r"MTINet\.encoder: expected a network of timm, found `resnet51`"),
        (lambda: MTINet({"a": 1}, "test_resnet", encoder_args={"dept": 3}), "MTINet: .* argument 'dept'"),
        (lambda: built("depth")(images(), ["a"]), "MTINet: expected tasks among depth; found `a`"),
        (lambda: built("depth").task_parameters("a"), "MTINet: expected tasks among depth; found `a`"),
    ],
)
def test_mistakes(build: Any, message: str) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match=message) as error:
        build()
    assert "\n" not in str(error.value)
