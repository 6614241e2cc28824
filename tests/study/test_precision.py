"""What `auto` stands for: one precision for all runs of a study, and none that makes its step slower."""

from functools import partial
from pathlib import Path

import pytest
import torch
from tests.study.test_memory_format import Fixture
from torch import nn

from tutelage.nets import SegNet
from tutelage.study import load_study, plan
from tutelage.study.config import is_slow_in_bf16

LITE = "--net", "tutelage.nets.EncoderDecoder", "--net.encoder", "tf_efficientnet_lite0", "--net.decoder", "FPN"
NARROW = *LITE, "--net.decoder_args", "{decoder_pyramid_channels: 64, decoder_segmentation_channels: 32}"


@pytest.fixture(autouse=True)
def bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU that multiplies bf16 in hardware."""
    monkeypatch.setattr("tutelage.train.config.cpu_has_bf16", lambda: True)


def precisions(*flags: str, study: str = "rooms-tiny") -> set[str]:
    found = load_study(study, ["--accelerator", "cpu", "--precision", "auto", *flags])
    return {spec.config["train"]["precision"] for spec in plan(found.values)}


class Depthwise(nn.Module):
    """One depthwise convolution, and ones with `dense` multiply-adds for each of its outputs."""

    def __init__(self, dense: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=8, padding=1), nn.Conv2d(8, dense, 1), nn.AvgPool2d(2)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images)


@pytest.mark.parametrize(("dense", "slow"), [(8, True), (900, True), (1100, False)])
def test_many_depthwise_convolutions_are_slow_in_bf16(dense: int, slow: bool) -> None:
    assert is_slow_in_bf16(partial(Depthwise, dense)) is slow


def test_networks_without_them_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: object) -> None:
        raise AssertionError

    monkeypatch.setattr(SegNet, "forward", never)
    assert not is_slow_in_bf16(partial(SegNet, {"a": 2}))
    assert not is_slow_in_bf16(lambda: nn.Conv2d(8, 8, 3, groups=4))


def test_a_network_that_cannot_be_built_is_named_where_it_is_built() -> None:
    def fail() -> nn.Module:
        raise RuntimeError("its user's mistake")

    assert not is_slow_in_bf16(fail)


def test_all_runs_of_a_study_have_one_precision() -> None:
    assert precisions() == {"bf16-mixed"}
    pytest.importorskip("segmentation_models_pytorch", reason="the networks need the extra `nets`")
    assert precisions(*NARROW) == {"32-true"}
    assert precisions(*NARROW, "--net.pretrained", "true") == {"32-true"}  # no weights are read for it
    assert precisions(*LITE) == {"bf16-mixed"}  # its wide decoders take most of the time
    assert precisions(*NARROW, "--precision", "bf16-mixed") == {"bf16-mixed"}  # as the user says


@pytest.mark.parametrize("began", ["32-true", "bf16-mixed"])
def test_a_study_keeps_its_precision_on_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, began: str
) -> None:
    out = "--out", str(tmp_path)
    Fixture(tmp_path, "--precision", began, *out).begin()
    for hardware in (True, False):
        monkeypatch.setattr("tutelage.train.config.cpu_has_bf16", lambda has=hardware: has)
        assert precisions(*out) == {began}
    (file,) = tmp_path.glob("**/config.yaml")
    file.write_text("train: [")
    assert precisions(*out) == {"32-true"}  # of this machine: the run says itself that it is damaged
