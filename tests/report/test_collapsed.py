"""Networks that predict the same everywhere are named wherever their Delta is read."""

from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file, save_file
from tests.report.folder import TASKS, write
from tests.report.page import page

from tutelage.report import markdown, notebook, tables
from tutelage.report.collapsed import collapsed
from tutelage.report.results import Results
from tutelage.tasks import Edges, Normals, Regression
from tutelage.types import Task

DRAW = torch.Generator().manual_seed(0)


def predict(folder: Path, run: str, **predictions: torch.Tensor) -> None:
    """Replace predictions in the file of a run."""
    path = folder / run / "predictions.safetensors"
    tensors = load_file(path) | {f"prediction/{t}": value for t, value in predictions.items()}
    save_file({name: value.contiguous() for name, value in tensors.items()}, path)


def test_networks_that_vary_need_no_sentence(tmp_path: Path) -> None:
    assert collapsed(Results(write(tmp_path), TASKS)) == ""
    assert "Hardly trained" not in page(tmp_path).text


def test_one_class_and_one_depth_are_said_in_every_table(tmp_path: Path) -> None:
    write(tmp_path)
    classes, depth = torch.zeros(2, 8, 12).short(), torch.full((2, 1, 8, 12), 0.5).half()
    classes[:, 0, 0] = 3  # 2 of 96 positions
    predict(tmp_path, "single/depth/seed0", depth=depth)
    predict(tmp_path, "kd4mtl/seed0", depth=depth + 0.02 * torch.rand(2, 1, 8, 12).half(), segmentation=classes)
    expected = "Hardly trained: single (depth); kd4mtl (segmentation, depth). "
    assert collapsed(Results(tmp_path, TASKS)).startswith(expected)
    console = Console(width=300)
    with console.capture() as captured:
        for shown in tables(tmp_path, TASKS, 300):
            console.print(shown)
    for text in (captured.get(), page(tmp_path).text, notebook(tmp_path, TASKS), markdown(tmp_path, TASKS)):
        assert text.count(expected) == 1


@pytest.mark.parametrize(
    ("task", "target", "constant"),
    [
        (
            Normals(),
            torch.randn(2, 3, 4, 4, generator=DRAW),
            torch.tensor([0.0, 0.0, 1.0]).view(1, 3, 1, 1).expand(2, 3, 4, 4),
        ),
        (Edges(), (torch.rand(2, 4, 4, generator=DRAW) > 0.8).short(), torch.full((2, 4, 4), 0.2)),
        (
            Regression(outputs=2),
            torch.randn(2, 2, generator=DRAW) + torch.tensor([0.0, 90.0]),
            torch.tensor([[0.0, 90.0]] * 2),
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Task) else "",
)
def test_a_constant_of_any_task(tmp_path: Path, task: Task, target: torch.Tensor, constant: torch.Tensor) -> None:
    write(tmp_path)
    path = tmp_path / "uniform/seed0/predictions.safetensors"
    valid = torch.ones(2, *target.shape[2 if target.ndim == 4 else 1 :], dtype=torch.bool)
    shown = {"target/new": target, "valid/new": valid, "prediction/new": constant.contiguous()}
    results = Results(tmp_path, {"new": task})
    save_file({**load_file(path), **shown}, path)
    assert "Hardly trained: uniform (new). " in collapsed(results)
    noise = torch.randn(constant.shape, generator=torch.Generator().manual_seed(0))
    save_file({**load_file(path), "prediction/new": constant + noise}, path)
    assert collapsed(results) == ""


def test_labels_of_one_class_say_nothing_of_a_network(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "kd4mtl/seed0/predictions.safetensors"
    same = torch.ones(2, 8, 12).short()
    save_file({**load_file(path), "target/segmentation": same.clone(), "prediction/segmentation": same}, path)
    assert collapsed(Results(tmp_path, TASKS)) == ""


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float8_e4m3fn])
def test_types_that_numpy_lacks_are_no_predictions(tmp_path: Path, kind: torch.dtype) -> None:
    write(tmp_path)
    predict(tmp_path, "kd4mtl/seed0", depth=torch.zeros(2, 1, 8, 12).to(kind))
    assert collapsed(Results(tmp_path, TASKS)) == ""


@pytest.mark.parametrize("shape", [(2, 9), (2, 8, 13), (3, 1, 1, 8, 12)])
def test_shapes_that_do_not_fit_are_no_predictions(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = write(tmp_path) / "kd4mtl/seed0/predictions.safetensors"
    save_file(load_file(path) | {"valid/depth": torch.ones(shape, dtype=torch.bool)}, path)
    assert collapsed(Results(tmp_path, TASKS)) == ""
