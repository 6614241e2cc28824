"""The trials of a tuning, and their result: an overlay of the study."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from tutelage.files import write_record
from tutelage.study.config import Study
from tutelage.study.store import read_record
from tutelage.values import dump_yaml


@dataclass(frozen=True)
class Trial:
    """Values of a method, and their result.

    Attributes:
        number: 0 has the values that the method has in the study.
        parameters: path of a value of the method -> value.
        delta: Delta main in % on the held-out part; None if it is not finished or there is no value.
        problem: why there is no value.
    """

    number: int
    parameters: Mapping[str, float]
    delta: float | None = None
    problem: str | None = None

    @property
    def finished(self) -> bool:
        """Whether it needs no more training."""
        return self.delta is not None or self.problem is not None

    def write(self, path: Path, **facts: Any) -> None:
        """Write it to a file, with further facts for the reader."""
        write_record(path, {**facts, **asdict(self)})

    @classmethod
    def read(cls, path: Path) -> "Trial":
        """The trial of a file.

        Raises:
            ValueError: the file holds none.
        """
        names = [field.name for field in fields(cls)]
        facts = read_record(path, *names)
        return cls(**{name: facts[name] for name in names})


def label(method: str, number: int) -> str:
    """The name of a trial of a method.

    >>> label("kd4mtl", 3)
    'kd4mtl-trial03'
    """
    return f"{method}-trial{number:02d}"


def format_parameters(parameters: Mapping[str, float]) -> str:
    """Values for people, under the names of their flags.

    >>> format_parameters({"lr": 0.001, "distiller.init_args.scale": 2.0})
    'lr 0.001, distiller.scale 2'
    """
    return ", ".join(f"{path.replace('.init_args.', '.')} {value:g}" for path, value in parameters.items())


def best(trials: Sequence[Trial]) -> Trial | None:
    """The trial with the largest Delta, the first of equals; None if none has a value."""
    return max((t for t in trials if t.delta is not None), key=lambda t: t.delta or 0.0, default=None)


def row(method: str, trials: Sequence[Trial]) -> dict[str, Any]:
    """The result of a method's trials, as a row of a table."""
    winner = best(trials)
    return {
        "method": method,
        "trials": len(trials),
        "failed": sum(trial.delta is None for trial in trials),
        "own": trials[0].delta,
        "best": None if winner is None else winner.number,
        "delta": None if winner is None else winner.delta,
        "parameters": {} if winner is None else dict(winner.parameters),
    }


def overlay(study: Study, rows: Sequence[Mapping[str, Any]], trials: int, part: float, seed: int) -> str:
    """The YAML that `--with` lays over the study: the best values of every method, trained in a folder of its own."""
    name = study.name
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    lines = [
        f"# The best of {trials} trials of every method of {name}, by: {command}",
        f"# Compared on {part:g} of its train, held out with seed {seed}; its test was not read. Delta main in %,",
        "# against the single-task networks with the study's own values. Trial 0 has the method's own values.",
    ]
    width = max(len(result["method"]) for result in rows)
    for result in rows:
        where = f"#   {result['method']:{width}}  "
        if result["best"] is None:
            lines.append(f"{where}every trial diverged: it is not in this file")
            continue
        own = "diverged" if result["own"] is None else f"{result['own']:+.2f}"
        other = "the best that was tried" if result["best"] == 0 else f"trial {result['best']} {result['delta']:+.2f}"
        lines.append(f"{where}trial 0 {own}, {other}")
    methods: dict[str, Any] = {}
    for result in rows:
        if result["best"] is not None:
            method = methods[result["method"]] = {"values": "tuned"}
            for path, value in result["parameters"].items():
                put(method, path, value)
    values: dict[str, Any] = {"study": f"{name}-tuned"}
    if study.values.get("out"):  # its own folder is not for other values
        values["out"] = f"{study.values['out'].rstrip('/')}-tuned"
    return "\n".join(lines) + "\n" + dump_yaml({**values, "method": methods})


def put(values: dict[str, Any], path: str, value: float) -> None:
    """Set the value at a path of keys.

    >>> values = {"lr": 0.1}
    >>> put(values, "distiller.init_args.scale", 2.0)
    >>> values
    {'lr': 0.1, 'distiller': {'init_args': {'scale': 2.0}}}
    """
    *keys, last = path.split(".")
    for key in keys:
        values = values.setdefault(key, {})
    values[last] = value
