"""A study of two sources, each with images of its own size and labels of one task."""

import io
import json
import math
import shutil
from base64 import b64decode
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from tests.data.plain import Plain
from tests.report.page import Page
from tests.study.conftest import Notes, teacher
from tests.train.fixture import Killed, assert_same

from tutelage.data import Mix
from tutelage.report import write_report
from tutelage.study import Study, load_study, read_values, run_study
from tutelage.study.teachers import load_tensors

INDOOR = {"train": 10, "test": 5, "size": [32, 48], "tasks": ["segmentation"], "blank": {"segmentation": [1]}}
STREETS = {"train": 6, "test": 3, "size": [40, 32], "tasks": ["depth"], "seed": 1}
RUNS = ("single/segmentation", "single/depth", "uniform", "kd4mtl")


def plain(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {"class_path": "tests.data.plain.Plain", "init_args": dict(arguments)}


def study(out: Path, data: dict[str, Any] | None = None, **changes: Any) -> Study:
    sources = {"indoor": plain(INDOOR), "streets": plain(STREETS)}
    mix = {"class_path": "tutelage.data.Mix", "init_args": {"sources": sources, "weights": {"streets": 1.0}}}
    values = {**read_values("rooms-tiny"), "data": data or mix, "methods": ["uniform", "kd4mtl"], **changes}
    if "tasks" not in changes:
        del values["tasks"]["normals"]
    file = out.with_suffix(".yaml")
    file.write_text(yaml.safe_dump(values, sort_keys=False))
    flags = ["--epochs", "2", "--batch-size", "4", "--precision", "32-true", "--checkpoint-steps", "1", "--log-steps",
             "1", "--net.filters", "[4, 4, 4, 4, 4]", "--keep-checkpoint", "true"]  # fmt: skip
    return load_study(file, [*flags, "--out", str(out)])


class Reads(Notes):
    """A display that knows how often every run read an image: {run: {(source, split, index): times}}."""

    def __init__(self, data: Mix) -> None:
        super().__init__()
        self.sources, self.runs = data.sources, dict[str, Counter[tuple[str, str, int]]]()

    def start(self, name: str, index: int, of: int, resumed: int) -> None:
        super().start(name, index, of, resumed)
        for source in self.sources.values():
            assert isinstance(source, Plain)
            source.read.clear()

    def finish(self, name: str, metrics: Mapping[str, Mapping[str, float]]) -> None:
        reads = ((n, *key) for n, source in self.sources.items() for key in getattr(source, "read"))  # noqa: B009  # of the tests' own source
        self.runs[name.removesuffix(", seed 0")] = Counter(reads)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict], Reads]:
    """Folder, rows and display of the finished study."""
    found = study(tmp_path_factory.mktemp("sources") / "runs")
    assert isinstance(found.objects.data, Mix)
    display = Reads(found.objects.data)
    return found.folder, run_study(found, display), display


def test_every_task_has_finite_metrics_in_every_row(finished: tuple) -> None:
    _, rows, _ = finished
    assert [row["method"] for row in rows] == [m for m in ("single", "uniform", "kd4mtl") for _ in range(2)]
    for row in rows:
        assert set(row["metrics"]) == {"segmentation", "depth"}
        assert all(math.isfinite(x) for values in row["metrics"].values() for x in values.values())
        assert all(math.isfinite(x) for x in row["delta"].values())


def test_a_single_task_network_trains_on_the_images_of_its_own_source_alone(finished: tuple) -> None:
    out, _, display = finished
    trained = {run: {n for n, split, _ in reads if split == "train"} for run, reads in display.runs.items()}
    both = {"indoor", "streets"}
    assert trained == {"single segmentation": {"indoor"}, "single depth": {"streets"}, "uniform": both, "kd4mtl": both}
    steps = {run: json.loads((out / run / "seed0/result.json").read_text())["steps"] for run in RUNS}
    assert steps == {"single/segmentation": 4, "single/depth": 2, "uniform": 10, "kd4mtl": 10}
    for reads in (display.runs["uniform"], display.runs["kd4mtl"]):  # 2 of each a step
        assert sum(n for (source, split, _), n in reads.items() if (source, split) == ("indoor", "train")) == 20
        assert sum(n for (source, split, _), n in reads.items() if (source, split) == ("streets", "train")) == 20


def test_each_validation_image_is_evaluated_once(finished: tuple) -> None:
    _, _, display = finished
    once = {"single segmentation": ("indoor",), "single depth": ("streets",)}
    for run, reads in display.runs.items():
        test = {(name, i): n for (name, split, i), n in reads.items() if split == "test"}
        # All are read once more for the pictures, also where a network has nothing to say about their task.
        evaluated = {key for key, n in test.items() if n == 2}
        assert set(test.values()) <= {1, 2}
        assert set(test) == {("indoor", i) for i in range(5)} | {("streets", i) for i in range(3)}
        assert evaluated == {key for key in test if key[0] in once.get(run, ("indoor", "streets"))}


def test_metrics_are_those_of_a_loop_over_the_images_of_the_tasks_source(finished: tuple) -> None:
    out, rows, _ = finished
    found = study(out)
    net = teacher(found, "depth").eval()
    samples = Plain(**STREETS).split("test")
    errors = []
    for sample in (samples[i] for i in range(3)):
        with torch.no_grad():
            depth = net(sample["image"][None]).predictions["depth"][0]
        errors.append((depth - sample["labels"]["depth"])[sample["labels"]["depth"] > 0].abs())
    assert rows[0]["metrics"]["depth"]["abs_err"] == pytest.approx(float(torch.cat(errors).mean()), rel=1e-5)
    assert rows[1]["metrics"]["depth"]["abs_err"] == pytest.approx(
        float(torch.stack([x.mean() for x in errors]).mean()), rel=1e-5
    )


def test_a_single_task_network_is_that_of_its_source_alone_whatever_the_order_of_the_sources(
    finished: tuple, tmp_path: Path
) -> None:
    out, _, _ = finished
    tasks = {"depth": read_values("rooms-tiny")["tasks"]["depth"]}
    alone = study(tmp_path / "alone", plain(STREETS), tasks=tasks, methods=["single"])
    sources = {"streets": plain(STREETS), "indoor": plain(INDOOR)}
    mix = {"class_path": "tutelage.data.Mix", "init_args": {"sources": sources, "weights": {"indoor": 9.0}}}
    swapped = study(tmp_path / "swapped", mix, tasks=tasks, methods=["single"])
    for other in (alone, swapped):
        run_study(other, Notes())
        one, two = (load_tensors(x / "single/depth/seed0/student.safetensors") for x in (out, other.folder))
        assert_same(one, two)


class Killing(Notes):
    """Ends the process after some steps, as a kill would."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def step(self, step: int, total: int) -> None:
        super().step(step, total)
        if self.steps == self.after:
            raise Killed


def test_killed_again_and_again_it_ends_as_an_undisturbed_one(finished: tuple, tmp_path: Path) -> None:
    out, rows, _ = finished
    for after in (3, 9, 12):  # in the first run, in the middle of an epoch of `uniform`, in `kd4mtl`
        with pytest.raises(Killed):
            run_study(study(tmp_path / "runs"), Killing(after))
    last = Notes()
    again = run_study(study(tmp_path / "runs"), last)
    assert last.started == [("kd4mtl, seed 0", 5)]
    assert [row["metrics"] for row in again] == [row["metrics"] for row in rows]
    for run in RUNS:
        one, other = out / run / "seed0", tmp_path / "runs" / run / "seed0"
        for name in ("student.safetensors", "predictions.safetensors"):
            assert_same(load_tensors(one / name), load_tensors(other / name))
        assert_same(*(torch.load(x / "checkpoint.pt", weights_only=True) for x in (one, other)))
        assert (one / "log.jsonl").read_text() == (other / "log.jsonl").read_text()


def test_the_page_draws_images_of_both_sources_each_with_its_own_tasks(finished: tuple, tmp_path: Path) -> None:
    out, _, _ = finished
    copy = tmp_path / "runs"
    shutil.copytree(out, copy)
    page = Page(write_report(copy, study(copy).objects.tasks).read_text())
    pictures = {"image": [], "segmentation": [], "depth": []}
    for tag, of in page.tags:
        if tag == "img" and of["alt"] and of.get("src"):
            what = of["alt"].split(",")[0].split()[0]
            pictures[what].append(Image.open(io.BytesIO(b64decode(of["src"].split(",")[1]))).size)
    wide, high = (48, 32), (32, 40)
    assert pictures["image"] == [wide] * 5 + [high] * 3
    # Truth, two methods and single; image 1's label says nothing.
    assert Counter(pictures["segmentation"]) == {wide: 5 * 3 + 4}
    assert Counter(pictures["depth"]) == {high: 3 * 4}
    stored = load_tensors(out / "kd4mtl/seed0/predictions.safetensors")
    assert {name for name in stored if "prediction" in name} == {
        "indoor/prediction/segmentation", "streets/prediction/depth",
    }  # fmt: skip
