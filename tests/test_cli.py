import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.study.conftest import TINY

from tutelage.cli import main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(arguments)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_run_ends_with_table_page_and_what_next(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "runs"
    status, text, _ = run(capsys, "run", "rooms-tiny", *TINY, "--methods", "uniform", "--out", str(out))
    assert status == 0
    for expected in ("single", "uniform", "report.html", "results.json", "--seeds 0,1,2"):
        assert expected in text, expected
    assert (out / "report.html").read_text().startswith("<!doctype html>")
    assert {row["method"] for row in json.loads((out / "results.json").read_text())["rows"]} == {"single", "uniform"}
    (out / "report.html").unlink()
    assert run(capsys, "report", str(out))[0] == 0
    assert (out / "report.html").exists()


def test_dry_run_prints_the_plan_and_writes_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, text, _ = run(capsys, "run", "rooms-tiny", "--dry-run", "--seeds", "0,1", "--data.train", "16")
    assert status == 0
    for expected in ("single depth", "kd4mtl", "14", "parameters", "valid"):
        assert expected in text, expected
    assert list(tmp_path.iterdir()) == []


def test_presets_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    status, text, _ = run(capsys, "presets")
    assert status == 0
    assert "nyuv2-segnet-small" in text
    assert "kd4mtl" in text
    status, text, _ = run(capsys, "run", "--help")
    assert status == 0
    assert "--dry-run" in text
    status, text, _ = run(capsys, "run", "rooms", "--help")
    assert status == 0
    assert "--train.epochs" in text
    assert "0.001" in text  # the preset's own learning rate


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "roomz"], "expected a YAML file or one of the presets"),
        (["run", "rooms", "--epochs", "-1"], "train.epochs: expected at least 1"),
        (["run", "nyuv2-segnet"], "data.root"),
        (["run", "nyuv2-segnet", "--data.root", "nowhere"], "nowhere"),
        (["report", "nowhere"], "nowhere"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    status, _, error = run(capsys, *arguments)
    assert status == 2
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_segnet_studies_run_without_torchvision_timm_and_segmentation_models(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "for name in ('torchvision', 'timm', 'segmentation_models_pytorch'): sys.modules[name] = None\n"
        "from tutelage.cli import main\n"
        f"sys.exit(main(['run', 'rooms-tiny', *{TINY!r}, '--max-steps=1', '--methods=kd4mtl', '--out=runs']))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "runs/kd4mtl/seed0/student.safetensors").exists()
