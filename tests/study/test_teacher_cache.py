"""The runs of a study read their teachers from one cache, and nothing but time changes."""

import errno
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.cache.test_entry import without_home
from tests.study.conftest import Notes, overlaid, tiny
from tests.train.fixture import assert_same
from torch import Tensor

from tutelage.cache import entries
from tutelage.distill.teachers import Passes, image_digests
from tutelage.errors import UserError
from tutelage.files import write_record
from tutelage.nets import SegNet
from tutelage.study import Study, execute, load_study, plan, read_values, run_study
from tutelage.study.teacher_cache import wire
from tutelage.study.teacher_cache.record import CacheRecord, ReadOutput, read_outputs, write_outputs
from tutelage.study.teachers import load_tensors
from tutelage.types import Output

DEPTH = json.dumps({t: read_values("rooms-tiny")["tasks"][t] for t in ("segmentation", "depth")})
FLAGS = ("--data.train", "12", "--data.test", "2", "--epochs", "2", "--tasks", DEPTH)
CACHED = (*FLAGS, "--train.augment", "null", "--train.teacher_cache.mode", "always")
NEVER = ("--train.augment", "null", "--train.teacher_cache.mode", "never")
KD4MTL = "methods: [kd4mtl]\nmethod: {kd4mtl: {distiller: {init_args: {weights: null}}}}"


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, int]]:
    """Counts the images of batches that frozen networks of one task compute: (a weight, digest of the image)."""
    counts: Counter[tuple[str, int]] = Counter()
    forward = SegNet.forward

    def counted(net: SegNet, images: Tensor, tasks: Collection[str] | None = None) -> Output:
        frozen = not any(p.requires_grad for p in net.parameters())
        if frozen and len(images) > 1:  # a distiller looks at its teachers' taps with one image
            weight = str(next(net.parameters()).double().sum().item())
            counts.update((weight, digest) for digest in image_digests(images).tolist())
        return forward(net, images, tasks)

    monkeypatch.setattr(SegNet, "forward", counted)
    return counts


def kd4mtl(out: Path, *flags: str) -> Study:
    """A study of two tasks with one method that has teachers."""
    return overlaid(out, KD4MTL, *FLAGS, *flags)


def student(out: Path, run: str = "kd4mtl/seed0") -> dict[str, Tensor]:
    return dict(load_tensors(out / run / "student.safetensors"))


def test_six_methods_and_three_seeds_run_each_teacher_once_on_each_image(
    tmp_path: Path, passes: Counter[tuple[str, int]]
) -> None:
    flags = ["--methods", "uniform,dwa,uncertainty,kd4mtl,url,bam", "--seeds", "0,1,2"]
    flags += [x for m in ("kd4mtl", "url") for x in (f"--method.{m}.distiller.weights", "null")]
    study, notes = tiny(tmp_path / "runs", *CACHED, *flags), Notes()
    run_study(study, notes)
    images = image_digests(torch.stack([study.objects.data.split("train")[i]["image"] for i in range(12)])).tolist()
    teachers = {weight for weight, _ in passes}
    assert len(teachers) == 2 * 3
    assert passes == Counter((weight, image) for weight in teachers for image in images)
    needs = CacheRecord(study.folder).needs()["depth"]
    assert (needs.taps, needs.tasks, needs.runs) == (("bottleneck", "last"), ("depth",), 3)
    assert sum("12 images" in note for note in notes.notes) == 3  # one line for each seed
    assert all(one.complete for one in entries("teachers"))


@pytest.mark.parametrize(
    "flags",
    [
        ("--train.augment.scales", "[1.0]"),
        ("--train.augment.views", "2"),
        ("--train.batch_size", "4", "--train.accumulate", "2", "--train.workers", "1"),
        ("--method.kd4mtl.distiller.teach", "own"),
        ("--net.class_path", "tutelage.nets.MTAN"),
    ],
)
def test_what_is_trained_is_the_same_bit_for_bit(
    flags: tuple[str, ...], tmp_path: Path, passes: Counter[tuple[str, int]]
) -> None:
    augment = () if any("augment" in flag for flag in flags) else ("--train.augment", "null")
    students = []
    for mode in ("never", "always"):
        passes.clear()
        run_study(kd4mtl(tmp_path / "runs", *augment, "--train.teacher_cache.mode", mode, *flags), Notes())
        students.append(student(tmp_path / "runs"))
        shutil.rmtree(tmp_path / "runs/kd4mtl")  # its teachers stay
    assert_same(*students)
    if "MTAN" not in str(flags):
        assert passes
        assert {*passes.values()} == {1}


def rooms(seed: int) -> dict[str, Any]:
    arguments = {"train": 12, "test": 2, "size": [32, 48], "seed": seed}
    return {"class_path": "tutelage.data.Rooms", "init_args": arguments}


@pytest.mark.parametrize("wrapper", ["HideLabels", "HoldOut", "Mix"])
def test_wrapped_and_mixed_sources_train_the_same(
    wrapper: str, tmp_path: Path, passes: Counter[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments: dict[str, dict[str, Any]] = {
        "HideLabels": {"source": rooms(0), "keep": {"segmentation": 0.4, "depth": 0.6}},
        "HoldOut": {"source": rooms(0)},
        "Mix": {"sources": {"indoor": rooms(0), "other": rooms(1)}},
    }
    flags = ["--data", json.dumps({"class_path": f"tutelage.data.{wrapper}", "init_args": arguments[wrapper]})]
    flags += ["--train.batch_size", "4", "--log-steps", "1", "--precision", "32-true"]
    (tmp_path / "kd4mtl.yaml").write_text(KD4MTL)
    flags += ["--out", str(tmp_path / "runs"), "--with", str(tmp_path / "kd4mtl.yaml"), *CACHED[4:]]
    for teach in ("all", "own"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / teach))
        students, first = [], []
        for mode in ("never", "always"):
            passes.clear()
            chosen = ["--method.kd4mtl.distiller.teach", teach, "--train.teacher_cache.mode", mode]
            run_study(load_study("rooms-tiny", [*flags, *chosen]), Notes())
            students.append(student(tmp_path / "runs"))
            line = json.loads((tmp_path / "runs/kd4mtl/seed0/log.jsonl").read_text().splitlines()[0])
            first.append({k: v for k, v in line.items() if k.startswith("distance/")})
            shutil.rmtree(tmp_path / "runs/kd4mtl")  # its teachers stay
        assert first[0]
        assert first[1] == pytest.approx(first[0], rel=1e-6)
        if teach == "all":  # otherwise the network is run on a part of a batch, and rows come from whole ones
            assert_same(*students)
        assert passes
        assert {*passes.values()} == {1}


def test_a_method_that_is_added_later_reads_what_it_needs(tmp_path: Path, passes: Counter[tuple[str, int]]) -> None:
    out, weights = tmp_path / "runs", ("--method.url.distiller.weights", "null")
    run_study(tiny(out, *CACHED, "--methods", "bam"), Notes())  # it reads predictions
    passes.clear()
    run_study(tiny(out, *CACHED, "--methods", "bam,url", *weights), Notes())  # features, too
    assert {*passes.values()} == {1}
    read = student(out, "url/seed0")
    shutil.rmtree(out / "url")
    run_study(tiny(out, *FLAGS, *NEVER, "--methods", "url", *weights), Notes())
    assert_same(read, student(out, "url/seed0"))


def test_a_method_whose_teachers_see_mirror_images_too_has_rows_of_its_own(
    tmp_path: Path, passes: Counter[tuple[str, int]]
) -> None:
    text = "methods: [bam, mirrored]\nmethod: {mirrored: {base: bam, distiller: {init_args: {mirror: true}}}}"
    out, students = tmp_path / "runs", []
    for flags in ((*FLAGS, *NEVER), CACHED):
        passes.clear()
        run_study(overlaid(out, text, *flags), Notes())
        students.append([student(out, f"{method}/seed0") for method in ("bam", "mirrored")])
        for method in ("bam", "mirrored"):
            shutil.rmtree(out / method)  # their teachers stay
    for computed, read in zip(*students, strict=True):
        assert_same(computed, read)
    assert Counter(passes.values()) == {2: 2 * 12, 1: 2 * 12}  # each image for both methods, its mirror image for one
    needs = CacheRecord(out).needs()
    assert {*needs} == {"segmentation", "depth", "segmentation, mirrored", "depth, mirrored"}
    assert all(need.tasks and not need.taps for need in needs.values())


def test_another_way_of_mirroring_a_task_is_another_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "from tutelage.tasks import Depth\nclass Mine(Depth):\n    def mirrored(self, raw): return {} * raw.flip(-1)\n"
    )
    counts = []
    for name, factor, low in (("one", 1, 0.5), ("corrected", -5, 0.5), ("range", -5, 0.6)):
        folder = tmp_path / f"code{factor}"  # the same class, in a file that has changed
        folder.mkdir(exist_ok=True)
        (folder / "mirrored_task.py").write_text(code.format(factor))
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(folder))
            patch.delitem(sys.modules, "mirrored_task", raising=False)
            task = {"class_path": "mirrored_task.Mine", "init_args": {"range": [low, 10.0]}}
            flags = [*CACHED, "--epochs", "1", "--tasks", json.dumps({"depth": task}), "--methods", "bam"]
            run_study(tiny(tmp_path / name, *flags, "--method.bam.distiller.mirror", "true"), Notes())
            sys.modules.pop("mirrored_task")
        counts.append(len(entries("teachers")))
    assert counts == [1, 2, 3]


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study whose teachers are trained and whose students are not."""
    study = kd4mtl(tmp_path_factory.mktemp("teachers") / "runs", *CACHED)
    for spec in plan(study.values):
        if not spec.teachers:
            execute(spec, study.folder, Notes(), study.build)
    return study


@pytest.fixture
def trained(teachers: Study, tmp_path: Path) -> Study:
    """A copy of it."""
    shutil.copytree(teachers.folder, tmp_path / "runs")
    return Study({**teachers.values, "out": str(tmp_path / "runs")}, teachers.build)


def distil(study: Study) -> list[str]:
    """Execute the student's run; what the user is told."""
    notes = Notes()
    execute(plan(study.values)[-1], study.folder, notes, study.build)
    return notes.notes


@pytest.mark.parametrize(("mode", "parked"), [("always", 2), ("never", 0)])
def test_teachers_that_are_read_leave_memory(
    mode: str, parked: int, trained: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks, park = [], Passes.park

    def noted(passes: Passes, network: Any, folder: Path) -> int:
        networks.append(network)
        return park(passes, network, folder)

    monkeypatch.setattr(Passes, "park", noted)
    distil(kd4mtl(trained.folder, *CACHED, "--train.teacher_cache.mode", mode))
    assert len(networks) == parked
    assert all(len({x.untyped_storage().data_ptr() for x in net.state_dict().values()}) == 1 for net in networks)


def test_filling_goes_on_where_it_was_interrupted(
    trained: Study, passes: Counter[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tutelage.study.teacher_cache import fill as cache_fill

    fill_rows, filled = cache_fill.fill_rows, []

    def killed(given: Any, rows: Tensor, *computed: Any) -> None:
        if len(filled) == 1:
            raise KeyboardInterrupt
        fill_rows(given, rows, *computed)
        filled.append(rows)

    with monkeypatch.context() as patch:
        patch.setattr(cache_fill, "fill_rows", killed)
        with pytest.raises(KeyboardInterrupt):
            distil(trained)
    assert not any(one.complete for one in entries("teachers"))
    assert any(one.written for one in entries("teachers"))
    passes.clear()
    distil(trained)
    assert all(one.complete for one in entries("teachers"))
    assert sorted(passes.values()) == [1] * (12 + 4)  # a batch of 8 of one teacher is there already


def test_a_full_disk_is_a_warning_and_teachers_run(trained: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    notes = distil(trained)
    assert any(note.startswith("teacher cache: the disk is full; teachers run in every step") for note in notes)
    assert (trained.folder / "kd4mtl/seed0/result.json").exists()


@pytest.mark.parametrize("shards", ["never", "always"])
def test_without_a_folder_for_the_cache_nothing_is_kept(
    trained: Study, monkeypatch: pytest.MonkeyPatch, shards: str
) -> None:
    without_home(monkeypatch)
    study, notes = kd4mtl(trained.folder, *CACHED, "--shards", shards), Notes()
    run_study(study, notes)
    assert any("teacher cache: ~/.cache/tutelage: expected a home folder" in note for note in notes.notes)
    assert any("is decoded in every epoch" in note for note in notes.notes) == (shards == "always")
    assert (study.folder / "kd4mtl/seed0/result.json").exists()


class StoppedError(Exception):
    pass


class StopsAfterTwoSteps(Notes):
    def step(self, step: int, total: int) -> None:
        if step == 2:  # the first one is saved
            raise StoppedError


def test_a_resumed_run_computes_what_it_computed_before(
    trained: Study, monkeypatch: pytest.MonkeyPatch, passes: Counter[tuple[str, int]]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    study = kd4mtl(trained.folder, *CACHED, "--checkpoint-steps", "1")
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        with pytest.raises(StoppedError):
            execute(plan(study.values)[-1], study.folder, StopsAfterTwoSteps(), study.build)
    assert (study.folder / "kd4mtl/seed0/checkpoint.pt").exists()
    passes.clear()
    distil(study)
    assert passes
    assert not any(one.complete for one in entries("teachers"))


@pytest.mark.parametrize("decided", [None, False])
def test_a_run_that_has_begun_reads_on_though_the_record_of_the_study_is_anothers(
    decided: bool | None, trained: Study, monkeypatch: pytest.MonkeyPatch, passes: Counter[tuple[str, int]]
) -> None:
    """As on a machine of a cluster that has the folder of the run alone."""
    study = kd4mtl(trained.folder, *CACHED, "--train.teacher_cache.mode", "auto", "--checkpoint-steps", "1")
    monkeypatch.setattr(wire, "_judge", lambda *_: (True, "it is faster"))
    with pytest.raises(StoppedError):
        execute(plan(study.values)[-1], study.folder, StopsAfterTwoSteps(), study.build)
    file = study.folder / "teacher_cache.json"
    if decided is None:
        file.unlink()
    else:
        record = json.loads(file.read_text())
        outputs = {digest: output | {"cached": False} for digest, output in record["outputs"].items()}
        write_record(file, {**{key: record[key] for key in record if key != "digest"}, "outputs": outputs})
    monkeypatch.setattr(wire, "_judge", lambda *_: (False, "it is slower"))
    passes.clear()
    distil(study)
    assert set(passes.values()) == {1}  # by which reading is measured; no step ran a teacher


def test_no_more_than_the_share_of_the_free_disk_is_taken(trained: Study) -> None:
    flags = ("--train.teacher_cache.mode", "auto", "--train.teacher_cache.share", "1e-9")
    study = kd4mtl(trained.folder, *CACHED, *flags)
    notes = distil(study)
    assert sum("more than train.teacher_cache.share of the free disk" in note for note in notes) == 2
    assert entries("teachers") == []


@pytest.mark.parametrize("faster", [True, False])
def test_auto_takes_what_is_faster_and_writes_it_down(
    trained: Study, faster: bool, monkeypatch: pytest.MonkeyPatch, passes: Counter[tuple[str, int]]
) -> None:
    from tutelage.study.teacher_cache import wire as caching

    measure = caching.probe

    def measured(*given: Any) -> Any:
        probe = measure(*given)
        probe.compute, probe.write, probe.read = (1.0, 0.1, 0.1) if faster else (0.1, 1.0, 1.0)
        return probe

    monkeypatch.setattr(caching, "probe", measured)
    study = kd4mtl(trained.folder, *CACHED, "--train.teacher_cache.mode", "auto")
    distil(study)
    outputs = json.loads((study.folder / "teacher_cache.json").read_text())["outputs"].values()
    assert [one["cached"] for one in outputs] == [faster, faster]
    assert bool(entries("teachers")) == faster
    monkeypatch.setattr(caching, "probe", lambda *_: pytest.fail("it is decided once"))
    (study.folder / "kd4mtl/seed0/result.json").unlink()
    passes.clear()
    distil(study)
    assert bool(passes) != faster


def test_other_weights_and_other_views_have_entries_of_their_own(trained: Study, teachers: Study) -> None:
    distil(trained)
    count = len(entries("teachers"))
    for flags in (["--net.width", "0.5"], ["--train.augment.scales", "[1.0]"]):
        run_study(kd4mtl(trained.folder.with_name(flags[1]), *CACHED, *flags), Notes())
        assert len(entries("teachers")) > count
        count = len(entries("teachers"))
    again = trained.folder.with_name("again")
    shutil.copytree(teachers.folder, again)
    distil(Study({**teachers.values, "out": str(again)}, teachers.build))
    assert len(entries("teachers")) == count


def test_each_way_of_computing_has_entries_of_its_own(trained: Study) -> None:
    for count, flags in enumerate(([], ["--precision", "bf16-mixed"], ["--train.channels_last", "false"]), 1):
        distil(kd4mtl(trained.folder, *CACHED, "--precision", "32-true", "--train.channels_last", "true", *flags))
        assert len(entries("teachers")) == 2 * 2 * count  # of two teachers, two taps
        shutil.rmtree(trained.folder / "kd4mtl")  # its teachers stay


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ((), "train.augment shows new random views of the images in every epoch"),
        (("--train.augment", "null", "--train.official_quirks", "true"), "teachers are in training mode"),
    ],
)
def test_what_cannot_be_cached_is_said_and_refused_where_it_is_demanded(
    flags: tuple[str, ...], reason: str, tmp_path: Path
) -> None:
    notes = Notes()
    run_study(kd4mtl(tmp_path / "runs", *flags), notes)
    assert sum(note.startswith("teachers run in every step: ") and reason in note for note in notes.notes) == 1
    assert entries("teachers") == []
    shutil.rmtree(tmp_path / "runs/kd4mtl")
    with pytest.raises(UserError, match=r"^train.teacher_cache.mode: expected `auto` or `never`, found `always`"):
        run_study(kd4mtl(tmp_path / "runs", *flags, "--train.teacher_cache.mode", "always"), Notes())


def test_methods_without_teachers_say_nothing(tmp_path: Path) -> None:
    notes = Notes()
    run_study(tiny(tmp_path / "runs", *FLAGS, "--methods", "uniform"), notes)
    assert not any("teacher cache" in note for note in notes.notes)
    assert not (tmp_path / "runs/teacher_cache.json").exists()


def test_what_a_run_of_an_earlier_version_has_read_is_known_by_its_digests(tmp_path: Path) -> None:
    now = [ReadOutput("a", ("depth",), "rooms", 24), ReadOutput("b", ("left", "right"), "streets", 3)]
    write_outputs(tmp_path / "now.json", now)
    assert read_outputs(tmp_path / "now.json") == now
    (tmp_path / "before.json").write_text('{"read": ["a", "b"]}')
    assert [output.digest for output in read_outputs(tmp_path / "before.json")] == ["a", "b"]
    assert read_outputs(tmp_path / "none.json") == []
