"""What every launcher does before the first run, so that mistakes are reported before anything is trained."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import torch

from tutelage.layout import SINGLE, TEACHER
from tutelage.study.build import build_run
from tutelage.study.config import Study
from tutelage.study.mixing import Guard, earlier_runs
from tutelage.study.plan import RunSpec, kinds, plan
from tutelage.study.results import write_results
from tutelage.study.several import has_local_batch_norm
from tutelage.study.store import has_spec, is_finished, read_record, write_spec
from tutelage.study.teacher_cache import may_cache, read_needs
from tutelage.study.teacher_cache.record import CacheRecord, Needs
from tutelage.study.teachers import load_teacher


class Ready:
    """The runs of a study, compared with what is in its folder.

    Args:
        study: whose runs.
        specs: its runs; None: those that its values plan.
    """

    def __init__(self, study: Study, specs: Sequence[RunSpec] | None = None) -> None:
        self.study, self.specs = study, plan(study.values) if specs is None else list(specs)
        self.base = SINGLE if any(spec.method == SINGLE for spec in self.specs) else TEACHER
        self._guard = Guard(study.folder, study.build)
        self._open = self.unfinished  # when it was looked last

    @property
    def unfinished(self) -> list[RunSpec]:
        """The runs without a result, in the order of the plan."""
        return [spec for spec in self.specs if not self.is_finished(spec)]

    def is_finished(self, spec: RunSpec) -> bool:
        """Whether the result of a run is there."""
        return is_finished(self.study.folder / spec.id)

    def is_possible(self, spec: RunSpec) -> bool:
        """Whether the results of all runs that a run needs are there."""
        return all(is_finished(self.study.folder / need) for need in spec.needs)

    def refresh(self, count: Callable[[int, int], None]) -> list[RunSpec]:
        """Write results.json of what is finished by now, whoever did it, and return the other runs.

        Args:
            count: is told how many runs are finished, and of how many.

        Raises:
            UserError: another process has finished a run of other values.
        """
        unfinished = self.unfinished
        self.check([spec for spec in self._open if spec not in unfinished])
        self._open = unfinished
        write_results(self.study, self.base)
        count(len(self.specs) - len(unfinished), len(self.specs))
        return unfinished

    @property
    def readers(self) -> dict[str, int]:
        """How many of these runs learn from the same network of each teacher: of its seed, or of all seeds."""
        seeds: dict[str, list[int | None]] = {}
        for spec in self.unfinished:
            for teacher in spec.teachers:
                seeds.setdefault(teacher.name, []).append(None if teacher.file else spec.seed)
        return {name: max(map(of_runs.count, of_runs)) for name, of_runs in seeds.items()}

    def check(self, specs: Iterable[RunSpec]) -> None:
        """Raise a UserError where the folder of a run holds another one."""
        build, objects = self.study.build, self.study.objects
        self._guard.check(specs, build.fingerprint(objects), partial(build.former_fingerprint, objects))

    def check_all(self) -> None:
        """The same of all runs, and of those that earlier calls left in the study's folder."""
        self.check([*self.specs, *earlier_runs(self.study, self.specs)])

    def tidy_finished(self) -> None:
        """Do what is left to do in the folders of finished runs.

        Write spec.json where an earlier version wrote none or it is damaged, and remove the checkpoints that a kill
        after the result left there.
        """
        for spec in (*self.specs, *earlier_runs(self.study, self.specs)):
            folder = self.study.folder / spec.id
            if self.is_finished(spec) and not has_spec(folder, spec):
                write_spec(folder, spec)
        if not self.study.objects.train.keep_checkpoint:
            for spec in self.specs:
                file = self.study.folder / spec.id / "checkpoint.pt"
                if file.exists() and self.is_finished(spec) and not _keeps_checkpoint(file.parent):
                    file.unlink(missing_ok=True)


def _keeps_checkpoint(folder: Path) -> bool:
    """Whether a run was begun with `keep_checkpoint`, which later calls may not have."""
    return bool(read_record(folder / "config.yaml").get("train", {}).get("keep_checkpoint"))


def make_ready(study: Study, note: Callable[[str], None], specs: Sequence[RunSpec] | None = None) -> Ready:
    """Plan a study, refuse to mix it with another one, and build every kind of run once.

    Args:
        study: to run.
        note: is told what is finished already.
        specs: its runs; None: those that its values plan.

    Raises:
        UserError: something does not fit.
    """
    ready = Ready(study, specs)
    ready.check_all()
    ready.tidy_finished()
    unfinished = ready.unfinished
    if len(unfinished) < len(ready.specs):
        finished = f"{len(ready.specs) - len(unfinished)} of {len(ready.specs)} runs are finished"
        note(f"{finished} in {study.folder}; they are kept")
    needs: dict[str, Needs] = {}
    local = False
    for spec in kinds(unfinished):  # a missing tap is an error now, not after the teachers are trained
        run, _ = build_run(spec, study.build(spec.config), study.folder, torch.device("cpu"), trained=False)
        local |= has_local_batch_norm(run.student, study.objects.train)
        for name, need in read_needs(run, ready.readers).items():
            needs[name] = needs.get(name, Needs()) | need
    if local:
        note("on a CPU batch norm takes the statistics of the images of each process, not of the whole batch")
    if needs and may_cache(study.objects.train, note):
        CacheRecord(study.folder).add_needs(needs)
    teachers = {(spec.seed, teacher.name): (spec, teacher) for spec in unfinished for teacher in spec.teachers}
    for spec, teacher in teachers.values():
        if teacher.run is not None and is_finished(study.folder / teacher.run):
            load_teacher(spec, teacher, study.build(spec.config), study.folder)  # damaged weights are found now
    return ready
