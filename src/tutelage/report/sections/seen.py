"""The page's section on what was seen of the data before training: what is doubtful, and a summary of each label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.layout import DATA
from tutelage.report.results import Results
from tutelage.report.run_files import read_mapping
from tutelage.report.tables import Cell, Column, Line, TableModel, text_cell

_VERSION = 1  # of data.json
_COLUMNS = (
    Column("words", "split"),
    Column("words", "stored as"),
    Column("words", "read as"),
    Column("number", "files"),
    Column("number", "without\nlabel", unit="% of pixels"),
    Column("number", "lowest"),
    Column("number", "middle"),
    Column("number", "highest"),
)


@dataclass(frozen=True)
class Seen:
    """What the check of the data wrote.

    Attributes:
        warnings: what is doubtful and may still be right: where, and a line about it.
        left_out: files that are not read, a line each.
        table: a line for the images and for the labels of each task, by split.
    """

    warnings: Sequence[tuple[str, str]]
    left_out: Sequence[str]
    table: TableModel | None


def seen(results: Results) -> Seen | None:
    """What data.json says; None where there is none, or one of another version."""
    record = read_mapping(results.folder / DATA)
    if record.get("version") != _VERSION:
        return None
    lines = tuple(_line(label) for label in _mappings(record, "labels"))
    return Seen(
        [(str(warned.get("where", "")), str(warned.get("text", ""))) for warned in _mappings(record, "warnings")],
        [_left_out(files) for files in _mappings(record, "left_out")],
        TableModel(_COLUMNS, lines) if lines else None,
    )


def _mappings(record: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """The mappings in a list of the file; anything else is skipped."""
    values = record.get(key)
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _left_out(files: Mapping[str, Any]) -> str:
    """`data/train/image: 6 not read, suffix .heic is not read (a.heic, b.heic, ...)`."""
    names = files.get("examples")
    names = [str(name) for name in names] if isinstance(names, list) else []
    number = files.get("count")
    rest = ", ..." if isinstance(number, int) and number > len(names) else ""
    examples = f" ({', '.join(names)}{rest})" if names else ""
    return f"{files.get('folder', '')}: {number} left out, {files.get('reason', '')}{examples}"


def _line(label: Mapping[str, Any]) -> Line:
    stored, measures = label.get("stored"), label.get("measures")
    stored = stored if isinstance(stored, dict) else {}
    measures = measures if isinstance(measures, dict) else {}
    formats = ", ".join(f"{form} ({number})" if len(stored) > 1 else str(form) for form, number in stored.items())
    name = " ".join(str(part) for part in (label.get("source"), label.get("label") or "image") if part)
    unlabelled = measures.get("unlabelled")
    cells = [
        text_cell(str(label.get("split", ""))),
        text_cell(formats),
        text_cell(str(label.get("reading", ""))),
        _number(label.get("files"), "{:d}"),
        _number(100 * unlabelled if isinstance(unlabelled, float | int) else None, "{:.1f}"),
        *(_number(measures.get(key), "{:.4g}", str(label.get("unit", ""))) for key in ("low", "middle", "high")),
    ]
    return Line(name, "", tuple(cells))


def _number(value: object, form: str, unit: str = "") -> Cell:
    if not isinstance(value, int | float):
        return text_cell("-")
    return text_cell(f"{form.format(value)} {unit}".strip(), value)
