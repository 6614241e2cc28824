"""Memory, open files and threads of a process do not grow with its steps, nor with its runs."""

import gc
import os
import threading
from pathlib import Path

import pytest
from tests.study.conftest import Notes, tiny

from tutelage.study import run_study

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="Linux counts them")]


def resident() -> float:
    """MiB of this process in memory."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def opened() -> tuple[int, int]:
    """Open files and threads."""
    return len(os.listdir("/proc/self/fd")), threading.active_count()


class Measured(Notes):
    """Looks at the process after some steps."""

    def __init__(self, first: int, last: int) -> None:
        super().__init__()
        self.at = {first: (0.0, (0, 0)), last: (0.0, (0, 0))}

    def step(self, step: int, total: int) -> None:
        super().step(step, total)
        if self.steps in self.at:
            self.at[self.steps] = resident(), opened()


def test_two_thousand_steps(tmp_path: Path) -> None:
    flags = [
        "--methods",
        "uniform",
        "--epochs",
        "30",
        "--batch-size",
        "2",
        "--data.train",
        "40",
        "--data.size",
        "[32,32]",
    ]
    flags += ["--checkpoint-steps", "50", "--net.filters", "[4, 4, 4, 4, 4]", "--log-steps", "1"]
    notes = Measured(300, 2300)  # of the single-task networks and of `uniform`
    run_study(tiny(tmp_path / "runs", *flags), notes)
    (before, files), (after, files_after) = notes.at.values()
    print(f"2,000 steps: {before:.0f} -> {after:.0f} MiB, {files} -> {files_after} files and threads")
    assert before > 0
    assert after > 0
    assert after - before < 40
    assert files_after == files


def test_twenty_runs(tmp_path: Path) -> None:
    seen = []
    for n in range(20):
        run_study(tiny(tmp_path / str(n), "--methods", "kd4mtl", "--max-steps", "2"), Notes())
        seen.append((resident(), opened()))
    print("20 studies of 4 runs:", [f"{memory:.0f} MiB, {files}" for memory, files in seen])
    assert seen[-1][0] - seen[4][0] < 40
    assert seen[-1][1] == seen[4][1]
