"""The page's charts as SVG and PNG files, and its pictures as PNG files, for a paper or a talk."""

import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import matplotlib as mpl

from tutelage.files import write_bytes
from tutelage.report.charts import Chart
from tutelage.report.encode import Drawing
from tutelage.report.pictures import gallery
from tutelage.report.results import Results
from tutelage.report.sections.conflict import conflict
from tutelage.report.sections.numbers import numbers
from tutelage.report.sections.training import training
from tutelage.types import Task

_DPI = 200  # of a PNG


def write_figures(folder: Path, tasks: Mapping[str, Task], out: Path) -> list[Path]:
    """Write every chart of a study's page as SVG and PNG, on white, and every picture as PNG, as large as it is kept.

    Args:
        folder: of the study.
        tasks: Task name -> task.
        out: the folder of the files; existing ones are replaced.

    Returns:
        The files.

    Raises:
        UserError: There is no results.json in `folder`.
    """
    results = Results(folder, tasks)
    written = []
    for chart in _charts(results):
        for form in ("svg", "png"):
            written.append(out / f"{chart.key}.{form}")
            write_bytes(written[-1], _drawn(chart, form))
    for name, drawing in _pictures(results):
        written.append(out / f"{name}.png")
        write_bytes(written[-1], drawing.encode(drawing.picture.shape[1], "png"))
    return written


def _charts(results: Results) -> Iterator[Chart]:
    shown, curves, conflicts = numbers(results), training(results), conflict(results)
    charts = [delta.chart for view in shown.views for delta in view.deltas] if shown else []
    charts += [curves.losses, curves.distances, curves.weights] if curves else []
    charts += [conflicts.cosines, conflicts.norms] if conflicts else []
    return (chart for chart in charts if chart is not None)


def _drawn(chart: Chart, form: str) -> bytes:
    buffer = io.BytesIO()
    metadata = {"Date": None, "Creator": None} if form == "svg" else {"Software": None}
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "tutelage"}):
        chart.figure().savefig(buffer, format=form, dpi=_DPI, facecolor="white", metadata=metadata)
    return buffer.getvalue()


def _pictures(results: Results) -> Iterator[tuple[str, Drawing]]:
    """The pictures by the names of their files: `image-1.image`, `image-1.depth.truth`, `image-1.depth.kd4mtl`."""
    shown = gallery(results)
    for source, scenes in shown.sources.items() if shown else ():
        for scene in scenes:
            first = [name for name in (source, scene.name) if name]
            yield _joined(*first, "image"), scene.image
            for t, shots in scene.tasks.items():
                yield from ((_joined(*first, t, shot.column), shot.drawing) for shot in shots if shot.drawing)


def _joined(*names: str) -> str:
    """Names as one name of a file, whatever is in them.

    >>> _joined("image 1", "depth", "../kd4mtl")
    'image-1.depth.kd4mtl'
    """
    return ".".join(re.sub(r"[^\w-]+", "-", name).strip("-") for name in names)
