"""results.json: the rows of a study."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path, PurePath
from typing import Any, Self

from tutelage.errors import UserError, one_line
from tutelage.reading import RECORD, read_limited
from tutelage.values import parse

CONVENTIONS = {"main": "↑", "task_mean": "↑", "all_metrics": "↓"}  # of Delta, in %: where it is better


@dataclass(frozen=True)
class Row:
    """One row of results.json: a method at one seed, measured in one protocol. None is a value that is undefined."""

    method: str
    seed: int
    protocol: str
    metrics: Mapping[str, Mapping[str, float | None]]  # by task
    delta: Mapping[str, float | None]  # by convention
    parameters: int
    seconds: float
    split: str
    values: str  # where the method's hyper-parameters come from

    @classmethod
    def parse(cls, row: Mapping[str, Any]) -> Self:
        """The row that `row` of the file is.

        Raises:
            KeyError: a key is missing.
            AttributeError, TypeError, ValueError: a value has another type.
        """
        delta = _defined(row["delta"])
        return cls(
            _folder_name(str(row["method"])),
            int(row["seed"]),
            str(row["protocol"]),
            {t: _defined(values) for t, values in row["metrics"].items()},
            {name: delta[name] for name in CONVENTIONS},
            int(row["parameters"]),
            float(row["seconds"]),
            str(row.get("split", "val")),
            str(row.get("values", "")),
        )


def _folder_name(method: str) -> str:
    """The name of a method, which is that of a folder in the study's."""
    if PurePath(method).parts != (method,) or method == ".." or "\0" in method:
        raise ValueError(f"`{method}` is not the name of a method")
    return method


def _defined(values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Earlier versions wrote an undefined value as NaN, later ones as null."""
    return {name: value if value is not None and isfinite(value) else None for name, value in values.items()}


def read_rows(path: Path) -> tuple[str, list[Row]]:
    """Name and rows of a study. A row that cannot be read is refused: a table without it would look complete."""
    try:
        results = parse(read_limited(path, RECORD).decode(), path.suffix)
        return str(results["study"]), [_row(number, row) for number, row in enumerate(results["rows"], 1)]
    except FileNotFoundError:
        raise UserError(f"{path}: expected the results of a study, found no file; run the study first") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: expected the results of a study, found something else ({one_line(error)}); run the study again, "
            "which does not repeat finished runs"
        ) from None


def _row(number: int, row: Mapping[str, Any]) -> Row:
    try:
        return Row.parse(row)
    except KeyError as error:
        raise ValueError(f"row {number}: no {error}") from None
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"row {number}: {error}") from None
