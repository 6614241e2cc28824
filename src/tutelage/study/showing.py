"""What the report's page shows besides the results: the costs of the networks, and the best and the worst image."""

from collections.abc import Callable, Sequence
from pathlib import Path

from lightning_fabric import Fabric

from tutelage.errors import one_line
from tutelage.files import alone, write_json
from tutelage.layout import COST, EXTREMES, STUDENT, extreme_file
from tutelage.study.build import build_student, example
from tutelage.study.compute import step_operations
from tutelage.study.config import Study, StudyConfig
from tutelage.study.cost import cost
from tutelage.study.execute import fabric_for
from tutelage.study.extremes import extremes
from tutelage.study.plan import RunSpec, plan
from tutelage.study.predictions import save_predictions
from tutelage.study.store import is_finished, read_record
from tutelage.study.teachers import load_tensors
from tutelage.train import TrainConfig
from tutelage.types import MultiTaskNet


def save_showing(study: Study, note: Callable[[str], None]) -> None:
    """Measure what each network of the first seed costs, and keep what all of them predict for two more images.

    These are the images on which the method that the study is about does best and worst: the first that distils, else
    the first multi-task method. What is there already is kept. Nothing is done before all runs of the seed are
    finished.

    Args:
        study: that ran.
        note: is told what could not be shown.
    """
    specs = [spec for spec in plan(study.values) if spec.seed == min(study.seeds)]
    if not all(is_finished(study.folder / spec.id) for spec in specs):
        return
    try:
        for spec in specs:
            if not (study.folder / spec.id / COST).exists():
                network = _Network(study, spec)
                image = example(network.objects.data, network.objects.tasks, network.fabric.device)
                found = cost(network.net, image)
                if spec.file is None:
                    found["training"] = step_operations(spec, network.objects, study.folder, network.fabric)
                with alone(study.folder / spec.id):
                    write_json(study.folder / spec.id / COST, found)
        _save_extremes(study, specs)
    except Exception as error:  # of the disk, or of a network of the user's own; the results are complete without
        note(f"the page lacks costs or images: {one_line(error)}")


class _Network:
    """The trained network of a finished run, and what it needs to predict."""

    def __init__(self, study: Study, spec: RunSpec) -> None:
        self.objects: StudyConfig = study.build(spec.config)
        train: TrainConfig = self.objects.train
        self.fabric: Fabric = fabric_for(train)
        self.net: MultiTaskNet = build_student(spec, self.objects, train, self.fabric.device)
        self.net.load_state_dict(load_tensors(study.folder / spec.id / STUDENT))

    def save(self, path: Path, indices: Sequence[int]) -> None:
        """Keep what it predicts for one test image of every source."""
        save_predictions(self.fabric, self.net, self.objects.tasks, self.objects.data, path, indices)


def _save_extremes(study: Study, specs: Sequence[RunSpec]) -> None:
    subject = main_method(specs)
    if subject is None:
        return
    file = study.folder / EXTREMES
    record = read_record(file) if file.exists() else {}
    weights = read_record(study.folder / subject.id / "result.json").get("weights")  # of a run that is trained again
    if (record.get("run"), record.get("weights")) != (subject.id, weights):
        network = _Network(study, subject)
        found = extremes(network.fabric, network.net, network.objects.tasks, network.objects.data)
        if found is None:
            return
        record = {"run": subject.id, "method": subject.method, "weights": weights, **found}
    chosen = [(extreme_file(indices), indices) for indices in (record["best"], record["worst"])]
    for spec in specs:
        files = {study.folder / spec.id / name: indices for name, indices in chosen}
        if missing := [path for path in files if not path.exists()]:
            network = _Network(study, spec)
            with alone(study.folder / spec.id):
                for path in missing:
                    network.save(path, files[path])
    with alone(study.folder):
        write_json(file, record)  # last: it says that all is there


def main_method(specs: Sequence[RunSpec]) -> RunSpec | None:
    """The run that a study is about: of the first method that distils, else of the first multi-task method."""
    methods = [spec for spec in specs if spec.task is None and spec.name is None and spec.values != "control"]
    distilled = [spec for spec in methods if spec.config["method"][spec.method].get("distiller")]
    return next(iter(distilled or methods), None)
