"""A study of Python objects is the study of the YAML file that says the same, and runs as it does."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from tests.study.conftest import Notes, tiny
from torch import nn
from torchvision.transforms import v2

import tutelage
from tutelage.api import main_module
from tutelage.data import Augment, Rooms
from tutelage.errors import UserError
from tutelage.files import write_record
from tutelage.nets import SegNet
from tutelage.study import load_study, read_values, run_study
from tutelage.tasks import Depth, Normals, Segmentation
from tutelage.train import EarlyStopping, Optim, TrainConfig

NAMES = read_values("rooms-tiny")["tasks"]["segmentation"]["init_args"]["names"]
TASKS: dict[str, Any] = {"segmentation": Segmentation(13, NAMES), "depth": Depth(), "normals": Normals()}
NET = partial(SegNet, filters=[8, 16, 16, 24, 24])
ADAM = Optim(partial(torch.optim.Adam, lr=1e-3))


def make(out: Path, **keys: Any) -> tutelage.Study:
    """rooms-tiny, as `tiny` makes it of its file."""
    given = {
        "study": "rooms-tiny",
        "data": Rooms(train=16, test=6, size=(32, 48)),
        "tasks": TASKS,
        "net": NET,
        "train": TrainConfig(epochs=1, batch_size=8, student=ADAM, augment=Augment(), precision="32-true"),
        "out": out,
    }
    return tutelage.Study(**(given | keys))


def test_objects_give_the_values_of_the_file(tmp_path: Path) -> None:
    assert dict(make(tmp_path).values) == dict(tiny(tmp_path).values)


def test_a_saved_study_is_the_same_study(tmp_path: Path) -> None:
    distort = [partial(v2.ColorJitter, brightness=0.4), v2.RandomGrayscale]
    study = make(tmp_path / "runs", study="1e5", callbacks=[EarlyStopping(2)], validation=0.25, distort=distort)
    file = study.save(tmp_path / "study.yaml")
    assert dict(load_study(file).values) == dict(study.values)
    assert dict(tutelage.Study(file).values) == dict(study.values)


def test_a_preset_with_other_keys(tmp_path: Path) -> None:
    train = ["--data.train", "16", "--data.test", "6", "--epochs", "1", "--precision", "32-true"]
    flags = [*train, "--methods", "uniform", "--seeds", "0,1", "--out", str(tmp_path)]
    data, settings = Rooms(16, 6, (32, 48)), {"epochs": 1, "precision": "32-true"}
    study = tutelage.Study(
        "rooms-tiny", data=data, methods=["uniform"], seeds=[0, np.int64(1)], out=tmp_path, **settings
    )
    assert dict(study.values) == dict(load_study("rooms-tiny", flags).values)


def test_keys_replace_and_those_of_train_and_method_are_laid_over(tmp_path: Path) -> None:
    kd4mtl = {"distiller": {"init_args": {"scale": 0.5}}}
    study = tutelage.Study("rooms-tiny", tasks={"depth": Depth()}, method={"kd4mtl": kd4mtl}, train={"epochs": 1})
    assert list(study.values["tasks"]) == ["depth"]
    assert (study.values["train"]["epochs"], study.values["train"]["batch_size"]) == (1, 8)
    method = study.values["method"]["kd4mtl"]
    assert (method["values"], method["distiller"]["init_args"]["scale"]) == ("changed", 0.5)
    assert method["distiller"]["init_args"]["match"] == {"bottleneck": "bottleneck", "last": "last"}


def test_an_overlay_lies_below_the_keys() -> None:
    study = tutelage.Study("rooms-tiny", overlays=["ablation"], epochs=3)
    assert "no-adaptors" in study.values["methods"]
    assert study.values["train"]["epochs"] == 3
    study = tutelage.Study("rooms-tiny", overlays=["ablation"], methods=["uniform"])
    assert study.values["methods"] == ["uniform"]


WRONG: dict[str, tuple[Mapping[str, Any], str]] = {
    "a misspelt key": ({"epoch": 2}, "epoch: expected a key of a study or of its `train`, found `epoch`; .* `epochs`?"),
    "an unknown key": ({"xyz_abc": 2}, "xyz_abc: expected a key of a study .* docs/studies.md lists them"),
    "no data": ({"data": None}, r"Study: data: expected a source .* found none; give it as data=\.\.\."),
    "a built network": ({"net": SegNet({"depth": 1})}, r"net: expected what builds a SegNet .* the class SegNet"),
    "a plain module": (
        {"net": partial(nn.Linear, 3)},
        r"net: expected what builds a network with taps, found Linear; wrap it: functools.partial\(.*TappedModule, ",
    ),
    "a built module": ({"net": nn.Identity()}, r"net: expected what builds a network with taps, found Identity; wrap"),
    "a teacher's module": ({"teacher_net": {"depth": nn.Identity}}, r"teacher_net.depth: expected what builds"),
    "a partial function": ({"net": partial(tiny, 3)}, r"net: expected a class, .* found partial of the function tiny;"),
    "a function of other things": ({"net": tiny}, r"Study: net: expected a function that returns a .*, found .*tiny"),
    "a wrong class": ({"tasks": {"depth": SegNet}}, r"Study: tasks.*: expected a subclass of Task, found .*SegNet"),
    "a wrong value": ({"epochs": 0}, "train.epochs: expected at least 1, found 0"),
    "an unknown method": ({"methods": ["kd4mt"]}, "Study: methods: expected names among .*; found `kd4mt`"),
    "best of nothing": ({"keep": "best"}, "train.validation: expected a part of train such as 0.1 for `keep: best`"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_one_line(name: str, tmp_path: Path) -> None:
    keys, message = WRONG[name]
    with pytest.raises(UserError, match=message) as error:
        make(tmp_path, **keys)
    assert "\n" not in str(error.value)


def test_what_a_notebook_defines_cannot_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"net": {"class_path": "__main__.Net"}, "seeds": [0]}
    monkeypatch.delattr(main_module.__main__, "__file__", raising=False)
    main_module.check_main_module(values, 1)
    with pytest.raises(UserError, match=r"jobs: expected 1, since no other process can import __main__.Net"):
        main_module.check_main_module(values, 2)
    monkeypatch.setattr(main_module.__main__, "__file__", "script.py", raising=False)
    main_module.check_main_module(values, 2)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tutelage.Results:
    return make(tmp_path_factory.mktemp("study") / "runs", methods=["uniform", "kd4mtl"]).run(epochs=1, quiet=True)


def test_it_is_the_run_of_the_file(results: tutelage.Results, capsys: pytest.CaptureFixture[str]) -> None:
    assert results.methods == ["single", "uniform", "kd4mtl"]
    assert capsys.readouterr() == ("", "")
    notes = Notes()
    rows = run_study(tiny(results.folder, "--methods", "uniform,kd4mtl"), notes)
    assert notes.notes == [f"5 of 5 runs are finished in {results.folder}; they are kept"]
    assert len(rows) == len(results.to_pandas())


def test_results_are_those_of_the_folder(results: tutelage.Results) -> None:
    rows = json.loads((results.folder / "results.json").read_text())["rows"]
    main = {row["method"]: row["delta"]["main"] for row in rows if row["protocol"] == "dataset"}
    assert {m: summary.mean for m, summary in results.delta.items()} == {m: x for m, x in main.items() if m != "single"}
    frame = results.to_pandas()
    assert len(frame) == len(rows)
    for row, (_, found) in zip(rows, frame.iterrows(), strict=True):
        assert (found["method"], found["seed"], found["protocol"]) == (row["method"], row["seed"], row["protocol"])
        assert found["delta/main"] == pytest.approx(row["delta"]["main"], nan_ok=True)
        assert found["depth/abs_err"] == row["metrics"]["depth"]["abs_err"]


def test_a_table_in_every_form(results: tutelage.Results) -> None:
    text = results.table(width=100)
    assert text.splitlines()[0].startswith("rooms-tiny: split test")
    assert all(len(line) <= 100 for line in text.splitlines())
    assert "\x1b" not in text
    assert all(method in text for method in results.methods)
    assert repr(results) == results.table()
    assert results.table("markdown").startswith("Split `test`")
    assert r"\begin{tabular}" in results.table("latex")
    with pytest.raises(UserError, match="format: expected text, markdown or latex, found 'html'"):
        results.table("html")


def test_a_notebook_shows_it_with_every_name_escaped(results: tutelage.Results, tmp_path: Path) -> None:
    html = results._repr_html_()
    assert html.count("<tr>") == 2 + len(results.methods)
    assert "<script" not in html
    (tmp_path / "study.yaml").write_text((results.folder / "study.yaml").read_text())
    right = json.loads((results.folder / "results.json").read_text())
    write_record(tmp_path / "results.json", {**right, "study": "<script>alert(1)</script>"})
    assert "&lt;script&gt;alert(1)" in tutelage.Results(tmp_path)._repr_html_()


def test_the_trained_networks_and_the_page(results: tutelage.Results) -> None:
    image = torch.zeros(3, 32, 48)
    assert results.load("kd4mtl").predict(image).keys() == TASKS.keys()
    assert results.load("single", 0, "depth").predict(image).keys() == {"depth"}
    assert results.report() == results.folder / "report.html"
    with pytest.raises(UserError, match="kd4mtl/seed7: expected a network"):
        results.load("kd4mtl", 7)
    with pytest.raises(UserError, match=r"load: expected the task of a single.*, found none; give task='segmentation'"):
        results.load("single")


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected the folder of a study, found no study.yaml"):
        tutelage.Results(tmp_path)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({"tasks": {"depth": {"class_path": "tutelage.tasks.Depth"}}}))
    with pytest.raises(UserError, match="expected the results of a study, found no file"):
        tutelage.Results(tmp_path)


def test_one_overlay_may_be_a_name_alone() -> None:
    assert tutelage.Study("rooms-tiny", overlays="ablation").values == (
        tutelage.Study("rooms-tiny", overlays=["ablation"]).values
    )


def test_processes_that_were_started_together_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each would train every run by itself."""
    slurm = {"SLURM_STEP_ID": "0", "SLURM_NTASKS": "8", "SLURM_JOB_NAME": "train", "SLURM_PROCID": "0"}
    for name, value in (slurm | {"SLURM_NTASKS_PER_NODE": "8"}).items():
        monkeypatch.setenv(name, value)
    study = tutelage.Study("rooms-tiny", out=tmp_path / "runs")
    with pytest.raises(UserError, match=r"processes: expected one, found 8 that torchrun or SLURM started together"):
        study.run(quiet=True)
    monkeypatch.delenv("SLURM_NTASKS_PER_NODE")
    with pytest.raises(UserError, match=r"SLURM: expected --ntasks-per-node beside --ntasks, found .*; give"):
        study.run(quiet=True)
    assert not (tmp_path / "runs").exists()
