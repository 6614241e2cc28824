"""Teachers that give NaN or nothing, one task and twelve, one image, and a task without a label: of every distiller."""

import sys
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.study.conftest import built
from tests.wrong import base
from torch import Tensor

from tutelage.errors import UserError
from tutelage.study import Study, load_study, plan
from tutelage.study.execute import fabric_for
from tutelage.train import NonFiniteError, fit, training_loader
from tutelage.types import MultiTaskNet, Output
from tutelage.values import dump_yaml

# Every preset that distils from teachers, but `sak`, which needs a network of its own.
METHODS = ["bam", "born-again", "cs", "dto-kd", "joint-distill", "kd4mtl", "phi-s", "unic", "url"]
OWN_TEACHERS = ["mean-teacher", "okd-mtl"]  # which are trained beside the student


def study(folder: Path, method: str, tasks: int, **arguments: int) -> Study:
    """A study of `tests.study.many`, two epochs long."""
    values = base(methods=["uniform", method])  # whose student teaches `born-again`
    values["data"] = {"class_path": "tests.study.many.Many", "init_args": {"tasks": tasks, **arguments}}
    values["tasks"] = {f"task{i}": {"class_path": "tutelage.tasks.Depth"} for i in range(tasks)}
    values["net"]["init_args"] |= {"filters": [4, 4, 4, 4, 4]}
    values["train"] |= {"epochs": 2, "log_steps": 1}
    if arguments.get("images") == 1:
        values["train"]["batch_size"] = 1
    (folder / "study.yaml").write_text(dump_yaml(values))
    return load_study(folder / "study.yaml")


def train(study: Study, method: str) -> dict[str, Tensor]:
    """Calibrate and train the method's run; the student's weights."""
    spec = next(spec for spec in plan(study.values) if spec.method == method and spec.task is None)
    run, streams = built(study, spec, trained=False)
    objects = study.build(spec.config)
    if run.distiller is not None:
        samples = objects.data.split("train")
        run.distiller.calibrate(lambda labels: [torch.stack([samples[i]["image"] for i in range(len(samples))])])
    config = objects.train
    loader = training_loader(streams, objects.tasks, config, spec.seed, 0)
    fit(fabric_for(config), run, objects.tasks, loader, config, streams.length, spec.seed)
    assert run.step == streams.length.steps
    return run.student.state_dict()


@pytest.fixture
def taught(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let all that teachers give be one number."""

    def fill(value: float) -> None:
        teachers = sys.modules["tutelage.study.teachers"]
        load = teachers.load_teacher

        def load_teacher(*arguments: Any) -> MultiTaskNet:
            net = load(*arguments)
            forward = net.forward

            def constant(images: Tensor, tasks: Collection[str] | None = None) -> Output:
                output = forward(images, tasks)
                return replace(
                    output,
                    predictions={t: torch.full_like(x, value) for t, x in output.predictions.items()},
                    taps={
                        k: {t: torch.full_like(y, value) for t, y in x.items()}
                        if isinstance(x, dict)
                        else torch.full_like(x, value)
                        for k, x in output.taps.items()
                    },
                )

            net.forward = constant  # the network stays what it is in all else
            return net

        monkeypatch.setattr(teachers, "load_teacher", load_teacher)

    return fill


def check_finite(weights: dict[str, Tensor]) -> None:
    for name, weight in weights.items():
        assert bool(weight.isfinite().all()), name


@pytest.mark.parametrize("method", METHODS)
def test_a_teacher_that_gives_nan_ends_the_run_with_its_line(method: str, taught: Any, tmp_path: Path) -> None:
    taught(float("nan"))
    with pytest.raises(NonFiniteError, match=r"^not finite at step 1 .*: .*distill/|gradient.* step 1") as error:
        train(study(tmp_path, method, 2), method)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("method", METHODS)
def test_a_teacher_that_gives_nothing_leaves_the_weights_finite(method: str, taught: Any, tmp_path: Path) -> None:
    taught(0.0)
    check_finite(train(study(tmp_path, method, 2), method))


@pytest.mark.parametrize("method", [*METHODS, *OWN_TEACHERS])
def test_epochs_without_a_label_of_a_task(method: str, tmp_path: Path) -> None:
    check_finite(train(study(tmp_path, method, 2, unlabelled=8), method))  # of 8, which the check would refuse


@pytest.mark.parametrize("method", [*METHODS, *OWN_TEACHERS])
def test_one_task(method: str, tmp_path: Path) -> None:
    found = study(tmp_path, method, 1)
    if method == "dto-kd":
        with pytest.raises(UserError, match=r"balancer: expected two tasks or more for DTOKD, .*, found task0; take"):
            train(found, method)
    else:
        check_finite(train(found, method))


@pytest.mark.slow
@pytest.mark.parametrize("method", [*METHODS, *OWN_TEACHERS])
def test_twelve_tasks(method: str, tmp_path: Path) -> None:
    check_finite(train(study(tmp_path, method, 12), method))


@pytest.mark.parametrize("method", [*METHODS, *OWN_TEACHERS])
def test_one_image(method: str, tmp_path: Path) -> None:
    found = study(tmp_path, method, 2, images=1)
    if method == "joint-distill":
        with pytest.raises(UserError, match=r"train.batch_size: expected at most the 1 training images .* 1 x 2 per"):
            train(found, method)
    else:
        check_finite(train(found, method))
