"""Output on terminals of any width, without colours where they are not wanted, and into a pipe that closes early."""

import io
import re
import subprocess
import sys
from os import environ

import pytest

from tutelage.cli.output import new_console

COMMAND = [sys.executable, "-m", "tutelage", "presets"]


def output(**changed: str) -> str:
    kept = {name: value for name, value in environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    return subprocess.run(COMMAND, env={**kept, **changed}, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("columns", [60, 200])
def test_no_line_is_wider_than_the_terminal_and_no_word_is_lost(columns: int) -> None:
    text = output(COLUMNS=str(columns))
    widths = [len(line.rstrip()) for line in text.splitlines()]
    assert columns * 0.8 < max(widths) <= columns
    assert "AdamW 2e-3 with a cosine" in " ".join(text.split())


@pytest.mark.parametrize(("no_color", "codes"), [("", ["1", "31", "0"]), ("1", ["1", "0"])])
def test_no_color_takes_the_colours_alone(no_color: str, codes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm-256color", "NO_COLOR": no_color}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout", stream := io.StringIO())
    new_console().print("[bold red]text[/bold red]")
    assert re.findall(r"[0-9]+", " ".join(re.findall(r"\x1b\[[0-9;]*m", stream.getvalue()))) == codes


def test_a_pipe_gets_no_codes() -> None:
    assert "\x1b" not in output()


@pytest.mark.parametrize(("verb", "status"), [(["presets"], 1), (["completion", "bash"], 0)])  # rich ends with 1
def test_a_pipe_that_closes_early_ends_the_command_in_silence(verb: list[str], status: int) -> None:
    if verb[0] == "completion":
        pytest.importorskip("argcomplete", reason="needs tutelage[completion]")
    command = [sys.executable, "-m", "tutelage", *verb]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert not process.stderr.read()
        assert process.wait() == status
