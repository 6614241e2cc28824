"""The tables of classes against public copies of the official ones."""

from hashlib import blake2b

import numpy as np

from tutelage.prepare.nyuv2_classes import CLASSES13, CLASSES40, LABELS, NAMES, classes_40_to_13, labels_to_40
from tutelage.tasks.palette import NYU13

# class13Mapping.mat: the class of 13, from 1, of every class of 40.
TO_13 = (
    12, 5, 6, 1, 4, 9, 10, 12, 13, 6, 8, 6, 13, 10, 6, 13, 6, 7, 7, 5, 7, 3, 2, 6, 11, 7, 7, 7, 7, 7, 7, 6, 7, 7, 7, 7,
    7, 7, 6, 7,
)  # fmt: skip


def test_894_labels_in_40_classes() -> None:
    """The digest is of `mapClass` of classMapping40.mat with a 0 before it, of which two public copies agree."""
    table = labels_to_40()
    official = np.where(table == 255, 0, table + 1)
    assert len(official) == LABELS + 1
    assert blake2b(official.astype(np.uint8).tobytes(), digest_size=8).hexdigest() == "19b1ab60bcb99393"


def test_40_classes_in_13() -> None:
    table = classes_40_to_13()
    assert tuple(table[:40] + 1) == TO_13
    assert (table[40:] == 255).all()
    assert len(CLASSES40) == 40


def test_names() -> None:
    assert list(CLASSES13) == list(NYU13)  # the order of docs/data.md and of the task's colours
    assert all(CLASSES40[labels_to_40()[label]] == name for label, name in NAMES.items())
    assert sorted(NAMES.values()) == sorted(CLASSES40[:37])
