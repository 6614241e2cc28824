"""Where the numbers of a run are logged besides log.jsonl: TensorBoard, a table, Weights & Biases, MLflow."""

import csv
import io
import json
import time
import uuid
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.logger import Logger
from lightning_fabric.loggers.tensorboard import TensorBoardLogger
from torch import Tensor

from tutelage.files import naming, write_json, write_text
from tutelage.study.plan import RunSpec
from tutelage.train import JsonLines

_LOG, _IDS = "log.jsonl", "loggers.json"


def run_loggers(names: Sequence[str], spec: RunSpec, place: Path, done: int) -> list[Logger]:
    """The loggers of a run: log.jsonl, and those of `train.logger`.

    Args:
        names: of `train.logger`.
        spec: the run.
        place: its folder.
        done: its finished steps; what was logged after them is logged again.
    """
    makers: dict[str, Callable[[], Logger]] = {
        "tensorboard": lambda: TensorBoard(place, name="tensorboard", version="", purge_step=done + 1),
        "csv": lambda: CsvTable(place),
        "wandb": lambda: WeightsAndBiases(spec, place),
        "mlflow": lambda: MLflow(spec, place),
    }
    return [JsonLines(place / _LOG, after=done), *(makers[name]() for name in names)]


def _study_of(spec: RunSpec) -> str:
    """The name of the study that a run belongs to; the config of a run is a study with a name of its own."""
    return str(spec.config["study"]).removesuffix(f"-{spec.id.replace('/', '-')}")


class TensorBoard(TensorBoardLogger):
    """Fabric's, whose errors of the system name the folder."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log one line. A thread writes it: an error is raised with one of the next lines."""
        with naming(Path(self.log_dir)):
            super().log_metrics(metrics, step)

    def finalize(self, status: str) -> None:
        """Write what is left."""
        with naming(Path(self.log_dir)):
            super().finalize(status)


class _RunLogger(Logger):
    """A logger of one run that needs no more than its folder."""

    def __init__(self, place: Path) -> None:
        super().__init__()
        self.place = place

    @property
    def name(self) -> str:
        """The name by which Fabric knows this logger."""
        return type(self).__name__.lower()

    @property
    def version(self) -> str:
        """Empty: the folder of a run is its version."""
        return ""

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Tensor, **kwargs: Tensor) -> None:
        """Nothing: the config is given when the run begins."""

    def remembered(self, create: Callable[[], str]) -> str:
        """The id of this run at the service, the same whenever it continues; made where there is none."""
        file = self.place / _IDS
        ids = json.loads(file.read_text()) if file.exists() else {}
        if self.name not in ids:
            write_json(file, {**ids, self.name: create()})
            return self.remembered(create)
        return str(ids[self.name])


class CsvTable(_RunLogger):
    """Writes `metrics.csv` from log.jsonl, with one column per name, when a run ends or stops."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Nothing: log.jsonl has it."""

    def finalize(self, status: str) -> None:
        """Write the table."""
        lines = []
        for line in (self.place / _LOG).read_text().splitlines():
            with suppress(ValueError):  # a full disk has cut it off
                lines.append(json.loads(line))
        text = io.StringIO()
        table = csv.DictWriter(text, list(dict.fromkeys(name for line in lines for name in line)))
        table.writeheader()
        table.writerows(lines)
        write_text(self.place / "metrics.csv", text.getvalue())


class WeightsAndBiases(_RunLogger):
    """Logs to Weights & Biases: the study is the project; its own variables, such as WANDB_MODE, hold."""

    def __init__(self, spec: RunSpec, place: Path) -> None:
        super().__init__(place)
        import wandb  # and not before: it is needed here alone

        self.run = wandb.init(
            project=_study_of(spec),
            name=spec.id,
            group=spec.method,
            config=dict(spec.config),
            dir=str(place),
            id=self.remembered(lambda: uuid.uuid4().hex),
            resume="allow",
            reinit="create_new",
        )

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log one line; steps that it knows already are not logged again."""
        self.run.log(dict(metrics), step=step)

    def finalize(self, status: str) -> None:
        """End the run, or pause it: it goes on under the same id."""
        self.run.finish()


class MLflow(_RunLogger):
    """Logs to MLflow: the study is the experiment; MLFLOW_TRACKING_URI says where."""

    def __init__(self, spec: RunSpec, place: Path) -> None:
        super().__init__(place)
        from mlflow.tracking import MlflowClient

        self.client = MlflowClient()
        self.id = self.remembered(lambda: self._create(spec))
        self.client.update_run(self.id, status="RUNNING")

    def _create(self, spec: RunSpec) -> str:
        run: str = self.client.create_run(self._experiment(_study_of(spec)), run_name=spec.id).info.run_id
        self.client.log_dict(run, dict(spec.config), "config.yaml")
        return run

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        experiment = self.client.get_experiment_by_name(name)
        if experiment is None:
            try:
                return str(self.client.create_experiment(name))
            except MlflowException:  # another run of the study, which began at the same moment, has created it
                experiment = self.client.get_experiment_by_name(name)
                if experiment is None:
                    raise
        return str(experiment.experiment_id)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log one line."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        self.client.log_batch(self.id, [Metric(name, value, now, step or 0) for name, value in metrics.items()])

    def finalize(self, status: str) -> None:
        """End the run, or pause it: it goes on under the same id."""
        self.client.set_terminated(self.id)
