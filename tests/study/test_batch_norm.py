"""The statistics of batch norm that a network is evaluated with."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.study.conftest import Notes, tiny
from torch import Tensor, nn

from tutelage.study import execute, plan
from tutelage.study.build import norm_batches
from tutelage.study.teachers import load_tensors

FLAGS = ("--methods", "uniform", "--epochs", "2")


def single(folder: Path, *flags: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights and the result of a single-task network of depth."""
    study = tiny(folder, *FLAGS, *flags)
    [spec] = [spec for spec in plan(study.values) if spec.task == "depth"]
    execute(spec, folder, Notes())
    place = folder / spec.id
    return load_tensors(place / "student.safetensors"), json.loads((place / "result.json").read_text())


def first_norm(net: nn.Module) -> tuple[str, nn.BatchNorm2d]:
    return next((name, module) for name, module in net.named_modules() if isinstance(module, nn.BatchNorm2d))


def test_estimated_statistics_are_those_of_the_final_weights(tmp_path: Path) -> None:
    running, _ = single(tmp_path / "running")
    weights, _ = single(tmp_path / "estimated", "--train.batch_norm", "estimated")
    study = tiny(tmp_path / "estimated", *FLAGS, "--train.batch_norm", "estimated")
    [spec] = [spec for spec in plan(study.values) if spec.task == "depth"]
    objects = study.build(spec.config)
    net = objects.net({"depth": 1})
    net.load_state_dict(weights)
    name, norm = first_norm(net)
    moments: list[tuple[Tensor, Tensor]] = []
    norm.register_forward_pre_hook(
        lambda _, inputs: moments.append((inputs[0].mean((0, 2, 3)), inputs[0].var((0, 2, 3))))
    )
    batches = list(norm_batches(objects, objects.train, torch.device("cpu")))
    assert sum(map(len, batches)) == 16  # all of them
    with torch.no_grad():
        for images in batches:
            net.eval()(images)
    for key, values in (("running_mean", [m for m, _ in moments]), ("running_var", [v for _, v in moments])):
        expected = torch.stack(values).mean(0)
        torch.testing.assert_close(weights[f"{name}.{key}"], expected, rtol=1e-4, atol=1e-6)
        assert not torch.allclose(running[f"{name}.{key}"], expected, rtol=1e-2)
    learnt = [key for key in running if not key.endswith(("running_mean", "running_var", "num_batches_tracked"))]
    assert all(torch.equal(running[key], weights[key]) for key in learnt)


def test_a_run_that_stopped_before_its_evaluation_estimates_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ("--train.batch_norm", "estimated")
    once, _ = single(tmp_path / "once", *flags)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["tutelage.study.execute"], "evaluate", killed)
    with pytest.raises(KeyboardInterrupt):
        single(tmp_path / "twice", *flags)
    monkeypatch.undo()
    again, _ = single(tmp_path / "twice", *flags)
    assert all(torch.equal(once[key], again[key]) for key in once)


@pytest.mark.parametrize(("images", "size", "expected"), [(7, 2, [2, 2, 2]), (9, 4, [4, 4]), (3, 1, [1, 1, 1])])
def test_a_rest_of_one_image_is_left_out(
    images: int, size: int, expected: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tutelage.study import build

    def batches(*_: object) -> Iterator[Tensor]:
        yield from torch.zeros(images, 3, 4, 4).split(size)

    monkeypatch.setattr(build, "some_images", batches)
    study = tiny(tmp_path, "--batch-size", str(size))
    objects = study.build(plan(study.values)[0].config)
    assert [len(x) for x in norm_batches(objects, objects.train, torch.device("cpu"))] == expected
