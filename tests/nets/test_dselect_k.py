import itertools
import math
from typing import Any

import pytest
import torch
from tests.nets.net_tester import WIDTHS
from tests.nets.soft_sharing_tester import RESNET, STAGES, VIT, SoftSharingTester
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from tutelage.nets import DSelectK
from tutelage.nets.dselect_k import SelectGate, penalty, smooth_step
from tutelage.nets.smp import encode
from tutelage.nets.soft_sharing import SoftSharing
from tutelage.types import MultiTaskNet


class DSelectKTester(SoftSharingTester):
    def test_penalties_are_the_asked_tasks_and_of_training(self, net: MultiTaskNet, images: Tensor) -> None:
        assert set(net(images).penalties) == set(WIDTHS)
        actual = net(images, tasks=["depth"]).penalties
        assert set(actual) == {"depth"}
        assert actual["depth"].shape == ()
        gradients = torch.autograd.grad(actual["depth"], list(net.parameters()), allow_unused=True)
        reached = {id(p) for p, g in zip(net.parameters(), gradients, strict=True) if g is not None and g.any()}
        own = {id(p) for p in net.task_parameters("depth")}
        assert reached
        assert reached <= own
        assert net.eval()(images).penalties == {}


class TestPowerOfTwo(DSelectKTester):
    def make(self, widths: dict[str, int]) -> SoftSharing:
        return DSelectK(widths, experts=2, k=1, grid=2, **RESNET)


class TestStaticNoPowerOfTwo(DSelectKTester):
    taps = {*STAGES, "bottleneck", "decoder", "last"}

    def make(self, widths: dict[str, int]) -> SoftSharing:
        return DSelectK(widths, experts=3, static=True, **VIT)


def net(*tasks: str, **arguments: Any) -> DSelectK:
    torch.manual_seed(0)
    return DSelectK({t: WIDTHS[t] for t in tasks or WIDTHS}, **{**RESNET, **arguments})


def images(height: int = 64, width: int = 96) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))


def step(z: float, gamma: float) -> float:
    """The paper's smooth step."""
    if z <= -gamma / 2:
        return 0.0
    if z >= gamma / 2:
        return 1.0
    return -2 / gamma**3 * z**3 + 3 / (2 * gamma) * z + 0.5


@pytest.mark.parametrize("gamma", [0.5, 1.0, 10.0])
def test_the_smooth_step_and_its_gradient(gamma: float) -> None:
    z = gamma * torch.tensor([-2.0, -0.51, -0.5, -0.3, 0.0, 0.2, 0.499, 0.5, 0.7], dtype=torch.float64)
    z.requires_grad_()
    actual = smooth_step(z, gamma)
    torch.testing.assert_close(actual, torch.tensor([step(float(v), gamma) for v in z.detach()], dtype=torch.float64))
    inside = z.detach().abs() < gamma / 2
    slope = torch.where(inside, -6 / gamma**3 * z.detach() ** 2 + 3 / (2 * gamma), 0)
    torch.testing.assert_close(torch.autograd.grad(actual.sum(), z)[0], slope)
    assert set(actual[~inside].tolist()) == {0.0, 1.0}  # exactly


def selected(z: Tensor, w: Tensor, experts: int, gamma: float) -> tuple[list[float], list[list[float]]]:
    """g and r of one image, by the formulas."""
    r = []
    for row in z.tolist():
        bits = [step(v, gamma) for v in row]
        r.append([math.prod(b if e >> j & 1 else 1 - b for j, b in enumerate(bits)) for e in range(experts)])
    weights = [math.exp(v) / sum(math.exp(u) for u in w.tolist()) for v in w.tolist()]
    return [sum(a * row[e] for a, row in zip(weights, r, strict=True)) for e in range(experts)], r


@torch.no_grad()
@pytest.mark.parametrize("grid", [None, 4])
@pytest.mark.parametrize(("experts", "k"), [(2, 1), (3, 2), (4, 2), (5, 3), (6, 6), (8, 2)])
def test_a_gate_is_the_formula(experts: int, k: int, grid: int | None) -> None:
    gate = SelectGate(experts, k, 2.0, grid)
    for p in gate.parameters():
        torch.nn.init.uniform_(p, -0.3, 0.3)
    x = images()
    g, r = gate(x)
    assert r.shape == (1 if grid is None else 2, k, experts)
    for b in range(len(r)):
        z, w = gate.z, gate.w
        if grid is not None:
            p = adaptive_avg_pool2d(x[b], grid).flatten()
            z, w = z + (gate.z_of.weight @ p).view(k, -1), w + gate.w_of.weight @ p
        weights, selections = selected(z, w, experts, 2.0)
        torch.testing.assert_close(g[b], torch.tensor(weights))
        torch.testing.assert_close(r[b], torch.tensor(selections))


@torch.no_grad()
@pytest.mark.parametrize("experts", [2, 3, 4, 5, 8])
def test_with_bits_k_experts_at_most_are_selected_and_each_can_be(experts: int) -> None:
    gate = SelectGate(experts, 2, 1.0, None)
    bits = gate.z.shape[1]
    assert bits == math.ceil(math.log2(experts))
    one = [torch.tensor(code) for code in itertools.product([-0.5, 0.5], repeat=bits)]
    reached = set()
    for a, b in itertools.product(one, one):
        gate.z.copy_(torch.stack([a, b]))
        (g,), (r,) = gate(images())
        assert int((g > 0).sum()) <= 2
        assert set(r.flatten().tolist()) <= {0.0, 1.0}
        numbers = [sum(int(v > 0) << j for j, v in enumerate(code)) for code in (a, b)]
        assert {int(e) for e in g.nonzero()} == {n for n in numbers if n < experts}
        reached |= {int(e) for e in g.nonzero()}
    assert reached == set(range(experts))


@pytest.mark.parametrize(("experts", "k", "best"), [(4, 2, (1, 2)), (5, 2, (0, 4)), (7, 1, (6,)), (8, 1, (5,))])
def test_descent_selects_the_experts_that_help(experts: int, k: int, best: tuple[int, ...]) -> None:
    torch.manual_seed(2)
    gate = SelectGate(experts, k, 1.0, None)
    values = torch.eye(experts)
    wanted = values[list(best)].mean(0)
    optimizer = torch.optim.Adam(gate.parameters(), lr=0.01)
    for _ in range(600):
        optimizer.zero_grad()
        g, r = gate(images())
        ((g[0] @ values - wanted).square().sum() + penalty(r, 0.01)).backward()
        optimizer.step()
    (g,), _ = gate(images())
    assert int((g != 0).sum()) <= k
    torch.testing.assert_close(g, wanted, atol=0.03, rtol=0)


def test_the_entropy_alone_makes_a_selection() -> None:
    torch.manual_seed(0)
    gate = SelectGate(4, 2, 1.0, None)
    optimizer = torch.optim.Adam(gate.parameters(), lr=0.01)
    assert int((gate(images())[0] > 0).sum()) == 4
    for _ in range(300):
        optimizer.zero_grad()
        penalty(gate(images())[1], 1.0).backward()
        optimizer.step()
    assert set(gate(images())[1].flatten().tolist()) == {0.0, 1.0}


def test_the_penalty_leads_out_of_what_no_expert_has() -> None:
    gate = SelectGate(5, 1, 1.0, None)
    with torch.no_grad():
        gate.z.copy_(torch.tensor([[0.4, 0.4, 0.45]]))  # nearly 7
    optimizer = torch.optim.SGD(gate.parameters(), lr=0.01)
    before = float(gate(images())[1].sum().detach())
    for _ in range(200):
        optimizer.zero_grad()
        penalty(gate(images())[1], 0.0).backward()
        torch.nn.utils.clip_grad_norm_(gate.parameters(), 1.0)
        optimizer.step()
    assert before < 0.1
    assert float(gate(images())[1].sum().detach()) > 0.99


def test_the_penalty_is_the_formula() -> None:
    r = torch.rand(3, 2, 5) / 5
    expected = 0.0
    for image in r.tolist():
        for row in image:
            expected += 0.3 * -sum(v * math.log(v + 1e-6) for v in row) + 1 / sum(row) - 1
    torch.testing.assert_close(penalty(r, 0.3), torch.tensor(expected / 3))
    assert float(penalty(torch.eye(4)[None, :2], 1.0)) == pytest.approx(0, abs=1e-5)
    assert float(penalty(torch.zeros(1, 1, 3), 1.0)) == pytest.approx(1e6, rel=1e-3)  # finite


@torch.no_grad()
@pytest.mark.parametrize("static", [False, True])
def test_a_task_reads_what_its_gate_selects(static: bool) -> None:
    student = net(experts=3, k=2, grid=4, static=static).eval()
    x = (images() - student.mean) / student.std
    for gate in student.gates.values():
        gate.z.uniform_(-0.5, 0.5)
    experts = [encode(expert, x)[0] for expert in student.experts]
    taps = student(images()).taps
    for t in WIDTHS:
        g, _ = student.gates[t](x)
        for k in range(1, 6):
            expected = [sum(g[0 if static else b, e] * f[k][b] for e, f in enumerate(experts)) for b in range(2)]
            torch.testing.assert_close(taps[f"stage{k}"][t], torch.stack(expected))


def test_the_penalties_are_of_each_tasks_gate() -> None:
    student = net(experts=3, entropy_weight=0.5)
    actual = student(images()).penalties
    x = (images() - student.mean) / student.std
    for t in WIDTHS:
        torch.testing.assert_close(actual[t], penalty(student.gates[t](x)[1], 0.5))
    assert len({float(v.detach()) for v in actual.values()}) == 3


@pytest.mark.parametrize("gamma", [1.0, 5.0])
def test_the_start_is_the_authors(gamma: float) -> None:
    torch.manual_seed(0)
    gate = SelectGate(8, 4, gamma, 8)
    for p, bound in ((gate.z, gamma / 100), (gate.z_of.weight, gamma / 100), (gate.w, 0.05), (gate.w_of.weight, 0.05)):
        assert 0.5 * bound < float(p.detach().abs().max()) <= bound
    assert gate.z_of.bias is gate.w_of.bias is None  # z and w are the biases


def test_a_static_gate_has_no_weights() -> None:
    assert [tuple(p.shape) for p in net(static=True).gates["depth"].parameters()] == [(2, 2), (2,)]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: DSelectK({}, **RESNET), "DSelectK: expected one task or more"),
        (lambda: net(experts=0, k=1), "DSelectK.experts: expected 2 or more .*, found 0; take EncoderDecoder"),
        (lambda: net(experts=1, k=1), "DSelectK.experts: expected 2 or more .*, found 1; take EncoderDecoder"),
        (lambda: net(k=0), "DSelectK.k: expected 1 or more, found 0"),
        (lambda: net(k=5), r"DSelectK.k: expected at most `experts` \(4\), found 5"),
        (lambda: net(gamma=0.0), "DSelectK.gamma: expected a positive width of the smooth step, found 0.0"),
        (lambda: net(entropy_weight=-1.0), "DSelectK.entropy_weight: expected 0 or more, found -1.0"),
        (lambda: net(grid=0), "DSelectK.grid: expected 1 or more, found 0"),
        (lambda: net()(images(), ["a"]), "DSelectK: expected tasks among segmentation, depth, normals; found `a`"),
    ],
)
def test_mistakes(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        build()
    assert "\n" not in str(error.value)
