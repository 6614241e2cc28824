"""Every data set of docs/data.md trains with the config that stands there."""

import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from tests.data.digit_files import write_mnist, write_omniglot, write_svhn, write_usps

from tutelage import data
from tutelage.cli import main
from tutelage.data import DataSource

PAGE = (Path(__file__).parents[1] / "docs/data.md").read_text()
ELSEWHERE = {"ClassFolders", "FromDataset", "HuggingFace"}  # docs/own.md
INSIDE = {"HoldOut"}  # of `tutelage tune`


def configs() -> dict[str, dict]:
    """Class -> the page's config of it."""
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    found = [values["data"] for block in blocks for values in yaml.safe_load_all(block)]
    return {config["class_path"].rpartition(".")[2]: config for config in found}


def names() -> set[str]:
    kinds = {name: getattr(data, name) for name in data.__all__}
    return {n for n, kind in kinds.items() if isinstance(kind, type) and issubclass(kind, DataSource)} - {"DataSource"}


def test_every_source_has_a_config() -> None:
    assert set(configs()) == names() - ELSEWHERE - INSIDE


def picture(path: Path, size: tuple[int, ...], below: int = 256, values: type = np.uint8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.random.default_rng(0).integers(1, below, size).astype(values)
    Image.fromarray(array * 20 if values is np.uint16 else array).save(path)


def write_scenes(root: Path, values: type = np.uint16) -> None:
    for i in range(12):
        for split in ("train", "test"):
            picture(root / split / f"image/{i}.png", (64, 96, 3))
            picture(root / split / f"normal/{i}.png", (64, 96, 3))
            picture(root / split / f"depth/{i}.png", (64, 96), values=values)
            for label in ("label", "label7"):
                picture(root / split / f"{label}/{i}.png", (64, 96), below=7)


WRITE = {
    "nyuv2": partial(write_scenes, values=np.uint8),
    "cityscapes": write_scenes, "kitchen": write_scenes, "streets": write_scenes,
    "mnist": write_mnist, "usps": write_usps, "svhn": write_svhn, "omniglot": write_omniglot,
}  # fmt: skip


def made(value: object, folder: Path) -> object:
    """The config with files of its structure where its roots are, small images, and little of what a program makes."""
    if not isinstance(value, dict):
        return value
    value = {key: made(item, folder) for key, item in value.items()}
    if "root" in value:
        path = Path(value["root"])
        value["root"] = str(folder / path.name)
        for kind in [path.name] if path.name in WRITE else path.name.split("-"):
            WRITE[kind](folder / path.name)
    if isinstance(value.get("size"), list):
        value["size"] = [max(32, pixels // 64 * 16) for pixels in value["size"]]
    return value | {key: 8 for key in ("train", "test") if isinstance(value.get(key), int)}


DENSE = {
    "segmentation": {"class_path": "tutelage.tasks.Segmentation", "init_args": {"classes": 13}},
    "depth": {"class_path": "tutelage.tasks.Depth"},
    "normals": {"class_path": "tutelage.tasks.Normals"},
}
STREETS = {**DENSE, "depth": {"class_path": "tutelage.tasks.InverseDepth"}}
STREETS.pop("normals")
TASKS = {
    **dict.fromkeys(("Folders", "HideLabels", "Mix", "NYUv2", "Rooms"), DENSE),
    "Cityscapes": STREETS,
    **{name: {"left": 10, "right": 10} for name in ("MultiMnist", "OverlaidDigits")},
    "Mnist": {"mnist": 10}, "Usps": {"usps": 10}, "Svhn": {"svhn": 10}, "Omniglot": {"omniglot": 1623},
    "MnistUsps": {"mnist": 10, "usps": 10}, "SvhnOmniglot": {"svhn": 10, "omniglot": 1623},
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(names() - ELSEWHERE - INSIDE))
def test_it_trains(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(tmp_path)
    net = {"class_path": "tutelage.nets.ResNet", "init_args": {"filters": [8, 8]}}
    if TASKS[name] in (DENSE, STREETS):
        net = {"class_path": "tutelage.nets.SegNet", "init_args": {"filters": [8, 8, 8, 8, 8]}}
    tasks = {
        t: task
        if isinstance(task, dict)
        else {"class_path": "tutelage.tasks.Classification", "init_args": {"classes": task}}
        for t, task in TASKS[name].items()
    }
    study = {"study": "page", "data": made(configs()[name], tmp_path), "tasks": tasks, "net": net}
    Path("study.yaml").write_text(yaml.safe_dump({**study, "methods": ["uniform"]}))
    status = main(["run", "study.yaml", "--max-steps", "1", "--batch-size", "3", "--precision", "32-true"])
    assert status == 0, capsys.readouterr().err
