import copy
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import timm
import torch
from tests.nets.net_tester import WIDTHS, NetTester
from torch import Tensor, nn
from torch.nn.functional import interpolate

from tutelage.balance.representation import check_apart
from tutelage.distill import FeatureDistiller
from tutelage.nets import ResNet, SegNet, Tap, TappedModule
from tutelage.types import Batch, MultiTaskNet

TAPS: dict[str, str | Tap] = {"bottleneck": "encoder.5", "last": "decoder"}


class Small(nn.Module):
    """A network of one's own; `kind` is how it gives its predictions, of `widths` channels each."""

    def __init__(self, widths: dict[str, int] | None = None, kind: str = "dict", classes: int | None = None) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            *(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU()),
            *(nn.Conv2d(8, 12, 3, 2, 1), nn.BatchNorm2d(12), nn.ReLU()),
        )
        self.decoder = nn.Conv2d(12, 6, 3, padding=1)
        self.out = nn.ModuleDict({t: nn.Conv2d(6, width, 1) for t, width in (widths or {}).items()})
        self.classifier = nn.Conv2d(6, classes, 1) if classes else None
        self.kind = kind

    def forward(self, x: Tensor) -> Any:
        if x.mean() > 100:
            raise RuntimeError("too bright")
        x = self.decoder(self.encoder(x))
        if self.classifier is not None:
            return self.classifier(x)
        every = {t: head(x) for t, head in self.out.items()}
        kinds = {"dict": every, "tuple": tuple(every.values()), "list": [x, every], "none": x}
        if self.kind == "tensor":
            return torch.cat(list(every.values()), 1)
        if self.kind == "logits":
            return OrderedDict(hidden=x, logits=torch.cat(list(every.values()), 1))
        return kinds[self.kind]


class TestHeads(NetTester):
    def build(self, widths: dict[str, int]) -> MultiTaskNet:
        return TappedModule(widths, Small(), TAPS, heads="last")

    def test_the_boundary_is_the_tap(self, net: MultiTaskNet, images: Tensor) -> None:
        output = net(images)
        assert output.shared == (output.taps["last"],)
        check_apart(output.shared, "TappedModule")
        loss, shared = sum(x.square().mean() for x in output.predictions.values()), net.shared_parameters()
        at = torch.autograd.grad(loss, output.shared, retain_graph=True)
        exact = torch.autograd.grad(loss, shared, retain_graph=True)
        torch.testing.assert_close(torch.autograd.grad(output.shared, shared, at), exact)


class TestHeadsOnTwoTaps(NetTester):
    boundary = False

    def build(self, widths: dict[str, int]) -> MultiTaskNet:
        heads = {"segmentation": "last", "depth": "last", "normals": "last"}
        if len(widths) > 1:
            heads["normals"] = "bottleneck"
        return TappedModule(widths, Small(), TAPS, heads=heads)


class TestOwnOutputs(NetTester):
    boundary = False

    def build(self, widths: dict[str, int]) -> MultiTaskNet:
        return TappedModule(widths, Small(widths), TAPS, outputs={t: t for t in widths})


class TestNormalisedAndResized(TestHeads):
    def build(self, widths: dict[str, int]) -> MultiTaskNet:
        moments = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}
        return TappedModule(widths, Small(), TAPS, heads="last", size=(40, 48), **moments)


class TestWholeImage(NetTester):
    dense = False

    def build(self, widths: dict[str, int]) -> MultiTaskNet:
        last = Tap("decoder", layout="mean")
        return TappedModule(widths, Small(), {"bottleneck": "encoder.5", "last": last}, heads="last")


# hooks


def hooks(net: nn.Module) -> list[Any]:
    names = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_forward_hooks_always_called")
    return [hook for part in net.modules() for name in names for hook in getattr(part, name).values()]


def test_tapping_leaves_no_trace() -> None:
    module = Small(WIDTHS)
    before, modes = copy.deepcopy(module.state_dict()), [part.training for part in module.modules()]
    net = TappedModule(WIDTHS, module, TAPS, outputs={t: t for t in WIDTHS})
    assert net.net is module
    assert hooks(module) == []
    assert list(module.state_dict()) == list(before)
    assert all(torch.equal(module.state_dict()[k], x) for k, x in before.items())
    assert [part.training for part in module.modules()] == modes
    net(torch.rand(2, 3, 32, 32))
    assert hooks(module) == []
    with pytest.raises(RuntimeError, match="too bright"):
        net(torch.full((2, 3, 32, 32), 200.0))
    assert hooks(module) == []
    assert list(module.state_dict()) == list(before)
    assert list(copy.deepcopy(net).state_dict()) == [f"net.{name}" for name in before]


def test_it_exports() -> None:
    class Predict(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = TappedModule(
                {"a": 2}, nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), {"x": "1"}, heads="x", size=(32, 32)
            )

        def forward(self, images: Tensor) -> dict[str, Tensor]:
            return self.net(images).predictions

    predict, images = Predict(), torch.rand(1, 3, 24, 40)
    exported = torch.export.export(predict, (images,)).module()
    assert torch.equal(exported(images)["a"], predict(images)["a"])


def test_hooks_are_gone_where_a_tap_is_refused() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(self.conv(x))

    module = Twice()
    with pytest.raises(ValueError, match="expected one call of `conv` in a forward, found 2"):
        TappedModule({"a": 3}, module, {"last": "conv"})
    assert hooks(module) == []


def test_a_tap_is_what_the_submodule_gives() -> None:
    module, images = Small(WIDTHS).eval(), torch.rand(2, 3, 32, 48)
    net = TappedModule(WIDTHS, module, {**TAPS, "depth": Tap("", "depth")}, {t: t for t in WIDTHS})
    taps = net(images).taps
    assert torch.equal(taps["bottleneck"], module.encoder(images))
    assert torch.equal(taps["last"], module.decoder(module.encoder(images)))
    assert torch.equal(taps["depth"], module(images)["depth"])


# outputs


@pytest.mark.parametrize(
    ("kind", "outputs"),
    [
        ("tensor", None),
        ("tensor", {"segmentation": (0, 5), "depth": (5, 6), "normals": (6, 9)}),
        ("logits", "logits"),
        ("logits", 1),
        ("tuple", {"segmentation": 0, "depth": 1, "normals": -1}),
        ("dict", {t: t for t in WIDTHS}),
    ],
)
def test_outputs(kind: str, outputs: Any) -> None:
    torch.manual_seed(0)
    module, images = Small(WIDTHS, kind).eval(), torch.rand(2, 3, 32, 48)
    predictions = TappedModule(WIDTHS, module, TAPS, outputs).eval()(images).predictions
    x = module.decoder(module.encoder(images))
    for t, head in module.out.items():
        torch.testing.assert_close(predictions[t], interpolate(head(x), (32, 48), mode="bilinear"))


def test_an_attribute_of_a_dataclass_is_an_output() -> None:
    class Wrapped(Small):
        def forward(self, x: Tensor) -> Any:
            return Batch(super().forward(x)["depth"], {})

    assert TappedModule({"depth": 1}, Wrapped({"depth": 1}), TAPS, "images")(torch.rand(1, 3, 8, 8)).predictions


def test_parameters_that_serve_no_prediction_are_frozen() -> None:
    module = Small(classes=10)
    net = TappedModule({"a": 2, "b": 1}, module, TAPS, heads="last")
    listed = [*net.shared_parameters(), *net.task_parameters("a"), *net.task_parameters("b")]
    assert {n for n, p in net.named_parameters() if not p.requires_grad} == {
        "net.classifier.weight",
        "net.classifier.bias",
    }
    assert {id(p) for p in listed} == {id(p) for p in net.parameters() if p.requires_grad}
    assert all(not p.requires_grad for p in TappedModule({}, Small(), TAPS).parameters())


def test_a_frozen_backbone_belongs_to_nobody() -> None:
    net = TappedModule({"a": 2, "b": 1}, Small().requires_grad_(False), TAPS, heads="last")
    assert net.shared_parameters() == []
    assert len(net.task_parameters("a")) == 2


# size, normalisation, layouts


def test_size_and_normalisation() -> None:
    module, images = Small().eval(), torch.rand(2, 3, 64, 80)
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    net = TappedModule({"a": 1}, module, TAPS, heads="last", mean=mean, std=std, size=(16, 24)).eval()
    x = interpolate(images, (16, 24), mode="bilinear", antialias=True)
    x = (x - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    output = net(images)
    assert torch.equal(output.taps["bottleneck"], module.encoder(x))
    expected = interpolate(net.heads["a"](output.taps["last"]), (64, 80), mode="bilinear")
    assert torch.equal(output.predictions["a"], expected)
    assert {"mean", "std"} < set(net.state_dict())


class Tokens(nn.Module):
    """[B, 1 + N, C] from patches of 8."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.tokens = nn.Conv2d(3, 6, 8, 8), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).mT
        return self.tokens(torch.cat([x.mean(1, keepdim=True), x], 1))[:, 0]


@pytest.mark.parametrize(
    ("tap", "shape"),
    [
        (Tap("tokens", layout="grid", skip=1), (2, 6, 4, 7)),
        (Tap("tokens", layout="channels_last", skip=1), (2, 6, 28)),
        (Tap("tokens", layout="channels_last"), (2, 6, 29)),
        (Tap("tokens", layout="channels_first"), (2, 29, 6)),
        (Tap("patches", layout="channels_last"), (2, 7, 6, 4)),
        (Tap("patches", layout="mean"), (2, 6)),
    ],
)
def test_layouts(tap: Tap, shape: tuple[int, ...]) -> None:
    module, images = Tokens(), torch.rand(2, 3, 32, 56)
    feature = TappedModule({}, module, {"x": tap, "map": "patches"})(images)
    assert feature.taps["x"].shape == shape
    if tap.layout == "grid":
        assert torch.equal(feature.taps["x"], feature.taps["map"])


# checkpoints


def test_checkpoints(tmp_path: Path) -> None:
    torch.manual_seed(0)
    trained = Small(WIDTHS)
    state = trained.state_dict()
    old = {f"model.{k}": x for k, x in state.items() if "num_batches_tracked" not in k}
    torch.save(state, tmp_path / "a.pt")
    torch.save({"state_dict": old | {"other": torch.zeros(1)}, "epoch": 3}, tmp_path / "b.pth")
    safetensors.torch.save_file(state, tmp_path / "c.safetensors")
    for name, prefix in (("a.pt", ""), ("b.pth", "model."), ("c.safetensors", "")):
        outputs = {t: t for t in WIDTHS}
        net = TappedModule(WIDTHS, Small(WIDTHS), TAPS, outputs, checkpoint=tmp_path / name, prefix=prefix)
        assert all(torch.equal(x, state[k]) for k, x in net.net.state_dict().items())


class Pickled:
    def __reduce__(self) -> Any:
        return os.mkdir, ("touched",)


def test_wrong_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    state = Small().state_dict()
    torch.save({"state_dict": state, "args": Pickled()}, "code.pt")
    torch.save(state | {"decoder.bias": torch.zeros(7)}, "shape.pt")
    torch.save(state | {"fc.weight": torch.zeros(7)}, "more.pt")
    torch.save({k: x for k, x in state.items() if k != "decoder.bias"}, "fewer.pt")
    torch.save({f"model.{k}": x for k, x in state.items()}, "wrapped.pt")
    torch.save([1, 2], "list.pt")
    Path("text.pt").write_text("hello")
    Path("text.safetensors").write_text("hello")
    actual = {
        "code.pt": "a file that wants to run `posix.mkdir`; nothing of it was run",
        "shape.pt": r"`decoder.bias` of shape \[6\], found \[7\]",
        "more.pt": r"the module's tensors, and no others, found `fc.weight`, too; give the weights of this module$",
        "fewer.pt": r"the module's tensors, `decoder.bias`, found none of that name; give the weights of this module$",
        "wrapped.pt": r"found `model\..*` and \d+ more instead; set `prefix` to `model\.`$",
        "list.pt": "expected a state_dict, alone or as `state_dict` or `model`, found a list",
        "text.pt": r"expected a file of tensors, found one that cannot be read \(.*Error\); nothing of it was run",
        "text.safetensors": r"found one that cannot be read \(SafetensorError\)",
        "none.pt": r"found one that cannot be read \(FileNotFoundError\)",
    }
    for name, message in actual.items():
        with pytest.raises(ValueError, match=f"{name}: .*{message}") as error:
            TappedModule({}, Small(), TAPS, checkpoint=name)
        assert "\n" not in str(error.value)
    assert not Path("touched").exists()


# mistakes


class InPlace(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: TappedModule({"a": 0}, Small(), TAPS), "at least one channel"),
        (
            lambda: TappedModule({}, Small(), {"x": "encodr.5"}),
            "found `encodr.5`; near it: encoder.5, encoder.4, encoder.3",
        ),
        (
            lambda: TappedModule({"a": 1}, Small(), TAPS, heads="x"),
            r"heads: expected taps \(bottleneck, last\), found `x`",
        ),
        (
            lambda: TappedModule({"a": 1}, Small(), TAPS, heads={"b": "last"}),
            "heads: expected all tasks, found b without a",
        ),
        (lambda: TappedModule({"a": 1}, Small(), TAPS, {"b": 1}), "outputs: expected all tasks, found b without a"),
        (lambda: TappedModule({"a": 1}, Small(), TAPS, 0, "last"), "found both"),
        (
            lambda: TappedModule({"a": 1}, Small(classes=2), TAPS),
            r"1 channels for {'a': 1}, found a tensor \[1, 2, 56, 56\]",
        ),
        (
            lambda: TappedModule({"a": 3}, Small(classes=2), TAPS, {"a": (0, 3)}),
            r"expected \[B, 3\] or .* found a tensor",
        ),
        (
            lambda: TappedModule({"a": 1}, Small({"a": 1}), TAPS),
            "outputs: expected the index or key of a tensor, found `None` in a dict of a",
        ),
        (lambda: TappedModule({"a": 1}, Small({"a": 1}), TAPS, {"a": "b"}), "found `b` in a dict of a"),
        (lambda: TappedModule({"a": 1}, Small({"a": 1}, "tuple"), TAPS, {"a": 1}), "found `1` in a tuple of 1"),
        (lambda: TappedModule({}, Small({"a": 1}), {"x": ""}), "taps.x: .* found `None` in a dict of a"),
        (
            lambda: TappedModule({}, Small(kind="none"), {"x": "out"}),
            "expected one call of `out` in a forward, found 0",
        ),
        (lambda: TappedModule({}, InPlace(), {"x": "1"}), "found one that is overwritten in place"),
        (lambda: TappedModule({}, Tokens(), {"x": "tokens"}), r"found a tensor \[1, 785, 6\]; give a `layout`"),
        (
            lambda: TappedModule({}, Tokens(), {"x": Tap("tokens", layout="grid")}),
            "the image's sides, found 785; mend `skip`",
        ),
        (
            lambda: TappedModule({}, Tokens(), {"x": "patches"}, size=(4, 4)),
            r"TappedModule.size: expected one that fits, found \[4, 4\]: .*Kernel size",
        ),
        (lambda: TappedModule({}, Small(), TAPS, mean=(0, 0, 0)), "expected both `mean` and `std`"),
        (lambda: TappedModule({}, Small(), TAPS, mean=(0, 0, 0), std=(1, 0, 1)), "the latter positive"),
        (
            lambda: TappedModule({}, "torch.nn.Nope", TAPS),
            "expected `torch.nn.Nope` to build a module, found a NoneType",
        ),
        (lambda: TappedModule({}, "math.pi", TAPS), "expected `math.pi` to build a module, found a float"),
        (lambda: TappedModule({}, "torch.nn.Conv2d", TAPS), "to build a module, found .*missing 3 required"),
        (lambda: TappedModule({}, {"class": "torch.nn.Conv2d"}, TAPS), "`class_path` and `init_args`, found class"),
        (
            lambda: TappedModule({"a": 1}, Small(), TAPS, heads="last")(torch.rand(1, 3, 8, 8), ["b"]),
            "among a; found `b`",
        ),
    ],
)
def test_mistakes(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        build()
    assert "\n" not in str(error.value)


def test_a_head_needs_positions_or_a_vector() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1))
    with pytest.raises(ValueError, match=r"at `last`, found a tensor \[1, 4, 1, 1\]; give it a `layout`"):
        TappedModule({"a": 1}, module, {"last": "1"}, heads="last")
    net = TappedModule({"a": 2}, module, {"last": Tap("1", layout="mean")}, heads="last")
    assert net(torch.rand(3, 3, 8, 8)).predictions["a"].shape == (3, 2)


# by name, of libraries


def test_modules_by_name() -> None:
    smp = {
        "class_path": "segmentation_models_pytorch.Unet",
        "init_args": {"encoder_name": "tu-test_resnet", "encoder_weights": None, "encoder_depth": 3}
        | {"decoder_channels": [8, 8, 6]},
    }
    net = TappedModule(
        WIDTHS, smp, {"bottleneck": "encoder.model.layer2", "last": "decoder"}, channels="classes", size=(64, 64)
    )
    output = net(torch.rand(2, 3, 40, 50))
    assert output.predictions["segmentation"].shape == (2, 5, 40, 50)
    assert output.taps["last"].shape == (2, 6, 64, 64)
    taps: dict[str, str | Tap] = {"bottleneck": "layer4", "last": Tap("avgpool", layout="mean")}
    net = TappedModule({"a": 7}, "torchvision.models.resnet18", taps, heads="last", size=(64, 64))
    assert net(torch.rand(1, 3, 32, 32)).predictions["a"].shape == (1, 7)
    features = {"class_path": "timm.create_model", "init_args": {"model_name": "test_resnet", "features_only": True}}
    assert TappedModule({}, features, {"last": Tap("", 2)}).eval()(torch.rand(1, 3, 32, 32)).taps["last"].shape == (
        1,
        48,
        4,
        4,
    )


def test_timm_prints_nothing_of_a_backbone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "weights.pth")  # with a classifier
    arguments = {"model_name": "test_resnet", "features_only": True, "pretrained": True}
    arguments["pretrained_cfg_overlay"] = {"file": str(tmp_path / "weights.pth")}
    TappedModule({}, {"class_path": "timm.create_model", "init_args": arguments}, {"last": "layer4"})
    assert capfd.readouterr() == ("", "")


def test_weights_of_transformers(tmp_path: Path) -> None:
    """A folder of `save_pretrained`, as the hub has them: a student's predictions, a teacher's tokens."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    shape = {"hidden_sizes": [8, 16, 24, 32], "depths": [1] * 4, "num_attention_heads": [1] * 4}
    config = transformers.SegformerConfig(num_labels=4, decoder_hidden_size=16, **shape)
    saved = transformers.SegformerForSemanticSegmentation(config)
    saved.save_pretrained(tmp_path / "segformer")
    module = {
        "class_path": "transformers.SegformerForSemanticSegmentation.from_pretrained",
        "init_args": {"pretrained_model_name_or_path": str(tmp_path / "segformer")},
    }
    net = TappedModule(
        {"segmentation": 3, "depth": 1}, module, {"last": "decode_head.linear_fuse"}, "logits", size=(64, 96)
    )
    weights = saved.state_dict()
    assert all(torch.equal(x, weights[name]) for name, x in net.net.state_dict().items())
    images = torch.rand(2, 3, 64, 96)
    whole = interpolate(saved.eval()(images).logits, (64, 96), mode="bilinear")
    torch.testing.assert_close(net.eval()(images).predictions["depth"], whole[:, 3:])

    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 56, "patch_size": 14}
    transformers.Dinov2Model(transformers.Dinov2Config(**size)).save_pretrained(tmp_path / "dinov2")
    path = {"pretrained_model_name_or_path": str(tmp_path / "dinov2")}
    module = {"class_path": "transformers.AutoModel.from_pretrained", "init_args": path}
    teacher = TappedModule({}, module, {"last": Tap("layernorm", layout="grid", skip=1)}, size=(56, 84))
    assert teacher(images).taps["last"].shape == (2, 16, 4, 6)


def test_tokens_of_a_vit() -> None:
    vit = timm.create_model("test_vit", num_classes=0, img_size=96)
    size = (96, 96)
    net = TappedModule(
        {"a": 1}, vit, {"last": Tap("norm", layout="grid", skip=vit.num_prefix_tokens)}, heads="last", size=size
    )
    output = net(torch.rand(2, 3, 40, 50))
    assert output.taps["last"].shape == (2, 64, 6, 6)
    assert output.predictions["a"].shape == (2, 1, 40, 50)


STUDENTS = [
    (lambda: SegNet({"a": 2, "b": 1}, filters=(4, 6, 8, 8, 12)), {"bottleneck": "deep", "last": "fine"}),
    (lambda: ResNet({"a": 2, "b": 1}, (8, 12), 1), {"bottleneck": "deep", "last": "vector"}),
    (lambda: TappedModule({"a": 2, "b": 1}, Small(), TAPS, heads="last"), {"bottleneck": "deep", "last": "fine"}),
]


@pytest.mark.parametrize(("build", "match"), STUDENTS)
def test_teachers_of_timm_at_another_resolution(build: Any, match: dict[str, str]) -> None:
    torch.manual_seed(0)
    student: MultiTaskNet = build()
    taps: dict[str, str | Tap] = {"deep": "layer4", "fine": "layer1", "vector": Tap("global_pool")}
    sizes = {"a": (96, 64), "b": (80, 80)}
    teachers = {
        t: TappedModule(
            {}, timm.create_model("test_resnet", num_classes=0), taps, size=sizes[t], mean=mean, std=(0.2,) * 3
        )
        for t, mean in (("a", (0.5, 0.4, 0.3)), ("b", (0.1, 0.2, 0.3)))
    }
    images = torch.rand(2, 3, 40, 48)
    distiller = FeatureDistiller(student, teachers, images, match)
    before = {t: copy.deepcopy(net.state_dict()) for t, net in teachers.items()}
    student.train()
    distiller.train()
    terms = distiller(Batch(images, {}), student(images))
    sum(term.mean() for term in terms.values()).backward()
    shown = [p for name, p in student.named_parameters() if not name.startswith("heads")]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in [*shown, *distiller.parameters()])
    assert any(p.grad.any() for p in shown)
    for t, net in teachers.items():
        assert all(torch.equal(x, before[t][k]) for k, x in net.state_dict().items())
        assert all(p.grad is None for p in net.parameters())
        assert not net.training
        assert hooks(net) == []
