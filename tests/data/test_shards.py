import gc
import os
import pickle
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from tutelage import cache
from tutelage.data import (
    ClassesLabel,
    DataSource,
    DepthLabel,
    Folders,
    FromDataset,
    HideLabels,
    HoldOut,
    Label,
    Mix,
    NormalsLabel,
    Rooms,
    Samples,
)
from tutelage.data.coding import Bytes, Coding, Same, Scaled, Whole
from tutelage.data.shards import Keeper, Mode, Shard
from tutelage.types import Sample

LABELS = {
    "segmentation": Label("label", ClassesLabel()),
    "depth": Label("depth", DepthLabel(scale=0.001)),
    "normals": Label("normal", NormalsLabel()),
}


def write(root: Path, stem: str, seed: int, size: tuple[int, int] = (12, 16), depth: bool = True) -> None:
    rng = np.random.default_rng(seed)
    for folder in ("image", "label", "depth", "normal"):
        (root / "train" / folder).mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(root / "train" / "image" / f"{stem}.png")
    Image.fromarray(rng.integers(0, 13, size, np.uint8)).save(root / "train" / "label" / f"{stem}.png")
    Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(root / "train" / "normal" / f"{stem}.png")
    if depth:
        Image.fromarray(rng.integers(0, 9000, size, np.uint16)).save(root / "train" / "depth" / f"{stem}.png")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number in range(12):
        write(tmp_path, f"{number:02}", number, depth=number % 4 > 0)
    return tmp_path


def folders(root: Path, **arguments: object) -> Folders:
    return Folders(root, LABELS, partial=True, **arguments)


def kept(source: DataSource, mode: str = "auto", notes: list[str] | None = None) -> DataSource:
    source.keep_decoded(Keeper(mode, (notes if notes is not None else []).append))
    return source


def bits(x: Tensor) -> Tensor:
    return x.contiguous().view(torch.int32) if x.dtype == torch.float32 else x


def assert_same(a: Sample, b: Sample) -> None:
    assert list(a["labels"]) == list(b["labels"])
    for x, y in ((a["image"], b["image"]), *((a["labels"][t], b["labels"][t]) for t in a["labels"])):
        assert x.dtype == y.dtype
        assert torch.equal(bits(x), bits(y))


class Counting(Samples):
    """Counts what is decoded."""

    def __init__(self, dataset: Samples) -> None:
        self.dataset, self.decoded = dataset, []

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        self.decoded.append(index)
        return self.dataset[index]

    def tasks(self, index: int) -> Collection[str] | None:
        return self.dataset.tasks(index)

    def stamp(self, index: int) -> str | None:
        return self.dataset.stamp(index)


def counted(source: Folders) -> Counting:
    counting = Counting(source.split("train"))
    source._splits["train"] = counting
    return counting


@pytest.mark.parametrize("arguments", [{}, {"size": (9, 20)}, {"cache": True}])
def test_a_shard_has_the_values_of_the_files_bit_for_bit(root: Path, arguments: dict) -> None:
    plain, shard = folders(root, **arguments).split("train"), kept(folders(root, **arguments)).decoded("train")
    assert isinstance(shard, Shard)
    for _ in range(2):  # as they are decoded, and as they are read
        for index in range(len(plain)):
            assert_same(shard[index], plain[index])
    again = kept(folders(root, **arguments)).decoded("train")
    assert again.entry.sealed
    for index in range(len(plain)):
        assert_same(again[index], plain[index])
    with pytest.raises(IndexError):
        shard[len(plain)]


def test_a_batch_of_rows_is_the_samples(root: Path) -> None:
    plain, shard = folders(root).split("train"), kept(folders(root)).decoded("train")
    indices = [5, 0, 4, 7]
    for _ in range(2):
        packed = shard.pack(indices, ["depth", "normals"])
        assert list(packed.labels) == ["depth", "normals"]
        expected = [plain[i] for i in indices]
        assert torch.equal(packed.images.decode(), torch.stack([x["image"] for x in expected]))
        for task, column in packed.labels.items():
            assert list(column.present) == [task in x["labels"] for x in expected]
            for value, x in zip(column.decode(), expected, strict=True):
                if task in x["labels"]:
                    assert torch.equal(bits(value), bits(x["labels"][task]))
    assert packed.images.values.dtype == torch.uint8
    assert packed.labels["depth"].values.dtype == torch.int16


def test_each_sample_is_decoded_once_for_all_processes(root: Path) -> None:
    for first in (True, False):
        source = folders(root)
        counting = counted(source)
        shard = kept(source).decoded("train")
        for index in (*range(len(shard)), *range(len(shard))):
            shard[index]
        assert sorted(counting.decoded) == (list(range(len(shard))) if first else [])


def test_a_changed_file_is_decoded_again_and_an_added_one_alone(root: Path) -> None:
    source = folders(root, holdout=0.01)
    for index in range(len(kept(source).decoded("train"))):
        source.decoded("train")[index]
    write(root, "03", 99)
    os.utime(root / "train/image/03.png", ns=(1, 1))
    write(root, "77", 77)
    del source
    gc.collect()  # as if the process had ended: an open shard is not removed
    source = folders(root, holdout=0.01)
    counting = counted(source)
    shard = kept(source).decoded("train")
    plain = folders(root, holdout=0.01).split("train")
    for index in range(len(shard)):
        assert_same(shard[index], plain[index])
    assert [counting.dataset.stems[i] for i in counting.decoded] == ["03", "77"]
    del shard
    assert [one.label for one in cache.entries("images")] == [f"{root.name}, train: 13 images"]  # the old one is gone


def test_other_arguments_and_folders_are_other_shards(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    moved = tmp_path_factory.mktemp("moved") / "data"
    os.rename(root, moved)
    os.symlink(moved, root)
    shards = [kept(folders(moved)), kept(folders(root)), kept(folders(moved, size=(6, 8)))]
    first, same, other = (x.decoded("train").entry.folder for x in shards)
    assert first == same  # a link to the same folder
    assert other != first


def test_rooms_of_another_size_or_seed_are_other_shards() -> None:
    for rooms in (Rooms(3, 2, (12, 16)), Rooms(3, 2, (24, 32)), Rooms(3, 2, (12, 16), seed=1)):
        shard = kept(rooms).decoded("train")
        packed = shard.pack(range(3), ["depth"])
        assert packed.images.values.dtype == torch.uint8  # of rows, which fit
        del shard, rooms
        gc.collect()
    assert len(cache.entries("images")) == 3


def test_wrappers_and_mixes_read_the_shards_of_their_sources(root: Path) -> None:
    inner = folders(root)
    counting = counted(inner)
    hidden = kept(HideLabels(HoldOut(inner, 0.25), {"segmentation": 0.5}))
    plain = HideLabels(HoldOut(folders(root), 0.25), {"segmentation": 0.5})
    for split in ("train", "test"):
        of_shard, of_files = hidden.decoded(split), plain.split(split)
        assert len(of_shard) == len(of_files)
        for _ in range(2):
            for index in range(len(of_files)):
                assert_same(of_shard[index], of_files[index])
        packed = of_shard.pack(range(len(of_files)), list(LABELS))
        for task, column in packed.labels.items():
            assert list(column.present) == [task in of_files[i]["labels"] for i in range(len(of_files))]
    assert len(counting.decoded) == len(set(counting.decoded))
    mix = kept(Mix({"a": folders(root), "b": Rooms(3, 2, (12, 16))}))
    parts = mix.parts()
    assert all(isinstance(part.source.decoded("train"), Shard) for part in parts.values())
    assert_same(mix.decoded("train")[len(parts["a"].source.decoded("train"))], Rooms(3, 2, (12, 16)).split("train")[0])


def test_workers_read_the_rows_of_their_parent(root: Path) -> None:
    shard = kept(folders(root)).decoded("train")
    expected = [shard[i] for i in range(len(shard))]
    loader = DataLoader(shard, batch_size=None, num_workers=2, shuffle=False)
    for a, b in zip(loader, expected, strict=True):
        assert_same(a, b)
    copied = pickle.loads(pickle.dumps(shard))  # as spawned workers get it
    assert copied.entry.folder == shard.entry.folder
    assert_same(copied[3], expected[3])


class Many(DataSource):
    """40 samples, more than are looked at for the layout; three of the others do not fit into it."""

    name = "many"
    modalities = {"depth": DepthLabel()}

    def __init__(self) -> None:
        self.decodes: list[int] = []

    def split(self, split: str) -> Samples:
        return ManySamples(self.decodes)

    def check(self, tasks: object) -> None: ...

    def fingerprint(self) -> str:
        return "many"


class ManySamples(Samples):
    def __init__(self, decodes: list[int]) -> None:
        self.decodes = decodes

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> Sample:
        self.decodes.append(index)
        image = torch.full((3, 4, 6 if index != 9 else 8), index / 255)
        label = torch.full((1, *image.shape[1:]), float(index), dtype=torch.float64 if index == 13 else torch.float32)
        return Sample(image=image * 0.3 if index == 3 else image, labels={"depth": label})

    def stamp(self, index: int) -> str:
        return str(index)


def test_a_sample_that_does_not_fit_is_decoded_whenever_it_is_read() -> None:
    source = Many()
    shard = kept(source, "always").decoded("train")
    for index in range(40):
        shard[index]
    assert sorted(source.decodes) == sorted([*range(40)])  # those that were looked at are not decoded again
    assert shard.entry.sealed
    source.decodes.clear()
    for index in range(40):
        assert_same(shard[index], ManySamples([])[index])
    assert source.decodes == [3, 9, 13]
    assert torch.equal(shard.pack([3, 4], ["depth"]).decode().images.values[0], ManySamples([])[3]["image"])


def test_a_disk_that_takes_no_more_rows_warns_once_and_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    shard = kept(Many(), "always").decoded("train")

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.Entry, "write", full)
    with pytest.warns(UserWarning, match="no longer kept: .*No space left") as warnings:
        assert_same(shard[1], ManySamples([])[1])
    assert len(warnings) == 1
    packed = shard.pack([0, 4, 1], ["depth"]).decode()
    assert torch.equal(packed.labels["depth"].values[:, 0, 0, 0], torch.tensor([0.0, 4.0, 1.0]))


def test_sizes_that_differ_are_not_kept(root: Path) -> None:
    write(root, "05", 5, (14, 16))
    notes: list[str] = []
    assert not isinstance(kept(folders(root), "always", notes).decoded("train"), Shard)
    assert notes == [f"data: `{root.name}` is not kept decoded, since shapes differ between samples; set a size"]
    assert isinstance(kept(folders(root, size=(12, 16))).decoded("train"), Shard)


def test_the_user_is_told_once_how_much_is_kept(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []
    kept(folders(root, size=(8, 8)), notes=notes).decoded("train")
    assert notes == []  # of what is small
    monkeypatch.setattr("tutelage.data.shards.keeper._TOLD", 0)
    kept(folders(root), notes=notes).decoded("train")
    kept(folders(root), notes=notes).decoded("train")
    assert len(notes) == 1
    assert "kept decoded for all runs" in notes[0]
    assert "GB that are free" in notes[0]


def test_auto_takes_no_more_than_a_quarter_of_the_free_disk(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tutelage.data.shards.keeper.free_bytes", lambda folder: 20_000)
    notes: list[str] = []
    assert not isinstance(kept(folders(root), notes=notes).decoded("train"), Shard)
    assert "more than a quarter" in notes[0]
    assert isinstance(kept(folders(root), "always", notes).decoded("train"), Shard)
    assert not isinstance(kept(folders(root), "never", notes).decoded("train"), Shard)


@pytest.mark.parametrize(
    "coding", [Bytes(), Whole(torch.uint8), Whole(torch.int16), Scaled(torch.int16, 0.001), Same(torch.float32)]
)
def test_a_batch_is_decoded_one_by_one_to_the_same_bits(coding: Coding) -> None:
    if coding.stored.is_floating_point:
        codes = torch.randn(3, 2, 128)
    else:
        info = torch.iinfo(coding.stored)
        codes = torch.arange(info.min, info.min + 256).to(coding.stored).expand(3, 2, 256).flip(-1)
    one, other = coding.decode_each(codes), coding.decode(codes)
    assert one.dtype == other.dtype == coding.values
    assert torch.equal(bits(one), bits(other))
    assert coding.decode_each(codes[:0]).shape == codes[:0].shape


def test_auto_begins_no_shard_that_is_read_once_but_reads_one_that_is_there(root: Path) -> None:
    def samples(mode: Mode, passes: float, width: int = 16) -> Samples:
        source = folders(root, size=(12, width))
        source.keep_decoded(Keeper(mode, print, {"train": passes}))
        return source.decoded("train")

    assert not isinstance(samples("auto", 1), Shard)
    assert isinstance(samples("auto", 1.5), Shard)
    assert isinstance(samples("auto", 1), Shard)
    assert isinstance(samples("always", 1, width=20), Shard)


def test_a_full_disk_falls_back_with_a_line(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tutelage.cache.entry.allocate", full)
    notes: list[str] = []
    samples = kept(folders(root), notes=notes).decoded("train")
    assert not isinstance(samples, Shard)
    assert notes[-1].endswith("the disk is full")
    samples[0]


class Own:
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> dict:
        return {"image": np.full((4, 6, 3), index, np.uint8), "labels": {"depth": np.full((4, 6), 1.5 + index)}}


class OwnDepth(DepthLabel):
    pass


def test_auto_leaves_alone_what_nobody_can_tell_from_an_older_one(root: Path) -> None:
    source = FromDataset(Own(), {"depth": DepthLabel()}, version="1")
    assert not isinstance(kept(source).decoded("train"), Shard)
    assert isinstance(kept(FromDataset(Own(), {"depth": DepthLabel()}, version="1"), "always").decoded("train"), Shard)
    labels = {"depth": Label("depth", OwnDepth())}
    assert not isinstance(kept(Folders(root, labels, partial=True)).decoded("train"), Shard)
    assert isinstance(kept(Folders(root, labels, partial=True), "always").decoded("train"), Shard)
