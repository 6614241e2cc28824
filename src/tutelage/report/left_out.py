"""Results in the folder of a study that no table counts."""

import re
from pathlib import Path

from tutelage.layout import SINGLE, TEACHER, parse_run_id, run_folders, run_id
from tutelage.report.results import Results

_SEED = re.compile(r"seed(-?\d+)")


def left_out(results: Results) -> str:
    """One sentence about the results that have no row, with what is missing; empty where all have one.

    A seed has rows when all its single-task networks are finished, since Delta compares with them.
    """
    have = {(row.method, row.seed) for row in results.rows}
    seeds: dict[int, str] = {}
    late: list[str] = []
    for method, seed in _finished(results.folder):
        if results.asked is not None and seed not in results.asked:
            continue
        if seed not in results.seeds:
            seeds.setdefault(seed, _reason(results, seed))
        elif method not in (SINGLE, TEACHER) and (method, seed) not in have:
            late.append(f"{method} of seed {seed} (not yet in results.json)")
    named = [*(f"seed {seed} ({seeds[seed]})" for seed in sorted(seeds)), *sorted(late)]
    return f"Left out: {', '.join(named)}; the same `tutelage run` again completes the tables." if named else ""


def _finished(study: Path) -> list[tuple[str, int]]:
    """Method and seed of the runs that have a result."""
    runs = [path.relative_to(study).as_posix() for path in run_folders(study, "result.json")]
    return [(parse_run_id(run)[0], int(seed[1])) for run in runs if (seed := _SEED.fullmatch(run.rpartition("/")[2]))]


def _reason(results: Results, seed: int) -> str:
    runs = {t: results.folder / run_id(SINGLE, seed, t) for t in results.tasks}
    missing = [f"{SINGLE} {t}" for t, run in runs.items() if not (run / "result.json").is_file()]
    if missing and results.base != TEACHER:
        return f"no result of {', '.join(missing)}"
    return "not yet in results.json"
