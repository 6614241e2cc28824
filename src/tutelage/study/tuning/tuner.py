"""Fair budgets: every method may try the same number of values, on a part of the training images."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

import torch

from tutelage.errors import UserError
from tutelage.files import locked, write_shared
from tutelage.layout import SINGLE, TEACHER
from tutelage.metrics import deltas
from tutelage.study.build import build_run
from tutelage.study.config import Study, resolve, teacher_specs, with_those_that_teach
from tutelage.study.launch import Display, run_study
from tutelage.study.mixing import refuse_mixing
from tutelage.study.plan import RunSpec, kinds, method_run, plan
from tutelage.study.results import with_nan
from tutelage.study.store import Patience, claim, read_record
from tutelage.study.tuning.search import ask, need_optuna, space
from tutelage.study.tuning.trials import Trial, best, label, overlay, put, row
from tutelage.study.tuning.watch import Watch
from tutelage.train import NonFiniteError, derive

_UNTUNED = Trial(0, {})  # a method with the study's own values
_Metrics = Mapping[str, Mapping[str, float]]


class Tuner:
    """Tries the same number of values for every method of a study and keeps the best of each.

    Every trial is a study of its own that trains on a part of the study's `train` and is judged on the rest of it, by
    Delta main against the single-task networks with the study's own values. The study's `test` is never read. If the
    single-task networks are tuned too, methods that distil learn from those with the best values.

    A tuning continues where it stopped. Several processes may run the same one: each takes the next method that no
    other process holds.

    Args:
        study: whose methods are tuned; every trial has its first seed.
        methods: which of them; by default all of them and the single-task networks.
        trials: number of trials of every method, however many values it has.
        part: the part of `train` that trials are judged on.

    Raises:
        UserError: there is nothing to search, or Optuna is not installed.
    """

    def __init__(self, study: Study, methods: Sequence[str] | None = None, trials: int = 8, part: float = 0.2) -> None:
        need_optuna()
        if trials < 1:
            raise UserError(f"--trials: expected at least 1, found {trials}")
        if files := [name for name, teacher in teacher_specs(study.values).items() if teacher.file]:
            raise UserError(
                "teachers: expected none, since they may have seen the images that trials are judged on; found "
                f"{', '.join(files)}; tune with --teachers '{{}}'"
            )
        self.original, self.trials, self.part, self.seed = study, trials, part, study.seeds[0]
        names = [SINGLE, *study.methods] if methods is None else methods
        self.methods = sorted(dict.fromkeys(names), key=lambda name: name != SINGLE)  # teachers first
        held = {"source": study.values["data"], "part": part, "seed": self.seed}
        data = {"class_path": "tutelage.data.HoldOut", "init_args": held}
        needed = with_those_that_teach(dict(study.values), self.methods)
        method = {name: values for name, values in study.values["method"].items() if name in (SINGLE, TEACHER, *needed)}
        changes = {"data": data, "methods": needed, "method": method, "seeds": [self.seed]}
        self.study = resolve({**study.values, **changes}, study.build)
        self.spaces = {name: space(self.study, name) for name in self.methods}
        self.folder = study.folder / "tune"
        self.file = self.folder / "tuned.yaml"

    def run(self, display: Display) -> list[dict[str, Any]]:
        """Train what is not finished and write tuned.yaml, an overlay of the study; returns one row per method."""
        for spec in kinds(plan(self.study.values)):  # a missing tap is an error now, not after a night of trials
            objects = self.study.build(spec.config)
            build_run(spec, objects, self.study.folder, torch.device("cpu"), trained=False)
        watch = Watch(display, self.trials * sum(map(self._runs, self.methods)))
        if SINGLE not in self.methods:
            watch.of += self._runs(SINGLE)
        single = self._reference(watch)
        if SINGLE not in self.methods:
            watch.done += self._runs(SINGLE)
        tuned: dict[str, list[Trial]] = {}
        patience = Patience(display.note)
        while waiting := [name for name in self.methods if name not in tuned]:
            for name in waiting:
                if (teachers := self._teachers(name, tuned)) is None:
                    continue
                with locked(self._folder(name, teachers)) as held:
                    if held:
                        tuned[name] = self._tune(name, teachers, single, watch)
            if not any(name in tuned for name in waiting):
                patience.wait(f"waits for {waiting[0]}, which another process tunes")
        rows = [row(name, tuned[name]) for name in self.methods]
        write_shared(self.file, overlay(self.original, rows, self.trials, self.part, self.seed))
        return rows

    def _reference(self, watch: Watch) -> _Metrics:
        """The metrics of the single-task networks with the study's own values: every trial is compared with them."""
        study = self._study(SINGLE, _UNTUNED, _UNTUNED)
        run_study(study, watch)
        single = _metrics(study, _runs_of(SINGLE, study))
        if not isfinite(self._delta(single, single)):
            raise UserError(
                f"tune: expected single-task networks whose main metrics are not 0, to compare with; found {single}; "
                "train longer, for example with more --epochs"
            )
        return single

    def _teachers(self, name: str, tuned: Mapping[str, list[Trial]]) -> Trial | None:
        """The trial of the single-task networks that teach a method; None while it is not known yet."""
        needs = () if name == SINGLE else method_run(self.study.values, name, self.seed).needs
        if SINGLE not in self.methods or not any(need.startswith(f"{SINGLE}/") for need in needs):
            return _UNTUNED
        return best(tuned[SINGLE]) if SINGLE in tuned else None

    def _folder(self, name: str, teachers: Trial) -> Path:
        """The folder of a method's trial files; their runs are beside it."""
        return self.folder / (SINGLE if name == SINGLE else f"{label(SINGLE, teachers.number)}/{name}")

    def _tune(self, name: str, teachers: Trial, single: _Metrics, watch: Watch) -> list[Trial]:
        """All trials of a method; those of an earlier call are read from their files."""
        folder, where = self._folder(name, teachers), self.spaces[name]
        search = {path: asdict(bounds) for path, bounds in where.ranges.items()}
        method = self.study.values["method"].get(name, {})
        values = {**self.study.values, "method": {name: method}, "tune": {"search": search}}
        build, objects = self.study.build, self.study.objects
        data = build.fingerprint(objects)
        refuse_mixing(folder, values, data, former=partial(build.former_fingerprint, objects))
        claim(folder, values, data)
        trials: list[Trial] = []
        for number in range(self.trials):
            path, facts = folder / f"trial{number:02d}.json", {"method": name, "seed": self.seed}
            if path.exists():
                trial = Trial.read(path)
            else:  # written before it is trained: a killed trial continues with its values, whatever Optuna's version
                trial = Trial(number, ask(where, trials, derive(self.seed, "tune", name, number)))
                trial.write(path, **facts)
            if not trial.finished:
                watch.trial(name, number)
                trial = self._judge(name, trial, teachers, single, watch)
                trial.write(path, **facts)
                watch.judged(trial)
            trials.append(trial)
            watch.done += self._runs(name)
        return trials

    def _judge(self, name: str, trial: Trial, teachers: Trial, single: _Metrics, watch: Watch) -> Trial:
        """Train a trial and compare it with the single-task networks."""
        study = self._study(name, trial, teachers)
        specs = _runs_of(name, study)
        try:
            run_study(study, watch)
            delta = self._delta(_metrics(study, specs), single)
            undefined = None if isfinite(delta) else "a main metric has no value"
            trial = replace(trial, delta=None if undefined else delta, problem=undefined)
        except NonFiniteError as error:  # these values diverge: that is a result
            trial = replace(trial, problem=str(error))
        return trial

    def _study(self, name: str, trial: Trial, teachers: Trial) -> Study:
        """A trial as a study, in one folder with its teachers, and so in one table with other methods' trials."""
        single = trial if name == SINGLE else teachers
        methods = {SINGLE: self._method(SINGLE, single), TEACHER: self._method(TEACHER, _UNTUNED)}
        *teaching, _ = with_those_that_teach(dict(self.study.values), [name])
        if name != SINGLE:
            methods |= {before: self._method(before, _UNTUNED) for before in teaching}
            methods[label(name, trial.number)] = self._method(name, trial)
        changes = {
            "study": f"{self.original.name}-tune",
            "methods": [*teaching, SINGLE if name == SINGLE else label(name, trial.number)],
            "method": {key: method for key, method in methods.items() if method},
            "out": str(self.folder / label(SINGLE, single.number)),
        }
        return resolve({**self.study.values, **changes}, self.study.build)

    def _method(self, name: str, trial: Trial) -> dict[str, Any]:
        """A method's definition with the values of a trial; trial 0 keeps the method's own."""
        method: dict[str, Any] = copy.deepcopy(self.study.values["method"].get(name, {}))
        if trial.number:
            method["values"] = "tuned"
            for path, value in trial.parameters.items():
                put(method, path, value)
        return method

    def _runs(self, name: str) -> int:
        return len(self.study.objects.tasks) if name == SINGLE else 1

    def _delta(self, metrics: _Metrics, single: _Metrics) -> float:
        return deltas(metrics, single, self.study.objects.tasks)["main"]


def _runs_of(name: str, study: Study) -> list[RunSpec]:
    """The runs of a trial, without those of its teachers."""
    specs = plan(study.values)
    return [spec for spec in specs if spec.method == (SINGLE if name == SINGLE else study.methods[-1])]


def _metrics(study: Study, specs: list[RunSpec]) -> _Metrics:
    results = [read_record(study.folder / spec.id / "result.json", "metrics") for spec in specs]
    return {t: metrics for result in results for t, metrics in with_nan(result["metrics"]["dataset"]).items()}
