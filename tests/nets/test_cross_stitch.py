from typing import Any

import pytest
import torch
from tests.nets.net_tester import WIDTHS
from tests.nets.soft_sharing_tester import CONVNEXT, RESNET, STAGES, SWIN, SoftSharingTester
from torch import Tensor

from tutelage.nets import CrossStitch, EncoderDecoder
from tutelage.nets.soft_sharing import SoftSharing


class TestResNet(SoftSharingTester):
    def make(self, widths: dict[str, int]) -> SoftSharing:
        return CrossStitch(widths, **RESNET)


class TestConvNeXtOneForAllChannels(SoftSharingTester):
    taps = {*STAGES, "bottleneck", "decoder", "last"}

    def make(self, widths: dict[str, int]) -> SoftSharing:
        return CrossStitch(widths, per_channel=False, **CONVNEXT)


def net(*tasks: str, seed: int = 0, **arguments: Any) -> CrossStitch:
    torch.manual_seed(seed)
    return CrossStitch({t: WIDTHS[t] for t in tasks or WIDTHS}, **{**RESNET, **arguments})


def images(height: int = 64, width: int = 96) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))


def randomise(student: CrossStitch) -> None:
    for p in student.units.parameters():
        torch.nn.init.uniform_(p, -1, 1)


@torch.no_grad()
@pytest.mark.parametrize("per_channel", [True, False])
def test_a_resnet_is_the_papers_formula(per_channel: bool) -> None:
    student = net(per_channel=per_channel).eval()
    randomise(student)
    taps = student(images()).taps
    x = dict.fromkeys(WIDTHS, (images() - student.mean) / student.std)
    nets = {t: student.encoders[t].model for t in WIDTHS}
    for k in range(5):
        for t, part in nets.items():
            if k == 0:
                x[t] = part["act1"](part["bn1"](part["conv1"](x[t])))
            else:
                x[t] = part[f"layer{k}"](part["maxpool"](x[t]) if k == 1 else x[t])
        mixed = {t: torch.zeros_like(x[t]) for t in WIDTHS}
        for t in WIDTHS:
            for i, s in enumerate(("depth", "normals", "segmentation")):
                for c in range(x[s].shape[1]):
                    mixed[t][:, c] += student.units[k][t][i, c if per_channel else 0] * x[s][:, c]
        x = mixed
        for t in WIDTHS:
            torch.testing.assert_close(taps[f"stage{k + 1}"][t], x[t])


@torch.no_grad()
@pytest.mark.parametrize(
    ("arguments", "size"),
    [(RESNET, (64, 96)), (CONVNEXT, (33, 47)), (SWIN, (64, 64))],
    ids=["resnet", "convnext", "swin"],
)
def test_units_that_exchange_nothing_leave_single_task_networks(arguments: Any, size: tuple[int, int]) -> None:
    every = net(alpha_same=1.0, alpha_different=0.0, **arguments).eval()
    output, state = every(images(*size)), every.state_dict()
    for t, width in WIDTHS.items():
        alone = net(t, seed=1, **arguments).eval()
        theirs = EncoderDecoder({t: width}, **arguments).eval()
        for name, x in alone.state_dict().items():
            x.copy_(state[name])
            theirs.state_dict()[name.replace(f"encoders.{t}", "encoder")].copy_(x)
        one, two = alone(images(*size)), theirs(images(*size))
        for k, tap in one.taps.items():
            torch.testing.assert_close(output.taps[k][t], tap[t])
            assert torch.equal(tap[t], two.taps[k][t] if isinstance(two.taps[k], dict) else two.taps[k])
        torch.testing.assert_close(output.predictions[t], one.predictions[t])


@pytest.mark.parametrize(
    ("tasks", "arguments", "own", "others"),
    [
        (2, {}, 0.9, 0.1),
        (3, {}, 0.9, 0.05),
        (3, {"alpha_same": 0.7}, 0.7, 0.15),
        (3, {"alpha_same": 0.5, "alpha_different": 0.5}, 0.5, 0.5),
        (2, {"alpha_different": 0.0}, 0.9, 0.0),
    ],
)
def test_the_start(tasks: int, arguments: Any, own: float, others: float) -> None:
    names = list(WIDTHS)[:tasks]
    units = net(*names, **arguments).units
    assert [tuple(unit[names[0]].shape) for unit in units] == [(tasks, c) for c in (32, 32, 48, 192, 96)]
    for unit in units:
        for t in names:
            for s, row in zip(sorted(names), unit[t], strict=True):
                assert torch.equal(row, torch.full_like(row, own if s == t else others)), (t, s)


def test_a_coefficient_is_its_channels_or_one_for_all() -> None:
    assert {tuple(p.shape) for p in net(per_channel=False).units.parameters()} == {(3, 1)}


def test_of_the_units_the_last_is_the_tasks() -> None:
    student = net()
    for t in WIDTHS:
        own = {id(p) for p in student.task_parameters(t)}
        assert [id(unit[t]) in own for unit in student.units] == [False] * 4 + [True]
        assert not any(id(p) in own for p in student.encoders.parameters())


def test_one_task_has_no_unit() -> None:
    assert len(net("depth").units) == 0


def test_encoders_begin_apart() -> None:
    student = net()
    weights = [next(student.encoders[t].parameters()) for t in WIDTHS]
    assert not any(torch.equal(weights[i], weights[j]) for i in range(3) for j in range(i))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: CrossStitch({}, **RESNET), "CrossStitch: expected one task or more"),
        (
            lambda: net(encoder="test_vit", decoder="DPT", decoder_args={}),
            r"CrossStitch\.encoder: expected .* `test_vit`",
        ),
        (lambda: net(encoder="test_efficientnet"), r"found `test_efficientnet` as EfficientNetFeatures; take another"),
        (lambda: net(encoder="resnet51"), "CrossStitch.encoder: expected a network of timm, found `resnet51`"),
        (lambda: net()(images(), ["a"]), "CrossStitch: expected tasks among segmentation, depth, normals; found `a`"),
    ],
)
def test_mistakes(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        build()
    assert "\n" not in str(error.value)
