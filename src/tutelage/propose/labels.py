"""Which of a folder's files are labels of its images, what they hold, and what their task is called."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from keyword import iskeyword
from pathlib import Path

from torch import nn

from tutelage.data.look import Guess, guess
from tutelage.errors import UserError
from tutelage.images import Size
from tutelage.propose.codes import coded
from tutelage.propose.names import says_image, words
from tutelage.propose.series import Series

CLASS = "category"  # the task of a class per image: torch cannot write a network with a part named `class`
_USUAL = {
    "Segmentation": "segmentation",
    "Depth": "depth",
    "InverseDepth": "depth",
    "Normals": "normals",
    "Edges": "edges",
    "Saliency": "saliency",
    "Classification": CLASS,
    "MultiLabel": "classes",
    "Regression": "numbers",
}

_BINARY = {"edge": "Edges", "contour": "Edges", "boundar": "Edges", "salien": "Saliency"}  # words in names -> task
_DEPTHS = ("depth", "dist", "range")


@dataclass
class Label:
    """The labels of one task.

    Attributes:
        series: Their files, of images that are there, and of their size.
        guess: What they hold.
    """

    series: Series
    guess: Guess

    @property
    def dense(self) -> bool:
        """Whether there is a value for every pixel."""
        return _is_dense(self.guess)

    def count(self, word: str | None = None) -> int:
        """The number of labels, in all or in one split."""
        return sum(word in (None, w) for w, _ in self.series.files)


def find_labels(
    images: Series, others: Collection[Series], sizes: Mapping[Path, Size]
) -> tuple[dict[str, Label], list[str]]:
    """Task -> labels, and one line for each kind of files that is none, with the reason."""
    labels: list[Label] = []
    left_out: list[str] = []
    for one in others:
        what = str(one)
        files = {key: path for key, path in one.files.items() if key in images.files}
        if not files:
            left_out.append(f"{what}: none has the name of an image")
            continue
        if len(files) < len(one.files):
            names = [path.name for key, path in one.files.items() if key not in files]
            left_out.append(f"{len(names)} of {what}: there is no image of this name ({words(names)})")
        one.files = files
        try:
            look = _guess(one)
        except UserError as error:
            left_out.append(f"{what}: {error}")
            continue
        if look.is_image or not look.kind:
            lossy = any(x.lossy for x in look.stored) and says_image(one.name) < 0
            again = "no labels: JPEG changes values; save .png" if lossy else "a second picture of the same things"
            reason = again if look.is_image else look.words
            left_out.append(f"{what}: {'; '.join((reason, *look.doubts))}")
            continue
        wrong = _of_other_sizes(one, images, sizes) if _is_dense(look) else {}
        if wrong:
            first = next(iter(wrong))
            a, b = sizes[wrong[first]], sizes[images.files[first]]
            which = "" if len(wrong) == len(files) else f"{len(wrong)} of "
            left_out.append(
                f"{which}{what}: {wrong[first].name} is {a[0]}x{a[1]}, its image {b[0]}x{b[1]}; resize one of them "
                "(classes to the nearest pixel)"
            )
            one.files = {key: path for key, path in files.items() if key not in wrong}
        if one.files:
            labels.append(Label(one, look))
    return _named(labels, images), left_out


def _guess(series: Series) -> Guess:
    files = list(series.files.values())
    look = guess(files, series.name)
    name = series.name.lower()
    if "instance" in name:
        return Guess(words="instances, which no task of tutelage learns")
    if look.kind.endswith(".DepthLabel") and look.doubts and not any(word in name for word in _DEPTHS):
        return Guess(words=f"whole numbers that are neither classes nor depth for sure ({look.doubts[0]})")
    if look.kind.endswith(".MaskLabel"):  # the same files, of a task with a metric of its own
        for word, task in _BINARY.items():
            if word in name:
                return replace(look, task=f"tutelage.tasks.{task}", task_args={})
    return coded(files, look) or look


def _of_other_sizes(series: Series, images: Series, sizes: Mapping[Path, Size]) -> dict[tuple[str, str], Path]:
    """The labels whose size is not their image's."""
    return {key: path for key, path in series.files.items() if sizes[path] != sizes[images.files[key]]}


def _is_dense(look: Guess) -> bool:
    return not look.kind.endswith(("ClassLabel", "NumbersLabel"))


def _named(labels: Collection[Label], images: Series) -> dict[str, Label]:
    """The labels by the names of their tasks: that of the kind, or of the files where several are of one kind."""
    usual = [_USUAL[x.guess.task.rpartition(".")[2]] for x in labels]
    named: dict[str, Label] = {}
    for label, name in zip(labels, usual, strict=True):
        if usual.count(name) > 1:
            name = _task_name(label.series, images, name)
        while name in named:
            name += "_"
        named[name] = label
    return named


def _task_name(series: Series, images: Series, usual: str) -> str:
    """The words of its names that those of the images do not have, and no word that Python or torch's modules use."""
    tokens = dict.fromkeys(re.findall(r"[^\W_]+", series.name))
    common = re.findall(r"[^\W_]+", images.name)
    name = "_".join(token for token in tokens if token not in common and not token.isdigit()) or usual
    taken = iskeyword(name) or hasattr(nn.ModuleDict, name) or hasattr(nn.ParameterDict, name)
    return f"{name}_" if taken else name
