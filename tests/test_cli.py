import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from PIL import Image
from tests.data.test_folders import write
from tests.prepare.official import write_cityscapes, write_nyuv2
from tests.study.conftest import TINY

from tutelage.cli import main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(arguments)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def run_to_the_end(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """As `run`; a mistake in the arguments ends the process."""
    try:
        return run(capsys, *arguments)
    except SystemExit as error:
        captured = capsys.readouterr()
        return int(str(error.code)), captured.out, captured.err


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a study that a command has trained, and what the command printed."""
    out = tmp_path_factory.mktemp("cli") / "runs"
    with redirect_stdout(StringIO()) as text:
        assert main(["run", "rooms-tiny", *TINY, "--methods", "uniform", "--out", str(out)]) == 0
    return out, text.getvalue()


def test_run_ends_with_table_page_and_what_next(
    ran: tuple[Path, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out, text = ran
    for expected in ("single", "uniform", "report.html", "results.json"):
        assert expected in text, expected
    words = shlex.join([*TINY, "--methods", "uniform", "--out", str(out)])
    assert text.endswith(  # a command a line, to be copied
        f"next      tutelage predict {out}/uniform/seed0 IMAGES --out predictions\n"
        f"          tutelage export {out}/uniform/seed0 --out student.onnx\n"
        f"          tutelage run rooms-tiny {words} --seeds 0,1,2\n"
    )
    assert (out / "report.html").read_text().startswith("<!doctype html>")
    assert {row["method"] for row in json.loads((out / "results.json").read_text())["rows"]} == {"single", "uniform"}
    shutil.copytree(out, tmp_path / "runs", ignore=shutil.ignore_patterns("report.html"))
    assert run(capsys, "report", str(tmp_path / "runs"))[0] == 0
    assert (tmp_path / "runs/report.html").exists()


def test_export_writes_what_the_example_of_the_docs_reads(
    ran: tuple[Path, str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, out = shutil.copytree(ran[0], tmp_path / "runs"), tmp_path / "student.onnx"
    model = str(runs / "single/depth/seed0")
    status, text, _ = run(capsys, "export", model, "--out", str(out))
    assert status == 0
    for line in (
        "input     images: float32 [batch, 3, height, width], RGB in 0..1",
        "output    depth: float32 [batch, 1, height, width]",
        "parity    depth: largest difference",
        f"file      {out} (",
    ):
        assert line in text, line
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (60, 40), (200, 100, 50)).save("photo.jpg")
    page = (Path(__file__).parents[1] / "docs/deploying.md").read_text()
    (example,) = (
        block for block in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL) if "onnxruntime" in block
    )
    assert "tutelage" not in example
    exec(example, {})
    assert capsys.readouterr().out == "{'depth': (1, 40, 60)}\n"
    (runs / "single/depth/seed0/student.safetensors").unlink()
    for arguments, expected in (
        ((model, "--out", str(out)), "student.onnx: expected no such file yet, found one"),
        ((model, "--out", str(tmp_path / "x.onnx")), "found a run that is not finished; finish it with `tutelage run`"),
        ((model, "--out", "x.onnx", "--format", "tflite"), "--format: expected one of onnx, torch.export, safetensors"),
    ):
        status, _, error = run_to_the_end(capsys, "export", *arguments)
        assert status == 2
        assert expected in error
        assert error.count("\n") == 1


def test_dry_run_prints_the_plan_and_writes_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, text, _ = run(capsys, "run", "rooms-tiny", "--dry-run", "--seeds", "0,1", "--data.train", "16")
    assert status == 0
    for expected in ("single depth", "kd4mtl", "14", "epochs", "disk", "valid"):
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
    assert "0.003" in text  # the preset's own learning rate


def test_a_bad_file_is_one_line_from_a_loading_process_too(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tutelage.study.check_data", lambda *_, **__: None)  # the file was damaged after it
    for split in ("train", "val"):
        write(tmp_path / "nyuv2" / split, ["0", "1"], npy=True)
    for path in (tmp_path / "nyuv2/train/depth").iterdir():
        path.write_bytes(path.read_bytes()[:500])
    flags = ["--data.size", "[32, 32]", "--net.width", "0.05", "--data.root", str(tmp_path / "nyuv2"), "--seeds", "0"]
    for workers in ("0", "1"):
        out = str(tmp_path / workers)
        status, _, error = run(capsys, "run", "nyuv2-segnet", *flags, "--train.workers", workers, "--out", out)
        assert status == 2
        assert error.startswith(f"tutelage: {tmp_path}")
        assert "expected a readable .npy file" in error
        assert error.count("\n") == 1


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


def test_bad_data_are_found_before_a_dry_run_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    write(tmp_path / "nyuv2/train", [str(i) for i in range(10)])
    (tmp_path / "nyuv2/train/depth/3.png").write_bytes(b"")
    flags = ["--dry-run", "--data.size", "[32, 32]", "--data.root", str(tmp_path / "nyuv2"), "--methods", "uniform"]
    status, _, error = run(capsys, "run", "nyuv2-segnet", *flags)
    assert status == 2
    assert "depth/3.png: expected a readable .png file" in error


def test_nyuv2_reads_mtans_files_as_they_are(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for split, count in (("train", 3), ("val", 2)):
        write(tmp_path / "nyuv2" / split, [str(i) for i in range(count)], npy=True)
    flags = ["--data.size", "[64, 96]", "--net.width", "0.1", "--max-steps", "1", "--methods", "url", "--seeds", "0"]
    flags += ["--train.workers", "0", "--out", str(tmp_path / "runs"), "--data.root", str(tmp_path / "nyuv2")]
    status, text, _ = run(capsys, "run", "nyuv2-segnet", *flags)
    assert status == 0
    assert "url" in text


def test_official_downloads_become_studies(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    mat, splits = write_nyuv2(tmp_path / "nyu")
    write_cityscapes(tmp_path / "city")
    for source, study, size in (
        (["nyuv2", str(mat), str(splits)], "nyuv2-segnet", ["48", "64"]),
        (["cityscapes", str(tmp_path / "city")], "cityscapes-segnet", ["48", "96"]),
    ):
        out = str(tmp_path / study)
        prepare = ["prepare", *source, out, "--size", *size, "--jobs", "2"]
        assert run(capsys, *prepare)[1].splitlines()[-1] == "frames    5 written, 0 were there"
        status, text, _ = run(capsys, *prepare)
        assert status == 0
        assert "summary.json" in text
        assert "0 written, 5 were there" in text
        flags = ["--data.size", f"[{', '.join(size)}]", "--net.width", "0.1", "--batch-size", "2"]
        assert run(capsys, "run", study, "--dry-run", "--methods", "uniform", "--data.root", out, *flags)[0] == 0


def test_real_nyuv2(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    if "TUTELAGE_DATA" not in os.environ:
        pytest.skip("set TUTELAGE_DATA to a folder with nyuv2/train to test with real images")
    root, out = tmp_path / "nyuv2", tmp_path / "runs"
    for folder in (Path(os.environ["TUTELAGE_DATA"]) / "nyuv2").glob("*/*/"):  # a few images of each split
        here = root / folder.parent.name / folder.name
        here.mkdir(parents=True)
        for file in sorted(folder.iterdir())[:20]:
            (here / file.name).symlink_to(file)
    flags = ["--max-steps", "2", "--methods", "kd4mtl", "--out", str(out), "--data.root", str(root)]
    flags += ["--data.size", "[96, 128]"]
    status, _, error = run(capsys, "run", "nyuv2-segnet-small", *flags)
    assert status == 0, error
    (row,) = [
        row
        for row in json.loads((out / "results.json").read_text())["rows"]
        if (row["method"], row["protocol"]) == ("kd4mtl", "dataset")
    ]
    assert row["metrics"]["segmentation"]["miou"] > 0
    assert 0.1 < row["metrics"]["depth"]["abs_err"] < 10


def test_segnet_studies_run_without_torchvision_timm_and_segmentation_models(tmp_path: Path) -> None:
    code = (  # neither to be imported nor listed among what is installed, which torchmetrics asks
        "import sys\n"
        "from importlib.metadata import Distribution, PackageNotFoundError\n"
        "hidden, from_name = {'torchvision', 'timm', 'segmentation_models_pytorch'}, Distribution.from_name\n"
        "def absent(name):\n"
        "    if name in hidden: raise PackageNotFoundError(name)\n"
        "    return from_name(name)\n"
        "Distribution.from_name = absent\n"
        "sys.modules.update(dict.fromkeys(hidden))\n"
        "from tutelage.cli import main\n"
        f"sys.exit(main(['run', 'rooms-tiny', *{TINY!r}, '--max-steps=1', '--methods=kd4mtl', '--out=runs']))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "runs/kd4mtl/seed0/student.safetensors").exists()
