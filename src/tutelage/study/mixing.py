"""Refuses to mix runs that were made with different values, data or networks in one table."""

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

from tutelage.deploy import fingerprint
from tutelage.errors import UserError
from tutelage.layout import FEATURES, SINGLE, TEACHER, parse_run_id, run_folders
from tutelage.study.config import DESCRIPTIVE, Builder, Study, TeacherSpec, filled, teacher_specs, with_new_names
from tutelage.study.plan import RunSpec, Values, depends_on_teachers, method_run, single_run, teacher_run, training_of
from tutelage.study.store import read_record
from tutelage.study.teachers import load_teacher

# Where files are, how they are loaded, what is written when.
_CANNOT_CHANGE_A_RESULT = (
    *("study", "out", "methods", "seeds"),
    *(f"train.{name}" for name in ("devices", "workers", "shards", "checkpoint_seconds", "checkpoint_steps")),
    *(f"train.{name}" for name in ("keep_checkpoint", "log_steps", "logger", "observe_steps")),
    *(f"train.teacher_cache.{name}" for name in ("mode", "share")),  # what was decided is recorded
    *(f"data.init_args.{name}" for name in ("root", "data", "cache", "partial", "download")),
)
_DESCRIPTIVE_KEY = re.compile(rf"method\.[^.]+\.({'|'.join(DESCRIPTIVE)})(\..*)?|tasks\.[^.]+\.init_args\.names")


class Guard:
    """Compares runs with what is in their folders.

    Args:
        folder: of the study.
        build: builds the objects of the runs' configs.
    """

    def __init__(self, folder: Path, build: Builder) -> None:
        self.folder, self.build = folder, build
        self._features: dict[tuple[str, int], str] = {}

    def check(self, specs: Iterable[RunSpec], data: str, former: Callable[[], str] | None = None) -> None:
        """Raise a UserError if the folder of a run holds one of another config, of other data or networks.

        Args:
            specs: the runs.
            data: fingerprint of the study's data.
            former: gives the fingerprint of an earlier version.
        """
        for spec in specs:
            refuse_mixing(self.folder / spec.id, spec.config, data, self.networks(spec), former)

    def networks(self, spec: RunSpec) -> dict[str, str]:
        """The fingerprints of the networks that a run learns from, or that it evaluates, as far as they exist."""
        if spec.file is not None:
            file, name = Path(spec.file), spec.name or str(spec.task)
            return {name: blake2b(file.read_bytes(), digest_size=8).hexdigest()} if file.is_file() else {}
        weights = {}
        for teacher in spec.teachers:
            result = self.folder / str(teacher.run) / "result.json"
            if teacher.kind == FEATURES and (teacher.file is None or Path(teacher.file).is_file()):
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
    """The runs of earlier calls in the study's folder, as this study would plan them: they share its table.

    What this study says nothing about is taken from their own config: the definition of a method that it lacks, and
    the teachers, where none of its own methods depends on teachers.
    """
    ids = {spec.id for spec in planned}
    specs = []
    for folder in run_folders(study.folder, "config.yaml"):
        run = folder.relative_to(study.folder).as_posix()
        if run not in ids:
            config = with_new_names(read_record(folder / "config.yaml", "seeds", "method"), {})
            specs.append(_planned_as(study.values, run, config))
    return specs


def _planned_as(values: Values, run: str, config: Values) -> RunSpec:
    """The run of an earlier call, with `config`, as a study with `values` would plan it."""
    method, name = parse_run_id(run)
    (seed,) = config["seeds"]
    if name is not None:
        return single_run(values, name, seed) if method == SINGLE else _teacher_planned_as(values, name, seed, config)
    if method not in values["method"]:
        of_teachers = any(map(depends_on_teachers, values["method"].values()))
        teachers = {} if of_teachers else {key: config.get(key) or {} for key in ("teacher_net", "teachers")}
        values = {**values, **teachers, "method": {**values["method"], **config["method"]}}
    return method_run(values, method, seed)


def _teacher_planned_as(values: Values, name: str, seed: int, config: Values) -> RunSpec:
    teacher = teacher_specs(values).get(name)
    if teacher is None or teacher.kind != TEACHER:  # it is not a teacher of this study
        entries = [x["file"] if isinstance(x, Mapping) else x for x in (config.get("teachers") or {}).values()]
        keys = {"tasks": list(config["tasks"]), "net": config.get("net"), "file": entries[0] if entries else None}
        trained = [training_of(config["method"], kind) for kind in config["method"]]
        method = {**values["method"], TEACHER: trained[0] if trained else {}}
        values = {**values, "teacher_net": {}, "teachers": {name: keys}, "method": method}
    return teacher_run(values, name, seed)


def refuse_mixing(
    folder: Path,
    config: Mapping[str, Any],
    data: str,
    networks: Mapping[str, str] | None = None,
    former: Callable[[], str] | None = None,
) -> None:
    """Raise a UserError that says what differs, if `folder` holds a run of another config, data or networks.

    Args:
        folder: of a run, or empty.
        config: of the run that wants it.
        data: fingerprint of its data.
        networks: name -> fingerprint of what it learns from or evaluates, as far as they exist.
        former: gives the fingerprint that an earlier version gave the data.
    """
    path, facts = folder / "config.yaml", folder / "environment.json"
    if not path.exists():  # it is written after the facts
        return
    then, environment = read_record(path), read_record(facts)
    differing, before, now = _differences(then, environment.get("data"), config, data)
    if differing:  # an earlier version may have written fewer keys, or old names
        with suppress(UserError):
            whole = _differences(filled(then), environment.get("data"), config, data)
            differing, before, now = min((differing, before, now), whole, key=lambda compared: len(compared[0]))
    if differing == ["data"] and former is not None and before["data"] == former():
        differing = []  # as far as the version that made the run could tell
    if differing:
        first, *more = differing
        also = f" (and {', '.join(more[:3])}{', ...' if more[3:] else ''})" if more else ""
        if differing == ["data"]:  # a digest tells nobody what
            also = ", since a file of the data has changed, or the order of labels has"
        raise UserError(
            f"{folder}: expected the config that its run was made with, {first} = {_short(before.get(first))}; found "
            f"{_short(now.get(first))}{also}; give another folder (--out, or out= in Python), or remove this one"
        )
    for name, network in (environment.get("networks") or {}).items():
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
    keys = [
        key
        for key in {**before, **now}
        if _none_if_empty(before.get(key)) != _none_if_empty(now.get(key))
        and not _free(key)
        # A run keeps the layout that it began with: see `memory_format`.
        and not (key == "train.channels_last" and "auto" in (before.get(key), now.get(key)))
    ]
    return sorted(keys, key=lambda key: (key.count("."), key)), before, now


def _none_if_empty(value: Any) -> Any:
    """An empty text, list or mapping says as little as a missing key; 0 and false are values."""
    return value if value or isinstance(value, bool | int | float) else None


def _free(key: str) -> bool:
    # What is free of a source stays so within data.HoldOut and data.Mix.
    key = re.sub(r"\.init_args\.(source|sources\.[^.]+)(?=\.)", "", key)
    return key in _CANNOT_CHANGE_A_RESULT or bool(_DESCRIPTIVE_KEY.fullmatch(key))


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
