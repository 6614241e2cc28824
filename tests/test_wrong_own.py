"""What people get wrong with data of their own: each is one line, before anything is trained."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from tests.test_wrong_inputs import line_of

from tutelage.cli import main

OWN = '''
import numpy as np
from torch.utils.data import Dataset

class Own(Dataset):
    """Image 7 is what `change` says."""

    def __init__(self, change: str = "", count: int = 10):
        self.change, self.count = change, count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        image = np.full((12, 16, 3), 100 + index, np.uint8)
        item = {"image": image, "labels": {"colour": index % 3, "place": [0.1, 0.7]}}
        if index == 7 and self.change == "another size":
            item["image"] = item["image"][:11]
        elif index == 7 and self.change == "ragged":
            item["labels"]["place"] = [0.1]
        elif index == 7 and self.change == "a class too many":
            item["labels"]["colour"] = 3
        elif index == 7 and self.change == "an error":
            raise OSError("no file 7")
        elif self.change == "no class at all":
            item["labels"]["colour"] = -1
        return item

class Plain:
    pass
'''
STUDY = """
study: own
data:
  class_path: tutelage.data.FromDataset
  init_args:
    train: {class_path: own.Own}
    modalities: {colour: {class_path: tutelage.data.ClassLabel}, place: {class_path: tutelage.data.NumbersLabel}}
tasks:
  colour: {class_path: tutelage.tasks.Classification, init_args: {classes: 3}}
  place: {class_path: tutelage.tasks.Regression, init_args: {outputs: 2}}
net: {class_path: tutelage.nets.ResNet, init_args: {filters: [4, 4], blocks: 1}}
methods: [uniform]
"""
Change = Callable[[dict[str, Any]], object]


def change(what: str) -> Change:
    return lambda study: study["data"]["init_args"].update(
        train={"class_path": "own.Own", "init_args": {"change": what}}
    )


def argument(**values: object) -> Change:
    return lambda study: study["data"]["init_args"].update(values)


def source(name: str, **arguments: object) -> Change:
    """Another source of the task `colour` alone."""

    def apply(study: dict[str, Any]) -> None:
        study["data"] = {"class_path": f"tutelage.data.{name}", "init_args": arguments}
        study["tasks"].pop("place")

    return apply


CLASS = {"class_path": "tutelage.data.ClassLabel"}
CASES: dict[str, tuple[Change, str]] = {
    "no such class": (
        argument(train={"class_path": "own.Owl"}),
        r"train: expected a class, found no `Owl` in own",
    ),
    "no dataset": (argument(train={"class_path": "own.Plain"}), r"train: expected a subclass of Dataset, found own.Pl"),
    "no kind": (
        argument(modalities={"colour": {"class_path": "tutelage.tasks.Depth"}}),
        r"modalities: expected a subclass of Modality, found tutelage.tasks.Depth",
    ),
    "a task without labels": (
        lambda study: study["tasks"].update(shape=study["tasks"]["colour"]),
        r"tasks.shape: expected the name of a label of the data \(colour, place\), found `shape`",
    ),
    "a label without a kind": (argument(modalities={"colour": CLASS}), r"tasks.place: expected the name of a label"),
    "another task": (
        lambda study: study["tasks"].update(place=study["tasks"]["colour"]),
        r"tasks.place: expected labels of class for Classification, found numbers \(NumbersLabel\) in data; give",
    ),
    "another size": (change("another size"), r"data.train\[7\]: expected 12x16, the size of .*, found 11x16; set data"),
    "ragged": (change("ragged"), r"data.train\[7\], label `place`: expected float32 \[2\] .*float32 \[1\]; give"),
    "a class too many": (change("a class too many"), r"data.train\[7\], label `colour`: expected .* 0..2, .*found 3;"),
    "an error": (change("an error"), r"data.train\[7\]: expected a sample, found OSError: no file 7; correct"),
    "no class at all": (
        change("no class at all"),
        r"label `colour`: expected a value for `colour` .*, found none in 8",
    ),
    "too small": (argument(size=[3, 8]), r"ResNet: expected images of at least 4x4, found \(3, 8\)"),
    "no folder of classes": (
        source("ClassFolders", root="nowhere", task="colour"),
        r"data.root: expected a file or folder, found none at nowhere",
    ),
    "folders of several sizes": (
        source("ClassFolders", root="folders", task="colour"),
        r"folders/train/\w+/\d.png: expected \d+x16, the size of folders/.*, found \d+x16; set data.size, or",
    ),
    "nothing saved": (
        source("HuggingFace", data="nowhere", labels={"colour": {"column": "label", "kind": CLASS}}),
        r"data.data: expected a folder that `save_to_disk` wrote, found FileNotFoundError in nowhere: .*; write",
    ),
    "a column without kind": (
        source("HuggingFace", data="nowhere", labels={"colour": {"column": "label"}}),
        r"data.labels.colour.kind: expected a value, found none",
    ),
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Change], list[str]]:
    """Writes the study, changed, and gives its command."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own", raising=False)
    monkeypatch.setattr(sys.modules["tutelage.study.execute"], "fit", lambda *_: pytest.fail("something was trained"))
    (tmp_path / "own.py").write_text(OWN)
    for name, height in (("cat", 12), ("dog", 13)):
        (tmp_path / "folders/train" / name).mkdir(parents=True)
        for i in range(4):
            pixels = np.full((height, 16, 3), 100, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "folders/train" / name / f"{i}.png")

    def write(change: Change) -> list[str]:
        study = yaml.safe_load(STUDY)
        change(study)
        (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
        return ["run", "study.yaml", "--batch-size", "2"]

    return write


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_input_is_one_line(
    name: str, run: Callable[[Change], list[str]], capsys: pytest.CaptureFixture
) -> None:
    wrong, line = CASES[name]
    assert re.search(line, line_of(run(wrong), capsys))


@pytest.mark.parametrize(
    "right", [lambda study: None, source("ClassFolders", root="folders", task="colour", size=[8, 8])]
)
def test_without_what_is_wrong_they_would_be_trained(right: Change, run: Callable[[Change], list[str]]) -> None:
    with pytest.raises(pytest.fail.Exception, match="something was trained"):
        main(run(right))
