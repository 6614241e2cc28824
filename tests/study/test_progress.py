import io
import re

import pytest
from rich.console import Console

from tutelage.study import ConsoleDisplay


def show(display: ConsoleDisplay) -> None:
    run = display.run("kd4mtl, seed 0", 1, 3)
    run.begin(4)
    run.log(5, {"loss/depth": 0.5, "distance/depth/last": 1.0, "loss/normals": float("nan")})
    for step in range(5, 8):
        run.step(step, 8)
    run.finish({"depth": {"abs_err": 0.25, "rel_err": 0.1}})


def test_plain_lines_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tutelage.study.progress._EVERY", 0.0)
    file = io.StringIO()
    with ConsoleDisplay(Console(file=file, width=40)) as display:
        show(display)
    lines = file.getvalue().splitlines()
    assert lines[0] == "[2/3] kd4mtl, seed 0: continues after step 4"
    assert any("step 6 of 8" in line and "left; depth 0.500  normals nan" in line for line in lines)
    assert lines[-1].startswith("[2/3] kd4mtl, seed 0: finished in 0 s; depth abs_err 0.250")  # not wrapped
    assert "\x1b" not in file.getvalue()


def test_the_lines_of_several_runs_come_as_often_as_those_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("tutelage.study.progress.time.monotonic", lambda: now)
    file = io.StringIO()
    with ConsoleDisplay(Console(file=file, width=40)) as display:
        runs = [display.run(f"uniform, seed {seed}", seed, 3) for seed in range(3)]
        for run in runs:
            run.begin(0)
        for step in range(1, 91):
            now = float(step)
            for run in runs:
                run.step(step, 100)
    steps = [line for line in file.getvalue().splitlines() if ": step " in line]
    assert len(steps) == 90 / 15
    assert steps[0] == "[1/3] uniform, seed 0: step 45 of 100, 55 s left"


def watch(width: int, runs: int) -> list[str]:
    """What a terminal of that width shows of so many runs at once."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True)
    with ConsoleDisplay(console) as display:
        display.count(2, 9)
        for i in range(runs):
            run = display.run(f"url, seed {i}", i, 9)
            run.begin(0)
            run.log(5, {"loss/segmentation": 1.5 + i, "loss/depth": 0.5})
            run.step(5 + i, 8)
        paper = Console(file=io.StringIO(), width=width)  # without the live display's own copy
        with paper.capture() as captured:
            paper.print(display._shown())
    return [line.rstrip() for line in captured.get().splitlines()]


@pytest.mark.parametrize("width", [40, 50, 120])
def test_a_terminal_sees_bars_losses_and_time(width: int) -> None:
    study, run, losses = watch(width, 1)
    assert re.fullmatch(r"runs +[━╸]+ +2/9 \S+", study)
    assert re.fullmatch(r"\[1/9\] url, seed 0 +[━╸]+ +5/8 \S+", run)
    assert losses == "segmentation 1.500  depth 0.500"


@pytest.mark.parametrize("width", [40, 50, 120])
def test_a_terminal_sees_all_runs_at_once(width: int) -> None:
    study, *lines = watch(width, 3)
    assert "2/9" in study
    for i, line in enumerate(lines[:3]):
        assert re.fullmatch(rf"\[{i + 1}/9\] url, seed {i} +[━╸]+ +{5 + i}/8 \S+", line)
    assert lines[3:] == [f"[{i + 1}] segmentation {1.5 + i:.3f}  depth 0.500" for i in range(3)]
    assert len(watch(width, 8)) == 9  # losses of many would push the bars off the screen


def test_a_run_that_diverged_leaves_no_bar() -> None:
    with ConsoleDisplay(Console(file=io.StringIO(), force_terminal=True)) as display:
        display.count(0, 3)
        diverged = display.run("uniform-trial01, seed 0", 1, 3)
        diverged.begin(0)
        diverged.step(1, 8)
        diverged.stop()
        display.run("uniform-trial02, seed 0", 2, 3).begin(0)
        assert [task.description for task in display.progress.tasks] == ["runs", "[3/3] uniform-trial02, seed 0"]
