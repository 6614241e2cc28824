"""Every sample is looked at once, in parallel, and what passed is remembered for as long as nothing changes."""

import inspect
import os
import re
import sys
import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import cache
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from rich.console import Console
from tests.data.test_folders import numbers, write

from tutelage import data, tasks
from tutelage.data import (
    Augment,
    ClassesLabel,
    ClassLabel,
    CodedLabel,
    DepthLabel,
    InverseDepthLabel,
    MaskLabel,
    Mix,
    Modality,
    NormalsLabel,
    NumbersLabel,
)
from tutelage.data.base import DataSource, Split
from tutelage.data.folder_dataset import FolderDataset
from tutelage.data.samples import Memory, Samples
from tutelage.errors import UserError
from tutelage.study import Study, check_data, load_study, read_values
from tutelage.study.findings import Finding, Findings
from tutelage.study.mixing import refuse_mixing
from tutelage.tasks import (
    Classification,
    Depth,
    Edges,
    HumanParts,
    InverseDepth,
    MultiLabel,
    Normals,
    Regression,
    Saliency,
    Segmentation,
)
from tutelage.types import MultiTaskNet, Sample, Task


def study(root: Path, *flags: str) -> Study:
    values = {**read_values("rooms-tiny"), "methods": ["uniform"]}
    values["data"] = {"class_path": "tutelage.data.NYUv2", "init_args": {"root": str(root), "size": [32, 40]}}
    file = root / "study.yaml"
    file.write_text(yaml.safe_dump(values))
    return load_study(file, ["--batch-size", "2", *flags])


@cache
def loaded() -> Study:
    return load_study("rooms-tiny", ["--methods", "uniform"])


def rooms_tiny() -> Study:
    """A study whose tasks and data a test may replace."""
    return Study(loaded().values, loaded().build)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "train", numbers(10), size=(36, 44))
    return tmp_path


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The images that were decoded, and by which thread."""
    seen: list[str] = []
    original = FolderDataset.__getitem__

    def counted(self: FolderDataset, index: int) -> Sample:
        seen.append(self.where(index))
        assert threading.current_thread() is not threading.main_thread()
        return original(self, index)

    monkeypatch.setattr(FolderDataset, "__getitem__", counted)
    return seen


def check(found: Study, terminal: bool = False, level: str = "auto") -> str:
    text = StringIO()
    check_data(found, Console(file=text, force_terminal=terminal, width=80), level, write=False)
    return text.getvalue()


def remembered() -> list[Path]:
    return list(Path(os.environ["XDG_CACHE_HOME"], "tutelage/checked").glob("[!.]*"))


def test_every_sample_is_decoded_once_and_then_remembered(root: Path, decoded: list[str]) -> None:
    assert check(study(root)) == "checking 10 images and their labels, once for these data\n"
    assert sorted(decoded) == [str(root / f"train/image/{n}.png") for n in numbers(10)]
    assert len(remembered()) == 1
    assert check(study(root)) == ""
    assert check(study(root, "--net.filters", "[4, 4, 4, 4, 4]", "--epochs", "9")) == ""  # no matter
    assert len(decoded) == 10


@pytest.mark.parametrize(
    "flags",
    [
        ("--tasks.segmentation.classes", "14", "--tasks.segmentation.names", "null"),
        ("--tasks.depth.range", "[0.1, 20]"),
        ("--data.size", "[36, 44]"),
        ("--data.holdout_seed", "1"),
    ],
    ids=lambda flags: flags[0],
)
def test_it_is_forgotten_with_what_it_depends_on(root: Path, decoded: list[str], flags: tuple[str, ...]) -> None:
    check(study(root))
    check(study(root, *flags))
    assert len(decoded) == 20
    assert len(remembered()) == 2
    check(study(root, *flags, "--batch-size", "1"))
    assert len(decoded) == 20


def test_it_is_forgotten_when_the_data_change(root: Path) -> None:
    check(study(root))
    path = root / "train/depth/3.png"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"depth/3.png: expected a readable .png file, found .*; replace"):
        check(study(root))
    assert len(remembered()) == 1
    with pytest.raises(ValueError, match=r"depth/3.png"):
        check(study(root))


def test_the_first_of_several_bad_samples_is_named(root: Path) -> None:
    for stem in ("9", "5", "4"):
        (root / f"train/image/{stem}.png").write_bytes(b"")
    for _ in range(3):  # whichever thread comes first
        with pytest.raises(ValueError, match=r"image/4.png") as error:
            check(study(root))
        assert "\n" not in str(error.value)


def test_what_cannot_be_remembered_is_checked_again(
    root: Path, decoded: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    check(study(root))
    check(study(root))
    assert len(decoded) == 20


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "no JSON": lambda content: b"\xff\n" + content,
    "other JSON": lambda content: b"[1]\n" + content.split(b"\n", 1)[1],
    "cut off": lambda content: content[:-1],
    "a bit": lambda content: content[:-5] + bytes([content[-5] ^ 1]) + content[-4:],
    "longer": lambda content: content + b"x",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_no_file_and_is_written_again(root: Path, decoded: list[str], damage: str) -> None:
    check(study(root))
    (path,) = remembered()
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    check(study(root))
    assert len(decoded) == 20
    check(study(root))
    assert len(decoded) == 20


def test_only_new_and_changed_samples_are_decoded_again(root: Path, decoded: list[str]) -> None:
    check(study(root))
    decoded.clear()
    write(root / "train", ["20", "21"], size=(36, 44))
    # Which samples are held out follows from their number, so that others may move between the splits.
    assert check(study(root)) == "checking 2 images and their labels, which are new or have changed\n"
    assert sorted(decoded) == [str(root / f"train/image/{n}.png") for n in ("20", "21")]
    decoded.clear()
    (root / "train/note.txt").touch()
    path = root / "train/label/4.png"
    edited = bytearray(path.read_bytes())
    path.write_bytes(edited)  # in place, of the same size
    os.utime(path, ns=(1, 1))
    assert "checking 1 images" in check(study(root))
    assert decoded == [str(root / "train/image/4.png")]
    assert check(study(root)) == ""
    assert len(remembered()) == 1


def test_a_label_that_is_spoilt_in_place_is_found(tmp_path: Path) -> None:
    for split, stems in (("train", numbers(4)), ("test", numbers(2))):
        write(tmp_path / split, stems, size=(36, 44))
        for stem in stems:  # large enough that a fingerprint reads parts of it alone
            (tmp_path / split / "label" / f"{stem}.png").unlink()
            np.save(tmp_path / split / "label" / f"{stem}.npy", np.zeros((200, 200), np.int64))
            Image.fromarray(np.zeros((200, 200, 3), np.uint8)).save(tmp_path / split / "image" / f"{stem}.png")
            for name in ("depth", "normal"):
                (tmp_path / split / name / f"{stem}.png").unlink()
            np.save(tmp_path / split / "depth" / f"{stem}.npy", np.ones((200, 200), np.float32))
            np.save(tmp_path / split / "normal" / f"{stem}.npy", np.ones((200, 200, 3), np.float32))
    found = study(tmp_path)
    before = found.objects.data.fingerprint()
    check(found)
    path = tmp_path / "train/label/2.npy"
    labels = np.load(path)
    labels[48:56, :16] = 99
    size = path.stat().st_size
    np.save(path, labels)
    assert path.stat().st_size == size
    found = study(tmp_path)
    assert found.objects.data.fingerprint() != before
    with pytest.raises(ValueError, match=r"label/2.npy: expected classes 0..12, .* found 99"):
        check(found)


def test_sound_samples_are_remembered_beside_a_wrong_one(root: Path, decoded: list[str]) -> None:
    good = (root / "train/depth/9.png").read_bytes()
    (root / "train/depth/9.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"depth/9.png"):
        check(study(root))
    (root / "train/depth/9.png").write_bytes(good)
    decoded.clear()
    check(study(root))
    assert len(decoded) < 10
    assert str(root / "train/image/9.png") in decoded


def test_what_two_processes_find_is_joined(root: Path) -> None:
    found = study(root)
    one, other = Findings.of(found), Findings.of(found)
    for findings, key, sufficient in ((one, "a", {"depth": True}), (other, "b", {"depth": False, "normals": True})):
        findings.add(key, Finding((3, 4), sufficient))
        findings.write()
    joined = Findings.of(found)
    assert joined.get("a") == Finding((3, 4), {"depth": True})
    assert joined.get("b") == Finding((3, 4), {"depth": False, "normals": True})
    assert joined.get("c") is None


def test_data_in_memory_are_in_it_afterwards(root: Path, decoded: list[str]) -> None:
    found = study(root, "--data.cache", "true")
    check(found)
    samples = found.objects.data.split("train")
    assert isinstance(samples, Memory)
    assert samples[3]["image"].shape == (3, 32, 40)
    assert len(decoded) == 10


def test_a_terminal_gets_a_bar(root: Path) -> None:
    text = check(study(root), terminal=True)
    assert "checking 10 images and their labels" in text
    assert "100%" in text
    assert "once for these data" not in text


def test_runs_may_go_on_with_and_without_missing_labels(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("data: {init_args: {size: 3}}")  # of a time when there was no `partial`
    (tmp_path / "environment.json").write_text('{"data": "x"}')
    refuse_mixing(tmp_path, {"data": {"init_args": {"size": 3, "partial": True}}}, "x")
    with pytest.raises(ValueError, match=r"data.init_args.size = 3; found 4"):
        refuse_mixing(tmp_path, {"data": {"init_args": {"size": 4, "partial": True}}}, "x")


def test_names_of_classes_change_no_result(tmp_path: Path) -> None:
    (tmp_path / "environment.json").write_text('{"data": "x"}')
    (tmp_path / "config.yaml").write_text("tasks: {a: {init_args: {classes: 2}}}")
    refuse_mixing(tmp_path, {"tasks": {"a": {"init_args": {"classes": 2, "names": ["road", "sky"]}}}}, "x")
    with pytest.raises(ValueError, match=r"tasks.a.init_args.classes = 2; found 3"):
        refuse_mixing(tmp_path, {"tasks": {"a": {"init_args": {"classes": 3, "names": ["a", "b", "c"]}}}}, "x")


def test_a_network_of_the_users_own_that_cannot_be_built(root: Path) -> None:
    def broken(widths: dict[str, int]) -> MultiTaskNet:
        raise TypeError("no\nwidth")

    found = study(root)
    found.objects.net = broken
    line = r"^net: expected a network that can be built of \{'.*\}, found TypeError: no width$"
    with pytest.raises(ValueError, match=line):
        check(found)


@pytest.mark.parametrize("value", [0, 0.0, False])
def test_zero_and_false_are_no_missing_values(tmp_path: Path, value: object) -> None:
    (tmp_path / "environment.json").write_text('{"data": "x"}')
    (tmp_path / "config.yaml").write_text(
        yaml.safe_dump({"method": {"a": {"distiller": {"weights": {"depth": value}}}}})
    )
    refuse_mixing(tmp_path, {"method": {"a": {"distiller": {"weights": {"depth": value}}, "balancer": {}}}}, "x")
    for now in ({}, {"weights": {"depth": None}}):
        with pytest.raises(ValueError, match=r"method.a.distiller.weights.depth = "):
            refuse_mixing(tmp_path, {"method": {"a": {"distiller": now}}}, "x")


def test_how_often_something_is_looked_at_is_free(tmp_path: Path) -> None:
    (tmp_path / "environment.json").write_text('{"data": "x"}')
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"train": {"log_steps": 20}}))
    refuse_mixing(tmp_path, {"train": {"log_steps": 5, "observe_steps": 50}}, "x")


def test_crop_and_network_are_tried_even_if_the_data_are_remembered(root: Path) -> None:
    check(study(root))
    with pytest.raises(ValueError, match=r"train.augment.scales: expected windows .* of images of 32x40, found 0x0"):
        check(study(root, "--train.augment.scales", "[100]"))
    with pytest.raises(ValueError, match=r"SegNet: expected images of at least 32x32, found \(16, 40\)"):
        check(study(root, "--data.size", "[16, 40]"))


def test_images_of_several_sizes(root: Path) -> None:
    write(root / "train", ["3"], size=(33, 60))
    write(root / "train", ["5"], size=(40, 20))
    flags = ("--data", "tutelage.data.Folders", "--data.root", str(root), "--data.size", "null")
    flags += ("--data.labels", LABELS)
    with pytest.raises(
        ValueError, match=r"image/3.png: expected 36x44, the size of .*/image/1.png and .*, found 33x60; set data.size"
    ):
        check(study(root, *flags))
    # One by one they are fine, but for the network: the narrowest is tried, too.
    with pytest.raises(ValueError, match=r"SegNet: expected images of at least 32x32, found \(40, 20\)"):
        check(study(root, *flags, "--batch-size", "1"))


KINDS = [x for x in vars(data).values() if isinstance(x, type) and issubclass(x, Modality) and x is not Modality]
TASKS: dict[str, tuple[Callable[[], Task], set[type[Modality]]]] = {
    "Segmentation": (lambda: Segmentation(5), {ClassesLabel, MaskLabel}),
    "HumanParts": (HumanParts, {ClassesLabel, MaskLabel}),
    "Depth": (Depth, {DepthLabel}),
    "InverseDepth": (InverseDepth, {InverseDepthLabel}),
    "Normals": (Normals, {NormalsLabel}),
    "Edges": (Edges, {ClassesLabel, MaskLabel}),
    "Saliency": (Saliency, {ClassesLabel, MaskLabel}),
    "Classification": (lambda: Classification(5), {ClassLabel}),
    "MultiLabel": (lambda: MultiLabel(5), {NumbersLabel}),
    "Regression": (lambda: Regression(5), {NumbersLabel}),
}


def refusal(task: Task, kind: Modality, several: bool = False) -> str:
    """What the check says of a task and the kind of its labels before it reads a sample; "" where they fit."""
    found = rooms_tiny()
    source = Own("read")
    source.modalities = {"it": kind}
    source.check_names = lambda _: None  # whatever the study's tasks are
    found.objects.tasks = {"it": task}
    found.objects.data = Mix({"own": source, "other": Own("read")}) if several else source
    try:
        check(found)
    except UserError as error:
        return "" if "found RuntimeError: a sample is read" in str(error) else str(error)
    raise AssertionError("no sample was read")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("name", TASKS)
def test_labels_must_hold_what_the_task_learns(name: str, kind: type[Modality]) -> None:
    make, fitting = TASKS[name]
    assert set(TASKS) == {name for name in tasks.__all__ if not inspect.isabstract(getattr(tasks, name))}
    message = refusal(make(), kind(codes=((0,), (1,))) if kind is CodedLabel else kind())
    if kind in fitting or (kind is CodedLabel and ClassesLabel in fitting):
        assert message == ""
    else:
        pattern = rf"^tasks.it: expected labels of .* for {name}, found {kind.content} \({kind.__name__}\) in data; .*"
        assert re.match(pattern, message)
        assert "\n" not in message


def test_the_line_names_what_would_fit() -> None:
    line = "tasks.it: expected labels of inverse depth for InverseDepth, found depth (DepthLabel) in data"
    remedy = "give the label the kind data.InverseDepthLabel, or take the task tasks.Depth"
    assert refusal(InverseDepth(), DepthLabel()) == f"{line}; {remedy}"
    assert refusal(InverseDepth(), DepthLabel(), several=True) == f"{line}.sources.own; {remedy}"


def test_tasks_and_kinds_of_the_users_own_fit_everything() -> None:
    class Anything(Depth):
        contents = frozenset()

    class Disparity(DepthLabel):
        content = ""

    assert refusal(Anything(), InverseDepthLabel()) == ""
    assert refusal(InverseDepth(), Disparity()) == ""


class Many(DataSource):
    """A source of very many samples, which counts those that are read."""

    name = "many"

    def __init__(self, train: int, test: int, bad: int = -1) -> None:
        self.lengths, self.bad = {"train": train, "test": test}, bad
        self.modalities = {"depth": DepthLabel()}
        self.read: list[tuple[str, int]] = []

    def split(self, split: Split) -> Samples:
        return ManySamples(self, split)

    def check(self, tasks: Collection[str]) -> None: ...

    def fingerprint(self) -> str:
        return f"{self.lengths}"


class ManySamples(Samples):
    def __init__(self, source: Many, split: Split) -> None:
        self.source, self.split = source, split

    def __len__(self) -> int:
        return self.source.lengths[self.split]

    def __getitem__(self, index: int) -> Sample:
        self.source.read.append((self.split, index))
        label = torch.ones(1, 32, 32) if index % 7000 == 1 else torch.zeros(1, 32, 32)  # few have a valid position
        if index == self.source.bad:
            label = label[0]
        return Sample(image=torch.zeros(3, 32, 32), labels={"depth": label})


def many(source: Many) -> Study:
    found = rooms_tiny()
    found.objects.tasks = {"depth": found.objects.tasks["depth"]}
    found.objects.data = source
    return found


def test_of_very_many_samples_some_are_checked_at_even_distances() -> None:
    source = Many(1_000_000, 3000)
    line = "checking 4000 of 1003000 images and their labels, at even distances; --check full checks all\n"
    assert check(many(source)).startswith(line)
    assert "checking" not in check(many(source))  # that is remembered
    for split, count in source.lengths.items():
        indices = sorted(i for s, i in source.read if s == split)
        assert (len(indices), indices[0], indices[-1]) == (2000, 0, count - 1)
        steps = np.diff(indices)
        assert steps.max() - steps.min() <= 1


def test_up_to_twenty_thousand_samples_all_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sys.modules["tutelage.study.check"]._FULL == 20_000  # a hundredth here
    monkeypatch.setattr("tutelage.study.check._FULL", 200)
    monkeypatch.setattr("tutelage.study.check_samples._SAMPLE", 20)
    source = Many(150, 50)
    assert check(many(source)).startswith("checking 200 images and their labels, once for these data\n")
    assert len(set(source.read)) == len(source.read) == 200
    source = Many(150, 51)
    assert "checking 40 of 201 images" in check(many(source))


def test_a_level_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tutelage.study.check_samples._SAMPLE", 20)
    source = Many(40, 3, bad=13)
    with pytest.raises(ValueError, match=r"^sample 13: expected float32 \[1, 32, 32\]"):
        check(many(source), level="full")
    source.read.clear()
    assert " of 43 images" in check(many(source), level="sample")
    assert ("train", 13) not in source.read
    source.read.clear()
    assert check(many(Many(41, 3)), level="none") == ""
    with pytest.raises(ValueError, match=r"^sample 13"):  # a smaller check is not taken for a larger one
        check(many(source), level="full")


def test_without_a_check_crop_and_network_are_still_tried() -> None:
    found = many(Many(10, 10))
    found.objects.train = replace(found.objects.train, augment=Augment(scales=[100]))
    with pytest.raises(ValueError, match=r"train.augment.scales: expected windows .* of images of 32x32, found 0x0"):
        check(found, level="none")


LABELS = (
    "{segmentation: {folder: label, kind: tutelage.data.ClassesLabel}, "
    "depth: {folder: depth, kind: {class_path: tutelage.data.DepthLabel, init_args: {scale: 0.04}}}, "
    "normals: {folder: normal, kind: tutelage.data.NormalsLabel}}"
)


class Own(DataSource):
    """A source of the user's own, of which `trouble` has one sample.

    Args:
        trouble: what is wrong with sample 11.
    """

    name = "own"

    def __init__(self, trouble: str = "", trusted: bool = False) -> None:
        self.trouble, self.trusted = trouble, trusted
        self.modalities = {"depth": DepthLabel()}

    def split(self, split: Split) -> Samples:
        return OwnSamples(self.trouble)

    def check(self, tasks: Collection[str]) -> None: ...

    def fingerprint(self) -> str:
        return self.trouble


class OwnSamples(Samples):
    def __init__(self, trouble: str) -> None:
        self.trouble = trouble

    def __len__(self) -> int:
        return 0 if self.trouble == "no sample" else 12

    def __getitem__(self, index: int) -> Sample:
        image, depth = torch.zeros(3, 32, 32), torch.linspace(1, 2, 1024).view(1, 32, 32)
        if self.trouble == "read":
            raise RuntimeError("a sample is read")
        if self.trouble == "no label":
            return Sample(image=image, labels={})
        if index == 11 and self.trouble == "an error":
            raise KeyError("no such\nthing")
        if index == 11 and self.trouble == "another shape":
            depth = depth[0]
        if index == 11 and self.trouble == "another type":
            depth = depth.long()
        return Sample(image=image, labels={"depth": depth})


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        ("an error", r"^sample 11: expected a readable sample, found KeyError: 'no such"),
        (
            "another shape",
            r"^sample 11: expected float32 \[1, 32, 32\] for the task Depth, found .* \[32, 32\]; ",
        ),
        ("another type", r"^sample 11: expected float32 \[1, 32, 32\] .*, found int64 \[1, 32, 32\]; give"),
        ("no sample", r"^data: expected samples for train, found none; add"),
        ("no label", r"^tasks.depth: expected a value for `depth` somewhere in train, found none in 0 labels"),
    ],
)
def test_a_source_of_the_users_own(tmp_path: Path, trouble: str, message: str) -> None:
    found = rooms_tiny()
    found.objects.tasks = {"depth": found.objects.tasks["depth"]}
    found.objects.data = Own(trouble)
    with pytest.raises(ValueError, match=re.compile(message)) as error:
        check(found)
    assert "\n" not in str(error.value)
    if trouble != "no sample":
        found.objects.data = Own(trouble, trusted=True)
        assert check(found) == ""  # a few stand for all


def test_a_few_rooms_stand_for_all_but_classes_must_fit() -> None:
    found = load_study("rooms-tiny", ["--methods", "uniform"])
    assert check(found) == ""
    assert len(found.objects.data.split("train").kept) == 8
    found = load_study(
        "rooms-tiny",
        ["--methods", "uniform", "--tasks.segmentation.classes", "5", "--tasks.segmentation.names", "null"],
    )
    with pytest.raises(ValueError, match=r"data: train image 0 of Rooms: expected classes 0..4, .* found 5,"):
        check(found)


def test_yes_and_no_without_a_single_yes(root: Path) -> None:
    for path in root.rglob("label/*.png"):  # 255, which is no label, in place of 1
        Image.fromarray(np.where(np.arange(36)[:, None] < 9, 255, np.zeros((36, 44))).astype(np.uint8)).save(path)
    values = {**read_values("rooms-tiny"), "methods": ["uniform"]}
    values["tasks"] = {"salient": {"class_path": "tutelage.tasks.Saliency"}}
    labels = {"salient": {"folder": "label", "kind": {"class_path": "tutelage.data.ClassesLabel"}}}
    values["data"] = {
        "class_path": "tutelage.data.Folders",
        "init_args": {"root": str(root), "size": [32, 40], "labels": labels},
    }
    file = root / "salient.yaml"
    file.write_text(yaml.safe_dump(values))
    line = (
        r"label/\d+.png: expected a pixel that is 1 for `salient` somewhere in train, found none in 8 labels, read as "
        r"`value; 255 is no label`; where 255 is 1, give the label the kind tutelage.data.MaskLabel"
    )
    with pytest.raises(ValueError, match=line):
        check(load_study(file, ["--batch-size", "2"]))


def test_a_network_for_whole_images_has_no_map_of_depth(root: Path) -> None:
    with pytest.raises(ValueError, match=r"tasks.depth: expected .* fits Depth from ResNet, found \[2, 1\]"):
        check(study(root, "--net", "tutelage.nets.ResNet", "--net.filters", "[8, 8]"))


def test_a_renamed_folder_of_the_same_data(tmp_path: Path) -> None:
    labels = {"segmentation": {"folder": "label", "kind": {"class_path": "tutelage.data.ClassesLabel"}}}
    values = {**read_values("rooms-tiny"), "methods": ["uniform"]}
    values["tasks"] = {"segmentation": values["tasks"]["segmentation"]}
    write(tmp_path / "kitchen/train", numbers(10), size=(36, 44))
    for before, after in ((None, "kitchen"), ("kitchen", "cuisine")):  # a source of folders is called after its own
        if before is not None:
            (tmp_path / before).rename(tmp_path / after)
        values["data"] = {
            "class_path": "tutelage.data.Folders",
            "init_args": {"root": str(tmp_path / after), "size": [32, 40], "labels": labels},
        }
        file = tmp_path / "study.yaml"
        file.write_text(yaml.safe_dump(values))
        check(load_study(file, ["--batch-size", "2"]))
