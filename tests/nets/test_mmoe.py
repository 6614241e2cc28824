from typing import Any

import pytest
import torch
from tests.nets.net_tester import WIDTHS
from tests.nets.soft_sharing_tester import RESNET, STAGES, VIT, SoftSharingTester
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from tutelage.nets import EncoderDecoder, MMoE
from tutelage.nets.smp import encode
from tutelage.nets.soft_sharing import SoftSharing


class TestResNet(SoftSharingTester):
    def make(self, widths: dict[str, int]) -> SoftSharing:
        return MMoE(widths, experts=2, grid=2, **RESNET)


class TestViT(SoftSharingTester):
    taps = {*STAGES, "bottleneck", "decoder", "last"}

    def make(self, widths: dict[str, int]) -> SoftSharing:
        return MMoE(widths, **VIT)


def net(*tasks: str, **arguments: Any) -> MMoE:
    torch.manual_seed(0)
    return MMoE({t: WIDTHS[t] for t in tasks or WIDTHS}, **{**RESNET, **arguments})


def images(height: int = 64, width: int = 96) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))


def entered(student: SoftSharing, x: Tensor) -> Tensor:
    """Normalised, and continued to a multiple by the last row and column."""
    x = (x - student.mean) / student.std
    while x.shape[2] % student.multiple:
        x = torch.cat([x, x[:, :, -1:]], 2)
    while x.shape[3] % student.multiple:
        x = torch.cat([x, x[..., -1:]], 3)
    return x


@torch.no_grad()
@pytest.mark.parametrize("size", [(64, 96), (33, 47)])
@pytest.mark.parametrize("arguments", [RESNET, VIT], ids=["resnet", "vit"])
def test_a_task_reads_its_mixture_of_the_experts(size: tuple[int, int], arguments: Any) -> None:
    student = net(grid=4, **arguments).eval()
    x = entered(student, images(*size))
    experts = [encode(expert, x) for expert in student.experts]
    output = student(images(*size))
    weights = []
    for t in WIDTHS:
        logits = adaptive_avg_pool2d(x, 4).flatten(1) @ student.gates[t].linear.weight.T
        g = logits.exp() / logits.exp().sum(1, keepdim=True)
        weights.append(g)
        one = EncoderDecoder({t: WIDTHS[t]}, **arguments)
        one.decoders[t].load_state_dict(student.decoders[t].state_dict())
        mixed = []
        for p in range(len(experts[0])):
            part = []
            for k, f in enumerate(experts[0][p]):
                if f is None or f is x:
                    part.append(f)
                    continue
                actual = torch.zeros_like(f)
                for b in range(2):
                    for e, expert in enumerate(experts):
                        actual[b] += g[b, e] * expert[p][k][b]
                part.append(actual)
            mixed.append(part)
        maps = [f for f in mixed[0] if f is not x]
        for k, f in enumerate(maps, 1):
            torch.testing.assert_close(output.taps[f"stage{k}"][t], f)
        torch.testing.assert_close(output.taps["decoder"][t], one.decoders[t].eval()(*mixed), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(weights[0], weights[1])
    assert not torch.allclose(weights[0][0], weights[0][1])  # each image has its own


@torch.no_grad()
def test_experts_that_are_alike_are_one_encoder() -> None:
    student = net(experts=3).eval()
    for expert in student.experts[1:]:
        expert.load_state_dict(student.experts[0].state_dict())
    one = EncoderDecoder(WIDTHS, **RESNET).eval()
    one.encoder.load_state_dict(student.experts[0].state_dict())
    one.decoders.load_state_dict(student.decoders.state_dict())
    one.heads.load_state_dict(student.heads.state_dict())
    a, b = student(images()), one(images())
    for t in WIDTHS:
        torch.testing.assert_close(a.predictions[t], b.predictions[t], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("experts", [1, 2, 3])
def test_experts_and_gates(experts: int) -> None:
    student = net(experts=experts, grid=5)
    assert [len(student.experts), *(tuple(p.shape) for p in student.gates.parameters())] == [
        experts,
        *[(experts, 75)] * 3,
    ]
    weights = [next(expert.parameters()) for expert in student.experts]
    assert not any(torch.equal(weights[i], weights[j]) for i in range(experts) for j in range(i))
    for t in WIDTHS:
        modules = (student.decoders[t], student.heads[t], student.gates[t])
        assert {id(p) for p in student.task_parameters(t)} == {id(p) for m in modules for p in m.parameters()}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MMoE({}, **RESNET), "MMoE: expected one task or more"),
        (lambda: net(experts=0), "MMoE.experts: expected 1 or more, found 0"),
        (lambda: net(grid=0), "MMoE.grid: expected 1 or more, found 0"),
        (lambda: net(encoder="resnet51"), "MMoE.encoder: expected a network of timm, found `resnet51`"),
        (lambda: net()(images(), ["a"]), "MMoE: expected tasks among segmentation, depth, normals; found `a`"),
    ],
)
def test_mistakes(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        build()
    assert "\n" not in str(error.value)
