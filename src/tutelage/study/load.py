"""From a preset or a YAML file, with overrides, to a study: every mistake in it is one line."""

import copy
import re
from collections.abc import Container, Sequence
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace

from tutelage.study.config import DEFAULT_METHODS, SINGLE, StudyConfig
from tutelage.train import TrainConfig
from tutelage.types import Task

_PRESETS = resources.files("tutelage.study") / "presets"
_LISTS = ("seeds", "methods")  # `--seeds 0,1,2`
# What jsonargparse says beside the point: its own types, and all that it was given.
_NOISE = (
    (r"\.? Got value: Namespace\(.*", ""),
    (r'Parser key "([^"]+)":', r"\1:"),
    (r"Type \S*Callable\[.*?\] expects a function or a callable class: ", ""),
    (r"Does not validate against any of the Union subtypes Subtypes: .*? Errors: (- )?", ""),
    (r"Problem with given class_path '([^']+)':", r"\1:"),
    (r"Given value type: .*? Given value:", "Found"),
    (r"(\.)? Got value:", ", found"),
    (r"Expected an? <class '([^']+)'>", r"expected \1"),
    (
        r"(\w+): ([\w.]+): the following arguments are required: (\w+).*",
        r"\1.\3: expected a value for \2, found none; give it in the file or as --\1.\3",
    ),
    (r"the following arguments are required: (\w+).*", r"\1: expected a value, found none"),
)


@dataclass
class Study:
    """A validated study.

    Attributes:
        config: what to build, as objects and factories.
        values: the same as plain values: every default filled in, as YAML holds it.
    """

    config: StudyConfig
    values: dict[str, Any]

    @property
    def folder(self) -> Path:
        """Where its runs and results are."""
        return Path(self.config.out or f"runs/{self.config.study}")


def presets() -> dict[str, str]:
    """Name and one line of every preset study."""
    return _headlines(_PRESETS, lambda text: text.splitlines()[0].lstrip("# "))


def methods() -> dict[str, str]:
    """Name and one line of every preset method."""
    about = {SINGLE: "The single-task networks: the teachers, and what Delta compares with"}
    return about | _headlines(_PRESETS / "methods", lambda text: yaml.safe_load(text)["about"])


def _headlines(folder: Any, line: Any) -> dict[str, str]:
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".yaml")), key=lambda file: file.name)
    return {file.name.removesuffix(".yaml"): line(file.read_text()) for file in files}


def study_parser(values: dict[str, Any] | None = None, prog: str | None = None) -> ArgumentParser:
    """The parser of a study's keys, with `values` as its defaults."""
    about = (
        "Keys of the study, with its values as defaults; keys of `train` need no prefix: --epochs 2, --max-steps 100."
    )
    parser = ArgumentParser(prog=prog, exit_on_error=False, description=about)
    parser.add_class_arguments(StudyConfig)
    if values:
        parser.set_defaults(copy.deepcopy(values))
    return parser


def load_study(source: str | Path, overrides: Sequence[str] = ()) -> Study:
    """Read and validate a study.

    Args:
        source: the name of a preset, or a YAML file.
        overrides: flags as on the command line, for example `["--epochs", "2", "--net.width", "0.5"]`; keys of `train`
            need no prefix.

    Raises:
        ValueError: the study is wrong; one line names key, expectation and finding.
    """
    values = read_values(source)
    flags = normalise(overrides)
    try:
        values["method"] = _definitions(values, _selected(values, flags))
        _check_file(values, flags)
    except Exception as error:  # jsonargparse raises many kinds; its message is what matters
        raise ValueError(f"{source}: {one_line(error)}") from error
    try:
        parsed = study_parser(values).parse_args(flags)
    except Exception as error:  # as above
        raise ValueError(one_line(error)) from error
    return _build(parsed)


def describe(source: str | Path) -> str:
    """Every key of a study with its value, for `--help`.

    Raises:
        ValueError: the study is wrong.
    """
    try:
        return str(study_parser(read_values(source), prog=f"tutelage run {source}").format_help())
    except Exception as error:  # as above
        raise ValueError(f"{source}: {one_line(error)}") from error


def _build(parsed: Namespace) -> Study:
    parser = study_parser()
    plain = yaml.safe_load(parser.dump(parsed, skip_validation=True))
    try:
        config = StudyConfig(**vars(parser.instantiate(parsed)))
    except Exception as error:  # whatever a class of the user raises when it is built
        raise ValueError(one_line(error)) from error
    study = Study(config, plain)
    _check(study)
    study.values["train"]["precision"] = config.train.precision = config.train.resolved_precision()
    return study


def read_values(source: str | Path) -> dict[str, Any]:
    """The plain values of a preset or a YAML file."""
    path = Path(source)
    preset = _PRESETS / f"{source}.yaml"
    if path.suffix in (".yaml", ".yml") or path.is_file():
        if not path.is_file():
            raise ValueError(f"{source}: expected a YAML file of a study, found none; see `tutelage presets`")
        text = path.read_text()
    elif preset.is_file():
        text = preset.read_text()
    else:
        raise ValueError(f"{source}: expected a YAML file or one of the presets {', '.join(presets())}; found neither")
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{source}: expected YAML, found {one_line(error)}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{source}: expected keys and values of a study, found {type(values).__name__}")
    return values


def normalise(flags: Sequence[str]) -> list[str]:
    """`--max-steps` and `--epochs` as keys of `train`, `--seeds 0,1,2` as a list."""
    result: list[str] = []
    train = {field.name for field in fields(TrainConfig)}
    words = [word for flag in flags for word in (flag.split("=", 1) if flag.startswith("--") else [flag])]
    for word in words:
        if word.startswith("--"):
            key = word[2:].replace("-", "_")
            if key.split(".")[0] in train:
                word = f"--train.{key}"
            elif key.startswith("train."):
                word = f"--{key}"
        elif result and result[-1].removeprefix("--") in _LISTS and not word.startswith("["):
            word = f"[{word}]"
        result.append(word)
    return result


def _selected(values: dict[str, Any], flags: list[str]) -> list[str]:
    for flag, value in zip(reversed(flags[:-1]), reversed(flags[1:]), strict=True):
        if flag == "--methods":
            found = yaml.safe_load(value)
            break
    else:
        found = values.get("methods", list(DEFAULT_METHODS))
    return [str(name) for name in found] if isinstance(found, list) else []  # anything else is refused later


def _definitions(values: dict[str, Any], selected: list[str]) -> dict[str, Any]:
    """The study's own methods, and those of ours that it selects; the study's own keys win."""
    own, known = values.get("method") or {}, methods()
    if not isinstance(own, dict):
        raise ValueError(f"method: expected names and values of methods, found {own!r}")
    for name in selected:
        if name != SINGLE and name not in own and name not in known:
            raise ValueError(f"methods: expected names among {', '.join({**known, **own})}; found `{name}`")
    tasks = values.get("tasks")
    tasks = tasks if isinstance(tasks, dict) else {}
    # An adjustment such as {distiller: {init_args: {...}}} is merged into the method of that name.
    return {n: _merge(_method(n, tasks) if n in known else {}, own.get(n) or {}) for n in selected if n != SINGLE}


def _method(name: str, tasks: Container[str]) -> Any:
    method = yaml.safe_load((_PRESETS / "methods" / f"{name}.yaml").read_text())
    if "distiller" in method:  # the lambdas of NYU-v2's tasks, as far as the study has them
        arguments = method["distiller"]["init_args"]
        arguments["weights"] = {task: weight for task, weight in arguments["weights"].items() if task in tasks}
    return method


def _merge(base: Any, change: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(change, dict)):
        return change
    if "class_path" in change and change["class_path"] != base.get("class_path"):
        return change
    return {**base, **{key: _merge(base.get(key), value) for key, value in change.items()}}


def _check_file(values: dict[str, Any], flags: list[str]) -> None:
    """Validate the file's keys, but for those that flags complete: their values are checked with the flags."""
    flagged = {flag[2:].split(".")[0] for flag in flags if flag.startswith("--")}
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(StudyConfig, skip=flagged & {field.name for field in fields(StudyConfig)})
    parser.parse_object(copy.deepcopy({k: v for k, v in values.items() if k not in flagged}), defaults=True)


def one_line(error: Exception) -> str:
    """A library's message without its line breaks and its dump of what it was given."""
    text = re.sub(r"\s+", " ", str(error)).strip()
    for noise, signal in _NOISE:
        text = re.sub(noise, signal, text)
    return text


def _check(study: Study) -> None:
    config = study.config
    if not re.fullmatch(r"[\w.-]+", config.study):
        raise ValueError(f"study: expected a name of letters, digits, '.', '_' and '-', found `{config.study}`")
    if not config.tasks:
        raise ValueError("tasks: expected at least one task, found none")
    if not config.seeds or len(set(config.seeds)) != len(config.seeds):
        raise ValueError(f"seeds: expected one or more different numbers, found {config.seeds}")
    if not config.methods or len(set(config.methods)) != len(config.methods):
        raise ValueError(f"methods: expected one or more different names, found {config.methods}")
    for name in [*config.tasks, *config.methods]:
        if not re.fullmatch(r"\w[\w-]*", str(name)):
            raise ValueError(f"{name}: expected a task or method name of letters, digits, '_' and '-'")
    for name in config.method:
        if name not in config.methods:
            raise ValueError(f"method.{name}: expected one of the study's methods, {', '.join(config.methods)}")
    for name, task in config.tasks.items():
        if not isinstance(task, Task):
            raise ValueError(f"tasks.{name}: expected a tutelage.types.Task, found {type(task).__name__}")
