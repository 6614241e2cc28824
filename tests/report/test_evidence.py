from pathlib import Path

import pytest
import yaml
from tests.report.folder import TASKS, write

from tutelage.report import evidence

PATHS = {
    "class_path": "tutelage.data.Folders",
    "init_args": {"root": "/home/me/secret/kitchen", "url": "https://a.b/c/d"},
}


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = write(tmp_path / "study", seeds=(0, 1, 2))
    (folder / "study.yaml").write_text(yaml.safe_dump({"study": "kitchen", "data": PATHS}))
    return folder


def test_it_is_what_the_table_says_of_this_network(study: Path) -> None:
    found = evidence(study / "kd4mtl/seed1", TASKS)
    assert found is not None
    assert (found.study, found.method, found.seed, found.seeds) == ("kitchen", "kd4mtl (about kd4mtl)", 1, [0, 1, 2])
    miou = found.metrics[0]
    assert (miou.task, miou.name) == ("segmentation", "miou (%) ↑")
    assert (miou.value, miou.seeds, miou.single) == ("42.25", "42.25 ± 0.62", "40.25 ± 0.62")
    assert [metric.name for metric in found.metrics] == [
        "miou (%) ↑",
        "pixel_accuracy (%) ↑",
        "abs_err (m) ↓",
        "rel_err ↓",
    ]
    assert found.delta.startswith("+4.")
    assert " ± " in found.delta


def test_a_card_is_public_so_paths_keep_their_last_part_alone(study: Path) -> None:
    (study / "kd4mtl/seed0/environment.json").write_text(
        '{"command": "tutelage run /home/me/my.yaml --data.root=/data/a/b --with ~/x/overlay.yaml --out runs/kitchen"}'
    )
    found = evidence(study / "kd4mtl/seed0/student.safetensors", TASKS)
    assert found is not None
    assert found.commands == ["tutelage run …/my.yaml --data.root=…/b --with …/overlay.yaml --out runs/kitchen"]
    assert yaml.safe_load(found.data)["init_args"] == {"root": "…/kitchen", "url": "https://a.b/c/d"}


def test_of_one_seed_there_is_no_interval(tmp_path: Path) -> None:
    study = write(tmp_path / "study")
    found = evidence(study / "uniform/seed0", TASKS)
    assert found is not None
    assert all("±" not in metric.seeds + metric.single for metric in found.metrics)
    single = evidence(study / "single/depth/seed0", {"depth": TASKS["depth"]})
    assert single is not None
    assert (single.delta, {metric.task for metric in single.metrics}) == ("", {"depth"})
    assert all(not metric.single for metric in single.metrics)


def test_without_a_study_nothing_is_known(tmp_path: Path) -> None:
    (tmp_path / "kd4mtl/seed0").mkdir(parents=True)
    assert evidence(tmp_path / "kd4mtl/seed0", TASKS) is None


def test_a_study_without_results_of_the_run_is_one_line(study: Path) -> None:
    (study / "kd4mtl/seed7").mkdir()
    with pytest.raises(ValueError, match=r"results.json: expected results of kd4mtl with seed 7, found none; finish"):
        evidence(study / "kd4mtl/seed7", TASKS)
    (study / "results.json").unlink()
    with pytest.raises(ValueError, match=r"results.json: expected the results of a study, found no file"):
        evidence(study / "kd4mtl/seed0", TASKS)
