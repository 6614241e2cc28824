"""What data are, before training: tables for a terminal, and one page with a sample of every kind drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tutelage.errors import printable
from tutelage.files import write_text
from tutelage.report.charts import Swatch
from tutelage.report.encode import Drawing, address
from tutelage.report.render.page import environment
from tutelage.report.sections.seen import Row
from tutelage.types import Task
from tutelage.types.look import Example, Look

_WIDE = 120  # columns that the table needs
_CLASSES = 20  # that a terminal shows of a label


@dataclass(frozen=True)
class Drawn:
    """The same as pictures, with the legend of the label."""

    caption: str
    where: str
    image: str
    label: str | None
    legend: Sequence[Swatch]


def inspection_tables(look: Look, tasks: Mapping[str, Task], width: int) -> RenderableType:
    """What a terminal of that many columns shows: a table, or in a narrow one a list per label and split."""
    rows = _rows(look, tasks)
    parts: list[RenderableType] = [_table(rows)] if width >= _WIDE else [_list(row, _several(rows)) for row in rows]
    parts.append(Text(""))
    for row in rows:
        if row.classes:
            shares = ", ".join(f"{name} {words}" for name, words, _ in row.classes[:_CLASSES])
            more = f", and {len(row.classes) - _CLASSES} more" if len(row.classes) > _CLASSES else ""
            parts.append(Text(printable(f"{row.label}, {row.split}: {shares}{more}")))
    return Group(*parts)


def inspection_messages(look: Look) -> list[tuple[str, list[str]]]:
    """Title and lines of what is wrong, doubtful, or not used."""
    parts = (
        ("Wrong: training would stop here", look.wrong),
        ("Doubtful", look.warnings),
        ("Not used", look.left_out),
    )
    return [(title, [printable(str(one)) for one in ones]) for title, ones in parts if ones]


def _rows(look: Look, tasks: Mapping[str, Task]) -> list[Row]:
    return [Row.of(summary, getattr(tasks.get(summary.label), "names", ())) for summary in look.labels]


def _several(rows: Sequence[Row]) -> bool:
    """Whether there are several sources, which then have to be named."""
    return len({row.source for row in rows}) > 1


def _list(row: Row, several: bool) -> Table:
    """One label of one split: what the line of the table has, one below the other."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.title, table.title_justify = (
        Text(printable(f"{row.source + ' ' if several else ''}{row.label}, {row.split}")),
        "left",
    )
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    facts = {"files": row.files, "stored": row.stored, "read as": row.reading, "values": row.values}
    for name, fact in {**facts, "no label": row.unlabelled}.items():
        if fact:
            table.add_row(f"  {name}", Text(printable(fact)))
    return table


def _table(rows: Sequence[Row]) -> Table:
    several = _several(rows)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in (
        *(["source"] if several else []),
        "label",
        "split",
        "files",
        "stored",
        "read as",
        "values",
        "no label",
    ):
        table.add_column(name, overflow="fold")
    for row in rows:
        cells = (row.label, row.split, row.files, row.stored, row.reading, row.values, row.unlabelled)
        table.add_row(*(Text(printable(cell)) for cell in (*([row.source] if several else []), *cells)))
    return table


def write_inspection(path: Path, name: str, look: Look, tasks: Mapping[str, Task], shown: Sequence[Example]) -> None:
    """Write the page, which loads nothing; the template escapes every name."""
    page = (
        environment()
        .get_template("inspection.html")
        .render(
            name=name,
            rows=_rows(look, tasks),
            messages=inspection_messages(look),
            drawn=[_draw(one, tasks) for one in shown],
        )
    )
    write_text(path, page)


def _draw(shown: Example, tasks: Mapping[str, Task]) -> Drawn:
    image = address(Drawing((shown.image.permute(1, 2, 0) * 255).round().byte().numpy(), photograph=True))
    if shown.label is None:
        return Drawn(shown.caption, shown.where, image, None, ())
    task = tasks[shown.task]
    target = task.collate([shown.label], shown.image[None])
    valid = target.valid[0] if hasattr(target, "valid") else None
    legend = [Swatch(name, "#{:02x}{:02x}{:02x}".format(*colour)) for name, colour in task.legend()]
    return Drawn(shown.caption, shown.where, image, address(Drawing(task.draw(shown.label, valid))), legend)
