import io
import json
import os
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import torch
from rich.console import Console
from tests.prepare.official import (
    HEIGHT,
    IN_13,
    IN_40,
    LABELS,
    PLANE,
    TEST,
    TRAIN,
    WIDTH,
    depth,
    image,
    labels,
    write_nyuv2,
)

from tutelage.data import ClassesLabel, Folders, Label, NYUv2
from tutelage.errors import UserError
from tutelage.prepare import prepare_nyuv2

SIZE = (HEIGHT, WIDTH)
QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_nyuv2(tmp_path_factory.mktemp("official"))


@pytest.fixture(scope="module")
def prepared(official: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prepared")
    prepare_nyuv2(*official, out, SIZE, 2, QUIET)
    return out


def files(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def mapped(raw: np.ndarray, to: tuple[int, ...]) -> torch.Tensor:
    table = dict(zip(LABELS, to, strict=True))
    found = np.vectorize(lambda label: -1 if table[label] == 255 else table[label])(raw)
    return torch.from_numpy(found.astype(np.int64))


@pytest.mark.parametrize(("split", "numbers"), [("train", TRAIN), ("test", TEST)])
def test_nyuv2_reads_what_the_official_file_holds(prepared: Path, split: str, numbers: tuple[int, ...]) -> None:
    source = NYUv2(prepared, SIZE)
    source.check(["segmentation", "depth", "normals"])
    samples = source.split(split)
    assert len(samples) == len(numbers)
    normal = torch.from_numpy(PLANE * [-1, 1, 1] / np.linalg.norm(PLANE)).float()[:, None, None]
    for index, number in enumerate(numbers):
        sample, frame = samples[index], number - 1
        assert torch.equal((sample["image"] * 255).round().byte(), torch.from_numpy(image(frame)).permute(2, 0, 1))
        assert torch.equal(sample["labels"]["segmentation"], mapped(labels(frame), IN_13))
        metres = torch.from_numpy(depth(frame))
        assert torch.equal(sample["labels"]["depth"][0], metres)
        n = sample["labels"]["normals"]
        known = metres > 0
        assert not n[:, ~known].any()
        assert float((n - normal)[:, known].norm(dim=0).max()) < np.radians(0.5)  # of 8 bits
        assert samples.where(index).endswith(f"{split}/image/{index}.png")


def test_the_40_classes(prepared: Path) -> None:
    source = Folders(prepared, {"segmentation": Label("label40", ClassesLabel())})
    found = source.split("test")[1]["labels"]["segmentation"]
    assert torch.equal(found, mapped(labels(TEST[1] - 1), IN_40))


def test_a_smaller_size_is_what_nyuv2_makes_of_the_whole(
    official: tuple[Path, Path], prepared: Path, tmp_path: Path
) -> None:
    small = (12, 20)
    prepare_nyuv2(*official, tmp_path, small, 1, QUIET)
    found = NYUv2(tmp_path, small).split("train")[1]
    expected = NYUv2(prepared, small).split("train")[1]
    torch.testing.assert_close(found["image"], expected["image"], atol=1.01 / 255, rtol=0)
    for t in ("segmentation", "depth"):
        assert torch.equal(found["labels"][t], expected["labels"][t])
    assert float((found["labels"]["normals"] - expected["labels"]["normals"]).norm(dim=0).max()) < np.radians(1)


def test_no_data_set_is_read_whole(
    official: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, most = h5py.Dataset.__getitem__, 3 * HEIGHT * WIDTH

    def counted(self: h5py.Dataset, where: object, *more: object) -> object:
        value = read(self, where, *more)
        assert np.size(value) <= most
        return value

    monkeypatch.setattr(h5py.Dataset, "__getitem__", counted)
    monkeypatch.setattr(h5py.Dataset, "__array__", lambda *_: pytest.fail("read whole"))
    prepare_nyuv2(*official, tmp_path, SIZE, 1, QUIET)


def test_the_summary_counts_what_is_there(prepared: Path) -> None:
    found = json.loads((prepared / "summary.json").read_text())
    assert found["size"] == list(SIZE)
    for split, numbers in (("train", TRAIN), ("test", TEST)):
        values = found["splits"][split]
        assert values["frames"] == len(numbers)
        classes = np.stack([mapped(labels(n - 1), IN_13).numpy() for n in numbers])
        assert values["label"]["without_label"] == pytest.approx(100 * (classes < 0).mean(), abs=1e-3)
        shares = list(values["label"]["classes"].values())
        assert shares == pytest.approx([100 * (classes[classes >= 0] == c).mean() for c in range(13)], abs=1e-3)
        assert len(values["label40"]["classes"]) == 40
        metres = np.stack([depth(n - 1) for n in numbers])
        assert values["depth"]["range"] == pytest.approx([metres[metres > 0].min(), metres.max()], rel=1e-5)
        assert values["depth"]["unit"] == "m"
        assert values["normal"]["without_label"] == pytest.approx(100 * (metres == 0).mean(), abs=1e-3)


def test_only_what_is_not_whole_is_made_again(official: tuple[Path, Path], prepared: Path, tmp_path: Path) -> None:
    before = files(prepared)
    prepare_nyuv2(*official, tmp_path, SIZE, 2, QUIET)
    assert files(tmp_path) == before  # whatever the order in which threads make them
    (tmp_path / "train/label/0.png").unlink()
    path = tmp_path / "test/depth/1.npy"
    path.write_bytes(path.read_bytes()[:200])
    (tmp_path / "test/image/.0.png.part-x").write_bytes(b"half")
    kept = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("1.png") if p.parent.parent.name == "train"}
    console = Console(record=True, file=io.StringIO())
    prepare_nyuv2(*official, tmp_path, SIZE, 2, console)
    assert "2 written, 3 were there" in console.export_text()
    assert files(tmp_path) == before
    assert all(p.stat().st_mtime_ns == time for p, time in kept.items())
    prepare_nyuv2(*official, tmp_path, (12, 16), 2, QUIET)  # another size is another thing
    assert NYUv2(tmp_path, (12, 16)).split("train")[0]["image"].shape == (3, 12, 16)
    assert np.load(tmp_path / "train/depth/0.npy").shape == (12, 16)


class Killed(BaseException): ...


def test_a_killed_run_leaves_nothing_half(
    official: tuple[Path, Path], prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flush, moments = os.fsync, iter(range(1, 99))

    def fsync(handle: int) -> None:
        if next(moments) >= 17:  # a file flushes itself and its folder: the ninth is written and not in its place
            raise Killed
        flush(handle)

    with monkeypatch.context() as patch:
        patch.setattr("tutelage.files.os.fsync", fsync)
        patch.setattr("tutelage.files.Path.unlink", lambda *_, **__: None)  # the dead do not tidy up
        with pytest.raises(Killed):
            prepare_nyuv2(*official, tmp_path, SIZE, 1, QUIET)
    before, left = files(prepared), files(tmp_path)
    whole = {name for name in left if ".part-" not in name}
    assert len(whole) == 8 < len(left)
    assert all(left[name] == before[name] for name in whole)
    prepare_nyuv2(*official, tmp_path, SIZE, 1, QUIET)
    assert files(tmp_path) == before


def test_frames_of_another_split_are_not_taken_for_these(official: tuple[Path, Path], tmp_path: Path) -> None:
    mat, splits = official
    prepare_nyuv2(mat, splits, tmp_path / "out", SIZE, 1, QUIET)
    other = tmp_path / "splits.mat"
    scipy.io.savemat(other, {"trainNdxs": np.array([[5]]), "testNdxs": np.array([[2]])})
    with pytest.raises(
        ValueError, match=r"out: expected frames of NYU-Depth-v2, split \w+, found those of NYU.*; give"
    ):
        prepare_nyuv2(mat, other, tmp_path / "out", SIZE, 1, QUIET)
    (tmp_path / "out/origin.txt").unlink()
    with pytest.raises(ValueError, match=r"out: expected frames of .*, found those of another program"):
        prepare_nyuv2(mat, splits, tmp_path / "out", SIZE, 1, QUIET)
    prepare_nyuv2(mat, other, tmp_path / "other", SIZE, 1, QUIET)
    (tmp_path / "other/train/image/7.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"train/image/7.png: expected frames of .* alone, found another file; remove"):
        prepare_nyuv2(mat, other, tmp_path / "other", SIZE, 1, QUIET)


def damaged(mat: Path, splits: Path, what: str) -> None:
    """Make one of the two files wrong."""
    if what == "no file":
        mat.unlink()
    elif what == "no HDF5":
        mat.write_bytes(b"no matrix")
    elif what == "no splits":
        splits.unlink()
    elif what == "splits of something else":
        scipy.io.savemat(splits, {"mapClass": np.ones((1, 894))})
    elif what == "half the splits":
        splits.write_bytes(splits.read_bytes()[:150])
    elif what == "frame 0":
        scipy.io.savemat(splits, {"trainNdxs": np.array([[0], [1]]), "testNdxs": np.array([[2]])})
    elif what == "a frame in both":
        scipy.io.savemat(splits, {"trainNdxs": np.array([[1], [2]]), "testNdxs": np.array([[2]])})
    elif what == "too many frames":
        scipy.io.savemat(splits, {"trainNdxs": np.array([[1], [2]]), "testNdxs": np.array([[7]])})
    elif what == "a damaged frame":
        with h5py.File(mat, "r") as file:
            chunk = file["depths"].id.get_chunk_info(4)
        with mat.open("r+b") as raw:
            raw.seek(chunk.byte_offset)
            raw.write(bytes(chunk.size))
    else:
        with h5py.File(mat, "r+") as file:
            if what == "no depths":
                del file["depths"]
            elif what == "other shapes":
                del file["labels"]
                file["labels"] = np.zeros((6, 24, 32), np.uint16)
            elif what == "other names":
                file[file["names"][0, 20]][:] = 120
            elif what == "depths of another file":
                shape = file["depths"].shape
                del file["depths"]
                place = [(str(splits), 0, 10**6)]
                file.create_dataset("depths", shape=shape, dtype="f4", external=place)
            elif what == "a name of another file":
                cell = file.create_dataset("#refs#/x", shape=(9, 1), dtype="u1", external=[(str(splits), 0, 9)])
                file["names"][0, 20] = cell.ref
            elif what == "huge frames":
                for name, shape in (("images", (6, 3, 10**5, 10**5)), ("depths", (6, 10**5, 10**5))):
                    del file[name]
                    file.create_dataset(name, shape=shape, dtype="u1", chunks=(1,) * (len(shape) - 1) + (1000,))
                del file["labels"]
                file.create_dataset("labels", shape=(6, 10**5, 10**5), dtype="u1", chunks=(1, 1, 1000))
            elif what == "a strange label":
                file["labels"][1, 3, 3] = 895


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no file", r"labeled\.mat: expected the official nyu_depth_v2_labeled\.mat, found no file"),
        ("no HDF5", r"labeled\.mat: expected the official .* \(HDF5\), found .*; download it again"),
        ("no splits", r"splits\.mat: expected the official splits\.mat, found no file"),
        ("splits of something else", r"splits\.mat: expected trainNdxs and testNdxs, found mapClass; take"),
        ("half the splits", r"splits\.mat: expected the official splits\.mat, found .*; download it again"),
        ("frame 0", r"splits\.mat: expected different frames from 1"),
        ("a frame in both", r"splits\.mat: expected different frames from 1"),
        ("too many frames", r"splits\.mat: expected frames 1\.\.6, as .* has, found 7"),
        ("a damaged frame", r"labeled\.mat: expected a readable frame 5 in `depths`, found .*; download it again"),
        ("no depths", r"labeled\.mat: expected images \[N, 3, W, H\], .*'depths': None"),
        ("other shapes", r"labeled\.mat: expected images \[N, 3, W, H\], depths and labels \[N, W, H\], found"),
        ("other names", r"labeled\.mat: expected the name `wall` of label 21, found `xxxx`"),
        (
            "depths of another file",
            r"labeled\.mat: expected the official file, found the values of `depths` in another",
        ),
        ("a name of another file", r"labeled\.mat: expected the name `wall` of label 21, found `None`"),
        ("huge frames", r"labeled\.mat: images: expected at most \d+ pixels, found 100000 x 100000"),
        ("a strange label", r"labeled\.mat: expected labels 0\.\.894 in frame 2, found 895"),
    ],
)
def test_wrong_files_are_one_line(what: str, message: str, official: tuple[Path, Path], tmp_path: Path) -> None:
    mat, splits = (Path(shutil.copy(path, tmp_path)) for path in official)
    damaged(mat, splits, what)
    with pytest.raises(ValueError, match=message) as error:
        prepare_nyuv2(mat, splits, tmp_path / "out", SIZE, 1, QUIET)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.rglob("*.part-*"))


def test_the_first_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.mat: expected the official nyu_depth_v2_labeled\.mat, found no file"):
        prepare_nyuv2(tmp_path / "a.mat", tmp_path / "b.mat", tmp_path / "out", SIZE, 1, QUIET)


def test_wrong_arguments(official: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--jobs: expected 1 or more, found 0"):
        prepare_nyuv2(*official, tmp_path, SIZE, 0, QUIET)
    with pytest.raises(ValueError, match="--size: expected height and width of at least 1, found 0 8"):
        prepare_nyuv2(*official, tmp_path, (0, 8), 1, QUIET)
    (tmp_path / "out").write_text("")
    with pytest.raises(ValueError, match="out: expected a folder to write to, found a file"):
        prepare_nyuv2(*official, tmp_path / "out", SIZE, 1, QUIET)


@pytest.mark.parametrize("name", ["h5py", "scipy.io"])
def test_without_the_extra_it_is_one_line(
    name: str, official: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match=rf"expected the package {name}, found none; pip install 'tutelage\[data\]'"):
        prepare_nyuv2(*official, tmp_path, SIZE, 1, QUIET)
