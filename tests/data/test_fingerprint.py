import json
import os
import shutil
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any

import pytest

from tutelage.cache import cache_root
from tutelage.data import DepthLabel, InverseDepthLabel, OverlaidDigits, Rooms
from tutelage.data import digests as digests_module
from tutelage.data.cityscapes import TrainIdsLabel
from tutelage.data.digests import digests
from tutelage.data.fingerprint import arguments_text, as_formerly, fingerprint_of_files, ranked


def test_ranks_are_those_of_a_hash_and_depend_on_each_key_alone() -> None:
    def rank(key: object, seed: object) -> bytes:
        return blake2b(f"{seed}/{key}".encode(), digest_size=8).digest()

    assert ranked(range(30), 3) == sorted(range(30), key=lambda i: rank(i, 3)) != ranked(range(30), 4)
    assert [key for key in ranked(["a", "b", "c", "d"], 0) if key != "b"] == ranked(["a", "c", "d"], 0)


def test_fingerprints_of_runs_that_exist_stay_as_they_are() -> None:
    assert Rooms(6, 3, (24, 32)).fingerprint() == "02a5e4304329bdd6"
    assert OverlaidDigits(40, 20).fingerprint() == "ec9a17ae13ed8e0a"
    assert arguments_text({"depth": DepthLabel()}, 1) == "({'depth': Depth(scale=0.001)}, 1)"
    assert arguments_text(InverseDepthLabel(0.5)) == "(InverseDepth(scale=0.5),)"
    assert arguments_text(TrainIdsLabel()) == "(Classes(ignore=(255,)),)"
    assert len({arguments_text(DepthLabel(ignore=x, limit=y)) for x in ((), (1,), (65535,)) for y in (None, 9)}) == 6


def test_a_fingerprint_of_files_sees_names_sizes_and_contents(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(30000))

    def fingerprint(name: str = "a", arguments: str = "()") -> str:
        return fingerprint_of_files(arguments, [(name, path)])

    before = fingerprint()
    assert len({before, fingerprint("b"), fingerprint(arguments="(1)")}) == 3
    for place in (0, 9000, 15000, 29999):
        content = bytearray(30000)
        content[place] = 1
        path.write_bytes(content)
        assert fingerprint() != before
    path.write_bytes(bytes(30001))
    assert fingerprint() != before


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files whose contents are read, all of which are as if written long ago."""
    monkeypatch.setattr("tutelage.data.digests._SETTLED", -(10**12))
    names: list[str] = []
    original = digests_module.file_digest

    def counted(file: IO[bytes], digest: Callable[[], Any]) -> Any:
        names.append(Path(file.name).name)
        return original(file, digest)

    monkeypatch.setattr(digests_module, "file_digest", counted)
    return names


def test_contents_are_read_once_until_a_file_changes(tmp_path: Path, read: list[str]) -> None:
    paths = [tmp_path / "data" / name for name in ("a", "b")]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(5000))
        os.utime(path, ns=(10**18, 10**18))

    def fingerprint() -> str:
        return fingerprint_of_files("", [(path.name, path) for path in paths])

    before = fingerprint()
    assert fingerprint() == before
    assert sorted(read) == ["a", "b"]
    content = bytearray(5000)
    content[2500] = 1
    paths[1].write_bytes(content)  # in place, of the same size
    assert fingerprint() != before
    assert read[2:] == ["b"]
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    paths = [tmp_path / "copy" / path.name for path in paths]
    assert fingerprint() == fingerprint_of_files("", [(path.name, tmp_path / "data" / path.name) for path in paths])


def test_sources_of_one_folder_and_of_folders_side_by_side_share_no_memory_that_one_overwrites(
    tmp_path: Path, read: list[str]
) -> None:
    paths = [tmp_path / source / folder / name for source in "xy" for folder in "pq" for name in ("0", "1")]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1")
    for _ in range(2):
        digests(paths[:4])
        digests(paths[4:])
        digests(paths[0:4:3])
        digests(paths[1:3])
    assert len(read) == len(paths)


def test_a_file_that_has_just_changed_is_not_remembered(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1")
    before = digests([path])
    times = path.stat().st_mtime_ns
    path.write_bytes(b"2")
    os.utime(path, ns=(times, times))  # as on a file system whose clock has not ticked meanwhile
    assert digests([path]) != before


def test_a_damaged_memory_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1")
    os.utime(path, ns=(10**18, 10**18))
    before = digests([path])
    for file in (cache_root() / "digests").glob("*"):
        file.write_text("[1]")
    assert digests([path]) == before


def test_runs_of_earlier_versions_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(30000))
    with as_formerly():
        assert fingerprint_of_files("()", [("a", path)]) == "8180d25894ca9d20"
    assert fingerprint_of_files("()", [("a", path)]) != "8180d25894ca9d20"


@pytest.mark.usefixtures("read")
def test_digests_of_files_that_have_gone_are_forgotten(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_bytes(b"1")
        os.utime(path, ns=(10**18, 10**18))
    digests(paths[:2])
    paths[0].unlink()
    digests(paths[1:])
    (memory,) = (cache_root() / "digests").glob("*")
    assert sorted(Path(name).name for name in json.loads(memory.read_text())) == ["b", "c"]
