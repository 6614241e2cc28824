import json
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor, nn

from tutelage.cache import cache_root
from tutelage.study import load_study, memory_format, plan
from tutelage.study.memory_format import with_memory_format
from tutelage.study.mixing import refuse_mixing
from tutelage.study.store import claim
from tutelage.types import Output


class Fixture:
    """A run in fp32 on a CPU, where neither layout is known to be faster."""

    def __init__(self, place: Path, *flags: str) -> None:
        self.study = load_study("rooms-tiny", ["--precision", "32-true", "--accelerator", "cpu", *flags])
        self.spec, self.notes = plan(self.study.values)[-1], list[str]()
        self.place = place / self.spec.id

    def begin(self) -> None:
        claim(self.place, self.spec.config, "data")

    def decided(self) -> bool:
        objects = with_memory_format(self.spec, self.study.build(self.spec.config), self.place, self.notes.append)
        assert isinstance(objects.train.channels_last, bool)
        return objects.train.channels_last


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What is measured next: every call takes one."""
    results: list[bool] = []
    monkeypatch.setattr(memory_format, "_measure", lambda build, images: results.pop(0))
    return results


def test_it_is_measured_once_and_recorded(tmp_path: Path, measured: list[bool]) -> None:
    measured += [True, False]
    for name in ("one", "two"):  # two runs with one network
        run = Fixture(tmp_path / name)
        run.begin()
        assert run.decided() is True
        assert json.loads((run.place / "environment.json").read_text())["channels_last"] is True
    assert measured == [False]


def test_a_run_keeps_its_layout_on_another_machine(
    tmp_path: Path, measured: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    measured += [True, False]
    run = Fixture(tmp_path / "run")
    run.begin()
    assert run.decided() is True
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "another"))
    assert run.decided() is True


def test_a_run_of_an_earlier_version_keeps_its_layout(tmp_path: Path, measured: list[bool]) -> None:
    run = Fixture(tmp_path / "run")
    config = {**run.spec.config, "train": {**run.spec.config["train"], "channels_last": True}}
    claim(run.place, config, "data")
    assert yaml.safe_load((run.place / "config.yaml").read_text())["train"]["channels_last"] is True
    refuse_mixing(run.place, run.spec.config, "data")  # `auto` now
    assert run.decided() is True


@pytest.mark.parametrize(
    ("flags", "layout"), [(["--precision", "bf16-mixed"], True), (["--train.channels_last", "false"], False)]
)
def test_what_is_known_is_not_measured(flags: list[str], layout: bool, tmp_path: Path, measured: list[bool]) -> None:
    run = Fixture(tmp_path / "run", *flags)
    run.begin()
    assert run.decided() is layout


def test_a_cache_that_cannot_be_written_leaves_torchs_layout(
    tmp_path: Path, measured: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "file"))
    run = Fixture(tmp_path / "run")
    run.begin()
    assert run.decided() is False
    (note,) = run.notes
    assert note.startswith(f"train.channels_last: {tmp_path / 'file'}")
    assert note.endswith("Not a directory; the layout is not measured, torch's own is taken")


@pytest.mark.parametrize("damaged", ["", "[]", "{}"])
def test_a_damaged_file_of_the_cache_is_measured_again(tmp_path: Path, measured: list[bool], damaged: str) -> None:
    measured += [True, False]
    for name, decided in (("one", True), ("two", False), ("three", False)):
        run = Fixture(tmp_path / name)
        run.begin()
        assert run.decided() is decided
        if name == "one":
            (file,) = (cache_root() / "memory_format").glob("*.json")
            file.write_text(damaged)


def test_an_error_of_the_network_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise RuntimeError("our own mistake")

    monkeypatch.setattr(memory_format, "_measure", fail)
    run = Fixture(tmp_path / "run")
    run.begin()
    with pytest.raises(RuntimeError, match="our own mistake"):
        run.decided()


class Slow(nn.Module):
    """A network whose step takes a time that depends on the layout of its images."""

    def __init__(self, seconds: dict[bool, float], clock: list[float]) -> None:
        super().__init__()
        self.seconds, self.clock, self.weight = seconds, clock, nn.Parameter(torch.ones(()))

    def forward(self, images: Tensor) -> Output:
        last = images.is_contiguous(memory_format=torch.channels_last)
        self.clock[0] += self.seconds[last]
        return Output({"a": self.weight * images}, {})


@pytest.mark.parametrize(
    ("contiguous", "channels_last", "small", "faster"),
    [(2.0, 1.0, 0, True), (1.0, 2.0, 0, False), (2.0, 1.0, 1, False), (9.0, 8.0, 0, True)],
)
def test_the_faster_layout_is_taken_where_it_matters(
    contiguous: float, channels_last: float, small: int, faster: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No timing decides for a network with few operations: its bits are the same everywhere."""
    monkeypatch.setattr(memory_format, "_SMALL", small)
    clock = [0.0]
    monkeypatch.setattr(memory_format, "perf_counter", lambda: clock[0])
    seconds = {False: contiguous, True: channels_last}
    assert memory_format._measure(lambda: Slow(seconds, clock), torch.rand(2, 3, 4, 5)) is faster
