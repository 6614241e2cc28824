"""What docs/own.md shows trains, as it stands there."""

import re
import shutil
from pathlib import Path

import datasets
import numpy as np
import pytest
import yaml
from PIL import Image

from tutelage.cli import main

PAGE = (Path(__file__).parents[1] / "docs/own.md").read_text()
SHORT = ["--max-steps", "2", "--batch-size", "2", "--precision", "32-true", "--methods", "uniform"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


STUDIES = {re.match(r"study: (\w+)", block)[1]: block for block in blocks("yaml")}
SAVE, DATASET, LOOP = blocks("python")


def picture(path: Path, size: tuple[int, ...], dtype: type = np.uint8, below: int = 256) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(0, below, size, dtype=dtype)).save(path)


@pytest.fixture(autouse=True)
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data that the page speaks of, in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    for split in ("train", "validation"):
        for i in range(3):
            picture(Path("pets") / split / f"cat/{i}.jpg", (40, 50, 3))
            picture(Path("pets") / split / f"dog/{i}.jpg", (40, 60, 3))
    for i in range(5):
        picture(Path(f"kitchen/train/image/{i}.jpg"), (48, 64, 3))
        picture(Path(f"kitchen/train/label/{i}.png"), (48, 64), below=13)
        picture(Path(f"kitchen/train/depth/{i}.png"), (48, 64), np.uint16, below=5000)
    Path("balls.py").write_text(DATASET)
    for i in range(40):
        picture(Path(f"photos/pictures/img_{i}.JPG"), (48, 64, 3))
        areas = np.broadcast_to(np.arange(64, dtype=np.uint16) // 13, (48, 64))
        label = np.where(np.arange(48)[:, None] < 4, 255, areas).astype(np.uint8)
        Image.fromarray(label).save(f"photos/pictures/img_{i}_mask.png")
        if i >= 10:
            Path("photos/depth").mkdir(exist_ok=True)
            Image.fromarray(np.linspace(1000, 4500, 48 * 64).reshape(48, 64).astype(np.uint16)).save(
                f"photos/depth/img_{i}.png"
            )


def test_each_takes_less_than_fifteen_lines() -> None:
    assert list(STUDIES) == ["photos", "pets", "kitchen", "animals", "balls"]
    by_hand = [block for name, block in STUDIES.items() if name != "photos"]
    for block in [*by_hand, SAVE, DATASET, LOOP]:
        assert len([line for line in block.splitlines() if line.strip()]) < 15


@pytest.mark.parametrize("name", STUDIES)
def test_the_studies_train(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if name == "animals":
        exec(SAVE, {})
    if name == "pets":
        shutil.rmtree("pets/validation")
    Path("study.yaml").write_text(STUDIES[name])
    status = main(["run", "study.yaml", *SHORT])
    assert status == 0, capsys.readouterr().err
    assert Path(f"runs/{name}/report.html").exists()


def test_init_finds_and_writes_what_the_page_shows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tutelage.propose.training.find_weights", lambda: None)
    assert main(["init", "photos"]) == 0
    assert capsys.readouterr().out == blocks("text")[0]
    shown, written = yaml.safe_load(STUDIES["photos"]), yaml.safe_load(Path("photos.yaml").read_text())
    assert written["data"]["init_args"].pop("root") == str(Path("photos").resolve())
    shown["data"]["init_args"].pop("root")
    for values, other in ((shown, written), (shown["data"]["init_args"], written["data"]["init_args"])):
        assert {key: other[key] for key in values if key != "data"} == {
            key: value for key, value in values.items() if key != "data"
        }
    assert Path("photos.yaml").read_text().count("# ") > 10


def test_the_loop_trains() -> None:
    names: dict[str, object] = {}
    exec(LOOP, names)
    assert all(p.grad.isfinite().all() for p in names["net"].parameters())
