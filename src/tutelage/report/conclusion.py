"""What a study shows, as one number and in one sentence."""

import math
from dataclasses import dataclass

from tutelage.layout import SINGLE, TEACHER
from tutelage.report.results import Results
from tutelage.report.statistics import Summary
from tutelage.report.tables import Verdict, verdict

_BASES = {SINGLE: "one network per task", TEACHER: "the teachers"}


@dataclass(frozen=True)
class Headline:
    """Delta main of the method that a study is about.

    Attributes:
        method: the first that distils; without one, the first multi-task method.
        delta: its Delta main, with the 95 % interval.
        text: of `delta`, with its unit.
        verdict: whether the interval excludes 0, and which side of it the mean is on.
    """

    method: str
    delta: Summary
    text: str
    verdict: Verdict


def headline(results: Results) -> Headline | None:
    """The one number of a study; None where there is none.

    Which method it is of follows from their order in the study, never from their results; controls are left out.
    """
    subject, _ = _subject(results)
    if subject is None:
        return None
    delta = results.delta(subject, results.protocol, "main")
    if math.isnan(delta.mean):
        return None
    return Headline(subject, delta, f"{delta.text('%', signed=True)} %", verdict(delta, "↑"))


def conclusion(results: Results) -> str:
    """One sentence about the first method that distils: Delta main against the first without, and against the base.

    The base are the networks that Delta compares with. Which methods are compared follows from their order in the
    study, never from their results; controls are left out. Without a method of one of the two kinds the first
    multi-task method is compared with the base alone. "Better" and "worse" are said only where the 95 % interval of
    the paired differences excludes 0.

    Args:
        results: of the study.

    Returns:
        The sentence; empty where nothing can be compared.
    """
    subject, plain = _subject(results)
    if subject is None:
        return ""
    others = {} if plain is None else {plain: plain}
    if results.base is not None:
        others[results.base] = _BASES[results.base]
    clauses: list[str] = []
    for other, name in others.items():
        gap = results.difference(subject, other, results.protocol, "main")
        if not math.isnan(gap.mean):
            points = "" if clauses else " points of Delta main"
            clauses.append(f"against {name}: {gap.text('%', signed=True)}{points} ({_certainty(gap)})")
    return f"{subject} {'; '.join(clauses)}." if clauses else ""


def _subject(results: Results) -> tuple[str | None, str | None]:
    """The method that a study is about, and the one without distillation that it is compared with."""
    methods = [m for m in results.multi_task if m in results.references]
    distilled = next((m for m in methods if results.distils(m)), None)
    plain = next((m for m in methods if not results.distils(m)), None)
    return (plain, None) if distilled is None else (distilled, plain)


def _certainty(gap: Summary) -> str:
    if gap.half is None:
        return "one seed, no interval"
    shown = "no difference shown" if not gap.clear else "better" if gap.mean > 0 else "worse"
    return f"paired over {gap.count} seeds: {shown}"
