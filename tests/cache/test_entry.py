"""Rows are whole or absent, whatever happens to the process that writes them, and processes share them."""

import errno
import multiprocessing
import os
import pickle
import signal
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tutelage.cache import Entry, Field, Key, cache_root, clear, entries, free_bytes, is_disk_full

FIELDS = {
    "feature": Field((3, 2), torch.bfloat16),
    "number": Field((), torch.int64),
    "image": Field((5,), torch.uint8),
    "mask": Field((2,), torch.bool),
}


def key(rows: int = 6, fact: object = 0, kind: str = "teachers") -> Key:
    return Key(kind, {"weights": "abc", "fact": fact}, rows, FIELDS, "some rows")


def some_rows(count: int, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "feature": torch.randn(count, 3, 2, generator=generator).bfloat16(),
        "number": torch.randint(-5, 5, (count,), generator=generator),
        "image": torch.randint(0, 256, (count, 5), generator=generator, dtype=torch.uint8),
        "mask": torch.rand(count, 2, generator=generator) < 0.5,
    }


def fill(entry: Entry, indices: Tensor, seed: int = 0) -> dict[str, Tensor]:
    rows = some_rows(len(indices), seed)
    entry.write(indices, rows)
    return rows


def test_rows_come_back_bit_for_bit_in_any_order() -> None:
    entry, indices = Entry(key()), torch.tensor([4, 0, 2])
    rows = fill(entry, indices)
    assert entry.has(torch.arange(6)).tolist() == [True, False, True, False, True, False]
    for name, values in rows.items():
        again = entry.read(name, indices[[2, 0, 0]])
        assert again.dtype == values.dtype
        assert torch.equal(again, values[[2, 0, 0]])


def test_what_is_read_is_a_copy() -> None:
    entry, index = Entry(key()), torch.tensor([1])
    rows = fill(entry, index)
    entry.read("feature", index).zero_()
    assert torch.equal(entry.read("feature", index), rows["feature"])


@pytest.mark.parametrize("other", [key(7), key(fact=1), key(kind="images"), Key("teachers", {"fact": 0}, 6, FIELDS)])
def test_another_key_is_another_entry(other: Key) -> None:
    fill(Entry(key()), torch.arange(6))
    assert not Entry(other).has(torch.arange(6)).any()
    assert Entry(key()).has(torch.arange(6)).all()


def test_another_layout_of_a_row_is_another_entry_and_another_label_is_not() -> None:
    layouts = [{**FIELDS, "number": Field((), torch.int32)}, {**FIELDS, "number": Field((1,), torch.int64)}]
    keys = [Key("teachers", {}, 6, fields) for fields in (FIELDS, *layouts)]
    assert len({one.digest for one in keys}) == 3
    assert Key("teachers", {}, 6, FIELDS, "another").digest == keys[0].digest
    assert Key.of(keys[1].record()) == keys[1]


def test_an_entry_is_reopened_and_pickled_with_what_was_written() -> None:
    rows = fill(first := Entry(key()), torch.tensor([3]))
    for entry in (Entry(key()), pickle.loads(pickle.dumps(first))):
        assert entry.has(torch.tensor([3, 4])).tolist() == [True, False]
        assert torch.equal(entry.read("feature", torch.tensor([3])), rows["feature"])


@pytest.mark.parametrize("name", FIELDS)
def test_a_row_that_was_half_written_is_absent(name: str) -> None:
    fill(entry := Entry(key()), torch.arange(6))
    path = entry.folder / f"{name}.rows"
    data = bytearray(path.read_bytes())
    data[2 * FIELDS[name].bytes] ^= 1
    path.write_bytes(data)
    assert Entry(key()).has(torch.arange(6)).tolist() == [True, True, False, True, True, True]
    fill(again := Entry(key()), torch.tensor([2]))
    assert again.has(torch.arange(6)).all()


def test_a_row_without_its_checksum_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Entry(key())
    put = entry._put

    def killed(name: str, indices: Tensor, values: Tensor) -> None:
        if name == "rows.sums":
            raise KeyboardInterrupt
        put(name, indices, values)

    monkeypatch.setattr(entry, "_put", killed)
    with pytest.raises(KeyboardInterrupt):
        fill(entry, torch.arange(2))
    assert not Entry(key()).has(torch.arange(6)).any()


def test_only_a_full_entry_is_sealed_and_a_sealed_one_is_not_written() -> None:
    fill(entry := Entry(key()), torch.arange(5))
    with pytest.raises(AssertionError):
        entry.seal()
    fill(entry, torch.tensor([5]))
    other = Entry(key())
    assert not other.sealed
    entry.seal()
    assert other.sealed
    with pytest.raises(AssertionError):
        fill(other, torch.tensor([5]))


def test_an_entry_whose_files_were_cut_off_begins_again() -> None:
    fill(entry := Entry(key()), torch.arange(6))
    entry.seal()
    os.truncate(entry.folder / "feature.rows", 3)
    again = Entry(key())
    assert not again.sealed
    assert not again.has(torch.arange(6)).any()


def test_its_room_is_allocated_before_anything_is_written() -> None:
    entry = Entry(Key("teachers", {}, 100, {"feature": Field((1 << 14,), torch.uint8)}))
    assert (entry.folder / "feature.rows").stat().st_blocks * 512 >= 100 << 14


def test_a_full_disk_is_an_exception_and_gives_its_room_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int, begin: int, size: int) -> None:
        os.write(file, bytes(7))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full, raising=False)
        with pytest.raises(OSError, match="No space") as failed:
            Entry(key())
    assert is_disk_full(failed.value)
    assert not is_disk_full(OSError(errno.EACCES, ""))
    assert [path.name for path in (cache_root() / "teachers").glob("*/*.rows*")] == []
    assert [(one.label, one.complete) for one in entries()] == [("unfinished", False)]
    assert not Entry(key()).has(torch.arange(6)).any()


def test_a_system_that_cannot_allocate_writes_zeros(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    monkeypatch.setattr("tutelage.cache.disk._BLOCK", 5)
    entry = Entry(key())
    assert (entry.folder / "feature.rows").stat().st_size == 6 * FIELDS["feature"].bytes
    fill(entry, torch.arange(6))


def test_the_root_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_root() == tmp_path / "tutelage"
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "own"))
    assert cache_root() == tmp_path / "own"
    assert Entry(key()).folder.is_relative_to(tmp_path / "own")
    assert free_bytes(tmp_path / "not" / "there") > 0


def test_without_a_home_folder_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    without_home(monkeypatch)
    with pytest.raises(FileNotFoundError, match="expected a home folder, found none; set TUTELAGE_CACHE"):
        cache_root()


def without_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose user is in no list of users."""

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("TUTELAGE_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)


def _fill_together(number: int) -> None:
    entry = Entry(key(64))
    for i in range(64):
        with entry.filling():
            if not entry.has(torch.tensor([i])).item():
                fill(entry, torch.tensor([i]), seed=i)
                with (entry.folder.parent / f"by{number}").open("a") as file:
                    file.write(f"{i}\n")


def test_processes_fill_one_entry_together_and_each_row_once() -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_fill_together, args=(number,)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    written = [line for path in (cache_root() / "teachers").glob("by*") for line in path.read_text().split()]
    assert sorted(map(int, written)) == list(range(64))
    entry = Entry(key(64))
    entry.seal()
    for i in range(64):
        assert torch.equal(entry.read("feature", torch.tensor([i])), some_rows(1, seed=i)["feature"])


def _hold_for_ever(ready: str) -> None:
    entry = Entry(key())
    fill(entry, torch.tensor([0]))
    with entry.filling():
        Path(ready).touch()
        signal.pause()


def test_a_killed_process_leaves_its_rows_and_no_lock(tmp_path: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=_hold_for_ever, args=(str(tmp_path / "ready"),))
    process.start()
    while not (tmp_path / "ready").exists():
        time.sleep(0.01)
    entry = Entry(key())
    with entry.filling(wait=False) as mine:
        assert not mine
    process.kill()
    process.join()
    with entry.filling() as mine:
        assert mine
    assert entry.has(torch.arange(6)).tolist() == [True] + [False] * 5


def test_entries_are_listed_and_cleared_but_for_those_that_are_open() -> None:
    fill(full := Entry(key(1000)), torch.arange(1000))
    full.seal()
    fill(part := Entry(key(fact=1, kind="images")), torch.arange(3))
    assert [(x.kind, x.label, x.complete, x.written, x.held) for x in entries()] == [
        ("teachers", "some rows", True, 1.0, True),
        ("images", "some rows", False, 0.5, True),
    ]
    assert entries("images")[0].bytes >= part.key.bytes
    kept, folder = part.folder, full.folder
    del full
    removed, held = clear()
    assert [one.folder for one in removed] == [folder]
    assert [one.folder for one in held] == [kept]
    assert not folder.exists()
    assert part.has(torch.arange(3)).all()
    del part
    clear("teachers")
    assert len(entries()) == 1
    clear("images")
    assert entries() == []


def test_only_what_was_not_opened_for_days_is_old() -> None:
    folder = Entry(key()).folder
    assert clear(older_than_days=1) == ([], [])
    long_ago = (folder / ".lock").stat().st_mtime - 3 * 86400
    os.utime(folder / ".lock", (long_ago, long_ago))
    assert 2.9 < entries()[0].days < 3.1
    assert clear(older_than_days=4) == ([], [])
    assert [one.folder for one in clear(older_than_days=2)[0]] == [folder]
