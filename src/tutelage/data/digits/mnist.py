"""MNIST: 28x28 grey handwritten digits."""

from pathlib import Path

import numpy as np

from tutelage.data.base import Split
from tutelage.data.digits.arrays import ImagesAndClasses, as_tensors, check_published, pick, reading, require_library
from tutelage.data.digits.base import ImageFiles
from tutelage.images import Size, array_shape

_NAMES: dict[Split, str] = {"train": "train", "test": "t10k"}  # of the original files
_KEYS: dict[Split, tuple[str, str]] = {"train": ("x_train", "y_train"), "test": ("x_test", "y_test")}


class Mnist(ImageFiles):
    """MNIST (LeCun et al., Proc. IEEE 1998): 60,000 training and 10,000 test images of digits, 28x28, grey.

    Reads `root/mnist.npz` with `x_train` [60000, 28, 28], `y_train`, `x_test` and `y_test`, the file of Keras;
    otherwise the original files in `root/MNIST/raw`, where torchvision puts them. `train` and `test` are the official
    training and test images; see `ImageFiles`.

    Args:
        root: The folder with one or the other.
        task: The name of the task; classes are 0..9.
        size: Height and width to which images are resized; None keeps 28x28.
        train: The number of training images, equally many of each class if possible; None takes all.
        seed: Which training images are taken.
    """

    name = "mnist"
    file_size = (28, 28)
    remedy = "download https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz there"

    def __init__(
        self, root: Path, task: str = "mnist", size: Size | None = None, train: int | None = None, seed: int = 0
    ) -> None:
        super().__init__(root, task, size, train, seed)

    def files(self, split: Split) -> list[Path]:
        """mnist.npz; if only torchvision's folder exists, its file of images and its file of classes."""
        return mnist_files(self.root, split)

    def read(self, split: Split) -> ImagesAndClasses:
        """Bytes [N, 1, 28, 28]."""
        return read_mnist(self.root, split)


def mnist_files(root: Path, split: Split) -> list[Path]:
    """The files of a split of MNIST, whether they exist or not."""
    archive, raw = root / "mnist.npz", root / "MNIST" / "raw"
    if archive.is_file() or not raw.is_dir():
        return [archive]
    return [raw / f"{_NAMES[split]}-images-idx3-ubyte", raw / f"{_NAMES[split]}-labels-idx1-ubyte"]


def read_mnist(root: Path, split: Split) -> ImagesAndClasses:
    """The images [N, 1, 28, 28], bytes, and the classes [N] of a split of MNIST."""
    path, *labels = mnist_files(root, split)
    if not labels:
        with reading(path), path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            for key in _KEYS[split]:
                if key in file:
                    with file.zip.open(f"{key}.npy") as member:
                        check_published(key, array_shape(member))
            images, classes = pick(file, *_KEYS[split])
    else:
        require_library("torchvision")
        from torchvision.datasets.mnist import read_image_file, read_label_file  # seconds to import

        with reading(path):
            images = read_image_file(str(path)).numpy()
        with reading(labels[0]):
            classes = read_label_file(str(labels[0])).numpy()
    return as_tensors(images[:, None], classes, (1, 28, 28), path)
