"""What docs/own.md shows trains, as it stands there."""

import re
import shutil
from pathlib import Path

import datasets
import numpy as np
import pytest
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


def test_each_takes_less_than_fifteen_lines() -> None:
    assert list(STUDIES) == ["pets", "kitchen", "animals", "balls"]
    for block in [*STUDIES.values(), SAVE, DATASET, LOOP]:
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


def test_the_loop_trains() -> None:
    names: dict[str, object] = {}
    exec(LOOP, names)
    assert all(p.grad.isfinite().all() for p in names["net"].parameters())
