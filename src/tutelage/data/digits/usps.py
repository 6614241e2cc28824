"""USPS: 16x16 grey digits of envelopes."""

from pathlib import Path

import numpy as np

from tutelage.data.base import Split
from tutelage.data.digits.arrays import ImagesAndClasses, as_tensors, check_published, reading
from tutelage.data.digits.base import ImageFiles
from tutelage.data.hdf5 import own_dataset
from tutelage.images import Size


class Usps(ImageFiles):
    """USPS (Hull, TPAMI 1994): 7,291 training and 2,007 test images of digits, 16x16, grey.

    Reads `root/usps.h5` with `data` [N, 256] in 0..1 and `target` [N] in the groups `train` and `test`. `train` and
    `test` are the official training and test images; see `ImageFiles`. The test images are known to be the harder ones.

    Args:
        root: The folder with the file.
        task: The name of the task; classes are 0..9.
        size: Height and width to which images are resized; None keeps 16x16.
        train: The number of training images, equally many of each class if possible; None takes all.
        seed: Which training images are taken.
    """

    name = "usps"
    file_size = (16, 16)
    library = "h5py"
    remedy = "download usps.h5 of https://www.kaggle.com/datasets/bistaumanga/usps-dataset there"

    def __init__(
        self, root: Path, task: str = "usps", size: Size | None = None, train: int | None = None, seed: int = 0
    ) -> None:
        super().__init__(root, task, size, train, seed)

    def files(self, split: Split) -> list[Path]:
        """usps.h5."""
        return [self.root / "usps.h5"]

    def read(self, split: Split) -> ImagesAndClasses:
        """float32 [N, 1, 16, 16] in 0..1."""
        import h5py

        [path] = self.files(split)
        with reading(path), h5py.File(path, "r") as file:
            arrays = {key: own_dataset(file, key) for key in (f"{split}/data", f"{split}/target")}
            for key, array in arrays.items():
                check_published(key, array.shape)
            images, classes = map(np.asarray, arrays.values())
            if images.shape[1:] != (256,):
                raise ValueError(f"`{split}/data` {list(images.shape)} where [N, 256] belongs")
        return as_tensors(images.reshape(-1, 1, 16, 16), classes, (1, 16, 16), path)
