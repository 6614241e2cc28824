"""The page's curves of the training: losses, distances to the teachers, weights."""

from dataclasses import dataclass

from tutelage.report.charts import Chart, Panels, add_curve, curve, panel_chart
from tutelage.report.plots import Scale
from tutelage.report.results import Results
from tutelage.report.run_files import keys


@dataclass(frozen=True)
class Training:
    """The charts of the first seed."""

    seed: int
    losses: Chart | None
    distances: Chart | None
    weights: Chart | None


def training(results: Results) -> Training | None:
    """Curves of the first seed's networks; None where there are no logs."""
    if not results.seeds:
        return None
    logs = {(m, t): results.log(m, t) for t in results.tasks for m in results.methods}
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
        for m in results.methods:
            weight = curve(logs.get((m, name), results.multi_task_logs.get(m, [])), f"weight/{name}")
            if len(set(weight[1])) > 1:
                add_curve(weights, name, m, weight)
    if not (losses or distances or weights):
        return None
    return Training(
        results.seeds[0],
        panel_chart("Losses", results.methods, losses),
        panel_chart("Distances to the teachers", results.methods, distances),
        panel_chart("Weights", results.methods, weights, Scale(decades=2, shared=True)),
    )
