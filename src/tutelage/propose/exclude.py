"""Which files a study must not read, though they lie where its images and labels are."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

from tutelage.data.patterns import pattern_in
from tutelage.pictures import PICTURES
from tutelage.propose.files import Leaf

if TYPE_CHECKING:
    from tutelage.propose.dataset import DataSet

_MANY = 8  # files of one kind, for which a pattern is written


def exclusions(data: "DataSet", leaves: Collection[Leaf], wrong: Collection[Path]) -> list[str]:
    """Paths and patterns, under the root, of the files that would be taken for images or labels and are none.

    Args:
        data: The images and labels, whose patterns other files may fit.
        leaves: The files that can be read.
        wrong: All others.
    """
    fits = _in_class_folders(data) if data.classes else _in_patterns(data)
    excluded = [name for path in wrong if fits(path) and (name := _under(data.root, path))]
    for leaf in leaves:
        names = [_under(data.root, path) for path in leaf.files.values() if fits(path)]
        if len(names) == len(leaf.files) > _MANY:
            names = sorted({_pattern(data.root, path, leaf) for path in leaf.files.values()})
        excluded += names
    return excluded


def _pattern(root: Path, path: Path, leaf: Leaf) -> str:
    """The pattern of the files of a leaf that lie in the folder of one of them."""
    affix = leaf.affix
    return _under(root, path.parent / f"{affix.head}*{affix.tail}{affix.suffix}")


def _under(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _in_class_folders(data: "DataSet") -> Callable[[Path], bool]:
    read = set(data.images.files.values())
    above = {path.parent.parent for path in read}  # every folder in these would be a class
    return lambda path: path.parent.parent in above and path not in read and path.suffix.lower() in PICTURES


def _in_patterns(data: "DataSet") -> Callable[[Path], bool]:
    """Whether `Folders` would read a file that is none of the images and labels."""
    words = list(dict.fromkeys(word for word in (data.train, data.test) if word is not None))
    series = [data.images, *(label.series for label in data.labels.values())]
    patterns = [(one, word, pattern_in(word, one.pattern)) for one in series for word in words]
    read = {path for one in series for path in one.files.values()}

    def fits(path: Path) -> bool:
        if path in read or not path.is_relative_to(data.root):
            return False
        name = _under(data.root, path)
        keys = [  # of several patterns the one with most letters, and a label's before the images'
            (x.literal, one is not data.images, one, (word, key))
            for one, word, x in patterns
            if (key := x.key(name)) is not None
        ]
        if not keys:
            return False
        _, _, one, sample = max(keys, key=lambda x: x[:2])
        return one is data.images or sample in data.images.files

    return fits
