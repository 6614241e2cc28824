"""Which files are the images, and which other files have their names: the labels."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tutelage.data.look import Guess, guess
from tutelage.data.patterns import SPLIT
from tutelage.pictures import open_picture
from tutelage.propose.files import Leaf
from tutelage.propose.names import Affix, common_affixes, count, says_image, without

Folder = tuple[str, ...]

_FEW = 64  # colours


@dataclass
class Series:
    """Files of one kind, of which each sample has at most one.

    Attributes:
        before: The folders before the names of scenes, as components.
        after: The folders after them.
        scenes: The folders between, one entry per scene; `()` alone where there are none.
        affix: What is around the names of samples.
        files: (word of the split or "", name of the sample) -> file.
        guess: What the files seem to hold.
    """

    before: Folder
    after: Folder
    scenes: Collection[Folder]
    affix: Affix
    files: dict[tuple[str, str], Path] = field(default_factory=dict)
    guess: Guess = field(default_factory=Guess)

    @property
    def name(self) -> str:
        """The part of its names that tells it from others."""
        return "/".join(x for x in (*self.before, *self.after, f"{self.affix.head}*{self.affix.tail}") if x != SPLIT)

    def __str__(self) -> str:
        """As in "8 files masks/*"."""
        name = self.name if len(self.files) > 1 else next(iter(self.files.values())).name
        return f"{count(len(self.files), 'file')} {name}"

    @property
    def pattern(self) -> str:
        """The pattern of its files for `Folders`, under the folder of the split where that is the first one."""
        levels = {len(scene) for scene in self.scenes}
        stars = [] if levels == {0} else ["*"] * levels.pop() if len(levels) == 1 else ["**"]
        name = f"{self.affix.head}*{self.affix.tail}{self.affix.suffix}"
        folders = [*self.before, *stars, *self.after]
        folders = folders[1:] if folders[:1] == [SPLIT] else folders
        return "/".join(folders) if folders and name == "*" and not stars else "/".join([*folders, name])

    def stripped(self, affix: Affix) -> "Series":
        """The same files with more of their names taken for the affix."""
        files = {(w, _stripped(key, affix)): path for (w, key), path in self.files.items()}
        more = Affix(self.affix.head + affix.head, affix.tail + self.affix.tail, self.affix.suffix)
        return Series(self.before, self.after, self.scenes, more, files, self.guess)


def _stripped(key: str, affix: Affix) -> str:
    scene, slash, name = key.rpartition("/")
    return f"{scene}{slash}{without(name, affix)}"


def find_images(leaves: Collection[Leaf]) -> Series | None:
    """The images among the files of a folder; None where no files look like images."""
    images = [(leaf, look) for leaf in leaves if (look := guess(list(leaf.files.values()), leaf.name)).is_image]
    if not images:
        return None
    drawn = [_has_few_colours(leaf) for leaf, _ in images]
    order = [
        (_says(leaf), _looks(leaf, look) - few, len(leaf.files))
        for (leaf, look), few in zip(images, drawn, strict=True)
    ]
    first = order.index(max(order))
    best, look = images[first]
    # Folders of the same kind are scenes, or the classes of their images.
    alike = [
        leaf
        for (leaf, _), few in zip(images, drawn, strict=True)
        if few == drawn[first] and _says(leaf) == _says(best) and leaf.affix == best.affix
    ]
    folders = [leaf.folder for leaf in alike]
    before = _common(folders)
    after = tuple(reversed(_common([folder[len(before) :][::-1] for folder in folders])))
    scenes = [folder[len(before) : len(folder) - len(after)] for folder in folders]
    series = Series(before, after, scenes, best.affix, guess=look)
    for leaf, scene in zip(alike, scenes, strict=True):
        series.files |= {(word, "/".join((*scene, key))): path for (word, key), path in leaf.files.items()}
    return series


def _says(leaf: Leaf) -> int:
    return says_image(leaf.affix.head + leaf.affix.tail) + says_image("".join(leaf.folder[-1:]))


def _looks(leaf: Leaf, look: Guess) -> float:
    return any(x.lossy for x in look.stored) + 0.5 * (leaf.affix == Affix())


def _has_few_colours(leaf: Leaf) -> bool:
    """Whether the first picture has as few colours as drawings, and labels that are drawn in colours."""
    path = next(iter(leaf.files.values()))
    if path.suffix.lower() == ".npy":
        return False
    with open_picture(path) as picture:
        return picture.convert("RGB").getcolors(_FEW) is not None


def _common(folders: list[Folder]) -> Folder:
    shortest = min(map(len, folders))
    for i in range(shortest):
        if len({folder[i] for folder in folders}) > 1:
            return folders[0][:i]
    return folders[0][:shortest]


def find_others(leaves: Iterable[Leaf], images: Series) -> list[Series]:
    """The files that are no images, in series that follow the scenes of the images."""
    taken = set(images.files.values())
    series: dict[tuple[Folder, Folder, Affix], Series] = {}
    for leaf in leaves:
        if next(iter(leaf.files.values())) in taken:
            continue
        before, scene, after = _aligned(leaf.folder, images.scenes)
        one = series.setdefault((before, after, leaf.affix), Series(before, after, images.scenes, leaf.affix))
        one.files |= {(word, "/".join((*scene, key))): path for (word, key), path in leaf.files.items()}
    return list(series.values())


def _aligned(folder: Folder, scenes: Collection[Folder]) -> tuple[Folder, Folder, Folder]:
    """A folder before, at and after the longest scene that it contains."""
    best: tuple[Folder, Folder, Folder] = (folder, (), ())
    for scene in sorted(set(scenes), key=len):
        for i in range(len(folder) - len(scene) + 1):
            if scene and folder[i : i + len(scene)] == scene:
                best = (folder[:i], scene, folder[i + len(scene) :])
    return best


def match(images: Series, others: Collection[Series]) -> tuple[Series, list[Series]]:
    """Images and others with as little of their names taken off as makes most of the names equal."""
    choices: list[tuple[int, int, int, Series, list[Series]]] = []
    for affix in _choices(images):
        stripped = images.stripped(affix)
        matched = [_best(stripped, one) for one in others]
        shared = sum(len(stripped.files.keys() & one.files.keys()) for one in matched)
        choices.append((-shared, len(affix.head + affix.tail), len(choices), stripped, matched))
    _, _, _, images, found = min(choices)
    return images, found


def _best(images: Series, one: Series) -> Series:
    candidates = [one.stripped(affix) for affix in _choices(one)]
    return max(candidates, key=lambda x: len(x.files.keys() & images.files.keys()))  # the first of equals


def _choices(series: Series) -> list[Affix]:
    names = [key.rpartition("/")[2] for _, key in series.files]
    choices = common_affixes(sorted(set(names)))
    keys = {key for _, key in series.files}
    return [affix for affix in choices if len({_stripped(key, affix) for key in keys}) == len(keys)]
