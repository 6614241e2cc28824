"""What a study shows, in one sentence."""

import math

from tutelage.layout import SINGLE
from tutelage.report.results import Results
from tutelage.report.statistics import Summary


def conclusion(results: Results) -> str:
    """One sentence about the first method that distils: Delta main against the first without, and against `single`.

    Which methods are compared follows from their order in the study, never from their results; controls are left out.
    Without a method of one of the two kinds the first multi-task method is compared with the single-task networks
    alone. "Better" and "worse" are said only where the 95 % interval of the paired differences excludes 0.

    Args:
        results: of the study.

    Returns:
        The sentence; empty where nothing can be compared.
    """
    methods = [m for m in results.multi_task if m in results.references]
    if not methods:
        return ""
    distilled = next((m for m in methods if results.distils(m)), None)
    plain = next((m for m in methods if not results.distils(m)), None)
    subject = distilled or methods[0]
    others = {SINGLE: "one network per task"}
    if distilled and plain:
        others = {plain: plain, **others}
    clauses: list[str] = []
    for other, name in others.items():
        gap = results.difference(subject, other, results.protocol, "main")
        if not math.isnan(gap.mean):
            points = "" if clauses else " points of Delta main"
            clauses.append(f"against {name}: {gap.text('%', signed=True)}{points} ({_certainty(gap)})")
    return f"{subject} {'; '.join(clauses)}." if clauses else ""


def _certainty(gap: Summary) -> str:
    if gap.half is None:
        return "one seed, no interval"
    shown = "no difference shown" if not gap.clear else "better" if gap.mean > 0 else "worse"
    return f"paired over {gap.count} seeds: {shown}"
