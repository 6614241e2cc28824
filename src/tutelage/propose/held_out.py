"""Which part of the training images is held out where there are no test images."""

from collections.abc import Collection
from typing import Any

from tutelage.data import ClassFolders, DataSource, Folders, MaskLabel, NumbersLabel
from tutelage.data import Label as FolderLabel
from tutelage.errors import UserError
from tutelage.propose.dataset import DataSet

_HOLDOUT = 0.2
_SEEDS = 200  # that are tried until both parts have every label


def choose_held_out(data: DataSet) -> None:
    """Set the part, its seed and the number of its images, so that both parts have labels of every task.

    Raises:
        UserError: There are too few images to hold any out.
    """
    if data.test is not None:
        return
    count = data.count(data.train)
    if count < 2:
        raise UserError(f"{data.root}: expected two images or more, one to train on and one to test, found {count}")
    data.holdout = max(_HOLDOUT, round(1 / count + 0.005, 2))
    for task, label in list(data.labels.items()):
        if label.count() < 2:
            data.left_out.append(f"{label.series}: one to train on and one to test are needed")
            del data.labels[task]
    if not data.labels and not data.classes:
        raise UserError(f"{data.root}: expected two labels or more of a kind, found {'; '.join(data.left_out)}")
    for seed in range(_SEEDS):
        data.holdout_seed = seed
        splits = _splits(data)
        data.held_out = len(splits[1])
        if all(any(task in tasks for tasks in split) for split in splits for task in data.labels):
            return
    raise UserError(
        f"{data.root}: expected labels of {' and '.join(data.labels)} on images enough for two parts, found too few; "
        "add some, or remove the folder of the fewest"
    )


def _splits(data: DataSet) -> list[list[Collection[str]]]:
    """The tasks that each image of `train` and of `test` has labels of."""
    arguments: dict[str, Any] = {
        "holdout": data.holdout,
        "holdout_seed": data.holdout_seed,
        "train": data.train,
        "test": data.train,
    }
    source: DataSource
    if data.classes:
        source = ClassFolders(data.root, exclude=data.exclude, **arguments)
    else:
        # Which files are read depends on whether a label is dense, and on nothing else of its kind.
        labels = {
            t: FolderLabel(x.series.pattern, MaskLabel() if x.dense else NumbersLabel()) for t, x in data.labels.items()
        }
        source = Folders(data.root, labels, data.images.pattern, partial=True, exclude=data.exclude, **arguments)
    parts = [source.split("train"), source.split("test")]
    return [[samples.tasks(i) or () for i in range(len(samples))] for samples in parts]
