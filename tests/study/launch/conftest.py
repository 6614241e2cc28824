"""A small study, trained one run after the other with one thread: what every launcher has to arrive at."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tests.study.conftest import Notes
from tests.train.fixture import assert_same

from tutelage.study import Study, load_study, plan, read_values, run_study
from tutelage.study.teachers import load_tensors

TASKS = ("segmentation", "depth")


FLAGS = ["--epochs", "2", "--data.train", "12", "--data.test", "4", "--precision", "32-true", "--batch-size", "4",
         "--checkpoint-steps", "2", "--log-steps", "1", "--methods", "uniform,kd4mtl",
         "--method.kd4mtl.distiller.weights", "null"]  # fmt: skip


def written(folder: Path, out: str, of: tuple[str, ...] = TASKS, how: str = "", at: int = 3) -> Path:
    """The file of a study with a network that fails once: that of the tasks `of`, in the way `how`, at the step `at`.

    All values but these are the same for every study in `folder`, and so are the results.
    """
    values = read_values("rooms-tiny")
    net = {"filters": [8, 8, 8, 8, 8], "how": str(folder / "how"), "of": list(of), "at": at}
    values["net"] = {"class_path": "tests.study.launch.fragile_net.FragileNet", "init_args": net}
    values["tasks"] = {t: values["tasks"][t] for t in TASKS}
    if how:
        (folder / "how").write_text(how)
    file = folder / f"{out}.yaml"
    file.write_text(yaml.safe_dump(values))
    return file


def fragile(folder: Path, out: str, *flags: str, of: tuple[str, ...] = TASKS, how: str = "", at: int = 3) -> Study:
    """Four runs of six steps with such a network, and with a checkpoint after every second step."""
    return load_study(written(folder, out, of, how, at), [*FLAGS, "--out", str(folder / out), *flags])


def assert_equal(study: Study, other: Study) -> None:
    """The same students, predictions and results, whoever trained them."""
    for spec in plan(study.values):
        for name in ("student.safetensors", "predictions.safetensors"):
            assert_same(*(load_tensors(x.folder / spec.id / name) for x in (study, other)))
        mine, theirs = (_timeless(json.loads((x.folder / spec.id / "result.json").read_text())) for x in (study, other))
        assert mine == theirs
    mine, theirs = (_timeless(json.loads((x.folder / "results.json").read_text())) for x in (study, other))
    assert mine == theirs


def _timeless(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _timeless(x) for key, x in value.items() if key not in ("seconds", "digest")}
    return [_timeless(x) for x in value] if isinstance(value, list) else value


@pytest.fixture(scope="session")
def one_by_one(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The finished study."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    study = fragile(tmp_path_factory.mktemp("launch"), "study")
    run_study(study, Notes())
    torch.set_num_threads(threads)
    return study
