from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from PIL import Image
from tests.report.folder import TASKS, write
from tests.report.test_command import STUDY

from tutelage.cli import main
from tutelage.report import write_figures


def test_charts_and_pictures_are_files(tmp_path: Path) -> None:
    out = tmp_path / "figures"
    files = write_figures(write(tmp_path / "runs", methods=["kd4mtl"], seeds=(0, 1)), TASKS, out)
    assert {file.name for file in files} == {file.name for file in out.iterdir()}
    charts = {file.stem for file in files if file.suffix == ".svg"}
    deltas = {f"delta-{c}-{p}" for c in ("main", "task_mean", "all_metrics") for p in ("dataset", "image")}
    assert charts == {*deltas, "losses", "distances", "weights"}
    text = "".join(ElementTree.parse(out / "losses.svg").getroot().itertext())
    assert {"segmentation", "depth", "kd4mtl", "epoch"} <= set(text.split())  # panels, legend and axis
    with Image.open(out / "losses.png") as picture:
        assert picture.getpixel((0, 0))[:3] == (255, 255, 255)
    with Image.open(out / "image-1.depth.kd4mtl.png") as picture:
        assert picture.size == (12, 8)


def test_no_name_leads_out_of_the_folder(tmp_path: Path) -> None:
    folder, out = write(tmp_path / "runs", methods=[]), tmp_path / "a" / "figures"
    tasks = {"../../../outside": TASKS["depth"], "depth": TASKS["depth"]}
    assert all(file.parent == out for file in write_figures(folder, tasks, out))
    assert not list(tmp_path.rglob("outside*"))


def test_the_command_writes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY))
    assert main(["report", str(tmp_path), "--figures"]) == 0
    count = len(list((tmp_path / "figures").iterdir()))
    assert f"{tmp_path / 'figures'} ({count} files)" in capsys.readouterr().out
    assert not (tmp_path / "report.html").exists()
