from typing import Any

import pytest
import torch
from tests.nets.net_tester import WIDTHS, objective
from tests.nets.soft_sharing_tester import CONVNEXT, RESNET, STAGES, VIT, SoftSharingTester
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from tutelage.nets import PLE
from tutelage.nets.smp import encode
from tutelage.nets.soft_sharing import SoftSharing


class TestCGC(SoftSharingTester):
    taps = {*STAGES, "bottleneck", "decoder", "last"}

    def make(self, widths: dict[str, int]) -> SoftSharing:
        return PLE(widths, levels=1, **VIT)


class TestALevelAStage(SoftSharingTester):
    def make(self, widths: dict[str, int]) -> SoftSharing:
        return PLE(widths, grid=2, **RESNET)


class TestTwoLevels(SoftSharingTester):
    taps = {*STAGES, "bottleneck", "decoder", "last"}

    def make(self, widths: dict[str, int]) -> SoftSharing:
        return PLE(widths, task_experts=2, levels=2, grid=3, **CONVNEXT)


def net(*tasks: str, **arguments: Any) -> PLE:
    torch.manual_seed(0)
    return PLE({t: WIDTHS[t] for t in tasks or WIDTHS}, **{**RESNET, **arguments})


def images(height: int = 64, width: int = 96) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))


def softmax(gate: Any, x: Tensor) -> Tensor:
    logits = adaptive_avg_pool2d(x, gate.grid).flatten(1) @ gate.linear.weight.T
    return logits.exp() / logits.exp().sum(1, keepdim=True)


def weighted(weights: Tensor, experts: list[Tensor]) -> Tensor:
    return torch.stack([sum(weights[b, e] * f[b] for e, f in enumerate(experts)) for b in range(2)])


@torch.no_grad()
@pytest.mark.parametrize(("shared", "own"), [(1, 1), (2, 1), (1, 2)])
def test_one_level_is_customized_gate_control(shared: int, own: int) -> None:
    student = net(levels=1, shared_experts=shared, task_experts=own, grid=4).eval()
    assert [len(student.shared), len(student.experts["depth"]), len(student.shared_gates)] == [shared, own, 0]
    x = (images() - student.mean) / student.std
    taps = student(images()).taps
    for t in WIDTHS:
        experts = [encode(e, x)[0] for e in [*student.experts[t], *student.shared]]
        (gate,) = student.gates[t]
        for k in range(1, 6):
            expected = weighted(softmax(gate, x), [expert[k] for expert in experts])
            torch.testing.assert_close(taps[f"stage{k}"][t], expected)


def resnet_stage(expert: Any, k: int, x: Tensor) -> Tensor:
    model = expert.model
    if k == 0:
        return model["act1"](model["bn1"](model["conv1"](x)))
    return model[f"layer{k}"](model["maxpool"](x) if k == 1 else x)


@torch.no_grad()
@pytest.mark.parametrize(
    ("levels", "after"), [(None, [1, 2, 3, 4]), (5, [1, 2, 3, 4]), (4, [1, 2, 3]), (3, [1, 3]), (2, [2])]
)
def test_levels_are_the_papers_formula(levels: int | None, after: list[int]) -> None:
    student = net(levels=levels, shared_experts=2, task_experts=1, grid=2).eval()
    assert len(student.shared_gates) == len(after)
    assert {len(student.gates[t]) for t in WIDTHS} == {len(after) + 1}
    taps = student(images()).taps
    names = ["depth", "normals", "segmentation"]
    x = (images() - student.mean) / student.std
    g, g_shared = dict.fromkeys(names, x), x
    own, shared = dict.fromkeys(names, x), [x, x]  # where the experts are
    level = 0
    for k in range(5):
        own = {t: resnet_stage(student.experts[t][0], k, own[t]) for t in names}
        shared = [resnet_stage(expert, k, f) for expert, f in zip(student.shared, shared, strict=True)]
        mixed = {t: weighted(softmax(student.gates[t][level], g[t]), [own[t], *shared]) for t in names}
        for t in names:
            torch.testing.assert_close(taps[f"stage{k + 1}"][t], mixed[t], rtol=1e-4, atol=1e-5)
        if k + 1 in after:
            every = [*(own[t] for t in names), *shared]
            g_shared = weighted(softmax(student.shared_gates[level], g_shared), every)
            g, own, shared, level = mixed, mixed, [g_shared, g_shared], level + 1


@pytest.mark.parametrize(("levels", "last"), [(1, range(5)), (2, range(2, 5)), (5, range(4, 5))])
def test_whose_an_expert_is(levels: int, last: range) -> None:
    """A task owns of its experts what lies in the last level, and of its gates the last two."""
    student = net(levels=levels)
    own = {id(p) for p in student.task_parameters("depth")}
    (expert,) = student.experts["depth"]
    modules = [["conv1", "bn1"], ["layer1"], ["layer2"], ["layer3"], ["layer4"]]
    actual = [{id(p) in own for name in stage for p in expert.model[name].parameters()} for stage in modules]
    assert actual == [{k in last} for k in range(5)]
    gates = [next(gate.parameters()) for gate in student.gates["depth"]]
    assert [id(p) in own for p in gates] == [levels - j < 2 for j in range(1, levels + 1)]
    assert not any(id(p) in own for m in (student.shared, student.shared_gates) for p in m.parameters())


@pytest.mark.parametrize("levels", [1, 2, 3, None])
def test_ownership_is_what_autograd_says(levels: int | None) -> None:
    student = net(levels=levels, grid=2)
    reached: dict[str, set[int]] = {}
    for t in WIDTHS:
        student.zero_grad(set_to_none=True)
        objective(student(images(), tasks=[t])).backward()
        reached[t] = {id(p) for p in student.parameters() if p.grad is not None}
    for t in WIDTHS:
        others = set.union(*(reached[s] for s in WIDTHS if s != t))
        assert {id(p) for p in student.task_parameters(t)} == reached[t] - others
    assert {id(p) for p in student.shared_parameters()} == set.intersection(*reached.values())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: PLE({}, **RESNET), "PLE: expected one task or more"),
        (lambda: net(shared_experts=0), "PLE.shared_experts: expected 1 or more, found 0"),
        (lambda: net(task_experts=0), "PLE.task_experts: expected 1 or more, found 0"),
        (lambda: net(levels=0), "PLE.levels: expected 1 or more, found 0"),
        (lambda: net(grid=-1), "PLE.grid: expected 1 or more, found -1"),
        (lambda: net(levels=6), "PLE.levels: expected at most the 5 stages .* of `test_resnet`, found 6; lower it"),
        (lambda: net(**VIT), "PLE.encoder: expected .* `test_vit` as VisionTransformer; .* levels: 1"),
        (lambda: net()(images(), ["a"]), "PLE: expected tasks among segmentation, depth, normals; found `a`"),
    ],
)
def test_mistakes(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        build()
    assert "\n" not in str(error.value)
