"""A file may come from anybody: what it names is not imported, and nothing else is read because of it."""

import inspect
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.deploy.conftest import DENSE, config
from torch import Tensor

import tutelage.nets
import tutelage.tasks
from tutelage.deploy import build, load, save
from tutelage.nets import EncoderDecoder, SegNet, encoder_decoder

OWN = """
import subprocess
from subprocess import getoutput
from dataclasses import dataclass
from collections.abc import Callable
from torch import nn
from tutelage.nets import SegNet

class Other:
    @classmethod
    def make(cls, width=1, weights="DEFAULT", pretrained=True):
        assert weights is None and pretrained is False
        return nn.Conv2d(3, width, 1)

    @classmethod
    def five(cls, weights="DEFAULT"):
        assert weights is None
        return nn.Conv2d(3, 8, 1)

class Net(SegNet):
    def __init__(self, widths, part: nn.Module | None = None, make: Callable[[int], nn.Module] = nn.Identity,
                 pretrained: bool = True):
        super().__init__(widths, filters=(4, 4, 4, 4, 4))
        assert not pretrained
        self.part, self.made = part, make(3)
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("their_nets", "their_nets_too"):
        (tmp_path / f"{name}.py").write_text(OWN)
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))


def with_net(path: str, **arguments: Any) -> dict[str, Any]:
    return {**config("SegNet", None), "net": {"class_path": path, "init_args": arguments}}


@pytest.mark.parametrize(
    "path",
    [
        "their_nets.Net",
        "os.system",
        "subprocess.Popen",
        "torch.hub.load",
        "tutelage.study.execute",
        "tutelage.nets.load_authors",
        "tutelage.nets.authors.torch.load",
        "tutelage.nets.segnet.MultiTaskNet",
        "tutelage.nets.SegNet.forward",
        "tutelage.nets.Nothing",
        "tutelage.nets.nothing.SegNet",
        "tutelage.tasks.Depth",
        "tutelage.nets_too.SegNet",
        "SegNet",
        "tutelage..nets.SegNet",
        "",
    ],
)
def test_no_other_class_is_built(path: str, own: None) -> None:
    for values in (with_net(path), {**config("SegNet", None), "tasks": {"depth": {"class_path": f"{path}x"}}}):
        with pytest.raises(ValueError, match="expected") as caught:
            build(values)
        assert "\n" not in str(caught.value)
    assert "their_nets" not in sys.modules


@pytest.mark.parametrize("value", ["os.system", {"class_path": "os.system"}, {"class_path": "their_nets.Other.make"}])
def test_no_argument_is_imported(value: Any, own: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def called(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("os.system", called)
    wrong = [with_net("tutelage.nets.TappedModule", module=value, taps={"last": "0"})]
    if isinstance(value, dict):
        wrong += [
            with_net("tutelage.nets.EncoderDecoder", encoder_args={"act_layer": value}),
            with_net("tutelage.nets.SegNet", filters=[value, 4, 4, 4, 4]),
        ]
    for values in wrong:
        with pytest.raises(ValueError, match=r"^net.*: expected (plain values, found .*, which is not imported|tuple)"):
            build(values)
    assert "their_nets" not in sys.modules


def test_every_argument_of_ours_is_plain_but_for_one() -> None:
    """A new one that takes an object or a function has to be considered here: `deploy.build` screens its strings."""
    from tutelage.deploy.build import _PLAIN, _hints
    from tutelage.nets import Tap

    actual = set()
    for package in (tutelage.nets, tutelage.tasks):
        for name in package.__all__:
            kind = getattr(package, name)
            if not isinstance(kind, type) or kind is Tap or inspect.isabstract(kind):  # `resolve` refuses a base
                continue
            if kind.__init__ is object.__init__:  # it takes no argument, though `Recorded.__new__` passes any on
                continue
            kinds = {p.kind for p in inspect.signature(kind.__init__).parameters.values()}
            assert not kinds & {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}, kind
            rest = [(key, hint) for key, hint in _hints(kind).items() if key != "return"]
            while rest:
                key, hint = rest.pop()
                origin = getattr(hint, "__origin__", hint)
                if getattr(hint, "__args__", None) and "Literal" not in str(origin):
                    rest += [(key, part) for part in hint.__args__ if part is not ...]
                elif origin not in (*_PLAIN, Tap):
                    actual.add((name, key))
    assert actual == {("TappedModule", "module")}


def test_a_tapped_network_of_a_trusted_module(tmp_path: Path, images: Tensor, own: None) -> None:
    tap = {"path": "", "output": None, "layout": None, "skip": 0}
    values = {
        "net": {
            "class_path": "tutelage.nets.TappedModule",
            "init_args": {
                "module": {"class_path": "their_nets.Other.make", "init_args": {"weights": "DEFAULT"}},
                "taps": {"last": tap, "again": ""},
                "channels": "width",
                "checkpoint": str(tmp_path / "nowhere.safetensors"),
            },
        },
        "tasks": DENSE,
    }
    with pytest.raises(ValueError, match=r"net.module: expected plain values, found `their_nets.Other.make`"):
        build(values)
    predictor = build(values, trust=["their_nets"])
    again = load(save(predictor, tmp_path), trust=["their_nets"])
    torch.testing.assert_close(again.predict(images), predictor.predict(images), rtol=0, atol=0)


def test_a_tapped_network_by_its_path_alone_loads_no_weights_either(own: None) -> None:
    values = with_net("tutelage.nets.TappedModule", module="their_nets.Other.five", taps={"last": ""})
    assert build(values, ["their_nets"]).tasks.keys() == DENSE.keys()  # 4 + 1 + 3 channels


def test_what_is_trusted_is_built_and_nothing_beside_it(own: None, tmp_path: Path, images: Tensor) -> None:
    part, make = {"class_path": "their_nets.Other.make", "init_args": {"width": 2}}, {"class_path": "their_nets.Other"}
    values = with_net("their_nets.Net", part=part)
    for trust in (["their_nets"], "their_nets", ["their_nets.Net", "their_nets.Other"]):
        predictor = build(values, trust)
        assert predictor.net.part.out_channels == 2
    again = load(save(predictor, tmp_path), trust=["their_nets"])
    torch.testing.assert_close(again.predict(images), predictor.predict(images), rtol=0, atol=0)
    with pytest.raises(ValueError, match=r"trust=\['their_nets'\]"):
        load(tmp_path)
    for path, trust in (
        ("their_nets_too.Net", "their_nets"),
        ("their_nets.subprocess.Popen", "their_nets"),
        ("their_nets.Other", "their_nets"),
        ("their_nets.Other", "their"),
    ):
        with pytest.raises(ValueError, match=r"^net: "):
            build(with_net(path), [trust])
    for wrong in ({**part, "class_path": "their_nets.getoutput"}, {"class_path": "os.system"}, "os.system"):
        for key in ("part", "make"):
            with pytest.raises(ValueError, match=rf"net.{key}: expected"):
                build(with_net("their_nets.Net", **{key: wrong}), ["their_nets"])
    with pytest.raises(ValueError, match=r"expected arguments of Other"):  # a function that makes one: called with 3
        build(with_net("their_nets.Net", make=make), ["their_nets"])
    assert "their_nets_too" not in sys.modules


def test_nothing_is_downloaded_or_read(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Any, ...]] = []
    build_parts = encoder_decoder.build_parts

    def watched(*arguments: Any) -> Any:
        seen.append(arguments)
        return build_parts(*arguments)

    monkeypatch.setattr(encoder_decoder, "build_parts", watched)
    evil = {"pretrained": True, "checkpoint_path": "/etc/passwd", "cache_dir": "/tmp/x"}
    evil["pretrained_cfg_overlay"] = {"file": "/etc/passwd", "hf_hub_id": "x/y", "crop_pct": 0.5}
    arguments = {"encoder": "test_resnet", "decoder": "FPN", "pretrained": True}
    net = build(with_net("tutelage.nets.EncoderDecoder", **arguments, encoder_args=evil)).net
    assert isinstance(net, EncoderDecoder)
    ((_, encoder, _, pretrained, _, encoder_args, _),) = seen
    assert (encoder, pretrained) == ("test_resnet", False)
    assert encoder_args == {"pretrained_cfg_overlay": {"crop_pct": 0.5}}
    for name in ("hf-hub:timm/resnet18", "hf_hub:timm/resnet18", "local-dir:/tmp/x", "https://x.org/y"):
        with pytest.raises(ValueError, match=r"net.encoder: expected a name without `:`"):
            build(with_net("tutelage.nets.EncoderDecoder", encoder=name))
    assert len(seen) == 1


def test_wrong_arguments_are_one_line() -> None:
    for arguments in ({"filters": "x"}, {"widths": {}}, {"nothing": 1}, {"width": 1e-9}, {"filters": [4, 4]}):
        with pytest.raises(
            ValueError, match=r"^net: expected arguments of SegNet that fit|^net.filters: expected tuple"
        ) as caught:
            build(with_net("tutelage.nets.SegNet", **arguments))
        assert "\n" not in str(caught.value)
    for net in (None, [], {}, {"class_path": 3}, {"class_path": "tutelage.nets.SegNet", "init_args": []}):
        values = {**config("SegNet", None), "net": net}
        if net == {"class_path": "tutelage.nets.SegNet", "init_args": []}:
            continue  # as without arguments
        with pytest.raises(ValueError, match="net: expected class_path and init_args"):
            build(values)


def test_lists_become_the_tuples_that_annotations_ask_for(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    init = SegNet.__init__
    monkeypatch.setattr(
        SegNet, "__init__", lambda self, widths, filters: seen.append(filters) or init(self, widths, filters=filters)
    )
    monkeypatch.setattr(SegNet.__init__, "__annotations__", init.__annotations__)
    build(config("SegNet", None))
    assert seen == [(4, 4, 4, 4, 4)]
