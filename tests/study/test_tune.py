import contextlib
import json
import shutil
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
import yaml
from tests.study.conftest import TINY, Notes

from tutelage.cli import main
from tutelage.files import locked
from tutelage.study import RunSpec, Study, Tuner, execute, load_study, read_values, run_study, store
from tutelage.study.config import Range
from tutelage.study.mixing import refuse_mixing
from tutelage.study.teachers import load_tensors
from tutelage.study.tuning.search import Space, ask
from tutelage.study.tuning.trials import Trial, best, overlay, row
from tutelage.train import NonFiniteError

FLAGS = [*TINY, "--data.train", "20", "--train.checkpoint-steps", "1"]
METHODS = ("single", "uniform", "kd4mtl")


def study_file(folder: Path, data: str = "tests.data.test_holdout.Blind") -> Path:
    """Two tasks, two methods, and a validation split that is not to be read."""
    values = {**read_values("rooms-tiny"), "methods": ["uniform", "kd4mtl"]}
    values["data"]["class_path"] = data
    del values["tasks"]["segmentation"]
    file = folder / f"{data.split('.')[-1]}.yaml"
    file.write_text(yaml.safe_dump(values))
    return file


@cache
def loaded(*flags: str) -> Study:
    with TemporaryDirectory() as folder:
        return load_study(study_file(Path(folder)), [*FLAGS, *flags])


def tuner(out: Path, *flags: str, trials: int = 3, methods: tuple[str, ...] | None = None) -> Tuner:
    study = loaded(*flags)
    return Tuner(Study({**study.values, "out": str(out)}, study.build), methods, trials)


def contents(out: Path) -> dict[str, object]:
    """What must not depend on how often a tuning was stopped."""
    texts = [*out.glob("**/trial*.json"), *out.glob("tune/tuned.yaml")]
    nets = {path: load_tensors(path) for path in out.glob("**/student.safetensors")}
    sums = {path: {name: float(tensor.double().sum()) for name, tensor in net.items()} for path, net in nets.items()}
    found = {path: path.read_text().replace(str(out), "OUT") for path in texts} | sums
    return {str(path.relative_to(out)): value for path, value in found.items()}


def trials_of(out: Path, method: str) -> list[dict]:
    paths = [*out.glob(f"tune/{method}/trial*.json"), *out.glob(f"tune/*/{method}/trial*.json")]
    return [json.loads(path.read_text()) for path in sorted(paths)]


def forget(out: Path, method: str, *numbers: int) -> None:
    """As if these trials had not been."""
    for number in numbers:
        (path,) = out.glob(f"tune/*/{method}/trial{number:02d}.json")
        path.unlink()
        shutil.rmtree(path.parents[1] / f"{method}-trial{number:02d}")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict], Notes]:
    out, notes = tmp_path_factory.mktemp("tune") / "runs", Notes()
    return out, tuner(out).run(notes), notes


@pytest.fixture
def copy(finished: tuple, tmp_path: Path) -> Path:
    out = tmp_path / "runs"
    shutil.copytree(finished[0], out)
    for path in out.glob("tune/**/*.yaml"):  # the folder is no part of a run, but for the overlay
        path.write_text(path.read_text().replace(str(finished[0]), str(out)))
    return out


def test_every_method_has_the_same_number_of_trials(finished: tuple) -> None:
    out, rows, notes = finished
    assert [(row["method"], row["trials"], row["failed"]) for row in rows] == [(name, 3, 0) for name in METHODS]
    for found in rows:
        trials = trials_of(out, found["method"])
        assert [trial["number"] for trial in trials] == [0, 1, 2]
        assert len({str(trial["parameters"]) for trial in trials}) == 3
        deltas = [trial["delta"] for trial in trials]
        assert (found["own"], found["delta"], found["best"]) == (deltas[0], max(deltas), deltas.index(max(deltas)))
        assert found["parameters"] == trials[found["best"]]["parameters"]
    assert [name for name, _ in notes.started] == [
        *(f"single-trial{i:02d} {task}, seed 0" for i in range(3) for task in ("depth", "normals")),
        *(f"{name}-trial{i:02d}, seed 0" for name in METHODS[1:] for i in range(3)),
    ]  # teachers first, and nothing twice
    assert not list(out.glob("tune/**/checkpoint.pt"))


def test_the_first_trial_has_the_methods_own_values(finished: tuple) -> None:
    out, rows, _ = finished
    study = tuner(out).study
    own = {"lr": 1e-3, "distiller.init_args.scale": 1.0, "adaptor_optim.optimizer.init_args.lr": 0.1}
    assert trials_of(out, "kd4mtl")[0]["parameters"] == own
    assert trials_of(out, "single")[0]["parameters"] == trials_of(out, "uniform")[0]["parameters"] == {"lr": 1e-3}
    for name in METHODS[1:]:
        (path,) = out.glob(f"tune/*/{name}-trial00/seed0/config.yaml")
        assert yaml.safe_load(path.read_text())["method"] == {f"{name}-trial00": study.values["method"][name]}
    assert rows[0]["own"] == 0  # the study's own single-task networks are what all is compared with


def test_methods_that_distil_learn_from_the_tuned_teachers(finished: tuple) -> None:
    out, rows, _ = finished
    home = out / f"tune/single-trial{rows[0]['best']:02d}"
    assert rows[0]["best"] > 0  # or this test says nothing
    assert len(list(home.glob("kd4mtl-trial*"))) == 3
    values = yaml.safe_load((home / "study.yaml").read_text())
    assert values["method"]["single"]["lr"] == rows[0]["parameters"]["lr"]
    assert len(list(out.glob("tune/single-trial00/uniform-trial*"))) == 3  # has no teachers
    data = values["data"]["init_args"]
    assert (data["part"], data["seed"]) == (0.2, 0)


@pytest.mark.parametrize("methods", [("noisy-student",), None], ids=["alone", "with those that teach it"])
def test_a_method_that_a_student_teaches_learns_from_it(methods: tuple[str, ...] | None, tmp_path: Path) -> None:
    out, notes = tmp_path / "runs", Notes()
    rows = tuner(out, "--methods", "noisy-student", trials=2, methods=methods).run(notes)
    tuned = ["noisy-student"] if methods else ["single", "scale-invariant", "noisy-student"]
    assert [(row["method"], row["trials"], row["failed"]) for row in rows] == [(name, 2, 0) for name in tuned]
    (teacher,) = out.glob("tune/*/scale-invariant/seed0/spec.json")  # once for both trials, with the study's own values
    for number in range(2):
        spec = json.loads((teacher.parents[2] / f"noisy-student-trial{number:02d}/seed0/spec.json").read_text())
        assert spec["needs"] == ["scale-invariant/seed0"]
    assert len({trial["delta"] for trial in trials_of(out, "noisy-student")}) == 2  # its own, not those of its teacher
    assert len({name for name, _ in notes.started}) == len(notes.started)


def test_what_is_tried_is_what_is_written(finished: tuple) -> None:
    out, rows, _ = finished
    text = (out / "tune/tuned.yaml").read_text()
    for found in rows:
        assert f"# {' ' * 2}{found['method']}" in text
    methods = yaml.safe_load(text)["method"]
    distilled = rows[2]["parameters"]
    assert methods == {
        "single": {"values": "tuned", **rows[0]["parameters"]},
        "uniform": {"values": "tuned", **rows[1]["parameters"]},
        "kd4mtl": {
            "values": "tuned",
            "lr": distilled["lr"],
            "distiller": {"init_args": {"scale": distilled["distiller.init_args.scale"]}},
            "adaptor_optim": {"optimizer": {"init_args": {"lr": distilled["adaptor_optim.optimizer.init_args.lr"]}}},
        },
    }
    for name in METHODS[1:]:
        for trial in trials_of(out, name)[1:]:
            (path,) = out.glob(f"tune/*/{name}-trial{trial['number']:02d}/seed0/config.yaml")
            method = yaml.safe_load(path.read_text())["method"][f"{name}-trial{trial['number']:02d}"]
            assert method["lr"] == trial["parameters"]["lr"] == float(f"{method['lr']:.4g}")


def test_the_tuned_study_runs_in_a_folder_of_its_own(
    finished: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, rows, _ = finished
    monkeypatch.chdir(tmp_path)
    file = study_file(tmp_path, "tutelage.data.Rooms")
    study = load_study(file, [*TINY, "--methods", "kd4mtl", "--with", str(out / "tune/tuned.yaml")])
    assert str(study.folder) == f"{out}-tuned"
    study = Study({**study.values, "out": None}, study.build)
    assert study.folder == Path("runs/rooms-tiny-tuned")
    found = run_study(study, Notes())
    assert {(row["method"], row["values"]) for row in found} == {("single", "tuned"), ("kd4mtl", "tuned")}
    method = study.objects.method["kd4mtl"]
    assert method.lr == rows[2]["parameters"]["lr"]
    assert study.values["method"]["kd4mtl"]["distiller"]["init_args"]["match"] == {  # all else is the method's
        "bottleneck": "bottleneck",
        "last": "last",
    }


class Killed(Notes):
    """Stops a tuning after so many steps."""

    def step(self, step: int, total: int) -> None:
        super().step(step, total)
        if self.steps == 4:  # the second trial's last, before its checkpoint
            raise KeyboardInterrupt


def test_a_tuning_that_was_killed_finds_the_same(finished: tuple, copy: Path) -> None:
    out, rows, _ = finished
    forget(copy, "kd4mtl", 1, 2)
    killed = Killed()
    with pytest.raises(KeyboardInterrupt):
        tuner(copy).run(killed)
    assert killed.started == [("kd4mtl-trial01, seed 0", 0), ("kd4mtl-trial02, seed 0", 0)]
    notes = Notes()
    assert tuner(copy).run(notes) == rows
    assert notes.started == [("kd4mtl-trial02, seed 0", 1)]
    before = contents(copy)
    assert before == contents(out)
    again = Notes()
    assert tuner(copy).run(again) == rows
    assert again.started == []
    assert contents(copy) == before


def test_more_trials_go_on_and_fewer_are_the_first(copy: Path) -> None:
    notes = Notes()
    (found,) = tuner(copy, trials=4, methods=("uniform",)).run(notes)
    assert notes.started == [("uniform-trial03, seed 0", 0)]
    assert found["trials"] == 4
    (found,) = tuner(copy, trials=2, methods=("uniform",)).run(Notes())
    assert found["delta"] == max(trial["delta"] for trial in trials_of(copy, "uniform")[:2])


def test_values_that_diverge_are_a_trial_and_no_end(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverges(spec: RunSpec, *rest: object) -> dict:
        if spec.method == "uniform-trial01":
            raise NonFiniteError("not finite at step 2")
        return execute(spec, *rest)

    monkeypatch.setattr("tutelage.study.launch.local.execute", diverges)
    forget(copy, "uniform", 1, 2)
    notes = Notes()
    (found,) = tuner(copy, methods=("uniform",)).run(notes)
    assert (found["trials"], found["failed"]) == (3, 1)
    assert found["best"] != 1
    assert any("uniform-trial01: diverged: not finite at step 2, with lr" in note for note in notes.notes)
    failed = trials_of(copy, "uniform")[1]
    assert (failed["delta"], failed["problem"]) == (None, "not finite at step 2")
    notes = Notes()
    assert tuner(copy, methods=("uniform",)).run(notes) == [found]
    assert notes.started == []


def test_several_processes_take_different_methods(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_SECONDS", 0.0)
    forget(copy, "uniform", 2)
    forget(copy, "kd4mtl", 2)
    with contextlib.ExitStack() as other:
        assert other.enter_context(locked(copy / "tune/single-trial00/uniform"))

        class Waits(Notes):
            def note(self, text: str) -> None:
                super().note(text)
                if text.startswith("waits for uniform"):
                    other.close()

        notes = Waits()
        rows = tuner(copy).run(notes)
    assert [name for name, _ in notes.started] == ["kd4mtl-trial02, seed 0", "uniform-trial02, seed 0"]
    assert len([note for note in notes.notes if "waits" in note]) == 1
    assert [row["method"] for row in rows] == list(METHODS)


def test_trials_of_other_values_are_not_compared(finished: tuple) -> None:
    out, _, _ = finished
    search = "{lr: {low: 1.0e-4, high: 1.0e-2}}"
    for flags, message in (
        (["--epochs", "2"], r"train.epochs = 1; found 2; give another folder"),
        (["--seeds", "1"], r"data.init_args.seed = 0; found 1|data = \w+; found \w+ \(and data.init_args.seed\)"),
        (["--method.uniform.search", search], r"tune.search.lr.low = 0.0003; found 0.0001"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            tuner(out, *flags).run(Notes())
        assert "\n" not in str(error.value)


class Fixed(torch.optim.SGD):
    """An optimiser without a learning rate to vary."""

    def __init__(self, params: Iterable[torch.nn.Parameter]) -> None:
        super().__init__(params, lr=0.1)


def test_moved_data_are_the_same_within_a_part_of_them(tmp_path: Path) -> None:
    def config(root: str, size: int = 1) -> dict:
        source = {"class_path": "Folders", "init_args": {"root": root, "size": size}}
        return {"data": {"class_path": "HoldOut", "init_args": {"source": source}}, "train": {}}

    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config("here")))
    (tmp_path / "environment.json").write_text('{"data": "same"}')
    refuse_mixing(tmp_path, config("there"), "same")
    with pytest.raises(ValueError, match=r"data.init_args.source.init_args.size = 1; found 2"):
        refuse_mixing(tmp_path, config("there", 2), "same")


SEARCH = ["--methods", "uniform", "--method.uniform.search"]
WRONG = [
    ("no trial", [], {"trials": 0}, r"--trials: expected at least 1, found 0"),
    ("nothing to search", [*SEARCH, "{}"], {}, r"method.uniform.search: expected the range of at"),
    ("a path that is not there", [*SEARCH, "{balancer.nope: {low: 1, high: 2}}"], {},
     r"method.uniform.search.balancer.nope: expected the path of a number .* found nothing there"),
    ("a path of a word", [*SEARCH, "{teachers: {low: 1, high: 2}}"], {}, r"found 'trained' there"),
    ("0 on a log scale", ["--method.kd4mtl.distiller.scale", "0"], {},
     r"method.kd4mtl.search.distiller.init_args.scale: expected a positive value where log is true, found 0"),
    ("no learning rate", ["--methods", "uniform", "--train.student.optimizer", "tests.study.test_tune.Fixed"], {},
     r"train.student.optimizer.init_args.lr: expected a learning rate, .* give method.single.lr"),
    ("teachers that have seen all", ["--methods", "uniform", "--teachers", f'{{"depth": "{__file__}"}}'], {},
     r"teachers: expected none, since .* found depth; tune with --teachers"),
    ("a wrong range", [*SEARCH, "{lr: {low: 2, high: 1}}"], {}, r"search: expected low < high"),
    ("an unknown method", [], {"methods": ("url",)}, r"method.url: expected a definition, found none"),
]  # fmt: skip


@pytest.mark.parametrize(("flags", "arguments", "message"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_a_mistake_is_one_line(flags: list[str], arguments: Mapping, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message) as error:
        tuner(tmp_path / "runs", *flags, **arguments)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "runs").exists()


def test_without_optuna_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(ValueError, match=r"tune: expected Optuna, found none; pip install 'tutelage\[tune\]'"):
        tuner(tmp_path / "runs")


def test_what_is_asked_is_a_function_of_what_was_tried() -> None:
    ranges = {"lr": Range(1e-4, 1e-1), "momentum": Range(0.5, 0.95, log=False)}
    space, tried = Space(ranges, {"lr": 1e-3, "momentum": 0.9}), []
    for number in range(7):
        asked = ask(space, tried, seed=number)
        assert asked == ask(space, tried, seed=number)
        assert all(r.low <= asked[path] <= r.high for path, r in ranges.items())
        assert number == 0 or asked != ask(space, tried, seed=number + 100)
        assert all(value == float(f"{value:.4g}") for value in asked.values())
        tried.append(Trial(number, asked, *((None, "diverged") if number == 2 else (-asked["lr"],))))
    assert tried[0].parameters == space.present


def test_a_damaged_trial_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "trial00.json"
    for text in ("{", '{"number": 0}'):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"trial00.json: expected the record of a run, found .*; remove") as error:
            Trial.read(path)
        assert "\n" not in str(error.value)


def test_a_method_whose_trials_all_diverged_is_left_out(tmp_path: Path) -> None:
    failed, good = Trial(0, {"lr": 1.0}, None, "not finite"), Trial(0, {"lr": 0.1}, -1.0)
    assert best([failed]) is None
    study = load_study("rooms-tiny")
    text = overlay(study, [row("uniform", [failed]), row("kd4mtl", [good])], 1, 0.2, 0)
    assert "uniform  every trial diverged" in text
    values = yaml.safe_load(text)
    assert values == {"study": "rooms-tiny-tuned", "method": {"kd4mtl": {"values": "tuned", "lr": 0.1}}}


def test_the_command_ends_with_table_and_what_next(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = study_file(copy.parent)
    flags = [*FLAGS, "--out", str(copy)]
    assert main(["tune", str(file), "--trials", "3", *flags]) == 0
    text = capsys.readouterr().out
    for expected in ("3 trials each", "kd4mtl", "adaptor_optim.lr", f"--with {copy}/tune/tuned.yaml"):
        assert expected in text, expected
    assert "--out" not in text
    assert main(["tune", str(file), *flags, "--methods", "uniform", "--trials", "0"]) == 2
    assert "--trials: expected at least 1" in capsys.readouterr().err
    assert main(["tune"]) == 2
    assert "--part" in capsys.readouterr().out


def test_a_mistake_in_the_data_has_the_key_that_the_user_knows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The trials hold out a part of the source, so that it stands one level deeper in their studies."""
    source = "{class_path: tutelage.data.Rooms, init_args: {train: 12, test: 2, size: [32, 48]}}"
    hidden = f"{{class_path: tutelage.data.HideLabels, init_args: {{source: {source}, keep: {{depth: 0.01}}}}}}"
    (tmp_path / "hidden.yaml").write_text(f"base: rooms-tiny\ndata: {hidden}\nout: {tmp_path / 'runs'}\n")
    assert main(["tune", str(tmp_path / "hidden.yaml"), "--trials", "1"]) == 2
    assert "data.keep.depth: expected some of the 12 training images" in capsys.readouterr().err
