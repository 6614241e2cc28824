"""The page's curves of the training: losses, distances to the teachers, weights."""

from collections.abc import Sequence
from dataclasses import dataclass

from tutelage.report.charts import Chart, Panels, Swatch, add_curve, curve, panel_chart, picker
from tutelage.report.plots import Scale
from tutelage.report.results import Results
from tutelage.report.run_files import keys


@dataclass(frozen=True)
class Training:
    """The charts of the first seed."""

    seed: int
    picker: Sequence[tuple[int, Swatch]]  # of all curves of the page
    losses: Chart | None
    distances: Chart | None
    weights: Chart | None


def training(results: Results) -> Training | None:
    """Curves of the first seed's networks; None where there are no logs."""
    if not results.seeds:
        return None
    methods = results.methods
    logs = {(m, t): results.log(m, t) for t in results.tasks for m in methods}
    losses: Panels = {}
    distances: Panels = {}
    weights: Panels = {}
    for (m, t), log in logs.items():
        add_curve(losses, t, m, curve(log, f"loss/{t}"))
    for teacher in results.teacher_names:
        for m, log in results.multi_task_logs.items():
            for key in keys(log, f"distance/{teacher}/"):
                add_curve(distances, key.removeprefix("distance/"), m, curve(log, key))
    for name in dict.fromkeys([*results.tasks, *results.teachers]):  # a teacher without a task may have a weight, too
        for m in methods:
            weight = curve(logs.get((m, name), results.multi_task_logs.get(m, [])), f"weight/{name}")
            if len(set(weight[1])) > 1:
                add_curve(weights, name, m, weight)
    if not (losses or distances or weights):
        return None
    return Training(
        results.seeds[0],
        picker(methods, {m for panels in (losses, distances, weights) for panel in panels.values() for m in panel}),
        panel_chart("losses", "Losses", methods, losses, "loss"),
        panel_chart("distances", "Distances to the teachers", methods, distances, "distance"),
        panel_chart("weights", "Weights", methods, weights, "weight", Scale(decades=2, shared=True)),
    )
