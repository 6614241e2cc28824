from pathlib import Path

import pytest
from tests.deploy.conftest import make
from tests.deploy.study import write_study
from tests.report.folder import write

from tutelage.cli import main
from tutelage.deploy import Predictor, load, save


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = write(tmp_path / "study", seeds=(0, 1))
    save(make(), folder / "kd4mtl/seed0/student.safetensors")
    return folder


def push(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    try:
        status = main(["push", *map(str, words)])
    except SystemExit as end:  # of a mistake in the arguments
        status = int(str(end.code))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_it_uploads_the_network_with_its_card(
    study: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = []
    monkeypatch.setattr(Predictor, "push_to_hub", lambda self, *args, **kwargs: pushed.append((args, kwargs)) or "URL")
    status, text, error = push(capsys, study / "kd4mtl/seed0", "someone/kitchen", "--license", "mit", "--private")
    assert (status, text, error) == (0, "uploaded  URL\n", "")
    (((place, card), options),) = pushed
    assert (place, options) == ("someone/kitchen", {"private": True})
    assert "license: mit" in card
    assert "| `depth` | abs_err (m) ↓ |" in card
    assert "mean of 2 seeds" in card


def test_the_files_can_be_looked_at_first(study: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = (study, "someone/kitchen", "--license", "mit", "--save", out)
    assert push(capsys, *words)[:2] == (0, f"saved     {out}\n")
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "predictor.safetensors"]
    assert load(out).size == (32, 64)
    status, _, error = push(capsys, *words)
    assert (status, error) == (2, f"tutelage: {out}: expected no such folder yet, found one; give another --save\n")


def test_what_is_wrong_is_one_line(study: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    alone = write_study(tmp_path / "alone", "kd4mtl/seed0")
    for words, expected in (
        ((study, "someone/kitchen"), "--license: expected a value, found none"),
        ((study, "someone/kitchen", "--license", "My own"), "license: expected the hub's name of a licence"),
        ((tmp_path, "a/b", "--license", "mit"), "expected one trained network in it, found 2"),
        (
            (tmp_path / "none", "a/b", "--license", "mit"),
            "none: expected a network saved by tutelage, found No",
        ),
        ((alone, "a/b", "--license", "mit"), "results.json: expected the results of a study, found no file"),
    ):
        status, _, error = push(capsys, *words)
        assert (status, error.count("\n")) == (2, 1), error
        assert expected in error
