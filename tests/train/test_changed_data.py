"""Data that change after they were checked: the line names the file."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.data.test_folders import numbers, write

from tutelage.data import Augment, ClassesLabel, Folders, Label
from tutelage.errors import UserError
from tutelage.tasks import Segmentation
from tutelage.train.streams import Stream
from tutelage.train.views import Views


def views(root: Path, augment: Augment | None = None) -> Views:
    source = Folders(root, {"classes": Label("label", ClassesLabel())}, holdout=0.5)
    stream = Stream(source.split("train"), source.modalities)
    return Views([stream], {"classes": Segmentation(13)}, augment)


@pytest.mark.parametrize("augment", [None, Augment()])
def test_a_label_that_is_spoilt_while_training_is_named(tmp_path: Path, augment: Augment | None) -> None:
    write(tmp_path / "train", numbers(4), size=(12, 16))
    batches = views(tmp_path, augment)
    batches[0, [(0, 0), (0, 1)]]
    path = Path(batches.streams[0].samples.where(1, "classes"))
    Image.fromarray(np.full((12, 16), 77, np.uint8)).save(path)
    with pytest.raises(UserError, match=rf"^{path}: expected classes 0..12, .* found 77;"):
        batches[0, [(0, 0), (0, 1)]]


def test_an_image_of_another_size_is_named(tmp_path: Path) -> None:
    write(tmp_path / "train", numbers(4), size=(12, 16))
    batches = views(tmp_path)
    path = Path(batches.streams[0].samples.where(1))
    write(tmp_path / "train", [path.stem], size=(12, 18))
    with pytest.raises(UserError, match=rf"^{path}: expected the size of .*, 12x16, found 12x18; it has changed"):
        batches[0, [(0, 0), (0, 1)]]
