"""What was seen of data before training, in words, and the section of the page about it."""

from collections.abc import Sequence
from dataclasses import dataclass

from tutelage.report.results import Results
from tutelage.report.tables import Column, Line, TableModel, text_cell
from tutelage.types.look import LeftOut, Summary, Warned

_COLUMNS = tuple(Column("words", name) for name in ("split", "files", "stored", "read as", "values", "no label"))


@dataclass(frozen=True)
class Row:
    """One label of one split, in words."""

    source: str
    label: str
    split: str
    files: str
    stored: str
    reading: str
    values: str
    unlabelled: str
    classes: Sequence[tuple[str, str, float]]  # name, share in words, share

    @classmethod
    def of(cls, summary: Summary, names: Sequence[str] = ()) -> "Row":
        """The summary in words; classes by their `names`, where these are known."""
        measures = summary.measures
        values = "none"
        known = [x for x in (measures.low, measures.middle, measures.high) if x is not None]
        if known:
            values = f"{' .. '.join(f'{x:.3g}' for x in known)} {summary.unit}".strip()
        if measures.classes:
            count = len(measures.classes)
            values = f"{count} class{'' if count == 1 else 'es'}, {min(measures.classes)} to {max(measures.classes)}"
        files = f"{summary.files} of {summary.looked_at}" if summary.files != summary.looked_at else str(summary.files)
        if summary.looked_at != summary.samples:
            files += f" ({summary.samples} in all)"
        return cls(
            summary.source,
            summary.label or "image",
            summary.split,
            files,
            ", ".join(f"{kind} ({n})" if len(summary.stored) > 1 else kind for kind, n in summary.stored.items())
            or "made",
            summary.reading,
            values,
            _percent(measures.unlabelled) if summary.label and summary.files else "",
            [(names[c] if c < len(names) else str(c), _percent(x), x) for c, x in measures.classes.items()],
        )


@dataclass(frozen=True)
class Seen:
    """What the check of the data wrote.

    Attributes:
        warnings: what is doubtful and may still be right.
        left_out: files that are not read.
        table: a line for the images and for the labels of each task, by split.
    """

    warnings: Sequence[Warned]
    left_out: Sequence[LeftOut]
    table: TableModel | None


def seen(results: Results) -> Seen | None:
    """What data.json says; None where there is none, one of another version, or a damaged one."""
    look = results.look
    if look is None:
        return None
    rows = [Row.of(summary) for summary in look.labels]
    return Seen(look.warnings, look.left_out, TableModel(_COLUMNS, tuple(map(_line, rows))) if rows else None)


def _line(row: Row) -> Line:
    cells = (row.split, row.files, row.stored, row.reading, row.values, row.unlabelled)
    return Line(f"{row.source} {row.label}".strip(), "", tuple(map(text_cell, cells)))


def _percent(share: float) -> str:
    if 0 < share < 0.0005:
        return "< 0.05 %"
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"
