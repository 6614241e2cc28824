"""One-line messages, whose code an error is from, and where its traceback belongs."""

import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from tutelage.errors import (
    UserError,
    chain,
    folder_of,
    near_path,
    one_line,
    printable,
    raised_by_us,
    user_code,
    writing_to,
)
from tutelage.files import json_text


def raised(code: str, file: str) -> Exception:
    """The exception of code that stands in a file."""
    try:
        exec(compile(code, file, "exec"), {})
    except Exception as error:  # whatever the call raises
        error.__traceback__ = error.__traceback__.tb_next  # without this function
        return error
    raise AssertionError("nothing was raised")


def test_a_text_of_several_lines_is_one_and_cut_off() -> None:
    assert one_line(ValueError(" a\n\n  b\tc ")) == "a b c"
    assert one_line(ValueError("long " * 100), 12) == "long long lo"
    assert one_line(ValueError("long  long long"), 10) == "long long"
    assert one_line(TypeError()) == "TypeError"
    path = f"/{'folder/' * 40}predictions.safetensors"
    assert one_line(OSError(28, "No space left on device", path)) == f"[Errno 28] No space left on device: '{path}'"


def test_a_terminal_obeys_nothing_in_it() -> None:
    assert one_line(ValueError("\x1b[2J red \x1b[31m é \x07")) == r"\x1b[2J red é \x07"


def test_names_that_cannot_be_seen_are_told_apart() -> None:
    """A name of control characters alone was nothing at all."""
    names = ["\x07", "\x1b\x07", "\u202ecod.exe", "\u200b", "\udcff"]
    assert [printable(name) for name in names] == [r"\x07", r"\x1b\x07", r"\u202ecod.exe", r"\u200b", r"\xff"]
    assert str(UserError("missing are \x07\x08; add them")) == r"missing are \x07\x08; add them"


def test_what_the_user_has_to_do_is_not_cut_off() -> None:
    text = "data.root: expected a folder, found none; " + "give it " * 50
    assert one_line(UserError(text)) == text.strip()


class Broken(Dataset):
    def __init__(self, error: Exception) -> None:
        self.error = error

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        raise self.error


@pytest.mark.parametrize("error", [UserError("a.png: expected x, found y: z"), KeyError("depth")])
def test_the_error_of_a_loading_process_is_its_last_line(error: Exception) -> None:
    with pytest.raises(type(error)) as info:
        next(iter(DataLoader(Broken(error), num_workers=1)))
    assert str(info.value).startswith("Caught")
    assert one_line(info.value) == str(error)
    assert (user_code(info.value) or "").endswith("__getitem__")


def test_code_of_ours_and_of_libraries_is_not_the_users() -> None:
    for call in (lambda: np.zeros(2) + np.zeros(3), lambda: torch.zeros(2) + torch.zeros(3)):
        with pytest.raises((ValueError, RuntimeError)) as info:
            call()
        assert "test_errors.py" in (user_code(info.value) or "")
    from tutelage import errors

    for file in (errors.__file__, torch.__file__, sys.modules["json"].__file__, "<string>", "<frozen os>"):
        assert user_code(raised("1 / 0", file)) is None


def test_code_of_the_user_is_found_below_a_librarys_and_behind_our_line() -> None:
    error = raised("def build():\n    raise KeyError('x')\nbuild()", "/home/user/own.py")
    assert user_code(error) == "/home/user/own.py:2 in build"
    ours = UserError("net: expected a network")
    ours.__cause__ = error
    assert list(chain(ours)) == [ours, error]
    assert user_code(ours) == "/home/user/own.py:2 in build"
    ours.__cause__, ours.__context__, ours.__suppress_context__ = None, error, True  # raise ... from None
    assert user_code(ours) is None


def test_the_innermost_folder_belongs_to_an_error_and_what_it_causes(tmp_path: Path) -> None:
    assert folder_of(KeyError()) is None
    cause = KeyError("x")
    with pytest.raises(KeyError), writing_to(tmp_path / "run"):
        raise cause
    unmarked = UserError("x")
    unmarked.__cause__ = cause
    assert folder_of(unmarked) == tmp_path / "run"
    with pytest.raises(UserError), writing_to(tmp_path):
        raise unmarked
    assert folder_of(unmarked) == tmp_path
    with pytest.raises(KeyError) as other, writing_to(tmp_path), writing_to(tmp_path / "run"):
        raise KeyError("x")
    assert folder_of(pickle.loads(pickle.dumps(other.value))) == tmp_path / "run"  # it comes from other processes, too


def test_a_mistake_that_may_hide_a_defect_of_ours_is_known() -> None:
    def wrapped(call: Callable[[], object]) -> UserError:
        with pytest.raises(TypeError) as info:
            call()
        line = UserError("x: expected y, found z")
        line.__cause__ = info.value
        return line

    assert not raised_by_us(wrapped(lambda: json_text({object(): 1})))  # json itself refuses the key
    assert raised_by_us(wrapped(lambda: one_line(ValueError("x"), most="many")))


def test_the_colours_of_a_message_leave_no_trace() -> None:
    assert one_line(ValueError("\x1b[96mclass\x1b[0m is \x1b[31;1mwrong\x1b[0m")) == "class is wrong"


def test_a_path_is_near_by_its_last_name_alone(tmp_path: Path) -> None:
    for name in (".config", "kitchens"):
        (tmp_path / name).mkdir()
    assert near_path(tmp_path / "data") == ""
    assert near_path(tmp_path / "kitchen") == f"; did you mean `{tmp_path / 'kitchens'}`?"
    assert near_path(tmp_path / "none/kitchen") == ""
