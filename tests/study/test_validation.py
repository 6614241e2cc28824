"""`train.validation`, `keep` and `callbacks` in a study: what is held out is not trained on, and the table says so."""

import json
from math import inf, nan
from pathlib import Path

import pytest
import yaml
from tests.study.conftest import Notes, built, overlaid, tiny
from tests.train.fixture import assert_same

from tutelage.data import HideLabels, HoldOut, Mix, Rooms, Samples
from tutelage.data.holdout import WithoutValidation
from tutelage.errors import UserError
from tutelage.report import Results, latex, markdown, table, write_report
from tutelage.study import execute, plan, run_study
from tutelage.study.teachers import load_tensors
from tutelage.study.validation import gain
from tutelage.tasks import Depth, Segmentation
from tutelage.train import EarlyStopping, Moment, load_checkpoint
from tutelage.types import Task

TASKS: dict[str, Task] = {"segmentation": Segmentation(13), "depth": Depth()}
OVERLAY = {"validation": 0.25, "keep": "best", "callbacks": [{"class_path": "tutelage.train.EarlyStopping"}]}


def images_of(samples: Samples) -> list[float]:
    return [samples[i]["image"].sum().item() for i in range(len(samples))]


SOURCES = {
    "rooms": Rooms(12, 4, (32, 48)),
    "hidden": HideLabels(Rooms(12, 4, (32, 48)), keep={"depth": 0.5}),
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_train_is_divided_and_test_is_the_sources_own(source: Rooms) -> None:
    rest, held = WithoutValidation(source, 0.25), HoldOut(source, 0.25)
    assert len(rest.split("train")) + len(held.split("test")) == 12
    assert len(rest.split("test")) == 4
    images = [*images_of(rest.split("train")), *images_of(held.split("test"))]
    assert sorted(images) == sorted(images_of(source.split("train")))
    assert len(set(images)) == 12
    assert rest.fingerprint() not in (
        source.fingerprint(),
        held.fingerprint(),
        WithoutValidation(source, 0.5).fingerprint(),
    )


def test_every_source_of_a_mix_is_divided() -> None:
    mix = Mix({"a": Rooms(8, 4, (32, 48)), "b": Rooms(4, 4, (32, 48), seed=1)})
    parts = WithoutValidation(mix, 0.25).parts()
    assert {name: len(part.source.split("train")) for name, part in parts.items()} == {"a": 6, "b": 3}
    assert {name: len(part.source.split("test")) for name, part in parts.items()} == {"a": 4, "b": 4}


def values(miou: float, depth: float) -> dict[str, dict[str, float]]:
    return {"segmentation": {"miou": miou, "pixel_accuracy": 0.0}, "depth": {"abs_err": depth, "rel_err": 0.0}}


@pytest.mark.parametrize(
    ("metrics", "best", "expected"),
    [
        (values(22.0, 0.9), values(20.0, 1.0), 10.0),  # +10 % and +10 %
        (values(20.0, 1.5), values(20.0, 1.0), -25.0),
        (values(20.0, nan), values(10.0, 1.0), 100.0),  # depth has no value
        (values(nan, nan), values(10.0, 1.0), 0.0),
        (values(5.0, 2.0), values(0.0, 1.0), inf),
        (values(0.0, 0.9), values(0.0, 1.0), 5.0),
        (values(10.0, 0.5), values(10.0, 0.0), -inf),
    ],
)
def test_the_gain_is_delta_over_the_best_epoch(metrics: dict, best: dict, expected: float) -> None:
    assert gain(metrics, best, TASKS) == pytest.approx(expected)


@pytest.fixture(scope="module")
def selected(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Notes]:
    """A study whose runs keep their best epoch and end early, as soon as one is no better."""
    train = OVERLAY | {"callbacks": [{"class_path": "tutelage.train.EarlyStopping", "init_args": {"patience": 1}}]}
    folder, notes = tmp_path_factory.mktemp("selected"), Notes()
    text = yaml.safe_dump({"train": {**train, "epochs": 8, "checkpoint_steps": 1}, "methods": ["kd4mtl"]})
    run_study(overlaid(folder / "runs", text, "--epochs", "8"), notes)
    return folder / "runs", notes


def test_a_run_keeps_its_best_epoch_and_says_where_it_ended(selected: tuple[Path, Notes]) -> None:
    folder, notes = selected
    results = {path.parent: json.loads(path.read_text()) for path in folder.glob("**/result.json")}
    assert len(results) == 4
    early = {place for place, result in results.items() if result.get("stopped")}
    assert early
    assert sum("no epoch of the last 1 was better" in note for note in notes.notes) == len(early)
    for place, result in results.items():
        assert result["best"]["step"] <= result["steps"]
        assert (place in early) == (result["steps"] < 8)
        lines = [json.loads(line) for line in (place / "log.jsonl").read_text().splitlines()]
        validated = {line["step"]: line for line in lines if any(key.startswith("validation/") for key in line)}
        assert list(validated) == list(range(1, result["steps"] + 1))  # 12 images of 16: one step of an epoch
        main = result["best"]["validation"]
        logged = validated[result["best"]["step"]]
        assert {t: logged[f"validation/{t}/{m}"] for t, of in main.items() for m in [next(iter(of))]} == {
            t: next(iter(of.values())) for t, of in main.items()
        }


def test_the_tables_say_which_weights_they_are_of(selected: tuple[Path, Notes]) -> None:
    folder, _ = selected
    tasks = overlaid(folder.parent / "again", yaml.safe_dump({"train": OVERLAY})).objects.tasks
    words = "best epoch on 25 % of train"
    assert Results(folder, tasks).selection == words
    assert words in str(table(folder, tasks, 200).title)
    assert words in markdown(folder, tasks).splitlines()[0]
    assert words in latex(folder, tasks)
    assert words in " ".join(write_report(folder, tasks).read_text().split())


class DiedError(Exception):
    pass


class DiesOnce(EarlyStopping):
    died = False

    def after_step(self, moment: Moment) -> None:
        if moment.step == 5 and not DiesOnce.died:
            DiesOnce.died = True
            raise DiedError


def test_a_run_that_is_continued_has_the_same_result(selected: tuple[Path, Notes], tmp_path: Path) -> None:
    folder, _ = selected
    train = {**OVERLAY, "callbacks": [{"class_path": f"{__name__}.DiesOnce", "init_args": {"patience": 1}}]}
    text = yaml.safe_dump({"train": {**train, "checkpoint_steps": 1}})
    study = overlaid(tmp_path / "runs", text, "--epochs", "8")
    spec = plan(study.values)[0]
    with pytest.raises(DiedError):
        execute(spec, study.folder, Notes(), study.build)
    assert load_checkpoint(study.folder / spec.id / "checkpoint.pt")["step"] == 4
    execute(spec, study.folder, Notes(), study.build)
    assert_same(*(load_tensors(place / spec.id / "student.safetensors") for place in (study.folder, folder)))


WRONG = {
    "a part above 1": ({"validation": 1.5}, "train.validation: expected a part between 0 and 1, or null, found 1.5"),
    "best of nothing": ({"keep": "best"}, "train.validation: expected a part of train such as 0.1 for `keep: best`"),
    "an unknown choice": ({"keep": "first"}, "train.keep: expected `last` or `best`, found `first`"),
    "a class that is none": (
        {"callbacks": [{"class_path": "tutelage.data.Augment"}]},
        "train.callbacks: .*expected a subclass of Callback, found tutelage.data.Augment",
    ),
    "the authors' selection too": (
        {"keep": "best", "validation": 0.1, "official_quirks": True},
        "train.keep: expected last with official_quirks",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_one_line(name: str, tmp_path: Path) -> None:
    train, message = WRONG[name]
    with pytest.raises(UserError, match=message) as error:
        overlaid(tmp_path / "runs", yaml.safe_dump({"train": train}))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (
            {"callbacks": OVERLAY["callbacks"]},
            "train.validation: expected a part of .* such as 0.1 for EarlyStopping",
        ),
        ({"validation": 0.01}, "train.validation: expected images in both parts of train, found 0 and 16 of rooms"),
    ],
)
def test_what_does_not_fit_is_found_before_training(train: dict, message: str, tmp_path: Path) -> None:
    study = overlaid(tmp_path / "runs", yaml.safe_dump({"train": train}))
    with pytest.raises(UserError, match=message):
        run_study(study, Notes())
    assert not list(tmp_path.glob("**/checkpoint.pt"))


def test_runs_of_one_study_have_callbacks_of_their_own(tmp_path: Path) -> None:
    study = overlaid(tmp_path / "runs", yaml.safe_dump({"train": OVERLAY}))
    one, other = (built(study, spec)[0].callbacks[0] for spec in plan(study.values)[:2])
    assert one is not other


def test_without_it_nothing_is_held_out(tmp_path: Path) -> None:
    study = tiny(tmp_path)
    assert study.objects.training_data is study.objects.data
    assert study.objects.validation_data is None
    assert built(study, plan(study.values)[0])[0].best is None
