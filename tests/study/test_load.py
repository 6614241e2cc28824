from pathlib import Path

import pytest
import torch
import yaml

from tutelage.study import load_study, methods, presets, read_values
from tutelage.types import MultiTaskNet, Task


@pytest.mark.parametrize("name", sorted(presets()))
def test_every_preset_is_valid_and_its_resolved_values_are_a_study(name: str, tmp_path: Path) -> None:
    root = "--data.source.root" if name.endswith("quarter") else "--data.root"
    flags = [root, str(tmp_path)] if name.startswith(("nyuv2", "cityscapes", "mnist", "svhn")) else []
    if "pretrained" in read_values(name)["net"].get("init_args", {}):
        flags += ["--net.pretrained", "false"]  # nothing is downloaded
    study = load_study(name, flags)
    assert study.objects.study == name
    assert {"uniform", "kd4mtl"} <= set(study.objects.methods)
    with torch.device("meta"):
        net = study.objects.net({t: task.width for t, task in study.objects.tasks.items()})
    assert isinstance(net, MultiTaskNet)
    file = tmp_path / "resolved.yaml"
    file.write_text(yaml.safe_dump(study.values))
    assert load_study(file).values == study.values


def test_every_preset_and_method_has_one_line() -> None:
    for name, line in {**presets(), **methods()}.items():
        assert 10 < len(line) < 200, name
        assert "\n" not in line


def test_each_training_image_of_the_demo_is_labelled_for_one_task() -> None:
    objects = load_study("rooms").objects
    images = objects.data.split("train")
    labelled = [tuple(images.tasks(i) or ()) for i in range(len(images))]
    assert {t: labelled.count((t,)) for t in objects.tasks} == dict.fromkeys(objects.tasks, len(images) // 3)


def test_flags_override_any_value() -> None:
    flags = ["--epochs", "2", "--seeds", "0,1,2", "--methods=uniform,kd4mtl", "--max-steps", "9", "--out", "elsewhere"]
    flags += [
        "--net.width",
        "0.5",
        "--train.student.optimizer.lr",
        "0.5",
        "--method.kd4mtl.distiller.weights",
        "{depth: 3}",
    ]
    flags += ["--tasks.segmentation.classes", "40", "--tasks.segmentation.names", "null"]
    study = load_study("rooms-tiny", flags)
    config = study.objects
    assert (config.train.epochs, config.train.max_steps) == (2, 9)
    assert (config.seeds, config.methods, str(study.folder)) == ([0, 1, 2], ["uniform", "kd4mtl"], "elsewhere")
    assert study.values["net"]["init_args"]["width"] == 0.5
    assert study.values["train"]["student"]["optimizer"]["init_args"]["lr"] == 0.5
    assert study.values["method"]["kd4mtl"]["distiller"]["init_args"]["weights"] == {"depth": 3}
    assert study.values["method"]["kd4mtl"]["distiller"]["init_args"]["match"] == {
        "bottleneck": "bottleneck",
        "last": "last",
    }
    assert config.tasks["segmentation"].width == 40
    assert set(study.values["method"]) == {"uniform", "kd4mtl"}
    assert load_study("rooms-tiny", ["--seeds", "3"]).objects.seeds == [3]


def test_a_method_in_the_file_adjusts_ours_or_is_new(tmp_path: Path) -> None:
    values = read_values("rooms-tiny")
    values["methods"] = ["kd4mtl", "mine"]
    values["method"] = {
        "kd4mtl": {"adaptor_optim": {"optimizer": {"init_args": {"lr": 0.01}}}},
        "mine": {"balancer": {"class_path": "tutelage.balance.Uncertainty"}},
    }
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(values))
    found = load_study(file).values["method"]
    assert found["kd4mtl"]["adaptor_optim"]["optimizer"]["init_args"]["lr"] == 0.01
    assert found["kd4mtl"]["adaptor_optim"]["optimizer"]["init_args"]["weight_decay"] == 5e-4
    assert found["kd4mtl"]["distiller"]["init_args"]["distance"]["init_args"]["guard"] == "add"
    assert found["mine"]["balancer"]["class_path"] == "tutelage.balance.Uncertainty"
    assert "distiller" not in found["mine"]


def test_a_methods_name_may_have_a_hyphen(tmp_path: Path) -> None:
    values = read_values("rooms-tiny")
    values["methods"], values["method"] = (
        ["my-own"],
        {"my-own": {"balancer": {"class_path": "tutelage.balance.Uniform"}}},
    )
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(values))
    found = load_study(file, ["--method.my-own.balancer.weights", "{depth: 2}", "--train.batch-size", "4"])
    assert found.values["method"]["my-own"]["balancer"]["init_args"]["weights"] == {"depth": 2.0}
    assert found.objects.train.batch_size == 4


def test_a_study_with_other_tasks_takes_only_their_lambdas(tmp_path: Path) -> None:
    values = read_values("rooms-tiny")
    del values["tasks"]["normals"]
    file = tmp_path / "two.yaml"
    file.write_text(yaml.safe_dump(values))
    weights = load_study(file).values["method"]["kd4mtl"]["distiller"]["init_args"]["weights"]
    assert weights == {"segmentation": 1, "depth": 1}


WRONG = [
    ("a preset that is not there", None, ["roomz"], "roomz: expected a YAML file or one of the presets"),
    ("a file that is not there", None, ["none.yaml"], "none.yaml: expected a YAML file of a study, found none"),
    ("not YAML", "a: [", [], "expected YAML, found"),
    ("not a study", "- 1\n- 2", [], "expected keys and values of a study, found list"),
    ("an unknown key", {"epocs": 3}, [], "epocs"),
    ("an unknown key of train", {"train": {"epocs": 3}}, [], "epocs"),
    ("an unknown flag", {}, ["--epocs", "3"], "epocs"),
    ("a wrong type", {}, ["--epochs", "many"], "train.epochs"),
    ("a wrong value", {}, ["--epochs", "0"], "train.epochs: expected at least 1, found 0"),
    ("a wrong choice", {}, ["--precision", "fp8"], "train.precision"),
    ("an unknown class", {"net": {"class_path": "tutelage.nets.SegNett"}}, [], "SegNett"),
    ("a class of another kind", {"net": {"class_path": "tutelage.tasks.Depth"}}, [], "net"),
    ("an unknown argument", {}, ["--net.depth", "3"], "depth"),
    ("an unknown argument of a task", {}, ["--tasks.depth.unit", "3"], "unit"),
    ("an unknown argument of a distiller", {}, ["--method.kd4mtl.distiller.tap", "3"], "tap"),
    ("an unknown method", {}, ["--methods", "uniform,kd5mtl"], "expected names among .* found `kd5mtl`"),
    ("a flag of another method", {}, ["--method.kdmtl.about", "x"], r"method.kdmtl: expected one"),
    (
        "a flag of a method that is not selected",
        {},
        ["--methods", "single", "--method.kd4mtl.distiller.weights", "null"],
        r"method.kd4mtl: expected one of the selected methods, single, found `kd4mtl`; add it to --methods",
    ),
    ("methods that are none", {"method": ["a"]}, [], "method: expected names and values"),
    ("methods in a word", {"method": "kd4mtl"}, [], "method: expected names and values"),
    ("tasks that are none", {"tasks": 3}, [], "tasks"),
    ("half a list", {}, ["--methods", "[a"], "rooms-tiny|expected|study.yaml"),
    ("no method", {"methods": []}, [], "methods: expected one or more"),
    ("a method twice", {}, ["--methods", "url,url"], "methods: expected one or more different names"),
    ("a seed twice", {}, ["--seeds", "1,1"], "seeds: expected one or more different numbers"),
    ("a seed that is no number", {}, ["--seeds", "one"], "seeds"),
    ("no task", {"tasks": {}}, [], "tasks: expected at least one task"),
    ("a task's name", {"tasks": {"a/b": {"class_path": "tutelage.tasks.Depth"}}}, [], "found `a/b`"),
    ("the study's name", {"study": "../up"}, [], "study: expected a name of letters"),
    ("no network", {"net": None}, [], "net"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "flags", "message"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_a_mistake_is_one_line(change: object, flags: list[str], message: str, tmp_path: Path) -> None:
    source: str | Path = tmp_path / "study.yaml"
    if change is None:
        source, flags = flags[0], flags[1:]
    else:
        text = change if isinstance(change, str) else yaml.safe_dump({**read_values("rooms-tiny"), **change})
        source.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        load_study(source, flags)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 450


def test_a_users_own_class_needs_no_registration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_task.py").write_text(
        "from tutelage.tasks import Depth\n\nclass Height(Depth):\n    '''Height above the floor.'''\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    values = read_values("rooms-tiny")
    values["tasks"]["depth"] = {"class_path": "own_task.Height"}
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(values))
    task = load_study(file).objects.tasks["depth"]
    assert isinstance(task, Task)
    assert type(task).__name__ == "Height"
