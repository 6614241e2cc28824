"""The parts of soft sharing: encoders split into stages, mixed features, pooled images."""

from typing import Any

import pytest
import torch
from tests.nets.soft_sharing_tester import SWIN_ARGS
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from tutelage.nets import EncoderDecoder
from tutelage.nets.smp import encode
from tutelage.nets.soft_sharing import Gate, mix, mix_all, pool_to_grid
from tutelage.nets.stages import check_stages, gather_features, split_stages, stage_channels

KINDS = {  # what smp and timm each do in a way of their own
    "test_resnet": {},
    "test_convnext": {},  # no feature at 1/2
    "swin_tiny_patch4_window7_224": SWIN_ARGS,  # channels last
    "vgg11_bn": {},  # its first feature is at 1/1: no image before it
    "densenet121": {"growth_rate": 8},
    "dla34": {},
}


def encoder(name: str, decoder: str = "FPN", **arguments: Any) -> nn.Module:
    torch.manual_seed(0)
    return EncoderDecoder({"a": 1}, name, decoder, encoder_args=arguments).encoder.eval()


@torch.no_grad()
@pytest.mark.parametrize("name", KINDS)
def test_stages_in_a_row_are_the_encoder(name: str) -> None:
    net, x = encoder(name, **KINDS[name]), torch.rand(2, 3, 64, 96)
    (expected,) = encode(net, x)
    f, maps = x, []
    for stage in split_stages(net):
        f = stage(f)
        maps.append(f)
    (actual,) = gather_features(net, maps, x)
    assert len(actual) == len(expected)
    assert all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(actual, expected, strict=True))
    assert (actual[0] is x) == (expected[0] is x)
    assert [f.stride() for f in actual] == [f.stride() for f in expected]
    assert [f.shape[1] for f in maps] == stage_channels(net)
    split = [p for stage in split_stages(net) for p in stage.parameters()]
    assert [id(p) for p in split] == [id(p) for p in net.parameters()]


@torch.no_grad()
@pytest.mark.parametrize("name", ["test_resnet", "swin_tiny_patch4_window7_224"])
def test_what_replaces_a_feature_is_read_by_the_next_stage(name: str) -> None:
    net, x = encoder(name, **KINDS[name]), torch.rand(1, 3, 64, 64)
    first, second, *_ = split_stages(net)
    f = first(x)
    seen = []
    second.modules[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    second(2 * f)
    channels_last = name.startswith("swin")
    assert torch.equal(seen[0], (2 * f).permute(0, 2, 3, 1) if channels_last else 2 * f)


@pytest.mark.parametrize(
    ("name", "decoder"),
    [("test_vit", "DPT"), ("test_resnet", "DPT"), ("test_efficientnet", "FPN"), ("xception41", "FPN")],
)
def test_encoders_of_another_kind_are_refused(name: str, decoder: str) -> None:
    with torch.device("meta"):
        net = EncoderDecoder({"a": 1}, name, decoder).encoder
    with pytest.raises(
        ValueError, match=rf"Module\.encoder: expected .* stage by stage .*, found `{name}` as"
    ) as error:
        check_stages(nn.Module(), net)
    assert "\n" not in str(error.value)


def test_stages_that_pass_several_features_on_are_refused() -> None:
    with torch.device("meta"):
        net, x = EncoderDecoder({"a": 1}, "selecsls42", "FPN").encoder, torch.zeros(1, 3, 64, 64)
    stem, first, *_ = split_stages(net)
    with pytest.raises(ValueError, match="stages that pass one feature on, found SelecSlsBlock, which") as error:
        first(stem(x))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [(64, 96), (33, 47), (3, 5), (8, 8)])
def test_pooled_is_the_adaptive_average(size: tuple[int, int], dtype: torch.dtype) -> None:
    x = torch.rand(2, 4, *size, dtype=dtype, requires_grad=True)
    actual, expected = pool_to_grid(x, 8), adaptive_avg_pool2d(x, 8).flatten(1)
    rough = {"rtol": 2e-2, "atol": 2e-2} if dtype == torch.bfloat16 else {}
    torch.testing.assert_close(actual, expected, **rough)
    weights = torch.rand_like(expected)
    a, b = (torch.autograd.grad((y * weights).sum(), x)[0] for y in (actual, expected))
    torch.testing.assert_close(a, b, **rough)


def test_a_gate_is_a_softmax_of_a_linear_map() -> None:
    gate, x = Gate(2, 4, 3), torch.rand(5, 2, 12, 8)
    cells = [x[1, c, 3 * i : 3 * i + 3, 2 * j : 2 * j + 2].mean() for c in range(2) for i in range(4) for j in range(4)]
    logits = torch.stack([sum(w * cell for w, cell in zip(row, cells, strict=True)) for row in gate.linear.weight])
    torch.testing.assert_close(gate(x)[1], logits.exp() / logits.exp().sum())
    assert [name for name, _ in gate.named_parameters()] == ["linear.weight"]


@pytest.mark.parametrize("images", [1, 4])
def test_a_mixture_weighs_every_image_by_its_own(images: int) -> None:
    weights = torch.rand(images, 3)
    for shape in ((4, 2, 3, 5), (4, 1, 6)):
        xs = [torch.rand(shape) for _ in range(3)]
        actual = mix(xs, weights)
        for b in range(4):
            expected = sum(weights[b if images > 1 else 0, e] * xs[e][b] for e in range(3))
            torch.testing.assert_close(actual[b], expected)


def test_a_mixture_has_the_type_of_the_features() -> None:
    assert mix([torch.rand(2, 3, 4, 4).bfloat16()] * 2, torch.rand(2, 2)).dtype == torch.bfloat16


def test_of_all_features_the_image_and_what_is_missing_stay() -> None:
    x, weights = torch.rand(2, 3, 4, 4), torch.tensor([[0.5, 0.25]])
    nothing = torch.empty(2, 0, 2, 2)
    maps = [torch.rand(2, 5, 2, 2) for _ in range(2)]
    tokens: list[Tensor] = [torch.rand(2, 1, 5) for _ in range(2)]
    experts = [([x, nothing, m], [None, t]) for m, t in zip(maps, tokens, strict=True)]
    (image, dummy, f), (none, token) = mix_all(experts, weights, x)
    assert image is x
    assert dummy is not None
    assert dummy.shape == nothing.shape
    assert none is None
    torch.testing.assert_close(f, 0.5 * maps[0] + 0.25 * maps[1])
    torch.testing.assert_close(token, 0.5 * tokens[0] + 0.25 * tokens[1])
