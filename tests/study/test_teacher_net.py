"""Teachers of another kind than their student."""

import io
import json
import re
import shutil
from pathlib import Path

import pytest
from rich.console import Console
from tests.study.conftest import Notes, built, overlaid, teacher, tiny
from tests.train.fixture import assert_same

import tutelage
from tutelage.files import write_record
from tutelage.nets import EncoderDecoder, SegNet, TappedModule
from tutelage.report import write_report
from tutelage.study import Study, check_data, estimate, load_study, read_values, run_study
from tutelage.study.budget import forward_operations, stretch, training_config
from tutelage.study.plan import plan
from tutelage.study.teachers import load_tensors

SMALL = "{class_path: tutelage.nets.SegNet, init_args: {filters: [8, 8, 16, 16, 16]}}"
OTHER = "{class_path: tutelage.nets.EncoderDecoder, init_args: {encoder: test_resnet, decoder: FPN}}"
FEATURES = """{class_path: tutelage.nets.TappedModule, init_args: {
    module: {class_path: timm.create_model, init_args: {model_name: test_resnet, num_classes: 0}},
    taps: {bottleneck: layer4, last: layer1}, size: [64, 64]}}"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, list[dict], Notes]:
    out, notes = tmp_path_factory.mktemp("teacher_net") / "runs", Notes()
    made = overlaid(
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
    (spec,) = (spec for spec in plan(made.values) if spec.method == "kd4mtl")
    run, _ = built(made, spec)
    nets = run.distiller.teachers.networks
    assert [type(net) for net in nets.values()] == [SegNet, EncoderDecoder, SegNet]
    for (task, net), kind in zip(nets.items(), ["teacher", "teacher", "single"], strict=True):
        assert_same(net.state_dict(), load_tensors(made.folder / kind / task / "seed0/student.safetensors"))
    assert run.student.filters == [8, 16, 16, 24, 24]


def test_the_lr_of_teacher_is_theirs_alone(trained: tuple) -> None:
    made, _, _ = trained
    for spec in plan(made.values):
        rates = built(made, spec, trained=False)[0].optimisers.lr()
        assert rates["student"] == (0.002 if spec.method == "teacher" else 0.001)


def test_a_teacher_is_loaded_as_what_it_is(trained: tuple) -> None:
    made, _, _ = trained
    predictor = tutelage.load(made.folder / "teacher/depth/seed0")
    assert isinstance(predictor.net, EncoderDecoder)
    assert set(predictor.tasks) == {"depth"}


def test_the_page_tells_of_them(trained: tuple) -> None:
    made, _, _ = trained
    page = write_report(made.folder, made.objects.tasks).read_text()
    assert "the teachers, with an architecture of their own where the study names one" in page
    assert "the baseline of Delta, and some of the teachers" in page  # that of the normals
    assert page.count('alt="depth, teacher"') == page.count('alt="depth, single"') > 0
    assert page.count('alt="normals, teacher"') == page.count('alt="normals, single"')  # the same networks


def test_what_does_not_learn_from_them_does_not_depend_on_them(trained: tuple) -> None:
    made, rows, _ = trained
    notes = Notes()
    out = Path(made.objects.out)
    again = run_study(tiny(out, "--methods", "uniform"), notes)
    assert notes.started == []  # all is kept
    assert again == rows  # the others' rows, too
    with pytest.raises(
        ValueError, match=r"kd4mtl/seed0: expected the config .*method\.teacher\.lr = 0\.002; .* teacher_net"
    ):
        run_study(tiny(out, "--methods", "kd4mtl"), Notes())
    with pytest.raises(ValueError, match=r"teacher/depth/seed0: expected the config .* net\."):
        run_study(overlaid(out, f"methods: [kd4mtl]\nteacher_net: {{depth: {SMALL}}}"), Notes())


def test_one_network_for_all_tasks(tmp_path: Path) -> None:
    for k, flags in enumerate(
        ([], ["--teacher_net", SMALL], ["--teacher_net", "tutelage.nets.SegNet"]),
    ):
        text = "methods: [kd4mtl]\n" + ("" if flags else f"teacher_net: {SMALL}\n")
        made = overlaid(tmp_path / f"runs{k}", text, *flags)
        assert list(made.objects.teacher_net) == ["segmentation", "depth", "normals"]
        nets = [make({"a": 1}) for make in made.objects.teacher_net.values()]
        assert [net.filters[0] for net in nets] == [64 if k == 2 else 8] * 3
        assert [spec.method for spec in plan(made.values)].count("teacher") == 3


def test_no_method_that_distils_needs_none(tmp_path: Path) -> None:
    made = overlaid(tmp_path / "runs", f"methods: [uniform]\nteacher_net: {SMALL}")
    assert "teacher" not in [spec.method for spec in plan(made.values)]


def test_features_alone_need_no_training(singles: Path) -> None:
    text = f"methods: [kd4mtl]\nteacher_net: {{depth: {FEATURES}}}\nteachers: {{depth: features}}"
    made = overlaid(singles, text)
    rows = run_study(made, Notes())
    assert list(dict.fromkeys(row["method"] for row in rows)) == ["single", "kd4mtl"]
    assert not (made.folder / "teacher").exists()
    net = teacher(made, "depth")
    assert isinstance(net, TappedModule)
    assert net.widths == {}
    facts = json.loads((made.folder / "kd4mtl/seed0/environment.json").read_text())
    assert set(facts["networks"]) == {"segmentation", "depth", "normals"}
    facts["networks"]["depth"] = "another"
    write_record(made.folder / "kd4mtl/seed0/environment.json", facts)
    with pytest.raises(ValueError, match="expected the network of `depth` that its run was made with"):
        run_study(made, Notes())


def test_a_file_is_loaded_into_the_teachers_network(trained: tuple, tmp_path: Path) -> None:
    file = trained[0].folder / "teacher/depth/seed0/student.safetensors"
    text = f"methods: [kd4mtl]\nteacher_net: {{depth: {OTHER}}}\nteachers: {{depth: {file}}}"
    made = overlaid(tmp_path / "runs", text)
    run_study(made, Notes())
    assert json.loads((made.folder / "teacher/depth/seed0/result.json").read_text())["steps"] == 0
    assert json.loads((made.folder / "single/depth/seed0/result.json").read_text())["steps"] > 0
    assert_same(load_tensors(made.folder / "teacher/depth/seed0/student.safetensors"), load_tensors(file))


def test_the_teachers_compute_is_counted(tmp_path: Path) -> None:
    text = "methods: [uniform]\nmethod: {uniform: {budget: with_teachers}}\n"
    same = overlaid(tmp_path / "same", text + "teacher_net: {depth: {class_path: tutelage.nets.SegNet, init_args: "
                 "{filters: [8, 16, 16, 24, 24]}}}")  # fmt: skip
    plain = overlaid(tmp_path / "plain", text)

    def factor(made: Study) -> float:
        spec = plan(made.values)[-1]
        return stretch(spec, made.build(spec.config))

    assert factor(plain) == 1 + 4
    file = tmp_path / "given.safetensors"
    file.touch()
    given = overlaid(tmp_path / "given", text + f"teachers: {{depth: {file}, normals: {file}}}")
    assert factor(given) == pytest.approx(1 + 4 / 3 + 2 / 3)  # these are run, and nobody trains them
    # Three networks with a head each, over one with three: less than three.
    assert 4 < factor(same) < 5
    width = {"depth": 1}

    def whole(made: Study) -> int:
        return forward_operations(made.objects, made.objects.net)

    def cost(made: Study) -> float:
        return forward_operations(made.objects, made.objects.teacher_net["depth"], width) / whole(made)

    wide = overlaid(tmp_path / "wide", text + "teacher_net: {depth: {class_path: tutelage.nets.SegNet, init_args: "
                 "{filters: [16, 32, 32, 48, 48]}}}")  # fmt: skip
    alone = overlaid(tmp_path / "alone", f"{text}teacher_net: {{depth: {FEATURES}}}\nteachers: {{depth: features}}")
    one = forward_operations(alone.objects, alone.objects.teacher_net["depth"], {}) / whole(alone)
    assert factor(alone) == pytest.approx(factor(same) - 4 / 3 * cost(same) + one / 3)  # it is not trained
    own = forward_operations(wide.objects, wide.objects.net, width)
    more = forward_operations(wide.objects, wide.objects.teacher_net["depth"], width) - own
    assert factor(wide) - factor(same) == pytest.approx(4 / 3 * more / whole(wide))
    assert more > 2 * own


def test_the_plan_tells_of_them(tmp_path: Path) -> None:
    made = overlaid(tmp_path / "runs", f"methods: [kd4mtl]\nteacher_net: {{depth: {SMALL}}}")
    assert [kind.name for kind in estimate(made, plan(made.values), None, lambda _: None)] == [
        *("single segmentation", "single depth", "single normals", "teacher depth", "kd4mtl")
    ]


def test_a_table_has_the_same_teachers_for_all(trained: tuple, tmp_path: Path) -> None:
    made, _, _ = trained
    for teachers, line in (
        ("", r"kd4mtl/seed0: expected the config .*, teacher_net\."),
        (f"teacher_net: {{depth: {OTHER}}}", r"teacher/depth/seed0: .* method\.single\.lr = 0\.002; found None;"),
    ):
        with pytest.raises(ValueError, match=line):
            run_study(overlaid(Path(made.objects.out), f"methods: [url]\n{teachers}"), Notes())
    text = f"methods: [url]\nmethod: {{teacher: {{lr: 0.002}}}}\nteacher_net: {{depth: {OTHER}}}"
    with pytest.raises(ValueError, match=r"kd4mtl/seed0: expected the config .*, teacher_net\.segmentation"):
        run_study(overlaid(Path(made.objects.out), text), Notes())
    task = ("--tasks", json.dumps({"depth": read_values("rooms-tiny")["tasks"]["depth"]}))
    out = tmp_path / "runs"
    run_study(overlaid(out, "methods: [bam]", *task), Notes())
    with pytest.raises(ValueError, match=r"bam/seed0: expected the config .*, teacher_net\."):
        run_study(overlaid(out, f"methods: [url]\nteacher_net: {{depth: {SMALL}}}", *task), Notes())


def test_a_budget_of_the_teachers_compute_depends_on_them(singles: Path) -> None:
    text = "methods: [long]\nmethod: {long: {base: uniform, budget: with_teachers}}\nteacher_net: "
    made = overlaid(singles, f"{text}{{depth: {SMALL}}}")
    run_study(made, Notes())
    steps = json.loads((made.folder / "long/seed0/result.json").read_text())["steps"]
    alone = load_study(made.folder / "long/seed0/config.yaml")
    (spec,) = (spec for spec in plan(alone.values) if spec.method == "long")
    assert steps == training_config(spec, alone.build(spec.config)).epochs * 2
    with pytest.raises(ValueError, match=r"long/seed0: expected the config .*, teacher_net\.depth"):
        run_study(overlaid(singles, f"{text}{{depth: {OTHER}}}"), Notes())


def test_there_is_no_row_of_some_of_the_teachers(trained: tuple, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    shutil.copytree(trained[0].folder, out)
    shutil.rmtree(out / "teacher/depth")
    rows = run_study(tiny(out, "--methods", "uniform"), Notes())
    assert "teacher" not in {row["method"] for row in rows}
    shutil.rmtree(out / "kd4mtl")  # nobody says whose the other one is
    rows = run_study(tiny(out, "--methods", "uniform"), Notes())
    assert "teacher" not in {row["method"] for row in rows}


def test_the_teachers_row_says_where_their_values_come_from(trained: tuple) -> None:
    values = {row["method"]: row["values"] for row in trained[1]}
    assert (values["single"], values["teacher"]) == ("study", "changed")


def test_a_teachers_config_is_a_study_of_its_own(trained: tuple, tmp_path: Path) -> None:
    folder = trained[0].folder / "teacher/depth/seed0"
    again = load_study(folder / "config.yaml", ["--out", str(tmp_path / "again")])
    run_study(again, Notes())
    assert_same(
        load_tensors(tmp_path / "again/single/depth/seed0/student.safetensors"),
        load_tensors(folder / "student.safetensors"),
    )


def test_a_distilled_runs_config_has_the_rates_of_its_teachers(trained: tuple) -> None:
    config = load_study(trained[0].folder / "kd4mtl/seed0/config.yaml").objects
    assert config.method["teacher"].lr == 0.002
    assert "single" not in config.method


def test_features_alone_are_called_so(singles: Path) -> None:
    text = (
        f"methods: [kd4mtl]\nteacher_net: {{segmentation: {SMALL}, depth: {FEATURES}}}\nteachers: {{depth: features}}"
    )
    made = overlaid(singles, text)
    rows = run_study(made, Notes())
    assert "teacher" not in {row["method"] for row in rows}  # one of them has no numbers
    run_study(tiny(singles, "--methods", "uniform"), Notes())
    page = write_report(made.folder, made.objects.tasks).read_text()
    assert re.search(r"themselves: segmentation miou [\d.]+ %; depth features alone; normals mean [\d.]+ deg", page)
    assert "the baseline of Delta, and some of the teachers" in page


def test_they_are_tried_on_the_images(tmp_path: Path) -> None:
    console = Console(file=io.StringIO())
    for net, line in (
        ("{class_path: tutelage.nets.ResNet, init_args: {filters: [8, 8]}}", "expected a prediction that fits Depth"),
        (
            "{class_path: tutelage.nets.TappedModule, init_args: {module: torch.nn.Identity, taps: {last: layer9}}}",
            "TappedModule.taps",
        ),
    ):
        made = overlaid(tmp_path / "runs", f"methods: [kd4mtl]\nteacher_net: {{depth: {net}}}")
        with pytest.raises(ValueError, match=rf"teacher_net\.depth: {line}"):
            check_data(made, console)
    check_data(
        overlaid(tmp_path / "runs", f"teacher_net: {{depth: {FEATURES}}}\nteachers: {{depth: features}}"), console
    )


def test_an_overlay_for_one_over_a_network_for_all(tmp_path: Path) -> None:
    file = tmp_path / "one.yaml"
    file.write_text(f"teacher_net: {{depth: {OTHER}}}")
    made = overlaid(tmp_path / "runs", f"methods: [kd4mtl]\nteacher_net: {SMALL}", "--with", str(file))
    kinds = {t: net["class_path"].rpartition(".")[2] for t, net in made.values["teacher_net"].items()}
    assert kinds == {"segmentation": "SegNet", "depth": "EncoderDecoder", "normals": "SegNet"}
    made = tiny(tmp_path / "runs", "--with", str(file), "--teacher_net.depth.decoder", "Unet")
    assert made.values["teacher_net"]["depth"]["init_args"]["decoder"] == "Unet"
    with pytest.raises(ValueError, match=r"--teacher_net\.dept: expected --teacher_net\.KEY .*did you mean `depth`"):
        tiny(tmp_path / "runs", "--with", str(file), "--teacher_net.dept.decoder", "Unet")
    with pytest.raises(ValueError, match=r"--teacher_net\.decoder: expected --teacher_net\.KEY for all teachers"):
        tiny(tmp_path / "runs", "--teacher_net.decoder", "Unet")  # there are none


def test_a_flag_for_all_teachers(tmp_path: Path) -> None:
    made = overlaid(
        tmp_path / "runs", f"methods: [kd4mtl]\nteacher_net: {SMALL}", "--teacher_net.filters", "[2,2,2,2,4]"
    )
    assert [net["init_args"]["filters"] for net in made.values["teacher_net"].values()] == 3 * [[2, 2, 2, 2, 4]]


def test_a_distiller_that_does_not_fit_them_is_named(tmp_path: Path) -> None:
    made = overlaid(
        tmp_path / "runs", f"teacher_net: {{depth: {SMALL}}}", "--with", "ablation", "--methods", "no-adaptors"
    )
    with pytest.raises(ValueError, match=r"method\.no-adaptors\.distiller: Identity: expected as many channels"):
        run_study(made, Notes())


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"teacher_net: {{depht: {SMALL}}}", r"teacher_net\.depht: expected one of the study's tasks, segmentation, "),
        ("teacher_net: [1]", r"teacher_net: expected keys and values, found `\[1\]`"),
        (
            "teacher_net: {class_path: tutelage.nets.SegNat}",
            r"teacher_net\.\w+: expected a class, found no `SegNat` .*; did you mean `SegNet`",
        ),
        (
            "teacher_net: {depth: {class_path: tutelage.nets.SegNet, init_args: {widht: 2}}}",
            "teacher_net.depth: expected a known key, found `widht`; did you mean `width`",
        ),
        ("teachers: {depth: features}", r"teachers\.depth: expected a teacher_net for `depth`, .* give teacher_net"),
        ("methods: [teacher]", "methods: expected names among single, .*; found `teacher`"),
        ("method: {teacher: {lr: 0.1}}", r"method\.teacher: expected one of the study's methods"),
        (
            f"teacher_net: {SMALL}\nmethod: {{teacher: {{budget: with_teachers}}}}",
            r"method\.teacher\.budget: expected a factor of the epochs, .* found `with_teachers`; give a number",
        ),
        (
            "method: {single: {balancer: {class_path: tutelage.balance.Uniform, init_args: {default: 0.5}}}}",
            r"method\.single: expected no more than `lr` and `budget`, found `balancer`",
        ),
        ("method: {single: {adaptor_optim: {interval: step}}}", r"method\.single: .*, found `adaptor_optim`"),
    ],
)
def test_what_is_refused_before_anything_is_built(tmp_path: Path, text: str, line: str) -> None:
    with pytest.raises(ValueError, match=line) as error:
        overlaid(tmp_path / "runs", text)
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
            r"teacher_net\.depth: SegNet: expected one task .*, found {}; for `features` it is built without a task",
        ),
    ],
)
def test_features_alone_do_not_do_everything(tmp_path: Path, text: str, line: str) -> None:
    made = overlaid(tmp_path / "runs", f"{text}\nteachers: {{depth: features}}")
    with pytest.raises(ValueError, match=line):
        run_study(made, Notes())
    assert not list(tmp_path.glob("**/result.json"))  # found before anything was trained
    if "teacher_net" in line:
        with pytest.raises(ValueError, match=line):
            check_data(made, Console(quiet=True))


def test_a_tuning_has_them_too(tmp_path: Path) -> None:
    from tutelage.study import Tuner

    text = f"methods: [bam]\nteacher_net: {{depth: {SMALL}}}\nmethod: {{teacher: {{lr: 0.002}}}}"
    task = json.dumps({"depth": read_values("rooms-tiny")["tasks"]["depth"]})
    made = overlaid(tmp_path / "runs", text, "--tasks", task)
    notes = Notes()
    rows = Tuner(made, ["single", "bam"], trials=2).run(notes)
    assert [row["method"] for row in rows] == ["single", "bam"]
    assert [name for name, _ in notes.started].count("teacher depth, seed 0") == 1
    (config,) = made.folder.glob("tune/*/teacher/depth/seed0/config.yaml")
    assert load_study(config).objects.method["single"].lr == 0.002
