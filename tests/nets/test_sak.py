from typing import Any

import pytest
import torch
from tests.nets.net_tester import WIDTHS
from tests.nets.soft_sharing_tester import CONVNEXT, RESNET, STAGES, VIT, SoftSharingTester
from torch import Tensor
from torch.nn.functional import gelu, interpolate, layer_norm, linear

from tutelage.distill import FeatureDistiller, Teacher
from tutelage.nets import SAK, EncoderDecoder
from tutelage.nets.soft_sharing import SoftSharing
from tutelage.types import Batch


class TestResNet(SoftSharingTester):
    taps = {*STAGES, "stage5", "bottleneck", "decoder", "last", "paths"}

    def make(self, widths: dict[str, int]) -> SoftSharing:
        return SAK(widths, **RESNET)


def net(*tasks: str, **arguments: Any) -> SAK:
    torch.manual_seed(0)
    return SAK({t: WIDTHS[t] for t in tasks or WIDTHS}, **{**RESNET, **arguments})


def images() -> Tensor:
    return torch.rand(2, 3, 33, 47, generator=torch.Generator().manual_seed(1))


def at_positions(matrix: Tensor, bias: Tensor, x: Tensor) -> Tensor:
    """A 1x1 convolution, as a matrix at every position."""
    return torch.einsum("oc,bchw->bohw", matrix[:, :, 0, 0], x) + bias[:, None, None]


@torch.no_grad()
@pytest.mark.parametrize("arguments", [RESNET, CONVNEXT], ids=["resnet", "convnext"])
def test_a_task_reads_its_mixture_of_stem_and_paths(arguments: Any) -> None:
    student = net(**arguments).eval()
    output, weights = student(images()), dict(student.named_parameters())
    plain = EncoderDecoder(WIDTHS, **arguments).eval()
    plain.encoder.load_state_dict(student.encoder.state_dict())
    taps = plain(images()).taps
    stem = [taps[name] for name in taps if name.startswith("stage")]
    normed: dict[str, list[Tensor]] = {}
    for k in WIDTHS:
        r, p = None, f"paths.{k}."
        for i, x in enumerate(stem):
            u = x
            if r is not None:
                carried = at_positions(weights[f"{p}carry.{i - 1}.weight"], weights[f"{p}carry.{i - 1}.bias"], r)
                u = x + interpolate(carried, x.shape[2:], mode="bilinear")
            hidden = gelu(at_positions(weights[f"{p}down.{i}.weight"], weights[f"{p}down.{i}.bias"], u))
            r = u + weights[f"{p}scale"][i] * at_positions(
                weights[f"{p}up.{i}.weight"], weights[f"{p}up.{i}.bias"], hidden
            )
            normed.setdefault(k, []).append(layer_norm(r.movedim(1, -1), r.shape[1:2]).movedim(-1, 1))
        torch.testing.assert_close(output.taps["paths"][k], normed[k][-1], rtol=1e-4, atol=1e-4)
    for t in WIDTHS:
        for i, x in enumerate(stem):
            q = f"routers.{t}.{i}.layers."
            if f"{q}0.weight" not in weights:  # which the decoder does not read
                torch.testing.assert_close(output.taps[f"stage{i + 1}"][t], x)
                continue
            hidden = linear(x.movedim(1, -1), weights[f"{q}0.weight"], weights[f"{q}0.bias"])
            hidden = gelu(layer_norm(hidden, hidden.shape[-1:]))
            logits = linear(hidden, weights[f"{q}3.weight"], weights[f"{q}3.bias"]).mean((1, 2))[:, : 1 + len(WIDTHS)]
            g = logits.softmax(1)
            mixed = g[:, :1, None, None] * x
            for n, k in enumerate(sorted(WIDTHS), 1):
                mixed = mixed + g[:, n, None, None, None] * normed[k][i]
            torch.testing.assert_close(output.taps[f"stage{i + 1}"][t], mixed, rtol=1e-3, atol=1e-4)


def test_the_default_teachers_pull_on_their_own_paths() -> None:
    student = net()
    teachers = {t: EncoderDecoder({t: width}, **RESNET) for t, width in WIDTHS.items()}
    distiller = FeatureDistiller(student, teachers, images()[:1], {"paths": "last"})
    term = distiller(Batch(images(), {}), student(images()))["depth"]
    term.sum.backward()
    assert student.paths["depth"].scale.grad.any()
    assert student.paths["normals"].scale.grad is None


def test_paths_of_other_teachers_are_shared_taps() -> None:
    student = net("depth", "normals", paths=["dino", "sam"])
    taps = student(images()).taps
    assert {"path_dino", "path_sam"} <= taps.keys()
    assert "paths" not in taps
    dino = Teacher("dino", EncoderDecoder({"depth": 1}, **RESNET), (), {"path_dino": "bottleneck"})
    distiller = FeatureDistiller(student, {"dino": dino}, images()[:1], {})
    assert set(distiller(Batch(images(), {}), student(images()))) == {"dino"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reduction": 0}, r"SAK.reduction: expected 1 or more, found 0"),
        ({"paths": []}, r"SAK.paths: expected one name or more, each once, found none"),
        ({"paths": ["a", "a"]}, r"SAK.paths: .* found a, a"),
        (VIT, r"SAK.encoder: expected one that runs stage by stage"),
    ],
)
def test_mistakes(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        net(**arguments)
