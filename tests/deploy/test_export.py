import json
import sys
from pathlib import Path
from typing import Any, get_args

import onnxruntime
import pytest
import torch
from tests.deploy.conftest import DENSE, NETS, make
from torch import Tensor, nn

import tutelage
from tutelage.cli.export import _FORMATS
from tutelage.deploy import Predictor, build, export
from tutelage.deploy.exporter import Exported, Format, Portable
from tutelage.deploy.parity import compare
from tutelage.errors import UserError
from tutelage.nets import SegNet, TappedModule
from tutelage.tasks import Depth

DECODERS = ("DeepLabV3", "Unet", "UnetPlusPlus", "MAnet", "Linknet", "PSPNet", "PAN", "UPerNet", "Segformer")
FREE = "[batch, 3, height, width]"


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same networks and images, whatever ran before: rounding decides ties between classes."""
    torch.manual_seed(0)


def run_onnx(file: Path, images: Tensor) -> list[Tensor]:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return [torch.from_numpy(x) for x in session.run(None, {"images": images.numpy()})]


def decoder(name: str) -> Predictor:
    encoder = "test_vit" if name == "DPT" else "test_resnet"
    net: dict[str, Any] = {"encoder": encoder, "decoder": name}
    return build(
        {"net": {"class_path": "tutelage.nets.EncoderDecoder", "init_args": net}, "tasks": DENSE, "size": [64, 96]}
    )


@pytest.fixture(scope="module")
def segnet(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """`make("SegNet")` as ONNX, which takes seconds."""
    return export(make("SegNet"), tmp_path_factory.mktemp("export") / "student.onnx")


@pytest.mark.parametrize("name", ["SegNet", "EncoderDecoder", "ResNet"])
def test_an_onnx_file_gives_the_predictions_for_any_number_and_size_of_images(
    name: str, segnet: Exported, tmp_path: Path
) -> None:
    predictor = make(name)
    exported = segnet if name == "SegNet" else export(predictor, tmp_path / "student.onnx")
    assert exported.inputs == f"images: float32 {FREE}, RGB in 0..1"
    assert exported.fixed == ""
    assert exported.opset is not None
    assert list(exported.outputs) == list(predictor.tasks) == list(exported.parity)
    for shape in ((1, 3, 32, 64), (4, 3, 41, 50)):
        images = torch.rand(shape)
        for found, expected in zip(run_onnx(exported.file, images), predictor(images).values(), strict=True):
            assert found.dtype == expected.dtype
            torch.testing.assert_close(found, expected.detach(), rtol=1e-3, atol=1e-4)


def test_a_difference_in_areas_of_one_colour_alone_is_found() -> None:
    predictor = make("SegNet")

    def run(images: Tensor) -> list[Tensor]:
        white = (images == 1).all(1, keepdim=True)
        return [v + white if v.is_floating_point() else v for v in predictor(images).values()]

    with pytest.raises(ValueError, match="expected the predictions of the predictor for `depth`, found others"):
        compare(predictor, run, [(1, (64, 64))])


def test_areas_of_one_colour_decide_no_tie_by_rounding(segnet: Exported) -> None:
    predictor = make("SegNet")
    for size in ((32, 64), (48, 80), (31, 41), (96, 128)):
        images = torch.randint(0, 256, (4, 3, *size)).float() / 255
        for image, grey in zip(images, (255, 200, 128, 127), strict=True):
            image[:, : size[0] // 2] = grey / 255
        for found, expected in zip(run_onnx(segnet.file, images), predictor(images).values(), strict=True):
            torch.testing.assert_close(found, expected.detach(), rtol=1e-3, atol=1e-3)


def test_an_onnx_file_says_what_goes_in_and_what_comes_out(segnet: Exported) -> None:
    predictor = make("SegNet")
    session = onnxruntime.InferenceSession(segnet.file, providers=["CPUExecutionProvider"])
    said = session.get_modelmeta().custom_metadata_map
    tasks = json.loads(said.pop("tasks"))
    assert said == {"input": "RGB in 0..1", "trained_size": json.dumps(list(predictor.size))}
    assert list(tasks) == list(predictor.tasks)
    assert tasks["segmentation"] == {"values": "class number", "names": predictor.tasks["segmentation"].names}
    assert tasks["depth"] == {"values": "metres"}


@pytest.mark.parametrize("suffix", ["onnx", "pt2"])
def test_a_task_named_by_a_keyword_is_one_line(suffix: str, tmp_path: Path) -> None:
    predictor = Predictor(SegNet({"class": 1}, filters=(2, 2, 2, 2, 2)), {"class": Depth()})
    with pytest.raises(
        UserError, match=r"^tasks.class: expected a task whose name is no keyword of Python, for .* found `class`"
    ):
        export(predictor, tmp_path / f"student.{suffix}")


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NETS if name not in ("SegNet", "EncoderDecoder", "ResNet")])
@pytest.mark.parametrize("suffix", ["onnx", "pt2"])
def test_every_network_is_exported(name: str, suffix: str, tmp_path: Path) -> None:
    assert (export(make(name), tmp_path / f"student.{suffix}")).parity


@pytest.mark.slow
@pytest.mark.parametrize("name", [*DECODERS, "DPT"])
@pytest.mark.parametrize("suffix", ["onnx", "pt2"])
def test_every_decoder_is_exported(name: str, suffix: str, tmp_path: Path) -> None:
    assert export(decoder(name), tmp_path / f"student.{suffix}").parity


def test_a_module_of_another_library_is_exported(tmp_path: Path) -> None:
    body = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1))
    net = TappedModule({"depth": 1}, body, {"last": "2"}, heads={"depth": "last"})
    exported = export(Predictor(net, {"depth": Depth()}), tmp_path / "own.onnx")
    assert exported.outputs == {"depth": "float32 [batch, 1, height, width], metres"}


def test_torch_export_gives_the_same_up_to_rounding(tmp_path: Path, images: Tensor) -> None:
    predictor, file = make(), tmp_path / "student.pt2"
    exported = export(predictor, file)
    found = torch.export.load(file).module()(images)
    for value, expected in zip(found, predictor(images).values(), strict=True):
        torch.testing.assert_close(value, expected.detach(), rtol=0, atol=1e-5)
    assert (exported.fixed, exported.opset) == ("", None)


def test_safetensors_is_what_load_reads(tmp_path: Path, images: Tensor) -> None:
    predictor = make()
    exported = export(predictor, tmp_path / "student.safetensors")
    assert all(x.differing == 0 for x in exported.parity.values())
    torch.testing.assert_close(tutelage.load(exported.file)(images), predictor(images), rtol=0, atol=0)


class FixedSize(TappedModule):
    """A network that a tracer cannot follow for every size."""

    def forward(self, images: Tensor, tasks: Any = None) -> Any:
        if images.shape[2] * images.shape[3] != 64 * 64:
            raise ValueError("FixedSize: expected images of 64x64")
        return super().forward(images, tasks)


class NoExport(TappedModule):
    """A network that a tracer cannot follow at all."""

    def forward(self, images: Tensor, tasks: Any = None) -> Any:
        if float(images.detach().sum()) < 0:
            raise ValueError("negative")
        return super().forward(images, tasks)


def own(kind: type[TappedModule], size: tuple[int, int] | None) -> Predictor:
    body = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())
    return Predictor(kind({"depth": 1}, body, {"last": "1"}, heads={"depth": "last"}), {"depth": Depth()}, size)


def test_axes_that_cannot_be_free_are_fixed_and_the_reason_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tutelage.deploy.exporter._DEFAULT_SIZE", (64, 64))
    exported = export(own(FixedSize, None), tmp_path / "fixed.pt2")
    assert exported.inputs == "images: float32 [batch, 3, 64, 64], RGB in 0..1"
    assert exported.fixed.startswith("fixed size: ")


@pytest.mark.parametrize("suffix", ["onnx", "pt2"])
def test_a_network_that_cannot_be_exported_is_one_line_and_no_file(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"student.{suffix}"
    with pytest.raises(
        ValueError, match=r"student\.\w+: expected a network that .* can express, found a NoExport"
    ) as e:
        export(own(NoExport, (64, 64)), file)
    assert "\n" not in str(e.value)
    assert not list(tmp_path.iterdir())


def test_other_predictions_write_no_file_and_keep_the_one_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "student.onnx"
    file.write_bytes(b"before")
    monkeypatch.setattr("tutelage.deploy.exporter.to_onnx", lambda *arguments: (b"translated", 18))
    monkeypatch.setattr("tutelage.deploy.exporter.run_onnx", lambda content, images: [x + 0.1 for x in right(images)])
    predictor = own(TappedModule, (64, 64))

    def right(images: Tensor) -> list[Tensor]:
        return list(predictor(images).values())

    with pytest.raises(ValueError, match=r"expected the predictions of the predictor for `depth`, found others \(larg"):
        export(predictor, file)
    assert file.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("change", "meets"), [(0.0, True), (5e-4, True), (0.1, False), (float("nan"), False), (float("inf"), False)]
)
def test_only_rounding_passes_the_comparison(change: float, meets: bool) -> None:
    predictor = own(TappedModule, (64, 64))
    if meets:
        parity = compare(predictor, lambda x: [v + change for v in predictor(x).values()], [(2, (64, 64))])
        assert parity["depth"].largest == pytest.approx(change, rel=1e-2)
    else:
        with pytest.raises(ValueError, match="found others"):
            compare(predictor, lambda x: [v + change for v in predictor(x).values()], [(2, (64, 64))])


def test_a_portable_predictor_is_the_predictor(images: Tensor) -> None:
    predictor = make()
    for size, resizes in (((32, 64), False), ((32, 64), True), ((40, 50), True)):
        x = torch.rand(2, 3, *size)
        with torch.no_grad():
            found, expected = Portable(predictor, resizes)(x), tuple(predictor(x).values())
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_what_cannot_be_asked_for_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = own(TappedModule, (64, 64))
    for file, format, opset, message in (
        ("x.bin", None, None, r"x\.bin: expected a name that ends in \.onnx, \.pt2, \.safetensors"),
        ("x.pt2", None, 18, "opset: expected none for torch.export, found 18"),
        ("x.onnx", "safetensors", None, r"x\.onnx: expected a name that ends in \.safetensors"),
        ("x.onnx", "tensorrt", None, "format: expected one of onnx, torch.export, safetensors, found `tensorrt`"),
    ):
        with pytest.raises(ValueError, match=message):
            export(predictor, tmp_path / file, format, opset)  # wrong on purpose
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ValueError, match=r"found no onnxscript; pip install 'tutelage\[onnx\]'"):
        export(predictor, tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


def test_the_command_knows_every_format() -> None:
    assert get_args(Format) == _FORMATS


@pytest.mark.parametrize(("wrong", "refused"), [(1, False), (2, False), (3, True)])
def test_a_tie_of_one_image_is_no_wrong_translation(wrong: int, refused: bool) -> None:
    """SegNet's unpooling takes the place of a maximum, and rounding may decide which."""
    predictor, calls = make("SegNet"), list[int]()

    def run(images: Tensor) -> list[Tensor]:
        calls.append(len(images))
        predictions = predictor(images)
        if len(calls) <= wrong:
            predictions["depth"][..., :5, :5] += 1
        return list(predictions.values())

    if refused:
        with pytest.raises(UserError, match="expected the predictions of the predictor for `depth`, found others"):
            compare(predictor, run, [(1, (64, 64))])
    else:
        assert compare(predictor, run, [(1, (64, 64))])["depth"].largest == 0
