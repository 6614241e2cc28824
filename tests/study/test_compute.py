"""The operations of a training step, against the sum of its parts."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from tests.study.conftest import Notes, built, overlaid, tiny
from tests.study.test_named_teachers import BACKBONE
from tests.study.test_sources import INDOOR, STREETS, plain
from tests.study.test_sources import study as of_sources
from torch.utils.flop_counter import FlopCounterMode

from tutelage.study import Study, load_study, plan, read_values, run_study
from tutelage.study.compute import step_operations
from tutelage.study.execute import fabric_for
from tutelage.study.showing import save_showing
from tutelage.train import save_safetensors


def counts(study: Study) -> dict[str, dict[str, int]]:
    found = {}
    for spec in plan(study.values):
        objects = study.build(spec.config)
        found[spec.id] = step_operations(spec, objects, study.folder, fabric_for(objects.train))
    return found


def forward(study: Study, run: str, images: int, heads: bool = True) -> int:
    """The operations of a network's forward pass."""
    [spec] = [spec for spec in plan(study.values) if spec.id == run]
    training, streams = built(study, spec, trained=False)
    image = streams.streams[0].samples[0]["image"]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        training.student(image[None].expand(images, -1, -1, -1), tasks=None if heads else ())
    return int(counter.get_total_flops())


def test_the_step_of_a_method_is_the_sum_of_its_parts(tmp_path: Path) -> None:
    study = tiny(tmp_path, "--methods", "uniform,kd4mtl,pcgrad")
    found = counts(study)
    uniform, distilled, projected = (found[f"{name}/seed0"] for name in ("uniform", "kd4mtl", "pcgrad"))
    assert uniform["step"] == uniform["plain"] == distilled["plain"] == projected["plain"]
    singles = [run for run in found if run.startswith("single/")]
    assert all(found[run]["step"] == found[run]["plain"] for run in singles)
    batch = study.objects.train.batch_size
    student = forward(study, "uniform/seed0", batch)
    teachers = [forward(study, run, batch, heads=False) for run in singles]  # features alone
    assert 2.8 * student < uniform["plain"] < 3 * student  # the images need no gradient
    adaptors = distilled["step"] - uniform["plain"] - sum(teachers)
    assert 0 < adaptors < 0.1 * student  # a 1x1 convolution of the narrow feature before the heads, per task
    shared = projected["step"] - uniform["plain"]  # of three backward passes through what is shared two are its own
    assert 1.5 * student < shared < 4 * student


CACHED = ("--train.augment.scales", "[1.0]", "--train.teacher_cache.mode")


TWO = {t: read_values("rooms-tiny")["tasks"][t] for t in ("segmentation", "depth")}
READ = ("--data.train", "12", "--tasks", json.dumps(TWO), *CACHED)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study whose single-task networks are trained."""
    out = tmp_path_factory.mktemp("singles") / "runs"
    run_study(tiny(out, "--methods", "single", *READ, "never"), Notes())
    return out


@pytest.mark.parametrize(("teach", "mirror"), [("all", False), ("own", False), ("all", True)])
def test_what_a_run_has_read_is_counted_once_per_view(teach: str, mirror: bool, trained: Path, tmp_path: Path) -> None:
    text = f"method: {{bam: {{distiller: {{init_args: {{teach: {teach}, mirror: {str(mirror).lower()}}}}}}}}}"
    found = {}
    for mode in ("always", "never"):
        shutil.copytree(trained, tmp_path / mode)
        study = overlaid(tmp_path / mode, text, "--methods", "bam", *READ, mode)
        run_study(study, Notes())
        save_showing(study, pytest.fail)
        found[mode] = json.loads((study.folder / "bam/seed0/cost.json").read_text())["training"]
    assert {name: found["always"][name] for name in ("step", "plain")} == found["never"]
    batch = study.objects.train.batch_size
    for mode in ("always", "never"):
        cached = found[mode].get("cached", {})
        one = sorted(forward(study, f"single/{t}/seed0", 1) for t in study.objects.tasks)
        passes = 1 + mirror
        assert sorted(x["step"] for x in cached.values()) == [passes * batch * x for x in one] * (mode == "always")
        assert sorted(x["fill"] for x in cached.values()) == [passes * 12 * 2 * x for x in one] * (mode == "always")


def read(folder: Path) -> tuple[dict, list[dict]]:
    """What the training of `kd4mtl` costs, and the outputs that it has read."""
    place = folder / "kd4mtl/seed0"
    cost = json.loads((place / "cost.json").read_text())["training"]
    return cost, json.loads((place / "teacher_cache.json").read_text())["read"]


def test_images_of_another_source_cost_what_their_size_asks_for(tmp_path: Path) -> None:
    sources = {"indoor": plain(INDOOR), "streets": plain({**STREETS, "size": [96, 128]})}
    train = read_values("rooms-tiny")["train"]
    train["augment"]["init_args"] = {"scales": [1.0]}
    train["teacher_cache"] = {"mode": "always"}
    mix = {"class_path": "tutelage.data.Mix", "init_args": {"sources": sources, "weights": {"streets": 1.0}}}
    study = of_sources(tmp_path / "runs", mix, methods=["kd4mtl"], train=train)
    run_study(study, Notes())
    save_showing(study, pytest.fail)
    cost, outputs = read(study.folder)
    per_view = {x["source"]: cost["cached"][x["digest"]]["fill"] / x["views"] for x in outputs}
    assert per_view["streets"] / per_view["indoor"] == 96 * 128 / (32 * 48)


def test_teachers_of_one_file_are_spared_together(tmp_path: Path) -> None:
    first = overlaid(tmp_path / "first", f"teachers: {{backbone: {{tasks: [], net: {BACKBONE}}}}}")
    save_safetensors(tmp_path / "b.safetensors", first.objects.teachers["backbone"].net({}).state_dict())
    one = f"{{tasks: [], net: {BACKBONE}, file: {tmp_path}/b.safetensors}}"
    left = {}
    for names in ("a", "ab"):
        teachers = ", ".join(f"{name}: {one}" for name in names)
        study = overlaid(tmp_path / "runs", f"methods: [kd4mtl]\nteachers: {{{teachers}}}", *CACHED, "always")
        run_study(study, Notes())
        save_showing(study, pytest.fail)
        cost, outputs = read(study.folder)
        assert len(outputs) == len(cost["cached"]) == len(study.objects.tasks) + 1
        left[names] = cost["step"] - sum(x["step"] for x in cost["cached"].values())
        shutil.rmtree(study.folder / "kd4mtl")  # the single-task networks stay
    adaptors = left["ab"] - left["a"]
    assert 0 <= adaptors < 0.1 * cost["plain"]  # no forward pass


def test_a_step_of_two_draws_counts_both(tmp_path: Path) -> None:
    found = counts(tiny(tmp_path, "--methods", "auto-lambda"))["auto-lambda/seed0"]
    assert found["step"] > 2 * found["plain"]


@pytest.mark.parametrize("flags", [(), ("--train.batch_size", "4", "--train.accumulate", "2")])
def test_parts_of_a_step_are_added(flags: tuple[str, ...], tmp_path: Path) -> None:
    study = tiny(tmp_path, "--methods", "uniform", *flags)
    spec = plan(study.values)[-1]
    objects = study.build(spec.config)
    found = step_operations(spec, objects, study.folder, fabric_for(objects.train))
    images = objects.train.batch_size * objects.train.accumulate
    assert found["step"] == found["plain"]
    assert 2.8 < found["plain"] / forward(study, spec.id, images) < 3


@pytest.mark.slow  # networks that people use: seconds for each step
@pytest.mark.parametrize(
    ("preset", "kind", "teachers", "student"),
    [
        ("nyuv2-lite", "single", 1.0, 1.0),
        ("nyuv2-lite-teachers", "teacher", 1.0, 1.0),
        # Three quarters of the images have a label, each a quarter of them; with teachers all are trained on.
        ("nyuv2-lite-quarter", "single", 3.0 * 0.25 / 0.75, 1 / 0.75),
    ],
)
def test_the_control_of_a_pretrained_preset_has_the_compute_of_recommended(
    preset: str, kind: str, teachers: float, student: float, tmp_path: Path
) -> None:
    pytest.importorskip("segmentation_models_pytorch", reason="the network needs the extra `nets`")
    # Two steps in an epoch, since its last one measures the conflict of gradients as well.
    rooms = '{"class_path": "tutelage.data.Rooms", "init_args": {"train": 16, "test": 2, "size": [96, 128]}}'
    flags = ["--data", rooms, "--out", str(tmp_path), "--methods", "recommended,uniform-as-long"]
    nets = ["net", *(f"teacher_net.{t}" for t in ("segmentation", "depth", "normals") if kind == "teacher")]
    flags += [word for net in nets for word in (f"--{net}.pretrained", "false")]
    study = load_study(preset, flags)
    found: list[tuple[str, dict[str, float]]] = []
    for spec in plan(study.values):
        objects = study.build(spec.config)
        found.append((spec.method, step_operations(spec, objects, study.folder, fabric_for(objects.train))))
    recommended, labels, plain = (dict(found)[m] for m in ("recommended", "scale-invariant", "uniform-as-long"))
    read = 2 / study.objects.train.epochs  # the views of an image, each computed once, over those that are shown
    total = teachers * sum(x["step"] for method, x in found if method == kind) + labels["step"]
    total += student * (recommended["plain"] + read * (recommended["step"] - recommended["plain"]))
    total /= plain["plain"]
    assert study.values["method"]["uniform-as-long"]["budget"] == pytest.approx(total, abs=0.05)
