"""How a study, its data or the folder of its runs are made wrong, each as a function of the test's folder."""

import copy
import pickle
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image
from tests.data.test_folders import numbers, write

from tutelage.study import read_values

Make = Callable[[Path, Path], list[str]]  # (the test's folder, a finished study's) -> the command
Change = Callable[[Path], object]  # something done to a folder
GONE = object()

ROOMS = {"class_path": "tutelage.data.Rooms", "init_args": {"train": 4, "test": 2, "size": [32, 32]}}
LABELS = {
    "segmentation": {"folder": "label", "kind": {"class_path": "tutelage.data.ClassesLabel"}},
    "depth": {"folder": "depth", "kind": {"class_path": "tutelage.data.DepthLabel", "init_args": {"scale": 0.04}}},
    "normals": {"folder": "normal", "kind": {"class_path": "tutelage.data.NormalsLabel"}},
}


def base(**changes: Any) -> dict[str, Any]:
    """The smallest study, with other values of some top-level keys."""
    values = {**read_values("rooms-tiny"), "methods": ["uniform"], "data": ROOMS}
    values["train"] = {**values["train"], "epochs": 1, "batch_size": 4, "precision": "32-true"}
    return copy.deepcopy({**values, **changes})


def command(*words: str) -> Make:
    """A command as it is."""
    return lambda folder, finished: list(words)


def flags(*words: str, **changes: Any) -> Make:
    """The smallest study with these flags."""

    def make(folder: Path, finished: Path) -> list[str]:
        (folder / "study.yaml").write_text(yaml.safe_dump(base(**changes)))
        return ["run", "study.yaml", *words]

    return make


def key(path: str, value: object = GONE) -> Make:
    """The smallest study with another value at a path, or without it."""

    def make(folder: Path, finished: Path) -> list[str]:
        values = node = base()
        *way, last = path.split(".")
        for name in way:
            node = node.setdefault(name, {})
        if value is GONE:
            del node[last]
        else:
            node[last] = value
        (folder / "study.yaml").write_text(yaml.safe_dump(values))
        return ["run", "study.yaml"]

    return make


def text(content: str | bytes) -> Make:
    """A study file that holds this."""

    def make(folder: Path, finished: Path) -> list[str]:
        (folder / "study.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
        return ["run", "study.yaml"]

    return make


def images(change: Change, *words: str, labels: dict[str, Any] | None = None, npy: bool = False) -> Make:
    """A small folder of images, NYU-v2's or with `labels` a general one, to whose train/ something was done."""

    def make(folder: Path, finished: Path) -> list[str]:
        change(write(folder / "data/train", numbers(10), npy=npy, size=(36, 44)))
        data = {"class_path": "tutelage.data.NYUv2", "init_args": {"size": [32, 40]}}
        if labels is not None:
            data = {"class_path": "tutelage.data.Folders", "init_args": {"labels": labels}}
        (folder / "study.yaml").write_text(yaml.safe_dump(base(data=data)))
        return ["run", "study.yaml", "--data.root", "data", *words]

    return make


def runs(*changes: Change, words: Iterable[str] = (), report: bool = False) -> Make:
    """The folder of a finished study, `runs`, to which something was done."""

    def make(folder: Path, finished: Path) -> list[str]:
        shutil.copytree(finished / "runs", folder / "runs", dirs_exist_ok=True)
        for change in changes:
            change(folder / "runs")
        return ["report", "runs"] if report else ["run", str(finished / "study.yaml"), "--out", "runs", *words]

    return make


def nothing(folder: Path) -> None: ...


def removed(*names: str) -> Change:
    """Without these files and folders."""

    def change(folder: Path) -> None:
        for path in (folder / name for name in names):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


def renamed(name: str) -> Change:
    """With an x before the name of every file of a folder."""

    def change(folder: Path) -> None:
        for path in list((folder / name).iterdir()):
            path.rename(path.with_name(f"x{path.name}"))

    return change


def holding(name: str, content: str | bytes | np.ndarray) -> Change:
    """With a file that holds text, bytes or an array, as picture or .npy."""

    def change(folder: Path) -> None:
        path = folder / name
        if isinstance(content, np.ndarray):
            np.save(path, content) if path.suffix == ".npy" else Image.fromarray(content).save(path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return change


def everywhere(name: str, value: int, shape: tuple[int, ...] = (36, 44)) -> Change:
    """With one value in all pictures of a folder."""

    def change(folder: Path) -> None:
        for path in (folder / name).iterdir():
            Image.fromarray(np.full(shape, value, np.uint8)).save(path)

    return change


def copied(source: str, target: str) -> Change:
    """With one file in another's place."""
    return lambda folder: shutil.copy(folder / source, folder / target)


class Evil:
    """What a pickle does when it is loaded: leave a file `executed`."""

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("executed"),))


def evil(name: str, zipped: bool) -> Change:
    """With code in a checkpoint, as torch writes it or as a bare pickle."""

    def change(folder: Path) -> None:
        if zipped:
            torch.save({"student": Evil()}, folder / name)
        else:
            (folder / name).write_bytes(pickle.dumps({"student": Evil()}))

    return change
