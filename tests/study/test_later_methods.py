"""The preset methods of later papers, and ours: each builds from YAML and gives all it trains a gradient."""

import json
from pathlib import Path

import pytest
import torch
from tests.study.conftest import Notes, built, overlaid, tiny

from tutelage.errors import UserError
from tutelage.study import Study, execute, plan
from tutelage.study.teacher_cache import read_needs
from tutelage.train import PartialStep, Training, make_batch, training_step
from tutelage.types import Batch

LATER = [
    "cs",
    "dto-kd",
    "phi-s",
    "unic",
    "okd-mtl",
    "born-again",
    "mean-teacher",
    "auto-lambda",
    "moml",
    "joint-distill",
    "scale-invariant",
    "recommended",
    "noisy-student",
]
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
    study = overlaid(tmp_path / "out", f"methods: [uniform, {', '.join(LATER)}]\n{teachers}")
    for spec in (spec for spec in plan(study.values) if spec.method in LATER):
        torch.manual_seed(0)
        run, _ = built(study, spec, trained=False)
        if spec.method in ("okd-mtl", "mean-teacher"):  # networks that change are never cached
            assert read_needs(run, {}) == {}
        step(run, study)
        trained = [p for module in run.modules().values() for p in module.parameters() if p.requires_grad]
        assert all(p.grad is not None and p.grad.isfinite().all() for p in trained), spec.method


def test_recommended_takes_the_logarithm_of_a_loss_with_its_distillation(tmp_path: Path) -> None:
    study = overlaid(tmp_path / "out", "methods: [recommended]")
    run, _ = built(study, plan(study.values)[-1], trained=False)
    run.train()
    run.begin_step(0.5, True)
    [parts] = batches(study, 1)
    [reduce] = PartialStep.split(parts, run.distiller, 0)
    terms, weights = training_step(parts[0], run.student, study.objects.tasks, run.distiller, run.balancer, reduce)
    for t, term in reduce(terms).task.items():
        taught = [reduce(terms).distill[name].mean() for name in (t, f"scale-invariant/{t}")]
        torch.testing.assert_close(weights[t], 1 / (term.mean() + sum(taught)))


def test_noisy_student_is_recommended_taught_by_the_student_before(tmp_path: Path) -> None:
    text = "methods: [scale-invariant, recommended, noisy-student, third]\n"
    study = overlaid(tmp_path / "out", text + "method: {third: {base: noisy-student, taught_by: noisy-student}}\n")
    method = study.values["method"]
    for key in ("balancer", "distiller", "search"):
        assert method["noisy-student"][key] == method["third"][key] == method["recommended"][key]
    assert {name: x["values"] for name, x in method.items()} == dict.fromkeys(method, "own") | {
        "scale-invariant": "own"
    }
    specs = {spec.method: spec for spec in plan(study.values)}
    singles = tuple(f"single/{t}/seed0" for t in study.objects.tasks)
    assert specs["recommended"].needs == (*singles, "scale-invariant/seed0")
    assert specs["noisy-student"].needs == ("scale-invariant/seed0",)
    assert specs["third"].needs == ("noisy-student/seed0",)
    assert [teacher.tasks for teacher in specs["third"].teachers] == [tuple(study.objects.tasks)]


def test_a_preset_builds_on_the_method_of_the_study(tmp_path: Path) -> None:
    text = "methods: [scale-invariant, noisy-student]\nmethod: {recommended: {lr: 0.5}}\n"
    assert overlaid(tmp_path / "out", text).values["method"]["noisy-student"]["lr"] == 0.5
    for base in ("", ", a: {base: recommended}"):
        wrong = text.replace("{lr: 0.5}", f"3{base}").replace("noisy-student]", "a]" if base else "noisy-student]")
        with pytest.raises(UserError, match=r"method.recommended: expected keys and values of a method, found `3`"):
            overlaid(tmp_path / "wrong", wrong)
    with pytest.raises(UserError, match=r"method.recommended.base: expected one of .*found `noisy-student`"):
        overlaid(tmp_path / "circle", text.replace("lr: 0.5", "base: noisy-student"))


def test_networks_beside_the_student_have_its_learning_rate(tmp_path: Path) -> None:
    study = overlaid(tmp_path / "out", "methods: [okd-mtl]\nmethod: {okd-mtl: {lr: 0.5}}\n")
    (spec,) = (spec for spec in plan(study.values) if spec.method == "okd-mtl")
    run, _ = built(study, spec, trained=False)
    lr = run.optimisers.lr()
    assert lr["student"] == lr["networks"] == 0.5 != lr["adaptors"]


SAK_NET = "{class_path: tutelage.nets.SAK, init_args: {encoder: test_resnet, decoder_args: {decoder_channels: 8}}}"


def test_sak_with_its_network(tmp_path: Path) -> None:
    pytest.importorskip("segmentation_models_pytorch", reason="SAK has encoders of timm and decoders of smp")
    study = overlaid(tmp_path / "out", f"methods: [sak]\nnet: {SAK_NET}\n")
    (spec,) = (spec for spec in plan(study.values) if spec.method == "sak")
    run, _ = built(study, spec, trained=False)
    step(run, study)
    assert all(path.scale.grad.any() for path in run.student.paths.values())


def test_a_moving_average_is_never_cached(tmp_path: Path) -> None:
    flags = ["--train.augment", "null", "--train.teacher_cache.mode", "always", "--max-steps", "1"]
    study = tiny(tmp_path / "out", "--methods", "mean-teacher", *flags)
    (spec,) = (spec for spec in plan(study.values) if spec.method == "mean-teacher")
    assert spec.needs == ()
    execute(spec, study.folder, Notes().run("", 0, 1), study.build)
    assert json.loads((study.folder / spec.id / "teacher_cache.json").read_text())["read"] == []
