"""What comes from anybody may be a pipe, a device or endless: a line, or nothing, and never a wait."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Image
from tests.report.folder import TASKS, write
from tests.report.page import page

from tutelage.data.files import read_numbers
from tutelage.data.hugging_face_rows import Rows
from tutelage.deploy import load
from tutelage.deploy.inputs import read_images
from tutelage.errors import UserError
from tutelage.files import locked
from tutelage.images import read_array
from tutelage.nets.checkpoints import read_state_dict
from tutelage.reading import files_below, read_limited
from tutelage.report import markdown
from tutelage.study.store import read_record
from tutelage.study.teachers import load_tensors
from tutelage.values import read_values

SPARSE = 200 * 2**30  # bytes that take no place on the disk


def pipe(path: Path) -> None:
    os.mkfifo(path)


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(SPARSE)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


KINDS = pytest.mark.parametrize("replace", [pipe, sparse, endless], ids=lambda kind: kind.__name__)


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    """A pipe that is opened would be waited for without an end."""

    def raise_timeout(number: int, frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, raise_timeout)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@KINDS
def test_a_page_is_made_of_what_can_be_read(tmp_path: Path, replace: Callable[[Path], None]) -> None:
    folder = write(tmp_path / "kitchen")
    whole = markdown(folder, TASKS)
    for name in ("data.json", "extremes.json"):
        (folder / name).write_text("{}")
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in ("results.json", "result.json")]
    assert {path.suffix for path in files} == {".json", ".jsonl", ".yaml", ".safetensors"}
    for path in files:
        path.unlink()
        replace(path)
    assert markdown(folder, TASKS).splitlines()[:4] == whole.splitlines()[:4]
    assert "Results" in page(folder).text


@KINDS
def test_what_is_needed_is_named(tmp_path: Path, replace: Callable[[Path], None]) -> None:
    reads: dict[str, Callable[[Path], object]] = {
        "results.json": lambda path: markdown(path.parent, TASKS),
        "result.json": read_record,
        "x.yaml": read_values,
        "1.txt": read_numbers,
    }
    for name, read in reads.items():
        replace(tmp_path / name)
        with pytest.raises(UserError, match=rf"{name}: expected .*found (a pipe|a device|{SPARSE}|something|what)"):
            read(tmp_path / name)


@pytest.mark.parametrize("replace", [pipe, endless], ids=lambda kind: kind.__name__)
def test_videos_and_pictures_of_rows_are_no_pipe(tmp_path: Path, replace: Callable[[Path], None]) -> None:
    for name in ("clip.mp4", "1.png"):
        replace(tmp_path / name)
    with pytest.raises(UserError, match=r"clip.mp4: expected a file, found (a pipe|a device)"):
        list(read_images("clip", tmp_path / "clip.mp4"))
    features = Features({"photo": Image(), "kind": ClassLabel(names=["cat", "dog"])})
    rows = Dataset.from_dict({"photo": [{"bytes": None, "path": str(tmp_path / "1.png")}], "kind": [0]}, features)
    with pytest.raises(UserError, match=r"1.png: expected a file, found (a pipe|a device)"):
        Rows(rows, "photo", {"animal": "kind"})[0]


@pytest.mark.parametrize("replace", [pipe, endless], ids=lambda kind: kind.__name__)
def test_weights_are_no_pipe(tmp_path: Path, replace: Callable[[Path], None]) -> None:
    path = tmp_path / "x.safetensors"
    replace(path)
    for read in (load, load_tensors, read_state_dict):
        with pytest.raises(UserError, match=r"x.safetensors: expected a file, found (a pipe|a device)"):
            read(path)


def test_a_lock_is_no_pipe(tmp_path: Path) -> None:
    pipe(tmp_path / ".lock")
    with pytest.raises(UserError, match=r"\.lock: expected a file, found a pipe"), locked(tmp_path):
        pass


@pytest.mark.parametrize("shape", [(300_000, 300_000), (40_000, 40_000, 3), (2**62, 4)])
def test_an_array_of_too_many_values_is_refused_before_it_is_read(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with (tmp_path / "1.npy").open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(min(SPARSE, int(np.prod(shape, dtype=float))))
    lies = r"expected a readable .npy file, found the shape .*; replace"  # the file is smaller than its header says
    with pytest.raises(
        UserError, match=rf"1.npy: (expected at most \d+ pixels, found an array \[\d+, .*; make|{lies})"
    ):
        read_array(tmp_path / "1.npy", "classes")


def test_a_file_has_its_limit(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"12345")
    assert read_limited(tmp_path / "x", 5) == b"12345"
    with pytest.raises(UserError, match=r"x: expected at most 4 bytes, found 5; replace or remove it"):
        read_limited(tmp_path / "x", 4)
    with pytest.raises(FileNotFoundError):
        read_limited(tmp_path / "none", 4)


def test_files_below_a_folder(tmp_path: Path) -> None:
    for name in ("a/b/c.txt", "a/x.txt", ".hidden/y.txt", "a/.z.txt", "out/w.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a/loop").symlink_to(tmp_path)
    found = files_below(tmp_path, left_out=lambda path: path.name == "out")
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["a/x.txt", "a/b/c.txt"]
    assert [path.name for path in files_below(tmp_path / "a", 0)] == ["x.txt"]
    assert list(files_below(tmp_path / "none")) == []
