"""Patterns of files: which files of a folder are of one kind, and which of them belong together."""

import os
import posixpath
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from unicodedata import normalize

from tutelage.data.files import TEXTS, natural
from tutelage.errors import UserError
from tutelage.layout import is_study
from tutelage.pictures import PICTURES
from tutelage.reading import files_below

SPLIT = "{split}"  # in a pattern: the name of the folder of `train` or `test`
_STARS = {"**/": "((?:[^/]+/)*)", "*": "([^/]+)"}


class Pattern:
    """The files of one kind: those of a folder, or those whose path fits a text with stars.

    `*` stands for any text without `/`, and `**/` for any folders, or none. The suffix of a file is left out before,
    unless the pattern ends with one. Files of two patterns belong together where the stars stand for the same texts,
    which are joined with `/` to the *key* of a file.

    >>> Pattern("image").key("image/1.jpg"), Pattern("*/rgb/*").key("hall/rgb/1.png")
    ('1', 'hall/1')
    >>> Pattern("**/*.jpg").key("a/b/1.JPG"), Pattern("**/*.jpg").key("a/b/1.png")
    ('a/b/1', None)
    >>> Pattern("./train//image/").text
    'train/image/*'

    Args:
        text: The pattern, with `/` between folders; a text without a star is the name of a folder.
    """

    def __init__(self, text: str) -> None:
        text = posixpath.normpath(text.strip("/")) if text.strip("/") else ""
        self.text = text if "*" in text else f"{text}/*"
        suffix = os.path.splitext(self.text)[1].lower()
        self.suffix = suffix if suffix in (*PICTURES, *TEXTS) else None
        parts = re.split(r"(\*\*/|\*)", self.text[: len(self.text) - len(self.suffix or "")])
        self._expression = re.compile("".join(_STARS.get(part) or re.escape(part) for part in parts), re.DOTALL)

    @property
    def folder(self) -> str:
        """The folder before the first star."""
        return self.text.partition("*")[0].rpartition("/")[0]

    @property
    def literal(self) -> int:
        """The number of characters that are no star: of several patterns that fit a file, the one with most is its."""
        return len(self.text.replace("*", ""))

    def key(self, path: str) -> str | None:
        """What the stars stand for in the path of a file; None where it does not fit."""
        name, suffix = os.path.splitext(path)
        match = self._expression.fullmatch(name)
        if match is None or self.suffix not in (None, suffix.lower()):
            return None
        return normalize("NFC", "/".join(text.strip("/") for text in match.groups() if text))

    def files(self, root: Path, suffixes: Collection[str], finer: Collection["Pattern"] = ()) -> dict[str, Path]:
        """Key -> file under `root`, in natural order: 2 before 10. Hidden files are left out.

        Args:
            root: The folder below which paths are compared with the pattern.
            suffixes: Of the files, in small letters.
            finer: Patterns whose files are left out.

        Raises:
            UserError: Two files have the same key.
        """
        levels = None if "**/" in self.text else self.text.count("/") - len(Path(self.folder).parts)
        files: dict[str, Path] = {}
        for path in sorted(walk(root / self.folder, levels), key=lambda path: natural(str(path))):
            name = path.relative_to(root).as_posix()
            key = self.key(name) if path.suffix.lower() in suffixes else None
            if key is None or any(other.key(name) is not None for other in finer):
                continue
            if key in files:
                raise UserError(f"{path}: expected one file with this stem, found {files[key].name}, too; remove one")
            files[key] = path
        return files


def pattern_in(split: str, name: str) -> Pattern:
    """The files of one kind in the folder of a split: it replaces `{split}` in their pattern, or stands before it."""
    return Pattern(name.replace(SPLIT, split) if SPLIT in name else f"{split}/{name}")


def folder_of_split(split: str, name: str) -> str:
    """The folder that divides the splits in a pattern, for a split of this name.

    >>> folder_of_split("test", "image"), folder_of_split("test", "masks/{split}_big/*")
    ('test', 'masks/test_big')
    """
    start, _, end = name.partition(SPLIT) if SPLIT in name else ("", SPLIT, "")
    return f"{start}{split}{end.partition('/')[0]}"


class Excluded:
    """The files that are not read: those with a path in a list, or that fit a pattern in it.

    Args:
        exclude: Paths, and patterns with stars, under `root`; what is the name of a file is a path.
        root: The folder of the data set.
    """

    def __init__(self, exclude: Collection[str], root: Path) -> None:
        patterns = [text for text in exclude if "*" in text and not (root / text).is_file()]
        self.root, self.patterns = root, [Pattern(text) for text in patterns]
        self.paths = {root / posixpath.normpath(text) for text in exclude if text not in patterns}

    def __contains__(self, path: object) -> bool:
        if not isinstance(path, Path):
            return False
        name = path.relative_to(self.root).as_posix() if self.patterns else ""
        return path in self.paths or any(pattern.key(name) is not None for pattern in self.patterns)

    def check(self) -> None:
        """Raise a UserError if a file does not exist, or none fits a pattern: it is misspelt, or they have gone."""
        for path in self.paths:
            if not path.is_file() or not path.is_relative_to(self.root) or ".." in path.relative_to(self.root).parts:
                raise UserError(
                    f"data.exclude: expected a file in {self.root}, found none named {path}; correct or remove the name"
                )
        names = [path.relative_to(self.root).as_posix() for path in walk(self.root)] if self.patterns else []
        for pattern in self.patterns:
            if not any(pattern.key(name) is not None for name in names):
                raise UserError(
                    f"data.exclude: expected a pattern of files in {self.root}, found none that {pattern.text} fits; "
                    "correct or remove it"
                )


def walk(folder: Path, levels: int | None = None) -> Iterator[Path]:
    """The files of a folder and its sub-folders, `levels` deep; links are followed once.

    Hidden files, and the folders of studies with what their runs left, are left out.
    """
    return map(check_name, files_below(folder, levels, is_study))


def check_name(path: Path) -> Path:
    """The path; a UserError where it is not UTF-8, which no study, no report and no JSON can hold."""
    if str(path).encode(errors="replace").decode() != str(path):
        raise UserError(f"{path}: expected a name in UTF-8, found other bytes in it; rename the file or its folder")
    return path
