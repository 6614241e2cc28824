"""Teachers of another kind than their student."""

import json
from pathlib import Path

import pytest
import torch
from tests.study.conftest import Notes, tiny
from tests.train.fixture import assert_same

import tutelage
from tutelage.nets import EncoderDecoder, SegNet, Tapped
from tutelage.report import write_report
from tutelage.study import Study, estimate, run_study
from tutelage.study.build import build, load_tensors, teacher
from tutelage.study.jobs import Job, plan
from tutelage.study.operations import operations

SMALL = "{class_path: tutelage.nets.SegNet, init_args: {filters: [8, 8, 16, 16, 16]}}"
OTHER = "{class_path: tutelage.nets.EncoderDecoder, init_args: {encoder: test_resnet, decoder: FPN}}"
FEATURES = """{class_path: tutelage.nets.Tapped, init_args: {
    module: {class_path: timm.create_model, init_args: {model_name: test_resnet, num_classes: 0}},
    taps: {bottleneck: layer4, last: layer1}, size: [64, 64]}}"""


def study(out: Path, text: str, *flags: str) -> Study:
    file = out.with_suffix(".yaml")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return tiny(out, "--with", str(file), *flags)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, list[dict], Notes]:
    out, notes = tmp_path_factory.mktemp("teacher_net") / "runs", Notes()
    made = study(
        out,
        f"methods: [uniform, kd4mtl]\nmethod: {{teacher: {{lr: 0.002}}}}\nteacher_net: {{segmentation: {SMALL}, "
        f"depth: {OTHER}}}",
    )
    return made, run_study(made, notes), notes


def test_they_are_trained_after_the_single_task_networks_and_before_the_methods(trained: tuple) -> None:
    _, rows, notes = trained
    names = [name.removesuffix(", seed 0") for name, _ in notes.started]
    kinds = ["single segmentation", "single depth", "single normals", "teacher segmentation", "teacher depth"]
    assert names == [*kinds, "uniform", "kd4mtl"]
    assert list(dict.fromkeys(row["method"] for row in rows)) == ["single", "teacher", "uniform", "kd4mtl"]


def test_the_table_has_them_beside_the_networks_that_delta_compares_with(trained: tuple) -> None:
    made, rows, _ = trained
    first = {row["method"]: row for row in rows if row["protocol"] == "dataset"}
    assert first["single"]["delta"]["main"] == 0
    results = {
        (m, t): json.loads((made.folder / m / t / "seed0/result.json").read_text())
        for m, t in [("single", "normals"), ("teacher", "segmentation"), ("teacher", "depth")]
    }
    # A task without a teacher of its own is taught by its single-task network.
    assert first["teacher"]["metrics"]["normals"] == results["single", "normals"]["metrics"]["dataset"]["normals"]
    assert first["teacher"]["metrics"]["depth"] == results["teacher", "depth"]["metrics"]["dataset"]["depth"]
    assert first["teacher"]["parameters"] == sum(result["parameters"] for result in results.values())


def test_the_student_learns_from_their_weights(trained: tuple) -> None:
    made, _, _ = trained
    (job,) = (job for job in plan(made) if job.method == "kd4mtl")
    run, _ = build(made, job, torch.device("cpu"))
    nets = run.distiller.teachers._nets
    assert [type(net) for net in nets.values()] == [SegNet, EncoderDecoder, SegNet]
    for (task, net), kind in zip(nets.items(), ["teacher", "teacher", "single"], strict=True):
        assert_same(net.state_dict(), load_tensors(made.folder / kind / task / "seed0/student.safetensors"))
    assert run.student.filters == [8, 16, 16, 24, 24]


def test_the_lr_of_teacher_is_theirs_alone(trained: tuple) -> None:
    made, _, _ = trained
    for job in plan(made):
        rates = build(made, job, torch.device("cpu"), trained=False)[0].optimisers.lr()
        assert rates["student"] == (0.002 if job.method == "teacher" else 0.001)


def test_a_teacher_is_loaded_as_what_it_is(trained: tuple) -> None:
    made, _, _ = trained
    predictor = tutelage.load(made.folder / "teacher/depth/seed0")
    assert isinstance(predictor.net, EncoderDecoder)
    assert set(predictor.tasks) == {"depth"}


def test_the_page_tells_of_them(trained: tuple) -> None:
    made, _, _ = trained
    page = write_report(made.folder, made.config.tasks).read_text()
    assert "of a kind of its own: the teachers" in page
    assert "of the same kind as the students" in page
    assert page.count('alt="depth, teacher"') == page.count('alt="depth, single"') > 0
    assert page.count('alt="normals, teacher"') == page.count('alt="normals, single"')  # the same networks


def test_what_does_not_learn_from_them_does_not_depend_on_them(trained: tuple) -> None:
    made, rows, _ = trained
    notes = Notes()
    out = Path(made.config.out)
    again = run_study(tiny(out, "--methods", "uniform"), notes)
    assert notes.started == []  # all is kept
    assert again == rows  # the others' rows, too
    with pytest.raises(ValueError, match=r"kd4mtl/seed0: expected the config that its run was made with, teacher_net"):
        run_study(tiny(out, "--methods", "kd4mtl"), Notes())
    with pytest.raises(ValueError, match=r"teacher/depth/seed0: expected the config .* net\."):
        run_study(study(out, f"methods: [kd4mtl]\nteacher_net: {{depth: {SMALL}}}"), Notes())


def test_one_network_for_all_tasks(tmp_path: Path) -> None:
    for k, flags in enumerate(
        ([], ["--teacher_net", SMALL], ["--teacher_net", "tutelage.nets.SegNet"]),
    ):
        text = "methods: [kd4mtl]\n" + ("" if flags else f"teacher_net: {SMALL}\n")
        made = study(tmp_path / f"runs{k}", text, *flags)
        assert list(made.config.teacher_net) == ["segmentation", "depth", "normals"]
        nets = [make({"a": 1}) for make in made.config.teacher_net.values()]
        assert [net.filters[0] for net in nets] == [64 if k == 2 else 8] * 3
        assert [job.method for job in plan(made)].count("teacher") == 3


def test_no_method_that_distils_needs_none(tmp_path: Path) -> None:
    made = study(tmp_path / "runs", f"methods: [uniform]\nteacher_net: {SMALL}")
    assert "teacher" not in [job.method for job in plan(made)]


def test_features_alone_need_no_training(tmp_path: Path) -> None:
    text = f"methods: [kd4mtl]\nteacher_net: {{depth: {FEATURES}}}\nteachers: {{depth: features}}"
    made, notes = study(tmp_path / "runs", text), Notes()
    rows = run_study(made, notes)
    assert list(dict.fromkeys(row["method"] for row in rows)) == ["single", "kd4mtl"]
    assert not (made.folder / "teacher").exists()
    net = teacher(made, "depth", 0)
    assert isinstance(net, Tapped)
    assert net.widths == {}
    facts = json.loads((made.folder / "kd4mtl/seed0/environment.json").read_text())
    assert set(facts["networks"]) == {"segmentation", "depth", "normals"}
    facts["networks"]["depth"] = "another"
    (made.folder / "kd4mtl/seed0/environment.json").write_text(json.dumps(facts))
    with pytest.raises(ValueError, match="expected the network of `depth` that its run was made with"):
        run_study(made, Notes())


def test_a_file_is_loaded_into_the_teachers_network(trained: tuple, tmp_path: Path) -> None:
    file = trained[0].folder / "teacher/depth/seed0/student.safetensors"
    text = f"methods: [kd4mtl]\nteacher_net: {{depth: {OTHER}}}\nteachers: {{depth: {file}}}"
    made = study(tmp_path / "runs", text)
    run_study(made, Notes())
    assert json.loads((made.folder / "teacher/depth/seed0/result.json").read_text())["steps"] == 0
    assert json.loads((made.folder / "single/depth/seed0/result.json").read_text())["steps"] > 0
    assert_same(load_tensors(made.folder / "teacher/depth/seed0/student.safetensors"), load_tensors(file))


def test_the_teachers_compute_is_counted(tmp_path: Path) -> None:
    text = "methods: [uniform]\nmethod: {uniform: {budget: with_teachers}}\n"
    same = study(tmp_path / "same", text + "teacher_net: {depth: {class_path: tutelage.nets.SegNet, init_args: "
                 "{filters: [8, 16, 16, 24, 24]}}}")  # fmt: skip
    plain = study(tmp_path / "plain", text)
    job = Job("uniform", 0, tmp_path)
    assert job.stretch(plain) == 1 + 4
    # Three networks with a head each, over one with three: less than three.
    assert 4 < job.stretch(same) < 5
    width = {"depth": 1}
    wide = study(tmp_path / "wide", text + "teacher_net: {depth: {class_path: tutelage.nets.SegNet, init_args: "
                 "{filters: [16, 32, 32, 48, 48]}}}")  # fmt: skip
    more = operations(wide, wide.config.teacher_net["depth"], width) - operations(wide, wide.config.net, width)
    assert job.stretch(wide) - job.stretch(same) == pytest.approx(4 / 3 * more / operations(wide, wide.config.net))
    assert more > 2 * operations(wide, wide.config.net, width)


def test_the_plan_tells_of_them(tmp_path: Path) -> None:
    made = study(tmp_path / "runs", f"methods: [kd4mtl]\nteacher_net: {{depth: {SMALL}}}")
    assert [kind.name for kind in estimate(made)] == [
        *("single segmentation", "single depth", "single normals", "teacher depth", "kd4mtl")
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"teacher_net: {{depht: {SMALL}}}", r"teacher_net\.depht: expected one of the study's tasks, segmentation, "),
        ("teacher_net: [1]", r"teacher_net: expected dict, found \[1\]"),
        ("teacher_net: {class_path: tutelage.nets.SegNat}", "teacher_net: expected a class, found no `SegNat`"),
        (
            "teacher_net: {depth: {class_path: tutelage.nets.SegNet, init_args: {widht: 2}}}",
            "teacher_net: expected a known key, found `widht`",
        ),
        ("teachers: {depth: features}", r"teachers\.depth: expected a teacher_net for `depth`, .* give teacher_net"),
        ("methods: [teacher]", "methods: expected names among single, .*; found `teacher`"),
        ("method: {teacher: {lr: 0.1}}", r"method\.teacher: expected one of the study's methods"),
        (
            f"teacher_net: {SMALL}\nmethod: {{teacher: {{budget: 2}}}}",
            r"method\.teacher: expected no more than an `lr`, found `budget`",
        ),
    ],
)
def test_what_is_refused_before_anything_is_built(tmp_path: Path, text: str, line: str) -> None:
    with pytest.raises(ValueError, match=line) as error:
        study(tmp_path / "runs", text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            f"methods: [bam]\nteacher_net: {{depth: {FEATURES}}}",
            r"teachers\.depth: expected a network that predicts, as `bam` needs, found `features`; give a file",
        ),
        (
            f"methods: [kd4mtl]\nteacher_net: {{depth: {FEATURES}}}\nmethod: {{kd4mtl: {{teachers: random}}}}",
            r"teachers\.depth: expected a network that can be untrained, as `kd4mtl` needs, found `features`",
        ),
        (
            f"methods: [kd4mtl]\nteacher_net: {{depth: {SMALL}}}",
            r"teachers\.depth: expected a teacher_net that can be built without a task, .* \(SegNet: expected one task",
        ),
    ],
)
def test_features_alone_do_not_do_everything(tmp_path: Path, text: str, line: str) -> None:
    made = study(tmp_path / "runs", f"{text}\nteachers: {{depth: features}}")
    with pytest.raises(ValueError, match=line):
        run_study(made, Notes())
    assert not list(tmp_path.glob("**/result.json"))  # found before anything was trained


def test_a_tuning_has_them_too(tmp_path: Path) -> None:
    from tutelage.study import Tuner

    made = study(tmp_path / "runs", f"methods: [kd4mtl]\nteacher_net: {{depth: {SMALL}}}")
    notes = Notes()
    rows = Tuner(made, ["kd4mtl"], trials=2).run(notes)
    assert [row["method"] for row in rows] == ["kd4mtl"]
    assert [name for name, _ in notes.started].count("teacher depth, seed 0") == 1
