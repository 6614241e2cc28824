"""What docs/tasks.md shows trains, as it stands there; what it says of the tasks is so."""

import inspect
import json
import math
import re
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tests.study.conftest import Notes
from tests.tasks.base import collate
from tests.test_wrong_inputs import line_of

from tutelage import data, tasks
from tutelage.cli import main
from tutelage.data import ClassesLabel, NumbersLabel
from tutelage.errors import UserError
from tutelage.study import load_study, run_study
from tutelage.types import MaskedTarget, MetricProtocol, Task

PAGE = (Path(__file__).parents[1] / "docs/tasks.md").read_text()
SHORT = ["--max-steps", "2", "--batch-size", "2", "--precision", "32-true", "--methods", "uniform"]
SCENES = ["--data.size", "[32, 40]", "--net.width", "0.0625"]
PETS = ["--data.size", "[16, 16]", "--net.filters", "[4, 4]", "--net.blocks", "1"]
SIZE = (32, 40)
PROTOCOLS: tuple[MetricProtocol, ...] = ("dataset", "image")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


BLOCKS = {next(iter(yaml.safe_load(block)["tasks"])): block for block in blocks("yaml")}  # by the task that each is of
ADDED = [t for t in BLOCKS if t not in ("segmentation", "animal")]  # the blocks that are laid over the first
MOMENTS, OWN = blocks("python")
TASKS: dict[str, Task] = {
    "Segmentation": tasks.Segmentation(),
    "HumanParts": tasks.HumanParts(),
    "Depth": tasks.Depth(),
    "InverseDepth": tasks.InverseDepth(),
    "Normals": tasks.Normals(),
    "Saliency": tasks.Saliency(),
    "Edges": tasks.Edges(),
    "Classification": tasks.Classification(2),
    "MultiLabel": tasks.MultiLabel(3),
    "Regression": tasks.Regression(4, unit="in `unit`"),
}


def picture(path: str, array: np.ndarray) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def text(path: str, *numbers: object) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(" ".join(map(str, numbers)) + "\n")


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that the page speaks of, in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("headings.py").write_text(OWN)
    for t, block in BLOCKS.items():
        Path(f"{t}.yaml").write_text(block)
    draw = np.random.default_rng(0).integers
    for split, count in (("train", 5), ("test", 3)):
        for i in range(count):
            root = f"scenes/{split}"
            picture(f"{root}/image/{i}.jpg", draw(0, 256, (*SIZE, 3), np.uint8))
            picture(f"{root}/label/{i}.png", np.where(draw(0, 9, SIZE) == 0, 255, draw(0, 13, SIZE)).astype(np.uint8))
            if i != 1:
                picture(f"{root}/parts/{i}.png", draw(0, 7, SIZE, np.uint8))
            picture(f"{root}/depth/{i}.png", draw(0, 5000, SIZE, np.uint16))
            picture(f"{root}/disparity/{i}.png", draw(0, 30000, SIZE, np.uint16))
            picture(f"{root}/normal/{i}.png", draw(0, 256, (*SIZE, 3), np.uint8))
            picture(f"{root}/saliency/{i}.png", 255 * draw(0, 2, SIZE, np.uint8))
            Path(f"{root}/edges").mkdir(exist_ok=True)
            np.save(f"{root}/edges/{i}.npy", draw(0, 20, SIZE) - 1 > 17)
            text(f"{root}/place/{i}.txt", i % 4)
            text(f"{root}/things/{i}.txt", i % 2, 0, 1, "nan", 1 - i % 2)
            text(f"{root}/pose/{i}.txt", 1.3 + 0.1 * i, 40 + i if i != 1 else "nan")
            text(f"{root}/heading/{i}.txt", 100 * i)
            picture(f"pets/{split}/cat/{i}.jpg", draw(0, 256, (20, 24, 3), np.uint8))
            picture(f"pets/{split}/dog/{i}.jpg", draw(0, 256, (20, 24, 3), np.uint8))


def assert_measured(rows: list[dict[str, Any]], config: dict[str, Task]) -> None:
    """Every metric of every task has a value, in both protocols, of its own network and of the one of all tasks."""
    assert [(row["method"], row["protocol"]) for row in rows] == list(product(("single", "uniform"), PROTOCOLS))
    for row in rows:
        assert set(row["metrics"]) == set(config)
        for t, task in config.items():
            assert list(row["metrics"][t]) == list(task.metric_info)
            assert None not in row["metrics"][t].values(), (t, row["protocol"])


# the configs


def test_every_task_has_a_config() -> None:
    shown = set(re.findall(r"class_path: tutelage\.tasks\.(\w+)", "".join(BLOCKS.values())))
    assert shown == set(TASKS)
    kinds = {f"{kind}Label" for kind in ("Class", "Classes", "Depth", "InverseDepth", "Mask", "Normals", "Numbers")}
    assert set(re.findall(r"kind: {class_path: tutelage\.data\.(\w+)", "".join(BLOCKS.values()))) == kinds


@pytest.mark.parametrize("task", ADDED)
def test_a_block_adds_its_task(there: None, task: str) -> None:
    config = load_study("segmentation.yaml", ["--with", f"{task}.yaml", *SCENES]).objects
    assert list(config.tasks) == ["segmentation", task]
    config.data.check(config.tasks)
    for split in ("train", "test"):
        sample = config.data.split(split)[0]
        label = sample["labels"][task]
        assert config.tasks[task].validate(label, sample["image"]) is None
        assert config.tasks[task].collate([label], sample["image"][None]).labelled().any()


def test_all_tasks_train_together(there: None) -> None:
    overlays = [flag for task in ADDED for flag in ("--with", f"{task}.yaml")]
    study = load_study("segmentation.yaml", [*overlays, *SCENES, *SHORT])
    assert {type(task).__name__ for task in study.objects.tasks.values()} == {*TASKS, "Heading"}
    assert_measured(run_study(study, Notes()), study.objects.tasks)  # without the page, whose plots would take longer


def test_class_folders_train(there: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "animal.yaml", *PETS, *SHORT]) == 0, capsys.readouterr().err
    assert Path("runs/pets/report.html").exists()
    assert_measured(
        json.loads(Path("runs/pets/results.json").read_text())["rows"], load_study("animal.yaml").objects.tasks
    )


def test_mean_and_std_of_the_training_labels(there: None) -> None:
    names: dict[str, Any] = {}
    exec(MOMENTS, names)
    torch.testing.assert_close(names["mean"], torch.tensor([1.5, 42.25]))
    torch.testing.assert_close(
        names["std"], torch.tensor([np.std([1.3, 1.4, 1.5, 1.6, 1.7]), np.std([40, 42, 43, 44])]).float()
    )
    tasks.Regression(2, names["mean"].tolist(), names["std"].tolist())


# the tables


def cells(task: str) -> list[str]:
    """What stands behind a task in the first and in the second table."""
    assert f"\n### {task}\n" in PAGE
    (first,) = re.findall(rf"^\| \[`{task}`\]\(#{task.lower()}\) \|(.*)\|$", PAGE, flags=re.MULTILINE)
    (second,) = re.findall(rf"^\| `{task}` \|(.*)\|$", PAGE, flags=re.MULTILINE)
    return [cell.strip() for cell in f"{first}|{second}".split("|")]


def test_all_tasks_are_here() -> None:
    concrete = {name for name in tasks.__all__ if not inspect.isabstract(getattr(tasks, name))}
    assert set(TASKS) == concrete


@pytest.mark.parametrize("name", TASKS)
def test_the_overview_says_what_the_task_says(name: str) -> None:
    task = TASKS[name]
    width, _, missing, _, c, position, _, metrics = cells(name)
    expected = {"Classification": "C", "Segmentation": "C", "MultiLabel": "C", "Regression": "D"}
    assert width == expected.get(name, str(task.width))
    images = torch.zeros(2, 3, 4, 5)
    target = task.collate([None] * 2, images)
    label = target.value
    assert {"\N{MINUS SIGN}": -1, "0": 0, "(": 0, "n": math.nan}[missing[0]] == pytest.approx(
        label.flatten()[0].item(), nan_ok=True
    )
    count = task.loss(
        torch.zeros(2, task.width, 4, 5), MaskedTarget(label, torch.ones_like(task.collate([None] * 2, images).valid))
    ).count
    positions = {"pixel": 40, "image": 2, "class of an image": 2 * task.width, "number of an image": 2 * task.width}
    assert count == positions[position]
    shown = []
    for metric, info in task.metric_info.items():
        words = f"`{metric}`", info.unit, "↑" if info.higher_is_better else "↓"
        shown.append(" ".join(filter(None, (f"**{words[0]}**" if metric == task.main else words[0], *words[1:]))))
    assert metrics == ", ".join(shown)
    assert c == ("2" if task.regression else "1")


@pytest.mark.parametrize("name", TASKS)
def test_the_protocols_are_told_of_every_metric(name: str) -> None:
    section = PAGE.split("## Two protocols")[1].split("\n## ")[0]
    told = {
        word for head in re.findall(r"^- \*\*(.*?)\*\*", section, flags=re.MULTILINE) for word in head.split("`")[1::2]
    }
    for metric in TASKS[name].metric_info:
        assert metric in told or (metric.startswith("within_") and "within_*" in told)


# what is easily got wrong


def test_masks_of_0_and_255(tmp_path: Path) -> None:
    mask = np.zeros((4, 6), np.uint8)
    mask[1:3] = 255
    for name, array in (("bytes", mask), ("bits", mask > 0), ("ones", mask // 255)):
        picture(str(tmp_path / f"{name}.png"), array)
    for kind, name in ((data.MaskLabel(), "bytes"), (data.MaskLabel(), "bits"), (data.MaskLabel(threshold=1), "ones")):
        assert kind.decode(tmp_path / f"{name}.png")[0].tolist() == (mask // 255).tolist()
    target = collate(tasks.Saliency(), ClassesLabel().decode(tmp_path / "bytes.png"))
    assert target.valid.any()
    assert not tasks.Saliency().is_sufficient(target)
    with pytest.raises(UserError, match="found 0 and 1; set the label's `threshold` to 1"):
        data.MaskLabel().decode(tmp_path / "ones.png")


def test_void_is_not_renumbered(tmp_path: Path) -> None:
    picture(str(tmp_path / "label.png"), np.array([[0, 1, 13, 255]], np.uint8))
    label = ClassesLabel(ignore=(0, 255)).decode(tmp_path / "label.png")[0]
    assert label.tolist() == [[-1, 1, 13, -1]]
    assert tasks.Segmentation(13).validate_values(label) is not None
    assert tasks.Segmentation(14).validate_values(label) is None


def test_thin_lines_vanish() -> None:
    line = torch.zeros(1, 96, 128, dtype=torch.int64)
    line[..., 40] = 1
    assert not ClassesLabel().resize(line, (96, 128), (24, 32)).any()


def test_an_inverse_depth_grows_with_the_scale(tmp_path: Path) -> None:
    picture(str(tmp_path / "disparity.png"), np.full((2, 2), 60000, np.uint16))
    right, wrong = data.InverseDepthLabel(), data.DepthLabel()
    assert right.decode(tmp_path / "disparity.png").unique().item() == pytest.approx(60000 / 65535)
    assert wrong.decode(tmp_path / "disparity.png").unique().item() == pytest.approx(60)
    assert (right.zoom(torch.tensor(1.0), 1.5), wrong.zoom(torch.tensor(1.0), 1.5)) == (1.5, pytest.approx(1 / 1.5))
    assert tasks.InverseDepth().validate_values(wrong.decode(tmp_path / "disparity.png")) is None


def test_the_loss_of_edges_begins_small() -> None:
    label = torch.zeros(1, 4, 5, dtype=torch.int64)
    label[0, 0, 0] = 1  # one in twenty
    found = {
        a: tasks.Edges(a, 1 - a).loss(torch.zeros(1, 1, 4, 5), MaskedTarget(label, label >= 0)).mean().item()
        for a in (0.95, 0.5)
    }
    assert found[0.95] == pytest.approx(0.066, abs=5e-4)
    assert 2 * found[0.5] == pytest.approx(0.693, abs=5e-4)
    assert (tasks.Edges().positive_weight, tasks.Edges().negative_weight) == (0.95, 0.05)


def test_a_positive_weight_moves_the_best_probability() -> None:
    a, share = 4.0, 0.2
    label = torch.zeros(1, 1, 5, dtype=torch.int64)
    label[..., 0] = 1
    best = a * share / (a * share + 1 - share)
    raw = torch.full((1, 1, 1, 5), math.log(best / (1 - best)), requires_grad=True)
    tasks.Saliency(a).loss(raw, collate(tasks.Saliency(), label)).mean().backward()
    assert raw.grad.sum().item() == pytest.approx(0, abs=1e-6)


def test_unknown_classes_are_nan(tmp_path: Path) -> None:
    text(str(tmp_path / "0.txt"), 1, 0, -1, "nan")
    assert "found -1; mend the file" in tasks.MultiLabel(4).validate_values(NumbersLabel().decode(tmp_path / "0.txt"))


def test_mean_is_a_list(there: None, capsys: pytest.CaptureFixture[str]) -> None:
    Path("pose.yaml").write_text(BLOCKS["pose"].replace("mean: [1.4, 40]", "mean: 1.4"))
    assert "mean: expected a list, found `1.4`" in line_of(["run", "segmentation.yaml", "--with", "pose.yaml"], capsys)


# a task of one's own


def test_the_example_is_short() -> None:
    assert len([line for line in OWN.splitlines() if line.strip() and "import" not in line]) <= 30


def test_the_example_works() -> None:
    names: dict[str, Any] = {}
    exec(OWN, names)
    task: Task = names["Heading"]()
    degrees = torch.tensor([[10.0], [350.0], [torch.nan], [-180.0]])
    raw = torch.randn(4, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    target = collate(task, degrees)
    assert target.valid.tolist() == [True, True, False, True]
    term = task.loss(raw, target)
    assert (term.count, bool(term.sum > 0)) == (3, True)
    (gradient,) = torch.autograd.grad(term.mean(), raw)
    assert gradient.isfinite().all()
    assert gradient.any(1).tolist() == target.valid.tolist()
    radians = degrees.nan_to_num().deg2rad()
    perfect = torch.cat([radians.cos(), radians.sin()], 1)
    assert task.loss(perfect, target).mean().item() == pytest.approx(0, abs=1e-6)
    assert task.distillation_loss(perfect, perfect).mean().item() == pytest.approx(0, abs=1e-6)
    images = torch.zeros(4, 3, 8, 8)
    assert task.loss(raw, task.collate([None] * 4, images)).mean() == 0
    torch.testing.assert_close(task.activate(raw[:, :, None, None].expand(-1, -1, 3, 4)), task.activate(raw))
    for protocol in PROTOCOLS:
        metric = task.metrics(protocol)
        metric.update(task.activate(perfect), target)
        assert metric.compute()["error"].item() == pytest.approx(0, abs=1e-3)
        metric.reset()
        metric.update(torch.tensor([[350.0], [20.0], [0.0], [180.0]]), target)
        assert metric.compute()["error"].item() == pytest.approx((20 + 30 + 0) / 3)
    assert task.draw(degrees[0], target.valid[0]).any()
    assert not task.draw(degrees[2], target.valid[2]).any()


def test_imitating_has_to_be_written_where_each_number_is_a_position() -> None:
    task, raw = tasks.Regression(2), torch.randn(3, 2)
    with pytest.raises(RuntimeError):
        tasks.MaskedTask.distillation_loss(task, raw, raw.flip(0))
    assert task.distillation_loss(raw, raw.flip(0)).count == 6
