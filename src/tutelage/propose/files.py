"""The files of a folder: which may be images or labels, and which are left out, with the reason."""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from tutelage.data.files import SYSTEM_FILES, TEXTS, natural
from tutelage.data.patterns import SPLIT, walk
from tutelage.errors import printable
from tutelage.pictures import PICTURES
from tutelage.propose.names import Affix, affixes, count, split_word, words

_ODD = "with *, {split} or a control character in its name"
_REASONS = {
    **dict.fromkeys((".csv", ".tsv", ".xlsx", ".parquet"), "tables are not read: write a .txt of numbers per image"),
    **dict.fromkeys((".json", ".xml"), "not read: where they hold boxes or polygons, draw these as pictures"),
    **dict.fromkeys((".zip", ".tar", ".gz", ".7z", ".rar"), "unpack it first"),
    **dict.fromkeys((".npz", ".mat", ".h5", ".hdf5", ".pkl", ".pt"), "not read: write one .npy or picture per image"),
    **dict.fromkeys((".mp4", ".avi", ".mov", ".mkv"), "a video is not read: write its frames as pictures"),
    **dict.fromkeys((".heic", ".exr", ".hdr", ".dng", ".raw", ".svg"), "not read: write .png, .jpg or .npy"),
}


@dataclass
class Leaf:
    """The files of one folder whose names have one affix.

    Attributes:
        folder: The folder under the root, as components, with `{split}` in place of the word of a split.
        affix: What is around the name of the sample.
        files: (word of the split or "", name of the sample) -> file.
    """

    folder: tuple[str, ...]
    affix: Affix
    files: dict[tuple[str, str], Path] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What its name says of its kind."""
        return "/".join((*self.folder[-2:], self.affix.head + self.affix.tail))


@dataclass
class Found:
    """The files of a folder.

    Attributes:
        root: The folder.
        leaves: Those that may be images or labels.
        splits: Word of a split -> `train`, `test` or `val`; empty where no folders divide the files.
        left_out: One line per kind of files that are left out.
        unfit: Those among them with names that a pattern or a terminal would take otherwise.
    """

    root: Path
    leaves: list[Leaf]
    splits: dict[str, str]
    left_out: list[str]
    unfit: list[Path]


def find(root: Path) -> Found:
    """Find the files of a folder that may be images or labels."""
    others: defaultdict[str, list[str]] = defaultdict(list)
    paths, unfit = [], []
    for path in sorted(walk(root), key=lambda path: natural(str(path))):
        suffix, name = path.suffix.lower(), path.relative_to(root).as_posix()
        if path.name.lower() in SYSTEM_FILES or "__MACOSX" in path.parts:
            continue
        if "*" in name or SPLIT in name or printable(name) != name:
            others[_ODD].append(printable(path.name))
            unfit.append(path)
        elif suffix not in (*PICTURES, *TEXTS):
            others[suffix].append(path.name)
        else:
            paths.append(path)
    splits = _splits(root, paths)
    by_folder: defaultdict[tuple[str, ...], list[tuple[str, Path]]] = defaultdict(list)
    outside = []
    for path in paths:
        folder, word = _divided(path.relative_to(root).parts[:-1], splits)
        if splits and not word:
            outside.append(path.name)
        else:
            by_folder[folder].append((word, path))
    left_out = [
        f"{count(len(names), 'file')} {kind or 'without a suffix'} ({words(names, 2)}){_why(kind)}"
        for kind, names in others.items()
    ]
    if outside:
        left_out.append(f"{count(len(outside), 'file')} outside of {' and '.join(splits)} ({words(outside)})")
    return Found(root, _leaves(by_folder), splits, left_out, unfit)


def _why(suffix: str) -> str:
    return f": {_REASONS[suffix]}" if suffix in _REASONS else ""


def _splits(root: Path, paths: list[Path]) -> dict[str, str]:
    """Word -> split, of those that most files have; nothing without a `train`."""
    counts: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for path in paths:
        for component in path.relative_to(root).parts[:-1]:
            if (found := split_word(component)) is not None:
                word, split = found
                counts[split][word] = counts[split].get(word, 0) + 1
                break
    if "train" not in counts or (len(counts) == 1 and sum(counts["train"].values()) < len(paths)):
        return {}
    return {
        max(counts[split], key=counts[split].__getitem__): split
        for split in ("train", "test", "val")
        if split in counts
    }


def _divided(folder: tuple[str, ...], splits: dict[str, str]) -> tuple[tuple[str, ...], str]:
    for i, component in enumerate(folder):
        found = split_word(component)
        if found is not None and found[0] in splits:
            return (*folder[:i], component.replace(found[0], SPLIT, 1), *folder[i + 1 :]), found[0]
    return folder, ""


def _leaves(by_folder: dict[tuple[str, ...], list[tuple[str, Path]]]) -> list[Leaf]:
    stems = {folder: {path.stem for _, path in files} for folder, files in by_folder.items()}
    leaves = []
    for folder, files in by_folder.items():
        elsewhere = set().union(*(x for other, x in stems.items() if other != folder))
        whole = len(stems[folder] & elsewhere) >= len(stems[folder]) / 2
        found = affixes(stems[folder], whole)
        groups: defaultdict[Affix, list[tuple[str, Path]]] = defaultdict(list)
        for word, path in files:
            groups[found[path.stem]].append((word, path))
        for affix, group in sorted(groups.items()):
            texts = [x for x in group if x[1].suffix.lower() == ".txt"]
            leaves += _by_suffix(folder, affix, texts) + _by_suffix(folder, affix, [x for x in group if x not in texts])
    return leaves


def _by_suffix(folder: tuple[str, ...], affix: Affix, files: list[tuple[str, Path]]) -> list[Leaf]:
    """One leaf, or one per suffix where a name has several."""
    keys = [(word, path.stem[len(affix.head) : len(path.stem) - len(affix.tail)]) for word, path in files]
    if not files:
        return []
    if len(set(keys)) == len(keys):
        return [Leaf(folder, affix, {key: path for key, (_, path) in zip(keys, files, strict=True)})]
    leaves: dict[str, Leaf] = {}
    for key, (_, path) in zip(keys, files, strict=True):
        suffix = ".jpg" if path.suffix.lower() == ".jpeg" else path.suffix.lower()
        leaf = leaves.setdefault(suffix, Leaf(folder, Affix(affix.head, affix.tail, suffix)))
        leaf.files[key] = path
    return list(leaves.values())
