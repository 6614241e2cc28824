"""One table, one truth: a folder of runs made with other values, data or networks is refused."""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

from tutelage.errors import UserError
from tutelage.study.config import (
    FEATURES,
    METHODS_ALONE,
    SINGLE,
    TEACHER,
    Builder,
    Study,
    resolve,
    with_new_names,
)
from tutelage.study.plan import (
    RunSpec,
    TeacherSpec,
    Values,
    depends_on_teachers,
    method_run,
    single_run,
    teacher_run,
    teacher_values,
)
from tutelage.study.store import fingerprint, read_record, run_folders
from tutelage.study.teachers import load_teacher

# What cannot change a result: where files are, how they are loaded, what is written when.
_FREE = (
    *("study", "out", "methods", "seeds"),
    *(f"train.{name}" for name in ("workers", "checkpoint_seconds", "checkpoint_steps", "log_steps", "observe_steps")),
    *(f"data.init_args.{name}" for name in ("root", "data", "cache", "partial", "download")),
)
_ALONE = re.compile(rf"method\.[^.]+\.({'|'.join(METHODS_ALONE)})(\..*)?")


class Guard:
    """Compares runs with what is in their folders.

    Args:
        folder: of the study.
        build: builds the objects of the runs' configs.
    """

    def __init__(self, folder: Path, build: Builder) -> None:
        self.folder, self.build = folder, build
        self._features: dict[tuple[str, int], str] = {}

    def check(self, specs: Iterable[RunSpec], data: str) -> None:
        """Raise a UserError if the folder of a run holds one of another config, of other data or networks.

        Args:
            specs: the runs.
            data: fingerprint of the study's data.
        """
        for spec in specs:
            refuse_mixing(self.folder / spec.id, spec.config, data, self.networks(spec))

    def networks(self, spec: RunSpec) -> dict[str, str]:
        """The fingerprints of the networks that a run learns from, or is given, as far as they are there."""
        if spec.file is not None:
            file, name = Path(spec.file), spec.name or str(spec.task)  # of an earlier run it may have moved
            return {name: blake2b(file.read_bytes(), digest_size=8).hexdigest()} if file.is_file() else {}
        weights = {}
        for teacher in spec.teachers:
            result = self.folder / str(teacher.run) / "result.json"
            if teacher.kind == FEATURES:
                weights[teacher.name] = self._of_features(spec, teacher)
            elif teacher.run is not None and result.exists():
                weights[teacher.name] = str(read_record(result, "weights")["weights"])
        return weights

    def _of_features(self, spec: RunSpec, teacher: TeacherSpec) -> str:
        key = teacher.name, spec.seed
        if key not in self._features:
            net = load_teacher(spec, teacher, self.build(spec.config), self.folder)
            self._features[key] = fingerprint(net.state_dict())
        return self._features[key]


def earlier_runs(study: Study, planned: Iterable[RunSpec]) -> list[RunSpec]:
    """The runs of earlier calls in the study's folder, as this study would make them: they share its table.

    What this study says nothing about is theirs: the definition of a method that it lacks, and, where none of its own
    methods depends on teachers, what teaches.
    """
    ids = {spec.id for spec in planned}
    specs = []
    for folder in run_folders(study.folder, "config.yaml"):
        run = folder.relative_to(study.folder).as_posix()
        if run not in ids:
            made = with_new_names(read_record(folder / "config.yaml", "seeds", "method"), {})
            specs.append(_as_this_study_would(study.values, run, made))
    return specs


def _as_this_study_would(values: Values, run: str, made: Values) -> RunSpec:
    method, *name = run.split("/")[:-1]
    (seed,) = made["seeds"]
    if method == SINGLE:
        return single_run(values, name[0], seed)
    if method == TEACHER:
        return _teacher_as_made(values, name[0], seed, made)
    if method not in values["method"]:
        of_teachers = any(map(depends_on_teachers, values["method"].values()))
        theirs = {} if of_teachers else {key: made.get(key) or {} for key in ("teacher_net", "teachers")}
        values = {**values, **theirs, "method": {**values["method"], **made["method"]}}
    return method_run(values, method, seed)


def _teacher_as_made(values: Values, name: str, seed: int, made: Values) -> RunSpec:
    if teacher_values(values).get(name, {}).get("kind") != TEACHER:  # it is not a teacher of this study
        tasks = list(made["tasks"])
        files = [file for file in (made.get("teachers") or {}).values() if isinstance(file, str)]
        teacher = {"tasks": tasks, "net": made.get("net"), "file": files[0] if files else None}
        rates = [keys["lr"] for keys in made["method"].values() if keys.get("lr")]
        method = {**values["method"], TEACHER: {"lr": rates[0]} if rates else {}}
        values = {**values, "teacher_net": {}, "teachers": {name: teacher}, "method": method}
    return teacher_run(values, name, seed)


def refuse_mixing(
    folder: Path, config: Mapping[str, Any], data: str, networks: Mapping[str, str] | None = None
) -> None:
    """Raise a UserError that says what differs, if `folder` holds a run of another config, data or networks.

    Args:
        folder: of a run, or empty.
        config: of the run that wants it.
        data: fingerprint of its data.
        networks: what it learns from or was given: teacher -> fingerprint; as far as known.
    """
    path, facts = folder / "config.yaml", folder / "environment.json"
    if not (path.exists() and facts.exists()):
        return
    then, made = read_record(path), read_record(facts)
    differing, before, now = _differences(then, made.get("data"), config, data)
    if differing:  # an earlier version may have written fewer keys, or old names
        with suppress(ValueError):
            filled = _differences(resolve(then).values, made.get("data"), config, data)
            differing, before, now = min((differing, before, now), filled, key=lambda found: len(found[0]))
    if differing:
        first, *more = differing
        also = f" (and {', '.join(more[:3])}{', ...' if more[3:] else ''})" if more else ""
        raise UserError(
            f"{folder}: expected the config that its run was made with, {first} = {_short(before.get(first))}; found "
            f"{_short(now.get(first))}{also}; give another folder with --out, or remove this one"
        )
    for name, network in (made.get("networks") or {}).items():
        if network != (networks or {}).get(name, network):
            raise UserError(
                f"{folder}: expected the network of `{name}` that its run was made with, found another one; bring that "
                "network back, or remove this folder"
            )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) and value else {f"{prefix}{key}": value}
    return flat


def _differences(
    then: Mapping[str, Any], data: str | None, config: Mapping[str, Any], fingerprint: str
) -> tuple[list[str], Mapping[str, Any], Mapping[str, Any]]:
    """The keys that differ, those with the fewest parts first, and all values of both."""
    before, now = {**_flat(then), "data": data}, {**_flat(config), "data": fingerprint}
    keys = [key for key in {**before, **now} if _said(before.get(key)) != _said(now.get(key)) and not _free(key)]
    return sorted(keys, key=lambda key: (key.count("."), key)), before, now


def _said(value: Any) -> Any:
    """An empty text, list or mapping says as little as a missing key; 0 and false are values."""
    return value if value or isinstance(value, bool | int | float) else None


def _free(key: str) -> bool:
    # What is free of a source stays so within data.HoldOut and data.Mix.
    key = re.sub(r"\.init_args\.(source|sources\.[^.]+)(?=\.)", "", key)
    return key in _FREE or bool(_ALONE.fullmatch(key))


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
