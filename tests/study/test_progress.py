import io

import pytest
from rich.console import Console

from tutelage.study import ConsoleDisplay


def show(display: ConsoleDisplay) -> None:
    display.start("kd4mtl, seed 0", 1, 3, resumed=4)
    display.log(5, {"loss/depth": 0.5, "distance/depth/last": 1.0, "loss/normals": float("nan")})
    for step in range(5, 8):
        display.step(step, 8)
    display.finish("kd4mtl, seed 0", {"depth": {"abs_err": 0.25, "rel_err": 0.1}})


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


@pytest.mark.parametrize("width", [50, 120])
def test_a_terminal_sees_bars_losses_and_time(width: int) -> None:
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=True)
    with ConsoleDisplay(console) as display:
        display.start("url, seed 1", 0, 2, resumed=0)
        display.log(5, {"loss/segmentation": 1.5, "loss/depth": 0.5})
        display.step(5, 8)
        with console.capture() as captured:
            console.print(display._shown())
    text = captured.get()
    for expected in ("[1/2] url, seed 1", "5/8", "segmentation 1.500  depth 0.500"):
        assert expected in text, expected


def test_a_run_that_diverged_leaves_no_bar() -> None:
    with ConsoleDisplay(Console(file=io.StringIO(), force_terminal=True)) as display:
        display.start("uniform-trial01, seed 0", 1, 3, resumed=0)
        display.step(1, 8)
        display.start("uniform-trial02, seed 0", 2, 3, resumed=0)
        assert [task.description for task in display.progress.tasks] == ["runs", "[3/3] uniform-trial02, seed 0"]
