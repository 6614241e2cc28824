import logging
import sys
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from tests.nets.net_tester import WIDTHS, MadeOnceTester
from torch import Tensor, nn
from torchvision.models.segmentation import deeplabv3_resnet50

from tutelage.balance.representation import check_apart
from tutelage.nets import EncoderDecoder
from tutelage.types import MultiTaskNet

NARROW = {"DeepLabV3Plus": {"decoder_channels": 8}, "Unet": {"decoder_channels": [16, 12, 8, 8, 6]}}
DPT = {"decoder_intermediate_channels": [4, 6, 8, 8], "decoder_fusion_channels": 8}
STAGES = {"stage1", "stage2", "stage3", "stage4"}


class EncoderDecoderTester(MadeOnceTester):
    taps = {*STAGES, "stage5", "bottleneck", "decoder", "last"}

    def test_the_boundarys_gradients_are_the_encoders(self, net: MultiTaskNet, images: Tensor) -> None:
        output, shared = net(images), net.shared_parameters()
        loss = sum(x.square().mean() for x in output.predictions.values())
        check_apart(output.shared, "EncoderDecoder")
        at_boundary = torch.autograd.grad(loss, output.shared, retain_graph=True)
        exact = torch.autograd.grad(loss, shared, retain_graph=True)
        torch.testing.assert_close(torch.autograd.grad(output.shared, shared, at_boundary), exact)

    def test_taps_by_name(self, net: MultiTaskNet, images: Tensor) -> None:
        output = net(images)
        stages = [tap for name, tap in output.taps.items() if name.startswith("stage")]
        assert output.taps["bottleneck"] is stages[-1]
        assert output.taps["last"] is output.taps["decoder"]
        assert [list(output.taps)[k] for k in range(len(stages))] == [f"stage{k}" for k in range(1, len(stages) + 1)]
        last = output.taps["last"]
        assert not isinstance(last, dict) or list(last) == list(WIDTHS)


class TestDeepLabV3Plus(EncoderDecoderTester):
    def make(self, widths: dict[str, int]) -> EncoderDecoder:
        return EncoderDecoder(widths, "test_resnet", "DeepLabV3Plus", decoder_args=NARROW["DeepLabV3Plus"])


class TestUnet(EncoderDecoderTester):
    def make(self, widths: dict[str, int]) -> EncoderDecoder:
        return EncoderDecoder(widths, "mobilenetv3_small_050", "Unet", decoder_args=NARROW["Unet"])


class TestSharedDecoder(EncoderDecoderTester):
    taps = {*STAGES, "bottleneck", "decoder", "last"}  # this encoder has no feature at 1/2

    def make(self, widths: dict[str, int]) -> EncoderDecoder:
        arguments = {"decoder_channels": 8}
        return EncoderDecoder(widths, "test_convnext", "UPerNet", shared_decoder=True, decoder_args=arguments)

    def test_one_tensor_for_all(self, net: MultiTaskNet, images: Tensor) -> None:
        output = net(images)
        assert output.shared == (output.taps["last"],)
        assert {id(p) for p in net.task_parameters("depth")} == {id(p) for p in net.heads["depth"].parameters()}


class TestViT(EncoderDecoderTester):
    taps = {*STAGES, "bottleneck", "decoder", "last"}

    def make(self, widths: dict[str, int]) -> EncoderDecoder:
        return EncoderDecoder(widths, "test_vit", "DPT", decoder_args=DPT)

    def test_tokens_are_of_the_boundary(self, net: MultiTaskNet, images: Tensor) -> None:
        assert [tuple(z.shape) for z in net(images).shared] == [(2, 64, 4, 6)] * 4 + [(2, 1, 64)] * 4

    def test_nothing_is_left_of_the_classifier(self, net: MultiTaskNet) -> None:
        last = EncoderDecoder(
            {"a": 1}, "test_vit", "DPT", decoder_args={**DPT, "encoder_output_indices": [-6, 1, 2, -3]}
        )
        assert len(last.encoder.model.blocks) == 4
        assert isinstance(last.encoder.model.norm, nn.Identity)
        last.eval()(torch.rand(1, 3, 32, 32))


READS = {  # of the features of a ResNet, at 1/2, 1/4, ...
    "Unet": [1, 2, 3, 4, 5],
    "UnetPlusPlus": [1, 2, 3, 4, 5],
    "MAnet": [1, 2, 3, 4, 5],
    "Linknet": [1, 2, 3, 4, 5],
    "FPN": [2, 3, 4, 5],
    "PSPNet": [3],
    "DeepLabV3": [5],
    "DeepLabV3Plus": [2, 5],
    "PAN": [2, 3, 4, 5],
    "UPerNet": [2, 3, 4, 5],
    "Segformer": [1, 2, 3, 4, 5],
    "DPT": [1, 2, 3, 4],
}


@pytest.mark.parametrize("decoder", READS)
def test_every_decoder_of_smp(decoder: str) -> None:
    with torch.device("meta"):
        net = EncoderDecoder({"a": 3}, "test_resnet", decoder)
        output = net(torch.zeros(2, 3, 250, 260))
    assert output.predictions["a"].shape == (2, 3, 250, 260)
    assert [z.shape for z in output.shared] == [output.taps[f"stage{k}"].shape for k in READS[decoder]]


def test_all_decoders_of_smp_are_known() -> None:
    import segmentation_models_pytorch as smp

    assert {kind.__name__ for kind in smp.MODEL_ARCHITECTURES_MAPPING.values()} == set(READS)


@torch.no_grad()
def test_the_usual_network_is_torchvisions() -> None:
    torch.manual_seed(0)
    net = EncoderDecoder({"a": 2}, "resnet50", "DeepLabV3").eval()
    theirs = deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=2).eval()
    ours = [x for part in (net.encoder, net.decoders, net.heads) for x in part.state_dict().values()]
    loaded = dict(zip(theirs.state_dict(), ours, strict=True))  # the same tensors in the same order
    theirs.load_state_dict(loaded)
    images = torch.rand(1, 3, 48, 64)
    mean, std = (torch.tensor(x)[:, None, None] for x in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    torch.testing.assert_close(net(images).predictions["a"], theirs((images - mean) / std)["out"])


@pytest.mark.parametrize(("output_stride", "strides"), [(None, (16, 16)), (8, (8, 8)), (16, (16, 16))])
def test_output_stride(output_stride: Any, strides: tuple[int, int]) -> None:
    with torch.device("meta"):
        net = EncoderDecoder({"a": 1}, "test_resnet", output_stride=output_stride)
        output = net(torch.zeros(2, 3, 64, 96))
    assert (64 // output.taps["bottleneck"].shape[2], net.multiple) == strides
    assert output.taps["last"]["a"].shape == (2, 256, 16, 24)


@torch.no_grad()
def test_an_image_is_continued_to_a_multiple() -> None:
    net = EncoderDecoder({"a": 1}, "test_resnet", "FPN").eval()
    images = torch.rand(1, 3, 40, 70)
    continued = torch.cat([images, images[..., -1:].expand(-1, -1, -1, 26)], 3)
    continued = torch.cat([continued, continued[..., -1:, :].expand(-1, -1, 24, -1)], 2)
    assert net.multiple == 32
    a, b = net(images), net(continued)
    assert torch.equal(a.predictions["a"], b.predictions["a"][..., :40, :70])
    assert torch.equal(a.taps["bottleneck"], b.taps["bottleneck"])


def test_images_are_normalised_as_the_encoder_knows_them() -> None:
    net = EncoderDecoder({"a": 1}, "mobilenetv3_small_050", "Linknet")  # ImageNet's mean; the tiny ones have 0.5
    seen = []
    net.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    net((mean + std)[:, None, None].expand(2, 3, 32, 32))
    torch.testing.assert_close(seen[0], torch.ones(2, 3, 32, 32))
    other = EncoderDecoder({"a": 1}, "mobilenetv3_small_050", "Linknet")
    other.mean += 1
    other.load_state_dict(net.state_dict())
    assert torch.equal(other.mean.flatten(), mean)


def test_decoders_begin_apart_and_by_the_seed() -> None:
    def build() -> list[Tensor]:
        torch.manual_seed(1)
        net = EncoderDecoder(WIDTHS, "test_resnet", decoder_args=NARROW["DeepLabV3Plus"])
        decoders = [net.decoders[t] for t in WIDTHS]
        return [torch.cat([p.flatten() for p in d.parameters() if p.ndim > 1]) for d in decoders]

    one, again = build(), build()
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not any(torch.equal(one[i], one[j]) for i in range(3) for j in range(i))


@pytest.mark.parametrize(
    ("encoder", "decoder", "block"), [("test_resnet", "Unet", "layer1"), ("test_vit", "DPT", "blocks")]
)
def test_pretrained_from_a_file(encoder: str, decoder: str, block: str, tmp_path: Path) -> None:
    weights = timm.create_model(encoder).state_dict()
    torch.save(weights, tmp_path / "weights.pth")
    arguments = {"pretrained_cfg_overlay": {"file": str(tmp_path / "weights.pth")}}
    net = EncoderDecoder({"a": 1}, encoder, decoder, pretrained=True, encoder_args=arguments)
    actual = net.encoder.model.state_dict()
    assert any(name.startswith(block) for name in actual)
    assert all(torch.equal(x, weights[name]) for name, x in actual.items())


def overlay(weights: dict[str, Tensor], path: Path) -> dict[str, Any]:
    torch.save(weights, path)
    return {"pretrained_cfg_overlay": {"file": str(path)}}


@pytest.mark.parametrize(
    ("encoder", "decoder"), [("test_resnet", "Unet"), ("test_vit", "DPT"), ("test_convnext", "UPerNet")]
)
def test_building_prints_nothing(
    encoder: str, decoder: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    weights = timm.create_model(encoder).state_dict()
    if encoder != "test_vit":  # which timm loads strictly
        weights["more.weight"] = torch.zeros(3)
    before = [(x.handlers, x.level, x.propagate) for x in map(logging.getLogger, ("timm", "huggingface_hub"))]
    arguments = overlay(weights, tmp_path / "weights.pth")
    with caplog.at_level(logging.DEBUG):
        EncoderDecoder({"a": 1}, encoder, decoder, pretrained=True, encoder_args=arguments)
    assert not caplog.records
    assert capfd.readouterr() == ("", "")
    assert before == [(x.handlers, x.level, x.propagate) for x in map(logging.getLogger, ("timm", "huggingface_hub"))]
    logging.getLogger("timm").warning("heard again")
    assert "heard again" in caplog.text


@pytest.mark.parametrize(
    ("encoder", "decoder", "name", "problem"),
    [
        ("test_resnet", "Unet", "layer1.0.conv1.weight", "they lack 1 tensors of the encoder, such as"),
        ("test_convnext", "UPerNet", "stages.1.blocks.0.conv_dw.bias", "they lack 1 tensors of the encoder, such as"),
        ("test_vit", "DPT", "blocks.0.attn.qkv.weight", "Missing key"),
    ],
)
def test_weights_of_another_network_are_refused(
    encoder: str, decoder: str, name: str, problem: str, tmp_path: Path
) -> None:
    """timm may load what fits and only log the rest: an encoder would be random in part."""
    weights = timm.create_model(encoder).state_dict()
    for file, message in (
        ({key: x for key, x in weights.items() if key != name}, f"{problem}.*{name}"),
        ({f"encoder.{key}": x for key, x in weights.items()}, "they lack|Missing key|'encoder\\."),
        ({**weights, name: torch.zeros(3)}, f"size mismatch for {name}"),
    ):
        arguments = overlay(file, tmp_path / "weights.pth")
        with pytest.raises(ValueError, match=rf"EncoderDecoder\.pretrained: expected weights .*({message})") as error:
            EncoderDecoder({"a": 1}, encoder, decoder, pretrained=True, encoder_args=arguments)
        assert "\n" not in str(error.value)


def test_weights_that_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*args: object, **kwargs: object) -> None:
        raise OSError("the hub\nis away")

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", unreachable)
    with pytest.raises(ValueError, match=r"weights of `test_resnet` .* \(the hub is away\); give a file") as error:
        EncoderDecoder({"a": 1}, "test_resnet", pretrained=True)
    assert "\n" not in str(error.value)
    arguments = {"pretrained_cfg_overlay": {"file": str(tmp_path / "none.pth")}}
    with pytest.raises(ValueError, match=r"EncoderDecoder\.pretrained: expected weights"):
        EncoderDecoder({"a": 1}, "test_resnet", pretrained=True, encoder_args=arguments)


@pytest.mark.parametrize("library", ["timm", "segmentation_models_pytorch"])
def test_without_the_libraries(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ValueError, match=r"pip install 'tutelage\[nets\]'"):
        EncoderDecoder({"a": 1})


def built(encoder: str = "test_resnet", decoder: str = "Unet", **arguments: Any) -> EncoderDecoder:
    with torch.device("meta"):
        return EncoderDecoder({"a": 1}, encoder, decoder, **arguments)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: EncoderDecoder({}), "expected one task or more"),
        (lambda: EncoderDecoder({"a": 0}), "at least one channel"),
        (lambda: built("resnet51"), "network of timm, found `resnet51`; near it: .*resnet50"),
        (lambda: built("resnet50.a9_in1k"), r"found `resnet50.a9_in1k` and `Unet` \(Invalid pretrained tag"),
        (lambda: built(decoder="UNet"), r"expected one of Unet, .*, DPT; found `UNet`"),
        (lambda: built(decoder_args={"channels": 3}), r"arguments of Unet \(.*decoder_channels.*\), found `channels`"),
        (lambda: built(decoder_args={"decoder_channels": [3]}), r"`Unet` \(Model depth is 5"),
        (lambda: built(encoder_args={"dept": 3}), r"`Unet` \(.*'dept'"),
        (lambda: built("test_vit"), r"`test_vit` and `Unet` .*; change .*DPT for a plain ViT"),
        (lambda: built("test_vit", "DPT", output_stride=16), "Dilated mode not supported"),
        (lambda: built("vit_small_patch14_dinov2", "DPT"), "found `vit_small_patch14_dinov2` and `DPT`"),
        (lambda: built("test_maxvit"), r"found `test_maxvit` and `Unet` .* \{img_size: \[H, W\]\}"),
        (lambda: built(decoder="FPN", output_stride=8), "found `test_resnet` and `FPN`"),
        (lambda: built(decoder="DeepLabV3", output_stride=32), "output stride 8 or 16, got 32"),
        (lambda: built()(torch.zeros(1, 3, 32, 32, device="meta"), ["b"]), "tasks among a; found `b`"),
        (lambda: built(decoder="DeepLabV3")(torch.zeros(1, 3, 64, 64, device="meta")), "two images or more"),
        (lambda: EncoderDecoder({"a": 1}, "test_resnet", "PAN")(torch.zeros(2, 3, 64, 64)), "larger images"),
    ],
)
def test_mistakes(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        build()
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600


def test_a_network_of_one_size() -> None:
    net = built("test_maxvit", encoder_args={"img_size": [160, 320]})
    assert net(torch.zeros(1, 3, 160, 320, device="meta")).predictions["a"].shape == (1, 1, 160, 320)
