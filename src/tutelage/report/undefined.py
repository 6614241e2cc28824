"""What the dashes of a study's tables mean."""

from tutelage.report.results import Results


def undefined(results: Results) -> str:
    """One sentence about the metrics that have no value and why; empty where all have one."""
    unlabelled, partly = [], []
    for t, task in results.tasks.items():
        values = {name: [row.metrics.get(t, {}).get(name) for row in results.rows] for name in task.metric_info}
        if results.rows and all(value is None for of_metric in values.values() for value in of_metric):
            unlabelled.append(t)
        else:
            partly += [f"{t} {name}" for name, of_metric in values.items() if None in of_metric]
    reasons = []
    if unlabelled:
        reasons.append(f"no {results.split} image has a label of the task ({', '.join(unlabelled)})")
    if partly:
        reasons.append(f"labels or predictions of a run do not define it ({', '.join(partly)})")
    if reasons:
        return (
            f"A dash: the metric has no value, since {', and '.join(reasons)}; a Delta that needs it has none either."
        )
    if any(value is None for row in results.rows for value in row.delta.values()):
        if results.compared_with == "nothing":
            return "A dash: Delta has no value, since there are no networks that predict all tasks to compare with."
        return f"A dash: Delta has no value, since a metric of {results.compared_with} is 0."
    return ""
