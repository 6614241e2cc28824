"""What names of files and folders say: the split, the kind, and which names differ only in a beginning or an end."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tutelage.data.files import SPLITS
from tutelage.errors import UserError

_IMAGES = ("image", "img", "rgb", "color", "colour", "photo", "picture", "frame", "input", "left")
_LABELS = (
    "mask",
    "label",
    "seg",
    "gt",
    "anno",
    "depth",
    "disp",
    "normal",
    "edge",
    "salien",
    "target",
    "pred",
    "trimap",
)
_DIGITS = re.compile(r"\d+")
_LETTERS = re.compile(r"[^\W\d_]")
_BORDER = re.compile(r"(?=[_\-. ])|(?<=\d)(?=[^\W\d_])")  # where an end such as `_mask` may begin
_HEAD_BORDER = re.compile(r"(?<=[_\-. ])|(?<=[^\W\d_])(?=\d)")


@dataclass(frozen=True, order=True)
class Affix:
    """What the names of one kind of files have before and after the name of the sample.

    Attributes:
        head: Before it, such as `rgb_`.
        tail: After it, such as `_mask`.
        suffix: That of the files, where it tells kinds apart: `.png`; else "".
    """

    head: str = ""
    tail: str = ""
    suffix: str = ""


def split_word(component: str) -> tuple[str, str] | None:
    """The word of a folder's name that names a split, as it is written, and the split: `train`, `test` or `val`."""
    for word in re.split(r"[_\-. ]", component):
        if (split := SPLITS.get(word.lower())) is not None:
            return word, split
    return None


def check_no_splits(root: Path, images: Collection[Path]) -> None:
    """Raise a UserError where the names of all images have words of splits: what is called test would be trained on.

    Args:
        root: The folder, for the message.
        images: Its images, which no folders divide.
    """
    first: dict[str, str] = {}
    for path in images:
        found = split_word(_DIGITS.sub("_", path.stem))
        if found is None:
            return
        first.setdefault(found[1], path.name)
    if "train" in first and len(first) > 1:
        raise UserError(
            f"{root}: expected train and test images in folders of their own, found them told apart by names alone "
            f"({', '.join(sorted(first.values()))}); move the files of each into a folder train, test or val"
        )


def says_image(name: str) -> int:
    """Whether a name speaks of images (1), of labels (-1), or of neither (0)."""
    name = name.lower()
    if any(word in name for word in _LABELS):
        return -1
    return int(any(word in name for word in _IMAGES))


def affixes(stems: Collection[str], whole: bool = False) -> dict[str, Affix]:
    """Stem -> its affix: ends, or else beginnings, that several stems have which are equal but for them.

    Args:
        stems: The names of a folder's files.
        whole: Take nothing from a name unless the rest is one of the names, too.

    >>> affixes(["1", "1_mask", "2", "2_mask", "red_car", "red_car_mask"])["red_car_mask"]
    Affix(head='', tail='_mask', suffix='')
    """
    names = set(stems)
    ends = {stem: [(stem[i:], stem[:i]) for i in _cuts(_BORDER, stem)] for stem in names}
    beginnings = {stem: [(stem[:i], stem[i:]) for i in reversed(_cuts(_HEAD_BORDER, stem))] for stem in names}
    for beside in (
        (True,) if whole else (True, False)
    ):  # first those beside a file without any, such as 1.jpg and 1_mask.png
        for parts, is_tail in ((ends, True), (beginnings, False)):
            found = _supported(names, parts, beside)
            if found:
                return {s: _affix(found.get(s, ""), is_tail) for s in names}
    return {stem: Affix() for stem in names}


def _affix(text: str, is_tail: bool) -> Affix:
    return Affix(tail=text) if is_tail else Affix(head=text)


def _cuts(border: re.Pattern[str], stem: str) -> list[int]:
    return [m.start() for m in border.finditer(stem) if 0 < m.start() < len(stem)]


def _supported(names: set[str], parts: dict[str, list[tuple[str, str]]], beside: bool) -> dict[str, str]:
    """Stem -> the affix that tells it from another one with the same rest, if it does so for half of its stems."""
    rests: defaultdict[str, set[str]] = defaultdict(set)
    for pairs in parts.values():
        for affix, rest in pairs:
            if _LETTERS.search(affix):
                rests[rest].add(affix)
    counts: Counter[str] = Counter()
    supports: Counter[str] = Counter()
    for pairs in parts.values():
        for affix, rest in pairs:
            if _LETTERS.search(affix):
                counts[affix] += 1
                supports[affix] += rest in names if beside else len(rests[rest]) > 1
    least = 1 if beside and len(names) <= 4 else 2
    accepted = {x for x, n in supports.items() if n >= max(least, counts[x] / 2)}
    found = {}
    for stem, pairs in parts.items():
        # The longest beside a file without any, as 1_mask_old beside 1 and 1_mask; else the shortest that tells apart.
        for affix, rest in pairs if beside else reversed(pairs):
            if affix in accepted and (rest in names if beside else len(rests[rest] & accepted) > 1):
                found[stem] = affix
                break
    return found


def common_affixes(keys: Sequence[str]) -> list[Affix]:
    """What may be taken from all keys at their beginning and at their end, and nothing, which comes first."""
    if len(keys) < 2:
        return [Affix()]
    low, high = min(keys), max(keys)
    head = _shared(low, high)
    tail = _shared(min(x[::-1] for x in keys), max(x[::-1] for x in keys))[::-1]
    heads = ["", *(head[:i] for i in _cuts(_HEAD_BORDER, head + "0") if i <= len(head))]
    tails = ["", *(tail[i:] for i in [0, *_cuts(_BORDER, tail)] if tail[i:])]
    shortest = min(map(len, keys))
    pairs = [Affix(h, t) for h in heads for t in tails if len(h) + len(t) < shortest]
    return sorted(pairs, key=lambda affix: len(affix.head) + len(affix.tail))


def without(key: str, affix: Affix) -> str:
    """A key without its affix."""
    return key[len(affix.head) : len(key) - len(affix.tail)]


def _shared(a: str, b: str) -> str:
    return a[: next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))]


def count(number: int, noun: str) -> str:
    """A number and a noun, in the plural where it is not one.

    >>> count(1, "image"), count(2, "image")
    ('1 image', '2 images')
    """
    return f"{number} {noun}{'s' * (number != 1)}"


def words(names: Iterable[str], most: int = 3) -> str:
    """Some names, for a line.

    >>> words(["a", "b", "c", "d"])
    'a, b, c, ...'
    """
    names = list(names)
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
