"""The loggers by short name, with fakes that take what W&B 0.20+ and MLflow 3 take, and no more."""

import csv
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tutelage.errors import UserError
from tutelage.study import load_study, plan
from tutelage.study.loggers import run_loggers
from tutelage.study.plan import RunSpec
from tutelage.train import TrainConfig


@pytest.fixture(scope="module")
def spec() -> RunSpec:
    return next(spec for spec in plan(load_study("rooms-tiny", ["--methods", "uniform"]).values) if spec.task is None)


class Wandb(ModuleType):
    """The service: its runs by id, each with its lines by step."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.runs: dict[str, dict[int, dict[str, float]]] = {}
        self.asked: list[dict[str, Any]] = []
        self.finished = 0

    def init(  # by name alone, and nothing else
        self,
        *,
        project: str,
        name: str,
        group: str,
        config: dict[str, Any],
        dir: str,
        id: str,
        resume: str,
        reinit: str,
    ) -> Any:
        assert resume in ("allow", "must", "never")
        assert reinit in ("create_new", "finish_previous", "return_previous")
        self.asked.append({"project": project, "name": name, "group": group, "config": config})
        lines = self.runs.setdefault(id, {})
        last = max(lines, default=0)

        def log(data: dict[str, Any], step: int | None = None) -> None:
            assert step is not None
            if step >= last:  # earlier ones it ignores, with a warning
                lines.setdefault(step, {}).update(data)

        return SimpleNamespace(log=log, finish=self._finish)

    def _finish(self, exit_code: int | None = None) -> None:
        self.finished += 1


class MlflowException(Exception):  # noqa: N818  # its name there
    pass


class Client:
    """MLflow's client, and the service behind it."""

    experiments: dict[str, str] = {}
    runs: dict[str, dict[str, Any]] = {}

    def get_experiment_by_name(self, name: str) -> Any:
        return SimpleNamespace(experiment_id=self.experiments[name]) if name in self.experiments else None

    def create_experiment(self, name: str) -> str:
        if name in self.experiments:
            raise MlflowException(f"Experiment '{name}' already exists.")
        return self.experiments.setdefault(name, str(len(self.experiments)))

    def create_run(self, experiment_id: str, run_name: str | None = None) -> Any:
        run = f"run{len(self.runs)}"
        self.runs[run] = {"experiment": experiment_id, "name": run_name, "metrics": [], "status": "RUNNING"}
        return SimpleNamespace(info=SimpleNamespace(run_id=run))

    def update_run(self, run_id: str, status: str | None = None, name: str | None = None) -> None:
        self.runs[run_id]["status"] = status

    def log_dict(self, run_id: str, dictionary: Mapping[str, Any], artifact_file: str) -> None:
        self.runs[run_id][artifact_file] = json.loads(json.dumps(dictionary))

    def log_batch(self, run_id: str, metrics: Any = (), params: Any = (), tags: Any = ()) -> None:
        self.runs[run_id]["metrics"] += [(one.step, one.key, one.value) for one in metrics]

    def set_terminated(self, run_id: str, status: str | None = None, end_time: int | None = None) -> None:
        self.runs[run_id]["status"] = status or "FINISHED"


class Metric(SimpleNamespace):
    def __init__(self, key: str, value: float, timestamp: int, step: int) -> None:
        super().__init__(key=key, value=value, timestamp=timestamp, step=step)


def log(names: list[str], spec: RunSpec, place: Path, steps: range, done: int = 0) -> None:
    """Log some steps as a run does, and end it."""
    loggers = run_loggers(names, spec, place, done)
    for step in steps:
        for logger in loggers:
            logger.log_metrics({"loss/depth": 1 / step}, step)
    for logger in loggers:
        logger.log_metrics({"dead/depth": 0.5}, steps[-1])
        logger.finalize("")


def test_the_table_is_that_of_the_log(spec: RunSpec, tmp_path: Path) -> None:
    log(["csv"], spec, tmp_path, range(1, 4))
    log(["csv"], spec, tmp_path, range(3, 5), done=2)  # it stopped after step 2
    rows = [*csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines())]
    assert [row["step"] for row in rows] == ["1", "2", "3", "4", "4"]
    assert rows[0] == {"step": "1", "loss/depth": "1.0", "dead/depth": ""}
    assert rows[-1] == {"step": "4", "loss/depth": "", "dead/depth": "0.5"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.jsonl", "metrics.csv"]


def test_wandb_has_one_run_per_run_which_continues(
    spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Wandb()
    monkeypatch.setitem(sys.modules, "wandb", service)
    log(["wandb"], spec, tmp_path, range(1, 4))
    log(["wandb"], spec, tmp_path, range(3, 6), done=2)
    (lines,) = service.runs.values()
    assert {step: line["loss/depth"] for step, line in lines.items()} == {n: 1 / n for n in range(1, 6)}
    assert lines[5]["dead/depth"] == 0.5
    assert service.finished == 2
    first, again = service.asked
    assert first == again
    assert (first["project"], first["name"], first["group"]) == ("rooms-tiny", "uniform/seed0", "uniform")
    assert first["config"]["train"]["batch_size"] == 8
    log(["wandb"], spec, tmp_path / "other", range(1, 2))
    assert len(service.runs) == 2


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client, "experiments", {})
    monkeypatch.setattr(Client, "runs", {})
    monkeypatch.setitem(sys.modules, "mlflow", ModuleType("mlflow"))
    contents: dict[str, dict[str, Any]] = {
        "tracking": {"MlflowClient": Client},
        "entities": {"Metric": Metric},
        "exceptions": {"MlflowException": MlflowException},
    }
    for name, content in contents.items():
        module = ModuleType(f"mlflow.{name}")
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, f"mlflow.{name}", module)


@pytest.mark.usefixtures("mlflow")
def test_mlflow_has_one_run_per_run_which_continues(spec: RunSpec, tmp_path: Path) -> None:
    log(["mlflow"], spec, tmp_path, range(1, 3))
    log(["mlflow"], spec, tmp_path, range(3, 4), done=2)
    (run,) = Client.runs.values()
    assert Client.experiments == {"rooms-tiny": run["experiment"]}
    assert (run["name"], run["status"]) == ("uniform/seed0", "FINISHED")
    losses = [(step, value) for step, name, value in run["metrics"] if name == "loss/depth"]
    assert losses == [(n, 1 / n) for n in (1, 2, 3)]
    assert run["config.yaml"]["train"]["batch_size"] == 8


@pytest.mark.usefixtures("mlflow")
def test_runs_that_begin_at_once_share_an_experiment(
    spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = Client.get_experiment_by_name

    def look_before_another_run_creates_it(client: Client, name: str) -> Any:
        if name in Client.experiments:
            return look(client, name)
        Client.experiments[name] = "5"
        return None

    monkeypatch.setattr(Client, "get_experiment_by_name", look_before_another_run_creates_it)
    log(["mlflow"], spec, tmp_path, range(1, 3))
    (run,) = Client.runs.values()
    assert run["experiment"] == "5"


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_missing_package_is_one_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tutelage.train.config.find_spec", lambda name: None)
    with pytest.raises(UserError, match=rf"train.logger: expected the package {name}, found none; pip install 'tutel"):
        TrainConfig(logger=[name])
    TrainConfig(logger=["csv", "tensorboard"])
