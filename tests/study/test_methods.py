"""What a study can say about a method: its base, where its values come from, its budget, its teachers."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from tests.study.conftest import Notes, built, tiny
from tests.train.fixture import assert_same

from tutelage.files import locked
from tutelage.nets import SegNet
from tutelage.study import Study, execute, load_study, overlays, plan, read_values, run_study
from tutelage.study.budget import stretch, training_config
from tutelage.study.build import build_run
from tutelage.study.launch.local import execute_next
from tutelage.study.launch.ready import Ready
from tutelage.study.teachers import load_tensors
from tutelage.study.tuning.search import space

CONTROLS = [
    "uniform-longer", "untrained-teachers", "no-adaptors", "bottleneck-alone", "last-alone", "lambda-tenth",
    "lambda-tenfold", "no-labels", "lambda-zero",
]  # fmt: skip


def written(folder: Path, **values: object) -> Path:
    """The tiny study with other values, as a file."""
    path = folder / "study.yaml"
    study = yaml.safe_load((Path(__file__).parents[2] / "src/tutelage/values/presets/rooms-tiny.yaml").read_text())
    path.write_text(yaml.safe_dump({**study, **values}))
    return path


def test_values_say_where_they_come_from(tmp_path: Path) -> None:
    own = {
        "kd4mtl": {"adaptor_optim": {"optimizer": {"init_args": {"lr": 0.5}}}},
        "url": {"about": "as it is"},
        "mine": {"base": "kd4mtl"},
        "other": {"base": "kd4mtl", "distiller": {"init_args": {"scale": 3}}},
        "found": {"base": "kd4mtl", "values": "tuned", "lr": 0.01},
    }
    path = written(tmp_path, method=own, methods=["uniform", "uncertainty", *own])
    methods = load_study(path, ["--method.uncertainty.lr", "0.1"]).objects.method
    assert {name: method.values for name, method in methods.items()} == {
        "uniform": "study", "uncertainty": "changed", "kd4mtl": "changed", "url": "paper", "mine": "changed",
        "other": "own", "found": "tuned",
    }  # fmt: skip
    assert methods["uncertainty"].lr == 0.1
    flagged = load_study(path, ["--method.found.lr", "0.02"]).objects.method["found"]
    assert flagged.values == "changed"  # no longer what was tuned
    other = load_study(path).values["method"]["other"]
    assert other["distiller"]["init_args"]["scale"] == 3
    assert other["adaptor_optim"]["optimizer"]["init_args"]["lr"] == 0.5  # the rest is the base's


@pytest.mark.parametrize(
    "flags",
    [
        ["--method.kd4mtl.lr", "0.5"],
        ["--method.kd4mtl", "{lr: 0.5}"],
        ["--method.kd4mtl.distiller.scale=3"],
    ],
)
def test_a_flag_changes_a_method_however_it_is_given(flags: list[str]) -> None:
    assert load_study("rooms-tiny", flags).objects.method["kd4mtl"].values == "changed"
    assert load_study("rooms-tiny", [*flags, "--epochs", "3"]).objects.method["url"].values == "paper"


def test_a_flag_with_the_value_that_it_has_changes_nothing() -> None:
    assert (
        load_study("rooms-tiny", ["--method.kd4mtl.distiller.scale", "1.0"]).objects.method["kd4mtl"].values == "paper"
    )


def test_one_flag_for_all_methods_leaves_the_others_without_a_definition() -> None:
    with pytest.raises(ValueError, match=r"method.uniform: expected a definition, found none; .* --method.uniform.KEY"):
        load_study("rooms-tiny", ["--method", "{kd4mtl: {lr: 0.5}}"])


def test_a_rate_of_the_single_task_networks_is_a_change() -> None:
    flags = ["--method.single.lr", "0.01"]
    assert load_study("rooms-tiny", flags).values["method"]["single"]["values"] == "changed"


def test_controls_are_of_the_studys_own_methods(tmp_path: Path) -> None:
    own = {"kd4mtl": {"lr": 0.005, "distiller": {"init_args": {"scale": 3}}}, "uniform": {"lr": 0.006}}
    study = load_study(written(tmp_path, method=own), ["--with", "ablation"])
    methods = study.values["method"]
    of_uniform = {"uniform-longer"}
    for name in set(CONTROLS) - {"no-labels"}:
        assert methods[name]["lr"] == (0.006 if name in of_uniform else 0.005), name
    scales = {n: methods[n]["distiller"]["init_args"]["scale"] for n in CONTROLS if n not in (*of_uniform, "no-labels")}
    assert scales == {
        "untrained-teachers": 3, "no-adaptors": 3, "bottleneck-alone": 3, "last-alone": 3,
        "lambda-tenth": pytest.approx(0.3), "lambda-tenfold": 30, "lambda-zero": 0,
    }  # fmt: skip
    assert methods["last-alone"]["distiller"]["init_args"]["taps"] == ["last"]


def test_bases_in_a_circle(tmp_path: Path) -> None:
    path = written(tmp_path, method={"a": {"base": "b"}, "b": {"base": "a"}}, methods=["a", "b"])
    with pytest.raises(ValueError, match=r"method.b.base: expected one of .*; found `a`"):
        load_study(path)


def test_bases_are_laid_one_over_the_other(tmp_path: Path) -> None:
    both = {"base": ["kd4mtl", "gradnorm"], "balancer": {"init_args": {"alpha": 0.5}}}
    study = load_study(written(tmp_path, methods=["both"], method={"both": both}))
    values = study.values["method"]["both"]
    assert values["balancer"] == {
        "class_path": "tutelage.balance.GradNorm",
        "init_args": {"alpha": 0.5, "where": "representation", "balance": "task"},
    }
    assert values["distiller"]["class_path"] == "tutelage.distill.FeatureDistiller"
    assert values["values"] == "own"


@pytest.mark.parametrize("overlay", ["balancing", "balancers"])
def test_every_balancing_method_builds_and_says_who_it_is(overlay: str, tmp_path: Path) -> None:
    study = load_study("rooms-tiny", ["--with", overlay, "--out", str(tmp_path / "out")])
    names = [m for m in study.objects.methods if m != "single"]
    distilled = [m for m in names if m.endswith("-kd") or m == "kd4mtl"]
    assert 2 * len(distilled) == len(names)  # each without and with
    assert all(study.objects.method[m].about for m in names)
    for method in names:
        assert (study.objects.method[method].distiller is None) == (method not in distilled and method != "bam")
    for spec in plan(study.values):
        if overlay == "balancing" or spec.method not in distilled:
            built(study, spec, trained=False)


def test_what_torchjd_leaves_open_is_ours_also_with_distillation(tmp_path: Path) -> None:
    for overlay, values in (("balancers", "own"), ("balancing", "paper")):
        study = load_study("rooms-tiny", ["--with", overlay, "--out", str(tmp_path)])
        assert {method.values for name, method in study.objects.method.items() if name.endswith("-kd")} == {values}


def test_every_baseline_can_be_tuned(tmp_path: Path) -> None:
    study = load_study("rooms-tiny", ["--with", "balancing", "--out", str(tmp_path)])
    found = {name: space(study, name).ranges for name in study.objects.methods}
    assert set(found["bam-kd"]) == {"lr", "adaptor_optim.optimizer.init_args.lr"}


def test_a_deterministic_run_is_built_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """cuBLAS reads how it is to work when it is first used: before a run is built."""
    seen = []

    def watched(*args: object, **kwargs: object) -> object:
        seen.append(torch.are_deterministic_algorithms_enabled())
        return build_run(*args, **kwargs)

    flags = ["--methods", "single", "--max-steps", "1", "--deterministic", "true", "--out", str(tmp_path / "out")]
    study = load_study("rooms-tiny", flags)
    monkeypatch.setattr(sys.modules["tutelage.study.execute"], "build_run", watched)
    spec = plan(study.values)[0]
    execute(spec, study.folder, Notes())
    assert seen == [True]
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_network_without_a_representation_is_known_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = SegNet.forward
    monkeypatch.setattr(SegNet, "forward", lambda net, *args: replace(forward(net, *args), shared=()))
    study = load_study("rooms-tiny", ["--methods", "mgda", "--out", str(tmp_path / "out")])
    with pytest.raises(
        ValueError, match=r"^method.mgda.balancer.where: expected `parameters` for SegNet, which has no tensors"
    ):
        run_study(study, Notes())
    assert not list(tmp_path.rglob("student.safetensors"))


def test_more_draws_than_images_are_known_before_anything_is_trained(tmp_path: Path) -> None:
    draws = {
        "balancer": {"class_path": "tutelage.balance.IndependentDraws", "init_args": {"method": "SDMGradWeighting"}}
    }
    path = written(tmp_path, methods=["sdm"], method={"sdm": draws})
    study = load_study(path, ["--batch-size", "24", "--out", str(tmp_path / "out")])
    assert 24 <= len(study.objects.data.split("train")) < 72
    with pytest.raises(
        ValueError, match=r"train.batch_size: expected at most the \d+ training images of .*, found 24 x 3 per step"
    ):
        run_study(study, Notes())
    assert not list(tmp_path.rglob("student.safetensors"))


def test_times_of_what_is_no_number(tmp_path: Path) -> None:
    path = written(tmp_path, method={"mine": {"base": "kd4mtl", "times": {"distiller": 2}}}, methods=["mine"])
    with pytest.raises(ValueError, match=r"method.mine.times.distiller: expected a factor for a number of the base"):
        load_study(path)


@pytest.mark.parametrize("base", ["kd4mlt", "single"])
def test_an_unknown_base(tmp_path: Path, base: str) -> None:
    path = written(tmp_path, method={"mine": {"base": base}}, methods=["mine"])
    with pytest.raises(ValueError, match=rf"method.mine.base: expected one of .*kd4mtl.*; found `{base}`"):
        load_study(path)


def test_the_compute_of_teachers_is_that_of_no_student_that_teaches(tmp_path: Path) -> None:
    change = {"methods": ["uniform", "mine"], "method": {"mine": {"base": "kd4mtl", "taught_by": "uniform"}}}
    change["method"]["mine"]["budget"] = "with_teachers"
    with pytest.raises(ValueError, match=r"method.mine.budget: expected a factor of the epochs beside `taught_by`"):
        load_study(written(tmp_path, **change))


@pytest.mark.parametrize("change", [{"budget": "with_teachers"}, {"distiller": None, "lr": -1.0}])
def test_what_single_cannot_have(tmp_path: Path, change: dict) -> None:
    with pytest.raises(ValueError, match=r"method.single"):
        load_study(written(tmp_path, method={"single": change}))


def test_a_rate_of_its_own(tmp_path: Path) -> None:
    path = written(tmp_path, method={"single": {"lr": 0.004}, "uniform": {"lr": 0.002}}, methods=["uniform", "kd4mtl"])
    study = load_study(path, ["--out", str(tmp_path / "out")])
    runs = {spec.label: built(study, spec, trained=False)[0] for spec in plan(study.values)}
    rates = {name: run.optimisers.lr() for name, run in runs.items()}
    assert rates["single depth, seed 0"] == {"student": 0.004}
    assert rates["uniform, seed 0"] == {"student": 0.002}
    assert rates["kd4mtl, seed 0"] == {"student": 0.001, "adaptors": 0.1}


def test_the_ablation_fits_any_study_of_ours(tmp_path: Path) -> None:
    assert "ablation" in overlays()
    tasks = {
        "segmentation": {"class_path": "tutelage.tasks.Segmentation"}, "depth": {"class_path": "tutelage.tasks.Depth"}
    }  # fmt: skip
    path = written(tmp_path, tasks=tasks)
    study = load_study(path, ["--with", "ablation", "--out", str(tmp_path / "out")])
    assert set(CONTROLS) < set(study.objects.methods)
    assert all(study.objects.method[name].values == "control" for name in CONTROLS)
    for spec in plan(study.values):
        built(study, spec, trained=False)


def test_a_wrong_overlay(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError,
        match=r"--with ablations: expected a YAML file or one of ablation, balancers, balancing; found neither",
    ):
        load_study("rooms-tiny", ["--with", "ablations"])
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(ValueError, match=r"list.yaml: expected keys and values of a study, found list"):
        load_study("rooms-tiny", ["--with", str(tmp_path / "list.yaml")])


@pytest.fixture(scope="module")
def ablation(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, list[dict]]:
    study = tiny(tmp_path_factory.mktemp("ablation") / "runs", "--with", "ablation")
    return study, run_study(study, Notes())


def student(study: Study, method: str) -> dict[str, torch.Tensor]:
    return load_tensors(study.folder / method / "seed0" / "student.safetensors")


def test_without_lambda_the_student_is_uniform_bit_by_bit(ablation: tuple) -> None:
    study, rows = ablation
    assert_same(student(study, "lambda-zero"), student(study, "uniform"))
    metrics = {row["method"]: row["metrics"] for row in rows}
    assert metrics["lambda-zero"] == metrics["uniform"]


def test_every_control_teaches_something_else(ablation: tuple) -> None:
    study, rows = ablation
    assert {row["method"]: row["values"] for row in rows} == {
        "single": "study", "uniform": "study", "kd4mtl": "paper", "bam": "paper", **dict.fromkeys(CONTROLS, "control")
    }  # fmt: skip
    weights = {
        name: tuple(student(study, name)["decoder.4.0.weight"].flatten().tolist())
        for name in study.objects.methods
        if name != "lambda-zero"
    }
    assert len(set(weights.values())) == len(weights)


def test_the_budget_of_the_teachers(ablation: tuple) -> None:
    study, _ = ablation
    steps = {
        m: json.loads((study.folder / m / "seed0/result.json").read_text())["steps"] for m in study.objects.methods
    }
    assert steps["uniform-longer"] == 5 * steps["uniform"]  # 1 + 4 T / 3 with three tasks
    assert {n for m, n in steps.items() if m != "uniform-longer"} == {steps["uniform"]}
    log = (study.folder / "uniform-longer/seed0/log.jsonl").read_text().splitlines()
    assert json.loads(log[-1])["epoch"] == 5
    short = tiny(Path("nowhere"), "--with", "ablation", "--max-steps", "1")
    spec = next(spec for spec in plan(short.values) if spec.method == "uniform-longer")
    assert training_config(spec, short.build(spec.config)).max_steps == 5


def test_a_budget_is_a_number_of_times_the_epochs(tmp_path: Path) -> None:
    study = load_study(written(tmp_path, methods=["more"], method={"more": {"base": "uniform", "budget": 1.5}}))
    (spec,) = (spec for spec in plan(study.values) if spec.method == "more")
    epochs = training_config(spec, study.build(spec.config)).epochs
    assert epochs == round(1.5 * study.objects.train.epochs) > study.objects.train.epochs
    for wrong in (0.0, -1.0):
        with pytest.raises(ValueError, match="budget: expected a positive factor"):
            load_study(written(tmp_path, methods=["more"], method={"more": {"base": "uniform", "budget": wrong}}))


def test_single_task_networks_and_teachers_train_for_a_budget_of_their_own(tmp_path: Path) -> None:
    """Each has its steps in its run, and a control with the teachers' compute counts them."""
    text = {
        "methods": ["kd4mtl", "long"],
        "method": {
            "single": {"budget": 3.0},
            "teacher": {"budget": 2.0},
            "long": {"base": "uniform", "budget": "with_teachers"},
        },
        "teachers": {"pair": {"tasks": ["depth", "normals"], "net": {"class_path": "tutelage.nets.SegNet"}}},
    }
    text["teachers"]["pair"]["net"]["init_args"] = {"width": 0.1}
    study = load_study(written(tmp_path, **text), ["--out", str(tmp_path / "runs")])
    one = study.objects.train.epochs
    alone = {spec.id: study.build(spec.config) for spec in plan(study.values)}
    epochs = {spec.id: training_config(spec, alone[spec.id]).epochs for spec in plan(study.values)}
    assert {epochs[f"single/{t}/seed0"] for t in study.objects.tasks} == {3 * one}
    assert epochs["teacher/pair/seed0"] == 2 * one
    assert epochs["kd4mtl/seed0"] == one
    (long,) = (spec for spec in plan(study.values) if spec.method == "long")
    assert {kind: long.config["method"][kind]["budget"] for kind in ("single", "teacher")} == {
        "single": 3.0,
        "teacher": 2.0,
    }
    plain = study.build({**long.config, "method": {"long": long.config["method"]["long"]}})
    without = replace(long, config={**long.config, "method": {"long": long.config["method"]["long"]}})
    # 1 + sum of (3 budget + 1) f / 3: for budgets of 1 every teacher costs 4 f / 3
    assert stretch(long, alone[long.id]) > stretch(without, plain)


def test_the_compute_of_longer_single_task_networks(tmp_path: Path) -> None:
    methods = {"single": {"budget": 3.0}, "long": {"base": "uniform", "budget": "with_teachers"}}
    study = load_study(written(tmp_path, methods=["long"], method=methods))
    (spec,) = (spec for spec in plan(study.values) if spec.method == "long")
    assert stretch(spec, study.build(spec.config)) == pytest.approx(1 + 3 * (3 * 3 + 1) / 3)


def test_longer_single_task_networks_are_trained_longer_and_are_not_mixed(tmp_path: Path) -> None:
    study = tiny(tmp_path / "runs", "--methods", "single", "--method.single.budget", "2")
    rows = run_study(study, Notes())
    assert {row["values"] for row in rows} == {"changed"}
    log = (study.folder / "single/depth/seed0/log.jsonl").read_text().splitlines()
    assert json.loads(log[-1])["epoch"] == 2 * study.objects.train.epochs
    with pytest.raises(ValueError, match=r"single/\w+/seed0: expected the config .*, method\.single\.budget"):
        run_study(tiny(tmp_path / "runs", "--methods", "single"), Notes())


def test_untrained_teachers_are_the_same_for_a_seed_and_not_trained() -> None:
    study = tiny(Path("nowhere"), "--with", "ablation", "--seeds", "0,1")

    def first(seed: int, method: str = "untrained-teachers") -> torch.Tensor:
        spec = next(spec for spec in plan(study.values) if spec.method == method and spec.seed == seed)
        assert not spec.needs
        distiller = built(study, spec)[0].distiller
        return distiller.teachers.networks["depth"].encoder[0][0].weight

    assert torch.equal(first(0), first(0))
    assert not torch.equal(first(0), first(1))


def test_untrained_teachers_have_features() -> None:
    study = tiny(Path("nowhere"), "--with", "ablation")
    spec = next(spec for spec in plan(study.values) if spec.method == "untrained-teachers")
    teachers = built(study, spec)[0].distiller.teachers
    images = torch.stack([study.objects.data.split("train")[i]["image"] for i in range(4)])
    last = teachers(images, "depth")["last"]
    assert float(last.square().sum(1).sqrt().median()) > 0.1  # far above the guard of the distance
    assert not any(module.training for module in teachers.networks["depth"].modules())


def test_a_student_stays_with_its_teachers(ablation: tuple, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    shutil.copytree(ablation[0].folder, folder)
    flags = ["--method.single.lr", "0.01", "--methods", "kd4mtl"]
    with pytest.raises(ValueError, match=r"single/.*: expected the config .*, method.single.lr = None; found 0.01"):
        run_study(tiny(folder, *flags), Notes())
    shutil.rmtree(folder / "single")  # as the message says: but the student stays
    with pytest.raises(ValueError, match=r"kd4mtl/seed0: expected the network of `segmentation` that its run was made"):
        run_study(tiny(folder, *flags), Notes())


def test_a_run_of_an_earlier_version_is_known(ablation: tuple, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    shutil.copytree(ablation[0].folder, folder)
    for path in folder.glob("**/config.yaml"):
        config = yaml.safe_load(path.read_text())
        del config["train"]["deterministic"], config["teachers"]
        for method in config["method"].values():
            if method["budget"] == "student":
                del method["budget"]
            if method["balancer"]["init_args"].get("default") == 1.0:
                del method["balancer"]["init_args"]["default"]
        path.write_text(yaml.safe_dump(config))
    notes = Notes()
    run_study(tiny(folder, "--with", "ablation"), notes)
    assert notes.started == []


def test_a_run_of_another_process_is_left_alone_and_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = tiny(tmp_path / "runs", "--methods", "kd4mtl")
    notes = Notes()
    specs = plan(study.values)
    ready, busy = Ready(study), study.folder / specs[1].id
    with locked(busy) as mine, locked(busy) as again:
        assert (mine, again) == (True, False)
        assert execute_next(ready, notes)
        assert execute_next(ready, notes)
        assert [name for name, _ in notes.started] == ["single segmentation, seed 0", "single normals, seed 0"]
        assert not execute_next(ready, notes)  # the next run's teacher is still missing
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("nobody is at anything"))
    rows = run_study(study, notes)
    assert [name for name, _ in notes.started][2:] == ["single depth, seed 0", "kd4mtl, seed 0"]
    assert len(rows) == 4


def test_url_classification_falls_to_nothing_on_the_images_of_each_domain(tmp_path: Path) -> None:
    flags = ["--data.train", "96", "--data.test", "16", "--batch-size", "16", "--epochs", "2", "--out", str(tmp_path)]
    study = load_study("digits", [*flags, "--methods", "url-classification", "--train.log_steps", "1"])
    run_study(study, Notes())
    lines = [json.loads(line) for line in (tmp_path / "url-classification/seed0/log.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "distill/left" in line]
    assert len(steps) == 12
    for step, line in enumerate(steps):  # d of features and of predictions at T = 8, times what is left of the run
        left = line["distance/left/last"] + line["distance/left/prediction"]
        assert line["distill/left"] == pytest.approx((1 - step / 12) * left, rel=1e-3)


def test_url_classification_weighs_domains_by_their_names(tmp_path: Path) -> None:
    values = read_values("digits")
    values["tasks"] = {"imagenet12": values["tasks"]["left"], "svhn": values["tasks"]["right"]}
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump({**values, "methods": ["url-classification"]}))
    parts = load_study(file).values["method"]["url-classification"]["distiller"]["init_args"]["parts"]
    assert [part["init_args"]["weights"] for part in parts] == [{"imagenet12": 10.0}] * 2
