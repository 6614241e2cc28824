"""The preset methods of later papers: each builds from YAML and takes a step with a gradient for all it trains."""

from pathlib import Path

import pytest
import torch
from tests.study.conftest import built, overlaid

from tutelage.study import Study, plan
from tutelage.train import PartialStep, Training, make_batch, training_step
from tutelage.types import Batch

LATER = ["cs", "dto-kd", "phi-s", "unic", "okd-mtl"]
TEACHER = "teachers: {multi: {tasks: [segmentation, depth, normals]}}\n"


def batches(study: Study, draws: int) -> list[list[list[Batch]]]:
    """One part with one batch of two images for every draw."""
    samples = study.objects.data.split("train")
    return [[[make_batch([samples[2 * n], samples[2 * n + 1]], study.objects.tasks)]] for n in range(draws)]


def step(run: Training, study: Study) -> None:
    run.train()
    run.begin_step(0.5, True)
    for n, parts in enumerate(batches(study, run.balancer.draws)):
        for part, reduce in zip(parts, PartialStep.split(parts, run.distiller, n), strict=True):
            training_step(part, run.student, study.objects.tasks, run.distiller, run.balancer, reduce)
    run.balancer.finish()


@pytest.mark.parametrize("teachers", ["", TEACHER], ids=["a teacher per task", "one teacher"])
def test_a_step_of_each(teachers: str, tmp_path: Path) -> None:
    study = overlaid(tmp_path / "out", f"methods: [{', '.join(LATER)}]\n{teachers}")
    for spec in (spec for spec in plan(study.values) if spec.method in LATER):
        torch.manual_seed(0)
        run, _ = built(study, spec, trained=False)
        step(run, study)
        trained = [p for module in run.modules().values() for p in module.parameters() if p.requires_grad]
        assert all(p.grad is not None and p.grad.isfinite().all() for p in trained), spec.method
