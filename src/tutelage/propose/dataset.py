"""What a folder holds: images, labels, splits, and what of it is left out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tutelage.data.patterns import SPLIT
from tutelage.errors import UserError
from tutelage.images import Size
from tutelage.propose.exclude import exclusions
from tutelage.propose.files import Found, Leaf, find
from tutelage.propose.labels import Label, find_labels
from tutelage.propose.names import check_no_splits, count
from tutelage.propose.read import read_sizes
from tutelage.propose.series import Series, find_images, find_others, match

_NAMED = 3  # kinds of files, in a message


@dataclass
class DataSet:
    """What a folder holds.

    Attributes:
        root: The folder below which all images and labels are.
        images: The images.
        sizes: Height and width of each picture.
        labels: Task -> its labels; empty where the folders of the images are their classes.
        train: The word of the folder of `train`; "" where no folders divide the images.
        test: The word of that of `test`; None: a part of `train` is held out.
        exclude: Files and patterns of files that must not be read, under `root`.
        left_out: One line per kind of files that are left out, and why.
        splits: Word of a split -> `train`, `test` or `val`.
        holdout: The part of `train` that is held out where there is no `test`.
        holdout_seed: Which part is held out.
        held_out: The number of its images.
    """

    root: Path
    images: Series
    sizes: Mapping[Path, Size]
    labels: dict[str, Label]
    train: str = ""
    test: str | None = None
    exclude: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    splits: Mapping[str, str] = field(default_factory=dict)
    holdout: float = 0.2
    holdout_seed: int = 0
    held_out: int = 0

    @property
    def has_split_folders(self) -> bool:
        """Whether a source would find folders of splits by their names."""
        return any((self.root / name).is_dir() for name in ("train", "test", "val"))

    @property
    def classes(self) -> list[str]:
        """The folders that are the classes of their images; empty where there are labels."""
        return [] if self.labels else sorted({scene[0] for scene in self.images.scenes})

    def count(self, word: str | None = None) -> int:
        """The number of images, in all or in one split."""
        return sum(word in (None, w) for w, _ in self.images.files)


def explore(folder: Path, advance: Callable[[], None], total: Callable[[int], None]) -> DataSet:
    """Look into a folder of images and labels.

    Args:
        folder: The folder.
        advance: Called after each picture that was opened.
        total: Called with their number before.

    Raises:
        UserError: There are no images with labels in it.
    """
    found = find(folder)
    pictures = [path for leaf in found.leaves for path in leaf.files.values() if path.suffix.lower() != ".txt"]
    if not pictures:
        raise UserError(f"{folder}: expected images and their labels, found {_instead(found)}; see docs/own.md")
    total(len(pictures))
    sizes, wrong = read_sizes(pictures, advance)
    leaves = [Leaf(x.folder, x.affix, {k: p for k, p in x.files.items() if p not in wrong}) for x in found.leaves]
    leaves = [leaf for leaf in leaves if leaf.files]
    texts = [leaf for leaf in leaves if next(iter(leaf.files.values())).suffix.lower() == ".txt"]
    images = find_images([leaf for leaf in leaves if leaf not in texts])
    if images is None:
        unread = f", {count(len(wrong), 'file')} that cannot be read ({next(iter(wrong))}, ...)" if wrong else ""
        what = f"{count(len(pictures) - len(wrong), 'label')}{unread} and no images"
        raise UserError(f"{folder}: expected images and their labels, found {what}; see docs/own.md")
    images, others = match(images, find_others(leaves, images))
    if not found.splits:
        check_no_splits(folder, images.files.values())
    labels, left_out = find_labels(images, others, sizes)
    data = DataSet(folder, images, sizes, labels, left_out=[*left_out, *found.left_out], splits=found.splits)
    number = count(len(images.files), "image")
    _choose_splits(data)
    if not data.labels and not _are_classes(images):
        why = "; ".join(line for line in data.left_out if line not in found.left_out)
        raise UserError(
            f"{folder}: expected labels beside the {number} ({images.name}), found "
            f"{why or 'none with their names'}; see docs/own.md"
        )
    _choose_root(data)
    data.exclude = exclusions(data, leaves, [*wrong, *found.unfit])
    data.left_out += [f"{path.relative_to(folder).as_posix()}: {what}" for path, what in wrong.items()]
    return data


def _instead(found: Found) -> str:
    texts = sum(len(leaf.files) for leaf in found.leaves)
    parts = [*found.left_out, *([f"{texts} .txt"] if texts else [])]
    if len(parts) > _NAMED:
        parts = [*parts[:_NAMED], f"{count(len(parts) - _NAMED, 'more kind')} of files"]
    return "none, but " + "; ".join(parts) if parts else "no files"


def _are_classes(images: Series) -> bool:
    return {len(scene) for scene in images.scenes} == {1} and len(set(images.scenes)) > 1 and not images.after


def _choose_splits(data: DataSet) -> None:
    """Decide which folders are `train` and `test`: each task needs labels in both."""
    words_of = {split: word for word, split in data.splits.items()}
    data.train = words_of.get("train", "")
    for split in ("test", "val"):
        word = words_of.get(split)
        if word is None or not data.count(word):
            continue
        lacking = [task for task, label in data.labels.items() if not label.count(word)]
        if data.test is None and not lacking:
            data.test = word
        else:
            why = f"they have no {' and no '.join(lacking)}" if lacking else f"{data.test} is the test split"
            data.left_out.append(f"{count(data.count(word), 'image')} of {word}: {why}")
    used = {data.train, data.test}
    for task, label in list(data.labels.items()):
        if not label.count(data.train):
            data.left_out.append(f"{task}: no image of {data.train} has it")
            del data.labels[task]
    data.images.files = {key: path for key, path in data.images.files.items() if key[0] in used}
    for label in data.labels.values():
        label.series.files = {key: path for key, path in label.series.files.items() if key[0] in used}


def _choose_root(data: DataSet) -> None:
    """Go down to the folder that holds everything that is read."""
    series = [data.images, *(label.series for label in data.labels.values())]
    while all(x.before for x in series):
        names = {x.before[0] for x in series}
        if len(names) > 1 or SPLIT in "".join(names) or (data.labels and len(series) == 1):
            break
        for one in series:
            one.before = one.before[1:]
        data.root /= names.pop()
