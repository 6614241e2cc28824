"""The page's section on what the networks cost where they are used."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage.layout import COST
from tutelage.report.compute import student_steps
from tutelage.report.conclusion import headline
from tutelage.report.results import Results
from tutelage.report.run_files import read_mapping
from tutelage.report.tables import Cell, Column, Line, TableModel, count, text_cell

_COLUMNS = (
    Column("number", "parameters"),
    Column("number", "multiply-adds"),
    Column("number", "time", unit="ms"),
    Column("number", "memory", unit="MB"),
    Column("number", "training", unit="student steps"),
    Column("number", "training", unit="min"),
)
_MACHINE = "size", "device", "threads"


@dataclass(frozen=True)
class Cost:
    """A line for each method, and how it was measured.

    Attributes:
        base: the networks that a student replaces.
        table: parameters, multiply-adds, milliseconds, memory; compute (`student_steps`) and minutes of training.
        summary: of the method that the study is about, against the networks that it replaces; empty: unknown.
        size: height and width of the image; None where nothing was measured.
        machine: device and threads.
    """

    base: str | None
    table: TableModel
    summary: str
    size: tuple[int, int] | None
    machine: str


@dataclass(frozen=True)
class _Used:
    """What a method's networks cost for one image; None: not measured."""

    parameters: float
    multiply_adds: float | None
    milliseconds: float | None
    megabytes: float | None
    steps: float | None
    minutes: float | None

    @property
    def values(self) -> tuple[float | None, ...]:
        return self.parameters, self.multiply_adds, self.milliseconds, self.megabytes, self.steps, self.minutes


def cost(results: Results) -> Cost | None:
    """The costs of the first seed's networks; None where there are no rows."""
    if not results.rows:
        return None
    files = _with_fastest({m: _files(results, m) for m in results.methods})
    used = {m: _used(results, m, files[m]) for m in results.methods}
    base = used.get(results.base or "")
    lines = [
        Line(m, "", tuple(_cells(of_method, base if m != results.base else None))) for m, of_method in used.items()
    ]
    measured = [file for of_method in files.values() for file in of_method if file]
    size, machine = _circumstances(measured)
    return Cost(results.base, TableModel(_COLUMNS, tuple(lines)), _summary(results, used), size, machine)


def _files(results: Results, method: str) -> list[Mapping[str, Any]]:
    """What was measured of each network of a method."""
    runs = dict.fromkeys(results.run(method, t) for t in results.tasks)
    return [read_mapping(run / COST) for run in runs if isinstance(run, Path)]


def _with_fastest(files: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, list[Mapping[str, Any]]]:
    """Equal networks take equal time: the least that was measured of one of them, since programs only slow one down."""
    times: dict[str, float] = {}
    for file in itertools.chain.from_iterable(files.values()):
        if isinstance(milliseconds := file.get("milliseconds"), int | float):
            times[_network(file)] = min(milliseconds, times.get(_network(file), math.inf))
    return {
        m: [{**file, "milliseconds": times.get(_network(file))} for file in of_method] for m, of_method in files.items()
    }


def _network(file: Mapping[str, Any]) -> str:
    """What is equal for equal networks on equal machines."""
    return str([file.get(key) for key in ("parameters", "multiply_adds", "weights", "activations", *_MACHINE)])


def _used(results: Results, method: str, files: Sequence[Mapping[str, Any]]) -> _Used:
    """Several networks run one after the other, and all of them stay in memory."""
    rows = results.of(method, results.protocol)
    minutes = sum(row.seconds for row in rows) / 60 / len(rows) if rows else None
    weights, activations = _numbers(files, "weights"), _numbers(files, "activations")
    return _Used(
        results.first(method).parameters,
        _sum(_numbers(files, "multiply_adds")),
        _sum(_numbers(files, "milliseconds")),
        (sum(weights) + max(activations)) / 1e6 if weights and activations else None,
        student_steps(results, method),
        minutes,
    )


def _numbers(files: Sequence[Mapping[str, Any]], key: str) -> list[float]:
    """A quantity of every network; empty where one of them lacks it."""
    values = [value for file in files if isinstance(value := file.get(key), int | float)]
    return values if len(values) == len(files) else []


def _sum(values: Sequence[float]) -> float | None:
    return sum(values) if values else None


def _cells(used: _Used, base: _Used | None) -> list[Cell]:
    texts: list[Callable[[float], str]] = [count, count, _digits, _digits, "{:,.0f}".format, "{:.1f}".format]
    cells = []
    for value, single, text in zip(used.values, base.values if base else [None] * len(texts), texts, strict=True):
        share = f" ({value / single:.2f})" if value is not None and single else ""
        cells.append(text_cell("-" if value is None else f"{text(value)}{share}", value))
    return cells


def _digits(number: float) -> str:
    """Three digits, or all of a whole number that has more.

    >>> _digits(0.01234), _digits(12.34), _digits(1234.5)
    ('0.0123', '12.3', '1234')
    """
    return f"{number:.3g}" if number < 999.5 else f"{number:.0f}"


def _summary(results: Results, used: Mapping[str, _Used]) -> str:
    """`kd4mtl has 0.34 of the parameters of the networks that it replaces, ...`."""
    top, base = headline(results), used.get(results.base or "")
    if top is None or base is None:
        return ""
    student = used[top.method]
    shares = {
        "of the parameters": (student.parameters, base.parameters),
        "of the multiply-adds": (student.multiply_adds, base.multiply_adds),
        "of the time": (student.milliseconds, base.milliseconds),
        "of the memory": (student.megabytes, base.megabytes),
    }
    known = [f"{a / b:.2f} {name}" for name, (a, b) in shares.items() if a is not None and b]
    if not known:
        return ""
    listed = f"{', '.join(known[:-1])} and {known[-1]}" if len(known) > 1 else known[0]
    return f"One network by {top.method} has {listed} of the networks that it replaces ({results.base})."


def _circumstances(measured: Sequence[Mapping[str, Any]]) -> tuple[tuple[int, int] | None, str]:
    """The size of the image, and device and threads, of the first network that was measured."""
    for file in measured:
        size, threads = file.get("size"), file.get("threads")
        if isinstance(size, list) and len(size) == 2 and all(isinstance(side, int) for side in size):
            device = str(file.get("device", ""))
            if device == "CPU":
                device += f", {threads} thread{'' if threads == 1 else 's'}"
            return (size[0], size[1]), device
    return None, ""
