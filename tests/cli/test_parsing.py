"""Every argument of the command with a wrong value is one line; what it prints without torch."""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from tutelage.cli import main
from tutelage.cli.command import parser
from tutelage.cli.versions import _device

# A right command of every verb, to which one wrong flag is added.
RIGHT = {
    "init": ["init", "folder"],
    "inspect": ["inspect", "rooms"],
    "app": ["app", "run"],
    "push": ["push", "run", "someone/name", "--license", "mit"],
    "run": ["run", "rooms"],
    "tune": ["tune", "rooms"],
    "presets": ["presets"],
    "report": ["report", "runs"],
    "compare": ["compare", "runs/a", "runs/b"],
    "bench": ["bench"],
    "prepare nyuv2": ["prepare", "nyuv2", "a.mat", "splits.mat", "out"],
    "prepare cityscapes": ["prepare", "cityscapes", "download", "out"],
    "cache": ["cache", "clear"],
    "completion": ["completion", "bash"],
    "export": ["export", "run", "--out", "student.onnx"],
    "predict": ["predict", "runs", "photo.png", "--out", "predictions"],
}
# Any text is right.
TEXTS = {"out", "page", "methods", "trust", "networks", "store", "license", "save", "host", "device", "records"}


def verbs(top: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every parser of a verb, with the verb's name."""
    below = [action for action in top._actions if isinstance(action, argparse._SubParsersAction)]
    for action in below:
        for verb, inner in action.choices.items():
            yield from verbs(inner, f"{name} {verb}".strip())
    if not below:
        yield name, top


def wrong() -> Iterator[tuple[str, list[str], str]]:
    """Name, words and line of a wrong value for every flag of every verb."""
    for verb, inner in verbs(parser()):
        for action in inner._actions:
            if not action.option_strings or action.dest == "help":
                continue
            flag = action.option_strings[-1]
            if action.nargs == 0:
                yield f"{verb} {flag}", [*RIGHT[verb], f"{flag}=x"], rf"{flag}: expected no value, found `x`"
                continue
            few = "a value, found none" if action.nargs is None else f"{action.nargs} values, found fewer"
            yield f"{verb} {flag} alone", [*RIGHT[verb], flag], rf"{flag}: expected {few}"
            if action.dest in TEXTS:
                continue
            kinds = {
                "_kinds": "some of picture,overlay,label,array,sheet", "positive": "a whole number of at least 1",
                "whole": "a whole number", "number": "a number", "whole_numbers": "whole numbers such as 0,1,2",
            }  # fmt: skip
            expected = f"one of {', '.join(action.choices)}" if action.choices else kinds[action.type.__name__]
            words = [*RIGHT[verb], flag, *["x"] * (action.nargs or 1)]
            yield f"{verb} {flag}", words, rf"{flag}: expected {expected}, found `x`"


WRONG = {name: (words, line) for name, words, line in wrong()}
MORE = {
    "both sizes": ([*RIGHT["predict"], "--keep-size", "--size", "1", "2"], "--size: expected no --keep-size beside it"),
    "an abbreviated flag": ([*RIGHT["report"], "--mark"], "expected a flag of `tutelage report`, found `--mark`"),
    "a study for a verb": (
        ["rooms"],
        f"VERB: expected one of {', '.join(parser().verbs)}, found `rooms`; did you mean `tut",
    ),
    "seeds in words": (
        [*RIGHT["report"], "--seeds", "0,a"],
        "--seeds: expected whole numbers such as 0,1,2, found `0,a`",
    ),
    "no seeds": ([*RIGHT["report"], "--seeds", ""], "--seeds: expected whole numbers such as 0,1,2, found ``"),
    "no images": (["predict", "runs", "--out", "x"], "IMAGE: expected a value, found none"),
}


@pytest.mark.parametrize("name", [*WRONG, *MORE])
def test_a_wrong_argument_is_one_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    words, line = {**WRONG, **MORE}[name]
    with pytest.raises(SystemExit) as stop:
        main(words)
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert re.fullmatch(rf"tutelage: {re.escape(line)}.*; see `tutelage.* --help`\n", error), error
    assert not re.search(r"_\w+ value|<|object at", error)


def test_no_word_at_all_asks_for_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    shown, error = capsys.readouterr()
    assert error == ""
    assert all(name in shown for name in parser().verbs)


def test_every_verb_is_tried() -> None:
    assert {name for name, _ in verbs(parser())} == {*RIGHT}
    assert len(WRONG) > 25


@pytest.mark.parametrize(("words", "level"), [([], "auto"), *((["--check", x], x) for x in ("full", "sample", "none"))])
@pytest.mark.parametrize("verb", ["run", "tune"])
def test_how_much_of_the_data_is_checked(
    verb: str, words: list[str], level: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    levels = []
    monkeypatch.setattr("tutelage.study.check_data", lambda study, console, level, write=True: levels.append(level))
    monkeypatch.setattr("tutelage.cli.run._plan", lambda *_: 0)
    monkeypatch.setattr("tutelage.study.Tuner.run", lambda *_: [])
    monkeypatch.setattr("tutelage.report.tuning_table", lambda *_: "")
    dry = ["--dry-run"] if verb == "run" else []
    assert main([verb, "rooms-tiny", *dry, *words, "--out", "nowhere"]) == 0
    assert levels == [level]


def test_the_versions(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"tutelage {version('tutelage')}, torch {version('torch')}, Python 3.")
    assert shown.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a system without a device that is always full")
def test_versions_for_a_full_disk_are_one_line() -> None:
    code = "import sys\nfrom tutelage.cli import main\nsys.exit(main(['--version']))"
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert re.fullmatch(r"tutelage: .*No space left on device.*; make room and give the same .*\n", result.stderr)
    assert result.returncode == 2


@pytest.mark.parametrize(
    ("torch", "gpus", "visible", "device"),
    [
        ("2.9.1", [], None, "cpu"),
        ("2.9.1+cpu", ["NVIDIA H200"], None, "cpu"),
        ("2.9.1", ["NVIDIA H200"], "", "cpu"),
        ("2.9.1", ["NVIDIA H200", "NVIDIA H200"], None, "2 x NVIDIA H200"),
        ("2.9.1+cu128", ["NVIDIA A", "NVIDIA B"], "0,1", "1 x NVIDIA A and 1 x NVIDIA B"),
        ("2.9.1+rocm6.4", [], None, None),
    ],
)
def test_the_device_is_known_from_the_driver(
    torch: str,
    gpus: list[str],
    visible: str | None,
    device: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for i, model in enumerate(gpus):
        (tmp_path / f"gpus/{i}").mkdir(parents=True)
        (tmp_path / f"gpus/{i}/information").write_text(f"Model: \t\t {model}\nIRQ:   \t\t 4\n")
    monkeypatch.setattr("tutelage.cli.versions._DRIVER", tmp_path)
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert _device(torch) == device


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        ["run", "--help"],
        ["report"],
        ["report", "nowhere", "--seeds", "a"],
        ["presets"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_torch_is_not_imported_to_print_a_text(words: list[str]) -> None:
    code = (
        "import sys\nfrom tutelage.cli import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        "sys.exit(' '.join({'torch', 'numpy', 'jsonargparse', 'matplotlib'} & {*sys.modules}) or 0)"
    )
    result = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_the_usual_number_of_jobs_has_its_own_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("TUTELAGE_JOBS", "some")
    assert main(["run", "rooms-tiny", "--out", str(tmp_path / "runs")]) == 2
    assert "TUTELAGE_JOBS: expected a whole number of at least 1, found `some`" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
