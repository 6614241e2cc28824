"""Files that are written as a whole or not at all."""

import os
import stat
from pathlib import Path

import pytest

from tutelage.files import remove_parts, write_atomically, write_text


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
        file.write(b"half")  # type: ignore[attr-defined]  # a file
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "a", half)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "before"


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".a.part-12345678").touch()
    (tmp_path / "a").touch()
    remove_parts(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
