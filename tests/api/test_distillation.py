"""A student learns from teachers that somebody has: networks, wrapped modules, predictors, files."""

import copy
import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tests.train.fixture import assert_same
from torch import nn
from torch.utils.data import TensorDataset

import tutelage
from tutelage.data import Rooms
from tutelage.deploy import Predictor, save
from tutelage.distill import L2, FeatureDistiller, LogitDistiller, Teacher
from tutelage.errors import UserError
from tutelage.layout import run_id
from tutelage.nets import SegNet, TappedModule
from tutelage.nets.resized import Resized
from tutelage.study import Method
from tutelage.tasks import Depth, Segmentation
from tutelage.train import Callback, load_checkpoint

TASKS: dict[str, Any] = {"segmentation": Segmentation(13), "depth": Depth()}
WIDTHS = {t: task.width for t, task in TASKS.items()}
FILTERS = [4, 8, 8, 8, 8]
SIZE = (32, 48)
DATA = Rooms(train=8, test=4, size=SIZE)


def segnet(widths: dict[str, int], seed: int = 0) -> SegNet:
    torch.manual_seed(seed)
    return SegNet(widths, filters=FILTERS)


def module(channels: int = 1) -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), nn.ReLU(), nn.Conv2d(8, channels, 1))


def tapped(widths: dict[str, int] | None = None, channels: int = 1) -> TappedModule:
    widths = {"depth": 1} if widths is None else widths
    return TappedModule(widths, module(channels), {"bottleneck": "0", "last": "1"})


def given() -> dict[str, Any]:
    return {"segmentation": segnet({"segmentation": 13}, 1), "depth": tapped()}


def distill(out: Path, teachers: Any = None, student: Any = None, **keys: Any) -> Any:
    keys = {"epochs": 1, "batch_size": 4, "precision": "32-true", "quiet": True, "out": out, "data": DATA, **keys}
    data, tasks = keys.pop("data"), keys.pop("tasks", TASKS)
    return tutelage.distill(teachers or given(), segnet(WIDTHS) if student is None else student, data, tasks, **keys)


def test_a_module_and_a_network_teach(tmp_path: Path) -> None:
    teachers, student = given(), segnet(WIDTHS)
    before = copy.deepcopy(student.state_dict())
    weights = {name: copy.deepcopy(teacher.state_dict()) for name, teacher in teachers.items()}
    results = distill(tmp_path, teachers, student)
    assert_same(student.state_dict(), before)  # the object that was given
    for name, teacher in teachers.items():
        assert_same(teacher.state_dict(), weights[name])
        assert not teacher.training
    assert results.methods == ["teacher", "kd4mtl"]
    assert results.delta["teacher"].mean == 0
    assert results.delta["kd4mtl"].mean != 0
    assert not torch.equal(results.student.state_dict()["encoder.0.0.weight"], before["encoder.0.0.weight"])
    image = torch.rand(3, *SIZE)
    expected = Predictor(results.student, TASKS, SIZE).predict(image)
    assert_same(results.load("kd4mtl").predict(image), expected)
    assert results.report().exists()
    assert "kd4mtl" in results.table("markdown")
    assert {t.name for t in (tmp_path / "teachers").iterdir()} == {
        *(p.name for p in (tmp_path / "teachers").glob("segmentation-*.safetensors")),
        *(p.name for p in (tmp_path / "teachers").glob("depth-*.safetensors")),
    }
    again = distill(tmp_path, teachers, student)  # nothing is left to train
    assert_same(again.student.state_dict(), results.student.state_dict())
    more = distill(tmp_path, teachers, student, method="url")
    assert set(more.methods) == {"teacher", "kd4mtl", "url"}
    with pytest.raises(UserError, match=r"expected the config that its run was made with, teachers.segmentation = "):
        distill(tmp_path, {**teachers, "segmentation": segnet({"segmentation": 13}, 9)}, student)
    with pytest.raises(UserError, match=r"expected the config that its run was made with, train.epochs = 1; found 2"):
        distill(tmp_path, teachers, student, epochs=2)


class DiedError(Exception):
    pass


class Dies(Callback):
    """Ends its process in the middle of a training, once."""

    died = False

    def after_step(self, moment: Any) -> None:
        if moment.step == 3 and not Dies.died:
            Dies.died = True
            raise DiedError


def test_the_same_call_continues_a_training_that_died(tmp_path: Path) -> None:
    keys: dict[str, Any] = {"epochs": 3, "checkpoint_steps": 1, "callbacks": [Dies()]}
    Dies.died = True
    whole = distill(tmp_path / "whole", **keys)
    Dies.died = False
    with pytest.raises(DiedError):
        distill(tmp_path / "died", **keys)
    checkpoint = load_checkpoint(tmp_path / "died" / run_id("kd4mtl", 0) / "checkpoint.pt")
    assert checkpoint["step"] == 2
    resumed = distill(tmp_path / "died", **keys)
    assert_same(resumed.student.state_dict(), whole.student.state_dict())


def test_predictors_files_and_one_teacher_of_several_tasks(tmp_path: Path) -> None:
    pair = Predictor(segnet(WIDTHS, 1), TASKS, (32, 32))  # trained at another size
    config = {
        "net": {"class_path": "tutelage.nets.SegNet", "init_args": {"filters": FILTERS}},
        "tasks": {"depth": {"class_path": "tutelage.tasks.Depth"}},
    }
    file = save(Predictor(segnet({"depth": 1}, 2), {"depth": Depth()}, SIZE), tmp_path / "depth.safetensors", config)
    results = distill(tmp_path / "runs", {"pair": pair, "depth": file})
    values = json.loads((tmp_path / "runs/kd4mtl/seed0/spec.json").read_text())["teachers"]
    assert {name: teacher["tasks"] for name, teacher in values.items()} == {
        "depth": ["depth"],
        "pair": ["segmentation", "depth"],
    }
    assert results.methods == ["teacher", "kd4mtl"]


def test_a_sized_predictor_predicts_as_it_does_alone() -> None:
    predictor = Predictor(segnet(WIDTHS, 1), TASKS, (32, 32))
    images = torch.rand(2, 3, *SIZE)
    output = Resized({}, predictor.net, (32, 32)).eval()(images)
    expected = predictor(images)
    for t, task in TASKS.items():
        torch.testing.assert_close(task.activate(output.predictions[t]), expected[t])
    assert output.taps["bottleneck"].shape[2:] == (1, 1)


def test_features_alone_teach_without_a_row(tmp_path: Path) -> None:
    backbone = Teacher("backbone", tapped({}), (), match={"last": "last"}, weight=0.5)
    results = distill(tmp_path, {"backbone": backbone}, partial(SegNet, filters=FILTERS))
    assert results.methods == ["kd4mtl"]
    assert results.table()
    assert results.delta["kd4mtl"].mean != results.delta["kd4mtl"].mean  # nan: there is nothing to compare with
    assert results.load("kd4mtl").tasks.keys() == TASKS.keys()


def test_a_method_of_ones_own(tmp_path: Path) -> None:
    method = Method(distiller=partial(FeatureDistiller, match={"last": "last"}, distance=L2()))
    results = distill(tmp_path, method=method)
    assert results.methods == ["teacher", "distilled"]


def test_predictions_are_distilled(tmp_path: Path) -> None:
    results = distill(tmp_path, method={"distiller": {"class_path": "tutelage.distill.LogitDistiller"}})
    assert results.methods == ["teacher", "distilled"]
    assert LogitDistiller.__name__ in (tmp_path / "study.yaml").read_text()


def test_students_that_nobody_has_given_do_not_teach(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = distill(tmp_path, method="recommended", quiet=False)
    assert results.methods == ["teacher", "recommended"]
    assert "the given teachers alone teach recommended here, not the student of scale-invariant" in " ".join(
        "".join(capsys.readouterr()).split()
    )
    config = yaml.safe_load((tmp_path / "recommended/seed0/config.yaml").read_text())
    assert config["method"]["recommended"].get("taught_by") is None  # nor would a teacher of that name be taken for it
    (log,) = tmp_path.glob("recommended/seed0/log.jsonl")
    assert {key for key in json.loads(log.read_text().splitlines()[0]) if key.startswith("distill/")} == {
        f"distill/{task}" for task in WIDTHS
    }


BOTH = segnet(WIDTHS)
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a module as teacher": (
        {"teachers": {"segmentation": module(13)}},
        r"teachers\['segmentation'\]: expected a network with taps, found Sequential; wrap it: "
        r"tutelage.nets.TappedModule\(\{'segmentation': 13\}, network, taps=\{'last': PATH\}\) with .* \(0, 1, 2\)",
    ),
    "no names": ({"teachers": [segnet({"depth": 1})]}, r"teachers: expected networks by name, .* found list"),
    "a name as teacher": (
        {"teachers": {"depth": "no-such-file"}},
        r"teachers\['depth'\]: no-such-file: expected a network",
    ),
    "another name": (
        {"teachers": {"depth": Teacher("depths", tapped(), ("depth",))}},
        r"teachers\['depth'\]: expected the teacher of that name, found `depths`",
    ),
    "other classes": (
        {"teachers": {"segmentation": segnet({"segmentation": 5})}},
        r"teachers\['segmentation'\]: expected 13 channels for `segmentation`, as Segmentation has, found 5",
    ),
    "images that do not fit": (
        {"teachers": {"depth": TappedModule({"depth": 1}, nn.Sequential(nn.Conv2d(3, 1, 40)), {"last": "0"})}},
        r"teachers\['depth'\]: expected a network for images of 32x48, found RuntimeError: .* another size",
    ),
    "a module as student": (
        {"student": module()},
        r"student: expected a network with taps, .*TappedModule\(\{'segmentation': 13, 'depth': 1\}, network",
    ),
    "the teacher as student": (
        {"teachers": {"both": BOTH}, "student": BOTH},
        r"student: expected another object than teachers\['both'\], which is frozen, found the same",
    ),
    "a frozen student": (
        {"student": segnet(WIDTHS).requires_grad_(False)},
        r"student: expected parameters that can be trained, found all of them frozen",
    ),
    "a file as folder": ({"out": Path(__file__)}, r"out: expected a folder, found the file .*_distillation.py; "),
    "a text as student": ({"student": "SegNet"}, r"student: expected a network with taps, found str; give"),
    "a class of tasks": ({"tasks": {"depth": Depth}}, r"tasks\['depth'\]: expected a task .* found the class Depth"),
    "no tasks": ({"tasks": {}}, r"tasks: expected tasks by name, .* found none"),
    "a dataset": (
        {"data": TensorDataset(torch.zeros(2))},
        r"data: expected .* found TensorDataset; wrap the dataset: .*FromDataset",
    ),
    "a misspelt key": ({"epoch": 3}, r"epoch: expected a key of .* found `epoch`; did you mean `epochs`\?"),
    "a key of a study": ({"seeds": [0, 1]}, r"seeds: expected a key .*, found `seeds`"),
    "no distiller": ({"method": "uniform"}, r"method: expected one that distils, such as kd4mtl, found uniform"),
    "taught by students": (
        {"method": "born-again"},
        r"method: expected one that distils from the teachers, found born-again, .* of uniform; train",
    ),
    "networks per task": ({"method": "single"}, r"method: expected one that distils, such as kd4mtl, found single"),
    "an unknown method": ({"method": "kd4mt"}, r"distill: methods: expected names among"),
    "a negative rate": ({"lr": -1.0}, r"train.student.optimizer: expected .*learning rate: -1.0"),
    "a negative rate of the method": (
        {"method": {"base": "kd4mtl", "lr": -1.0}},
        r"method.distilled.lr: expected a positive number or null, found -1.0",
    ),
    "a seed in words": ({"seed": "a"}, r"seeds: expected whole numbers, found 'a'; correct it"),
    "half a seed": ({"seed": 1.5}, r"seeds: expected whole numbers, found 1.5; correct it"),
    "several processes": ({"devices": 2}, r"train.devices: expected 1, since the objects .* found more"),
    "a missing tap": (
        {"teachers": {"depth": TappedModule({"depth": 1}, module(), {"deep": "0"})}},
        r"method.kd4mtl.distiller: .*bottleneck",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_object_is_one_line_before_anything_is_trained(name: str, tmp_path: Path) -> None:
    keys, message = WRONG[name]
    with pytest.raises(UserError, match=message) as error:
        distill(**{"out": tmp_path / "runs", **keys})
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("**/checkpoint.pt"))


def test_the_package_has_the_name_too() -> None:
    """In a process that has imported nothing else."""
    script = "import tutelage; print(callable(tutelage.distill), tutelage.distill.L2, tutelage.nets.SegNet.supplied)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "True <class 'tutelage.distill.distances.l2.L2'> ('widths',)\n"
