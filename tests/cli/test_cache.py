"""`tutelage cache` shows what there is and removes what nobody has open."""

import os

import pytest
import torch
from tests.cache.test_entry import fill, key

from tutelage.cache import Entry, cache_root
from tutelage.cli import main


def test_an_empty_cache_is_listed_and_cleared(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "list"]) == 0
    assert capsys.readouterr().out == f"0 entries (0 bytes) in {cache_root()}\n"
    assert main(["cache", "clear", "teachers"]) == 0
    assert capsys.readouterr().out.startswith("removed 0 entries")


def test_the_table_shows_each_entry_and_clear_leaves_those_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    fill(open_one := Entry(key()), torch.arange(3))
    fill(other := Entry(key(kind="images")), torch.arange(6))
    other.seal()
    folder = other.folder
    del other
    used = (folder / ".lock").stat().st_mtime - 3 * 86400
    os.utime(folder / ".lock", (used, used))
    assert main(["cache", "list"]) == 0
    lines = sorted(capsys.readouterr().out.splitlines())
    assert lines[0].startswith("2 entries (")
    assert lines[1].split() == ["images", "some", "rows", *lines[1].split()[3:5], "3", "days", "ago", "yes"]
    assert lines[3].split() == ["teachers", "some", "rows", *lines[3].split()[3:5], "now", "50", "%"]

    assert main(["cache", "list", "--older-than", "4"]) == 0
    assert capsys.readouterr().out.startswith("0 entries")
    assert main(["cache", "clear"]) == 0
    removed, kept = capsys.readouterr().out.splitlines()
    assert removed.startswith("removed 1 entry (")
    assert kept.startswith("kept 1 entry (")
    assert open_one.folder.exists()
    assert not folder.exists()


def test_a_kind_that_there_is_not_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["cache", "list", "students"])
    assert "expected one of teachers, images, found `students`" in capsys.readouterr().err
