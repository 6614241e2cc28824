"""Files that are written as a whole or not at all."""

import errno
import json
import os
import stat
from pathlib import Path

import pytest

from tutelage.files import locked, remove_parts, write_atomically, write_record, write_text
from tutelage.values import parse


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077, 0o000])
def test_the_system_applies_the_umask_and_nobody_sets_it(
    umask: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.umask(umask)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "umask", lambda _: pytest.fail("the umask belongs to all threads of the process"))
            write_text(tmp_path / "a", "text")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~umask
    assert (tmp_path / "a").read_text() == "text"


def test_nothing_stays_of_a_file_that_could_not_be_written(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "before")

    def half(file: object) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "a", half)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "before"


def test_a_file_is_on_the_disk_before_it_has_its_name_and_its_name_before_the_writer_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments, replace = [], os.replace

    def flush(handle: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else os.fstat(handle).st_size
        moments.append((kind, (tmp_path / "a").exists()))

    monkeypatch.setattr("os.fsync", flush)
    monkeypatch.setattr("os.replace", lambda *paths: (moments.append("replace"), replace(*paths)))
    write_text(tmp_path / "a", "text")
    assert moments == [(4, False), "replace", ("folder", True)]


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".a.part-12345678").touch()
    (tmp_path / "a").touch()
    remove_parts(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("number", ["ENOLCK", "ENOSYS", "ENOTSUP"])
def test_a_file_system_without_locks_is_said_and_taken_for_ones_own(
    number: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> None:
        raise OSError(getattr(errno, number), "none")

    monkeypatch.setattr("fcntl.flock", none)
    line = r"expected a file system with locks \(flock\), found none; use one process"
    with pytest.warns(UserWarning, match=line), locked(tmp_path) as held:
        assert held


def test_a_folder_that_became_read_only_is_one_line_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path / "a", "before")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "a part")

    monkeypatch.setattr("tutelage.files._create", refuse)
    with pytest.raises(OSError, match=f"Read-only file system: '{tmp_path}/a'"):
        write_text(tmp_path / "a", "after")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "before"


def test_every_flipped_bit_of_a_record_is_found_or_changes_no_value(tmp_path: Path) -> None:
    values = {"metrics": {"depth": 0.25, "none": float("nan")}, "seed": 3, "names": ["a", "b"]}
    write_record(tmp_path / "a.json", values)
    content = (tmp_path / "a.json").read_bytes()
    truth = parse(content, ".json")
    assert truth["metrics"] == {"depth": 0.25, "none": None}
    found = 0
    for at in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[at // 8] ^= 1 << at % 8
        try:
            parsed = parse(bytes(flipped), ".json")
        except ValueError:
            found += 1
        else:
            assert {key: parsed[key] for key in values} == {key: truth[key] for key in values}
    assert found > 0.8 * 8 * len(content)
    assert json.loads(content)["digest"] == truth["digest"]
