"""Two digits in one image: one task per digit."""

from abc import abstractmethod
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import ClassVar, get_args

import numpy as np
import torch
from torch import Tensor

from tutelage.data.base import DataSource, Split
from tutelage.data.digits.arrays import ImagesAndClasses, at_least, require_library, resized
from tutelage.data.digits.base import ClassImages
from tutelage.data.digits.mnist import Mnist, read_mnist
from tutelage.data.fingerprint import FINGERPRINTED, fingerprint_of_text, ranked
from tutelage.data.modalities import Modality
from tutelage.data.samples import Samples
from tutelage.data.whole_labels import ClassLabel
from tutelage.images import Size

_VERSION = 1  # raised whenever the same arguments give other images


class Overlaid(DataSource):
    """Two digits overlaid, as MultiMNIST (Sabour et al., NeurIPS 2017; as two tasks: Sener and Koltun, NeurIPS 2018).

    x = max(a at (0, 0), b at (s, s)), pixel by pixel, on a square canvas, resized to `size`

    where a is the digit of the task `left`, in the upper left corner, and b that of the task `right`, s pixels further
    right and down. Both are drawn from all digits of the split, independently of each other. Image i of a split is a
    function of (seed, split, i). The part of `train` that `tutelage.data.HoldOut` holds out has other pairs of the same
    digits.

    Args:
        train: The number of training images.
        test: The number of test images, which are made of other digits.
        size: Height and width.
        seed: The seed of all pairs.

    Raises:
        UserError: A number is below 1, or the seed is below 0.
    """

    size: Size
    in_memory = True
    canvas: ClassVar[int]  # its height and width
    shift: ClassVar[int]  # s

    def __init__(self, train: int, test: int, size: Size, seed: int) -> None:
        at_least(1, {"train": train, "test": test, "size": min(size)})
        at_least(0, {"seed": seed})
        self.lengths: dict[Split, int] = {"train": train, "test": test}
        self.size, self.seed = size, seed
        self.modalities: Mapping[str, Modality] = {"left": ClassLabel(), "right": ClassLabel()}
        self._splits: dict[Split, Samples] = {}  # kept, so that all runs of a study share them

    @abstractmethod
    def digits(self, split: Split) -> ImagesAndClasses:
        """The digits of which a split's images are made: bytes [M, 1, h, w], and classes [M]."""

    def split(self, split: Split) -> Samples:
        """The images of a split, made once and then kept in memory."""
        if split not in self._splits:
            digits, classes = self.digits(split)
            left, right = self._pairs(split, len(digits)).unbind(1)
            images = resized(overlay(digits[left], digits[right], self.canvas, self.shift), self.size)
            origin = f"data: {type(self).__name__}'s {split}"
            self._splits[split] = ClassImages(images, {"left": classes[left], "right": classes[right]}, origin)
        return self._splits[split]

    def fingerprint(self) -> str:
        """Depends on the arguments."""
        lengths = {FINGERPRINTED[split]: length for split, length in self.lengths.items()}
        arguments = (_VERSION, lengths, self.size, self.seed)
        return fingerprint_of_text(repr(arguments))

    def _pairs(self, split: Split, count: int) -> Tensor:
        """The indices [N, 2] of the left and the right digits."""
        number = get_args(Split).index(split)
        pairs = [
            np.random.default_rng([self.seed, number, i]).integers(count, size=2) for i in range(self.lengths[split])
        ]
        return torch.from_numpy(np.stack(pairs))


def overlay(left: Tensor, right: Tensor, canvas: int, shift: int) -> Tensor:
    """The maximum of `left` [N, 1, h, w] at (0, 0) and `right`, likewise, at (shift, shift): [N, 1, canvas, canvas]."""
    height, width = left.shape[2:]
    image = left.new_zeros(len(left), 1, canvas, canvas)
    image[:, :, :height, :width] = left
    lower = image[:, :, shift : shift + height, shift : shift + width]
    lower.copy_(torch.maximum(lower, right))
    return image


class OverlaidDigits(Overlaid):
    """Two of scikit-learn's 1797 handwritten digits (8x8) in one image; needs no files. See `Overlaid`.

    The canvas is 10x10; the right digit is two pixels further right and down. A fifth of the digits, by the rank of a
    hash and for every seed, is reserved for `test`: no digit of `test` occurs in `train`. (The same people wrote both.)

    Args:
        train: The number of training images.
        test: The number of test images, which are made of other digits.
        size: Height and width.
        seed: The seed of all pairs.
    """

    name = "overlaid-digits"
    trusted = True
    canvas, shift = 10, 2

    def __init__(self, train: int = 2048, test: int = 1024, size: Size = (20, 20), seed: int = 0) -> None:
        super().__init__(train, test, size, seed)

    def check(self, tasks: Collection[str]) -> None:
        """Raise unless the tasks are `left` and `right` and scikit-learn is installed."""
        self.check_names(tasks)
        require_library("sklearn")

    def digits(self, split: Split) -> ImagesAndClasses:
        """Bytes [M, 1, 8, 8], M = 1438 for `train` and 359 for `test`."""
        require_library("sklearn")
        from sklearn.datasets import load_digits  # seconds to import

        pixels, classes = load_digits(return_X_y=True)
        held = set(ranked(range(len(classes)), "digits")[: len(classes) // 5])
        indices = [i for i in range(len(classes)) if (i in held) == (split == "test")]
        images = torch.from_numpy(np.round(pixels[indices] * (255 / 16)).astype(np.uint8))  # 17 levels of grey
        return images.view(-1, 1, 8, 8), torch.from_numpy(classes[indices].astype(np.int64))


class MultiMnist(Overlaid):
    """Two digits of MNIST in one image, as Sener and Koltun (NeurIPS 2018) overlay them. See `Overlaid`.

    The canvas is 36x36; the right digit is six pixels further right and down. `train` is made of MNIST's training
    images, `test` of its test images. Their code scales to 28x28 by leaving out rows and columns; here resizing is
    antialiased, so that no stroke is lost. In theirs every digit is the left one of exactly one image.

    Args:
        root: The folder with the files of MNIST, as `Mnist` reads them.
        train: The number of training images.
        test: The number of test images.
        size: Height and width.
        seed: The seed of all pairs.
    """

    name = "multi-mnist"
    canvas, shift = 36, 6

    def __init__(self, root: Path, train: int = 60000, test: int = 10000, size: Size = (28, 28), seed: int = 0) -> None:
        super().__init__(train, test, size, seed)
        self.mnist = Mnist(root)

    def check(self, tasks: Collection[str]) -> None:
        """Raise unless the tasks are `left` and `right` and MNIST's files exist."""
        self.check_names(tasks)
        self.mnist.check_files()

    def digits(self, split: Split) -> ImagesAndClasses:
        """Bytes [M, 1, 28, 28]."""
        return read_mnist(self.mnist.root, split)

    def fingerprint(self) -> str:
        """Depends on the arguments and on MNIST's files."""
        return fingerprint_of_text(super().fingerprint() + self.mnist.fingerprint())
