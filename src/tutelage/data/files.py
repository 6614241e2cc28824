"""Files of images and labels: how they are listed, and how texts of numbers are read."""

import re
from collections.abc import Callable, Collection
from pathlib import Path
from posixpath import normpath

from tutelage.errors import UserError, one_line
from tutelage.reading import TEXT, read_limited
from tutelage.types.look import Warned

TEXTS = (".npy", ".txt")  # of numbers for the whole image
SYSTEM_FILES = ("thumbs.db", "desktop.ini", "ehthumbs.db")  # what systems write into any folder, in small letters

# What folders of splits are called. A source finds `train`, `test` and `val` by itself, and the others are named.
SPLITS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval"), "val"),
}


def none_found(folder: Path, suffixes: Collection[str]) -> str:
    """What a message says of a folder without a file to read: what was expected in it, and what is there instead."""
    kinds = "texts of numbers (.txt) or .npy" if set(suffixes) <= set(TEXTS) else "pictures (.png, .jpg, ...) or .npy"
    paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    files = [path.name for path in paths if path.is_file()]
    folders = [path.name for path in paths if path.is_dir()]
    others = f"files of other kinds ({_some(files)})" if files else ""
    below = f"sub-folders ({_some(folders)}), which are not read" if folders else ""
    return f"{folder}: expected {kinds} files, found {' and '.join(x for x in (others, below) if x) or 'none'}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def read_numbers(path: Path) -> list[float]:
    """The numbers of a text file, separated by white space or commas; `nan` is one.

    Raises:
        UserError: The file holds something else, or nothing.
    """
    try:
        words = read_limited(path, TEXT).decode("utf-8-sig").replace(",", " ").split()
        numbers = [float(word) for word in words]
        if odd := [word for word in words if "_" in word]:  # which Python skips: 1_000 is more often a name
            raise ValueError(odd[0])
    except UserError:
        raise
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: expected a text of numbers, found {one_line(error, 80)}; correct or remove it"
        ) from error
    if not numbers:
        raise UserError(f"{path}: expected a text of numbers, found none; correct or remove it")
    return numbers


def find_split_folders(
    root: Path, exists: Callable[[str], bool], beside: Collection[str], train: str | None, test: str | None
) -> tuple[str, str | None]:
    """The folder of the `train` split, "" where none divides splits, and of `test`, None where a part is held out.

    Args:
        root: The folder of the data set, for the message.
        exists: Whether there is a folder of this name.
        beside: The names of all folders where those of the splits would be.
        train: The folder that the user names; None: `train`, if there is one.
        test: Likewise; None: `test` or `val`. That of train (`./train`, `train/`) is none.

    Raises:
        UserError: The user names none, and there are both, or folders of other names for both splits.
    """
    if train is None:
        train = "train" if exists("train") else ""
        trains, tests = _named(beside, "train"), _named(beside, "test", "val")
        if not train and trains and (tests or test):
            raise UserError(
                f"{root}: expected the splits in folders `train` and `test` (or `val`), found `{trains[0]}` and "
                f"`{test or tests[0]}`; set data.train: {trains[0]} and data.test: {test or tests[0]}"
            )
    if test is not None:
        return train, None if normpath(test) == normpath(train) else test
    names = [name for name in ("test", "val") if exists(name)]
    if len(names) == 2:
        raise UserError(
            f"{root}: expected one of the folders test and val, which is read once, after training, found both; rename "
            "or remove the other one"
        )
    return train, names[0] if names else None


def doubts_of_splits(place: str, key: str, names: Collection[str]) -> list[Warned]:
    """A split to evaluate on that is not read, while a part of train is held out.

    Args:
        place: Where the splits are.
        key: The key that would name it.
        names: The names of what lies beside `train`.
    """
    return [
        Warned(
            place,
            f"expected `{key}` to name the split to evaluate on, found `{name}` beside train, which is not read: a "
            f"part of train is held out in its place; set {key}: {name}",
        )
        for name in _named(names, "test", "val")[:1]
    ]


def _named(names: Collection[str], *splits: str) -> list[str]:
    return sorted(name for name in names if SPLITS.get(name.casefold()) in splits)


def folders_in(folder: Path) -> list[str]:
    """The names of the folders in a folder, but for hidden ones; none where it does not exist."""
    paths = folder.iterdir() if folder.is_dir() else ()
    return sorted(path.name for path in paths if path.is_dir() and not path.name.startswith("."))


def check_below(root: Path, **folders: str | None) -> None:
    """Raise a UserError where an argument of a source that names a folder under `root` begins with `/`."""
    for key, name in folders.items():
        if name is not None and name.startswith("/"):
            raise UserError(f"data.{key}: expected a folder under {root}, found {name}; write it from there, without /")


def natural(name: str) -> list[tuple[int, str]]:
    """The key of a name in natural order."""
    return [(int(piece), "") if piece.isdecimal() else (0, piece) for piece in re.split(r"(\d+)", name)]
