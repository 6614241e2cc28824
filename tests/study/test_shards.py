"""Decoded samples are kept by default where that pays, and change nothing but time."""

import json
from io import StringIO
from pathlib import Path

import pytest
import torch
import yaml
from rich.console import Console
from tests.data.test_folders import numbers
from tests.data.test_folders import write as write_files
from tests.study.conftest import Notes

from tutelage.cache import entries
from tutelage.data.folder_dataset import FolderDataset
from tutelage.data.shards import Shard
from tutelage.study import Study, check_data, load_study, read_values, run_study
from tutelage.study.budget import passes
from tutelage.study.teachers import load_tensors
from tutelage.types import Sample


def study(root: Path, *flags: str) -> Study:
    """A study of four runs on files: a network for each of three tasks, and one for all."""
    values = {**read_values("rooms-tiny"), "methods": ["uniform"]}
    values["data"] = {"class_path": "tutelage.data.NYUv2", "init_args": {"root": str(root), "size": [32, 40]}}
    file = root / "study.yaml"
    file.write_text(yaml.safe_dump(values))
    return load_study(file, ["--batch-size", "2", "--epochs", "2", "--precision", "32-true", *flags])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for split, stems in (("train", numbers(4)), ("test", ["4", "5"])):
        write_files(tmp_path / split, stems, size=(36, 44))
    return tmp_path


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The images that were decoded."""
    seen: list[str] = []
    original = FolderDataset.__getitem__

    def counted(self: FolderDataset, index: int) -> Sample:
        seen.append(self.where(index))
        return original(self, index)

    monkeypatch.setattr(FolderDataset, "__getitem__", counted)
    return seen


def check(found: Study, write: bool = True) -> str:
    text = StringIO()
    check_data(found, Console(file=text, width=200), write=write)
    return text.getvalue()


def test_a_study_decodes_every_image_once_and_its_results_are_those_without_shards(
    root: Path, tmp_path: Path, decoded: list[str]
) -> None:
    flags = "--train.augment.class_path", "tutelage.data.Augment", "--max-steps", "3"
    outs = {mode: tmp_path / mode for mode in ("auto", "never")}
    for mode, out in outs.items():
        decoded.clear()
        found = study(root, "--out", str(out), *flags, *(() if mode == "auto" else ("--shards", mode)))
        assert found.objects.train.shards == mode
        assert check(found) == ("checking 6 images and their labels, once for these data\n" if mode == "auto" else "")
        run_study(found, Notes())
        assert (len(decoded) == 6) == (mode == "auto")
    runs = [path.relative_to(outs["auto"]) for path in outs["auto"].glob("**/student.safetensors")]
    assert len(runs) == 4
    for run in runs:
        one, other = (load_tensors(out / run, "run") for out in outs.values())
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)
        one, other = (json.loads((out / run.with_name("result.json")).read_text())["metrics"] for out in outs.values())
        assert one == other


@pytest.mark.parametrize(
    ("flags", "train", "test"),
    [
        ((), 8, 4),
        (("--epochs", "1"), 4, 4),
        (("--max-steps", "1"), 2, 4),  # of 2 images each, of 4
    ],
)
def test_how_often_four_runs_read_their_images(root: Path, flags: tuple[str, ...], train: float, test: float) -> None:
    objects = study(root, *flags).objects
    assert passes(objects, 4) == {"train": train, "test": test}
    assert passes(objects, 1) == {"train": train / 4, "test": 1}


def test_a_dry_run_keeps_nothing(root: Path) -> None:
    check(study(root), write=False)
    assert not list(entries("images"))
    check(study(root))
    assert len(list(entries("images"))) == 2


@pytest.mark.parametrize("write", [True, False])
def test_the_check_says_of_files_that_are_wrong_what_it_says_without_shards(root: Path, write: bool) -> None:
    (root / "train/depth/1.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"depth/1.png: expected a readable .png file, found .*; replace") as error:
        check(study(root), write)
    assert "\n" not in str(error.value)
    write_files(root / "train", ["1"], size=(36, 44))
    assert "which are new or have changed" in check(study(root), write)
    (root / "train/depth/1.png").write_bytes(b"broken, after a shard has it")
    with pytest.raises(ValueError, match=r"depth/1.png: expected a readable .png file"):
        check(study(root), write)


def test_images_in_memory_are_kept_for_other_processes_too(root: Path) -> None:
    found = study(root, "--data.cache", "true")
    check(found)
    assert isinstance(found.objects.data.decoded("train"), Shard)
