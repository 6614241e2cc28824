"""Whatever a file or its name says, a terminal gets printable characters."""

import io
from pathlib import Path

import pytest
from rich.table import Table

from tutelage.cli import main
from tutelage.cli.failures import explain
from tutelage.cli.output import new_console, say
from tutelage.errors import UserError

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eabc"


def clean(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


def test_a_console_prints_no_escape_sequence(capsys: pytest.CaptureFixture[str]) -> None:
    console = new_console()
    table = Table(title=EVIL)
    table.add_column(EVIL)
    table.add_row(EVIL)
    console.print(table)
    say(console, f"page      {EVIL}")
    console.print(EVIL, markup=False)
    text = capsys.readouterr().out
    assert "abc" in text
    assert clean(text)


def test_styles_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("sys.stdout", stream := io.StringIO())
    new_console().print(f"[bold]text{EVIL}[/bold]", highlight=False)
    assert stream.getvalue().startswith("\x1b[1mtext")
    assert stream.getvalue().count("\x1b") == 2  # bold, and its end


def test_an_error_and_its_traceback_print_none(capsys: pytest.CaptureFixture[str]) -> None:
    for error in (
        UserError(f"{EVIL}: expected x, found y"),
        OSError(2, "none", EVIL),
        KeyError(EVIL),
        ValueError(EVIL),
    ):
        for show in (False, True):
            explain(error, show)
            text = capsys.readouterr().err
            assert "abc" in text or "\\u202e" in text
            assert clean(text)
    assert str(UserError(EVIL)).isprintable()


@pytest.mark.parametrize(
    "words",
    [
        [EVIL],
        ["report", EVIL],
        ["predict", EVIL, "x", "--out", "y"],
        ["compare", "a", EVIL],
        ["run", EVIL],
        ["export", EVIL, "x.onnx"],
        ["report", "x", f"--{EVIL}"],
    ],
)
def test_the_words_of_a_command_are_printed_without(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        status: object = main(words)
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    captured = capsys.readouterr()
    assert clean(captured.err + captured.out)


def test_a_terminal_of_ascii_gets_every_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """An arrow in a table was an error of ours."""
    monkeypatch.setattr("sys.stdout", stream := io.TextIOWrapper(io.BytesIO(), "ascii"))
    assert main(["presets"]) == 0
    print("\u2191")
    stream.flush()
    assert stream.buffer.getvalue().endswith(rb"\u2191" + b"\n")
