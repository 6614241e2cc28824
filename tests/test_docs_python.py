"""What docs/python.md and the README show of Python runs, as it stands there."""

import re
from pathlib import Path
from typing import Any

import pytest
from tests.study.conftest import overlaid
from torch import nn

import tutelage
from tutelage.data import Rooms
from tutelage.errors import UserError
from tutelage.train import EarlyStopping, Moment

PAGE = (Path(__file__).parents[1] / "docs/python.md").read_text()
STUDY, OTHER, RESULTS, TEACHERS, LOOP, LIGHTNING, ACCELERATE, CALLBACK = re.findall(
    r"```python\n(.*?)```", PAGE, flags=re.DOTALL
)
(YAML,) = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
(REFUSAL,) = re.findall(r"```\n(teachers.*?)\n```", PAGE, flags=re.DOTALL)


def test_a_study_its_results_and_teachers_that_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in (STUDY, OTHER, RESULTS, TEACHERS):
        exec(block, names)
    assert names["results"].methods == ["single", "uniform", "kd4mtl"]
    assert {"predictor", "other"} <= names.keys()
    assert Path("runs/study/report.html").exists()
    assert names["distilled"].methods == ["teacher", "kd4mtl"]
    with pytest.raises(UserError) as error:
        tutelage.distill({"depth": names["mine"]}, names["student"], Rooms(16, 6, (32, 48)), names["tasks"])
    assert str(error.value) == REFUSAL


def test_lr_is_the_learning_rate() -> None:
    for study in (tutelage.Study("rooms-tiny", lr=0.02), tutelage.Study("rooms-tiny", train={"student": {}}, lr=2e-2)):
        assert study.values["train"]["student"]["optimizer"]["init_args"]["lr"] == 0.02
    with pytest.raises(UserError, match="lr"):
        tutelage.Study("rooms-tiny", lr="fast")


def test_a_loop_of_pytorch() -> None:
    names: dict[str, Any] = {}
    exec(LOOP, names)
    assert_taught(names["student"], names["distiller"], names["teachers"])


@pytest.mark.filterwarnings("ignore")  # of Lightning: few workers, no logger, a loader shorter than its log interval
def test_a_module_of_lightning() -> None:
    pytest.importorskip("lightning", reason="lightning is not installed: pip install lightning")
    names: dict[str, Any] = {}
    exec(LIGHTNING, names)
    module = names["module"]
    assert_taught(module.net, module.distiller, module.distiller.teachers.networks)
    assert not [name for name in module.state_dict() if "teachers" in name]


@pytest.mark.filterwarnings("ignore")  # of Accelerate: there is no GPU
def test_accelerate() -> None:
    pytest.importorskip("accelerate", reason="accelerate is not installed: pip install accelerate")
    names: dict[str, Any] = {}
    exec(ACCELERATE, names)
    assert_taught(names["student"], names["distiller"], names["teachers"])


def assert_taught(student: nn.Module, distiller: nn.Module, teachers: dict[str, nn.Module]) -> None:
    assert all(p.grad is not None and p.grad.isfinite().all() for p in [*student.parameters(), *distiller.parameters()])
    assert all(p.grad.any() for p in distiller.parameters())
    for teacher in teachers.values():
        assert not teacher.training
        assert all(p.grad is None for p in teacher.parameters())


def test_the_callback_of_the_page_stops_and_resumes() -> None:
    names: dict[str, Any] = {}
    exec(CALLBACK, names)
    callback = names["Patience"]("depth", "abs_err", 100.0)
    moment = type("Moment", (), {"validation": {"depth": {"abs_err": 3.0}}, "log": lambda self, values: None})()
    reasons: list[str] = []
    moment.stop = reasons.append
    for _ in range(2):
        callback.after_epoch(moment)
    assert reasons == ["depth abs_err was below 100 twice"]
    again = names["Patience"]("depth", "abs_err", 100.0)
    again.load_state_dict(callback.state_dict())
    assert again.times == 2


def test_the_yaml_of_the_page_is_a_study(tmp_path: Path) -> None:
    train = overlaid(tmp_path / "study", YAML).objects.train
    assert (train.validation, train.keep) == (0.1, "best")
    (make,) = train.callbacks
    stopping = make()
    assert isinstance(stopping, EarlyStopping)
    assert stopping.patience == 3


def test_the_page_names_what_a_moment_has() -> None:
    public = {name for name in vars(Moment) if not name.startswith("_")} | {"folder", "main"}
    section = PAGE.split("| of `moment` | |")[1].split("In Python,")[0]
    shown = {
        re.match(r"\w+", word)[0]
        for row in re.findall(r"^\| (`.*?) \|", section, re.M)
        for word in re.findall(r"`(.*?)`", row)
    }
    assert shown == public
