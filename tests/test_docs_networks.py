"""What docs/networks.md shows runs, as it stands there."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from tutelage.cli import main
from tutelage.nets import Tap, TappedModule
from tutelage.study import load_study
from tutelage.study.build import build_run
from tutelage.study.plan import plan
from tutelage.study.teachers import load_weights

PAGE = (Path(__file__).parents[1] / "docs/networks.md").read_text()
PYTHON, OWN = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
YAML, TEACHERS = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_teachers_teach() -> None:
    assert len([line for line in PYTHON.splitlines() if line.strip()]) < 30
    names: dict[str, Any] = {}
    torch.manual_seed(0)
    exec(PYTHON, names)
    student, distiller, teachers = names["student"], names["distiller"], names["teachers"]
    shown = [p for name, p in student.named_parameters() if not name.startswith("heads")]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in [*shown, *distiller.parameters()])
    assert any(p.grad.any() for p in shown)
    for net in teachers.values():
        assert all(p.grad is None for p in net.parameters())
        assert not any(part._forward_hooks for part in net.modules())
    assert teachers["depth"](names["images"]).taps["deep"].shape[2:] == (3, 5)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_text(YAML)
    return Path("study.yaml")


def test_a_network_of_ones_own_becomes_a_teachers_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(OWN, names)
    again = copy.deepcopy(names["net"])
    for p in again.parameters():
        p.data.zero_()
    load_weights(again, Path("depth.safetensors"))
    images = torch.rand(1, 3, 8, 8)
    assert torch.equal(again(images).predictions["depth"], names["net"](images).predictions["depth"])


def test_the_study_trains(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short = ["--max-steps", "1", "--batch-size", "2", "--precision", "32-true"]
    assert main(["run", str(study), *short]) == 0, capsys.readouterr().err
    rows = json.loads(Path("runs/mine/results.json").read_text())["rows"]
    assert len(rows) >= 3
    # a run's own config is a study again
    assert load_study("runs/mine/kd4mtl/seed0/config.yaml").objects.net({"depth": 1})


def test_the_teachers_of_another_kind_teach(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short = ["--max-steps", "1", "--batch-size", "2", "--precision", "32-true", "--methods", "kd4mtl"]
    Path("teachers.yaml").write_text(TEACHERS)
    assert main(["run", str(study), *short, "--with", "teachers.yaml"]) == 0, capsys.readouterr().err
    runs = {str(path.parent) for path in Path("runs/mine").glob("**/result.json")}
    assert "runs/mine/teacher/segmentation/seed0" in runs
    assert "runs/mine/teacher/depth/seed0" not in runs
    made = load_study(study, ["--with", "teachers.yaml"])
    (spec,) = (spec for spec in plan(made.values) if spec.method == "kd4mtl")
    run, _ = build_run(spec, made.build(spec.config), made.folder, torch.device("cpu"), trained=False)
    teachers = run.distiller.teachers
    shapes = {k: tuple(x.shape) for k, x in teachers(torch.rand(1, 3, 48, 64), "depth").items()}
    assert shapes == {"bottleneck": (1, 64, 10, 10), "last": (1, 64, 10, 10)}


def test_every_network_of_a_study_is_made_anew(study: Path) -> None:
    net = load_study(study).objects.net
    a, b = net({"depth": 1}), net({"depth": 1, "segmentation": 13})
    assert isinstance(a, TappedModule)
    assert isinstance(b, TappedModule)
    assert not {id(p) for p in a.parameters()} & {id(p) for p in b.parameters()}
    assert b(torch.rand(1, 3, 48, 64)).predictions["segmentation"].shape == (1, 13, 48, 64)


def test_a_tap_with_keys_is_read_from_yaml(study: Path) -> None:
    taps = '{"bottleneck": "encoder.model.layer4", "last": {"path": "decoder", "layout": "mean"}}'
    net = load_study(study, ["--net.taps", taps]).objects.net({"depth": 1})
    assert isinstance(net, TappedModule)
    assert net.tapped["last"] == Tap("decoder", layout="mean")
    assert net(torch.rand(2, 3, 48, 64)).taps["last"].shape == (2, 16)


def test_a_wrong_path_is_one_line(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study.write_text(YAML.replace("encoder.model.layer4", "encoder.layer4"))
    assert main(["run", str(study), "--dry-run"]) != 0
    error = capsys.readouterr().err.strip()
    assert "TappedModule.taps.bottleneck: expected a submodule, found `encoder.layer4`; near it: encoder.model" in error
    assert "\n" not in error


def test_the_page_names_every_layout() -> None:
    for layout in ("grid", "channels_last", "channels_first", "mean"):
        assert f"`layout: {layout}`" in PAGE
