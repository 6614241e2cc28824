"""How images and labels are decoded, resized and augmented; docs/data.md has the numeric contract."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.nn.functional import interpolate

from tutelage.errors import UserError
from tutelage.images import Array, Use, as_array, read_array, rgb

Size = tuple[int, int]  # height, width


def resize_nearest(x: Tensor, size: Size) -> Tensor:
    """[C, H, W] to another size, taking the pixel whose centre is nearest."""
    return x if x.shape[1:] == size else interpolate(x[None], size, mode="nearest-exact")[0]


class Modality(ABC):
    """One kind of data: the image, or a kind of label.

    Dense data are [C, H, W] from `decode` or `take` until `finish`.

    Attributes:
        content: What the values mean, as `Task.contents` names it: "depth", "classes", ...; "" fits every task.
        dense: There is a value for every pixel. Otherwise there is one label for the whole image, which no
            augmentation changes.
        use: How a picture is read: as colours, as class numbers (a palette's indices) or as other values.
    """

    content: ClassVar[str] = ""
    dense: ClassVar[bool] = True
    use: ClassVar[Use] = "values"

    def decode(self, path: Path) -> Tensor:
        """The tensor of a file, in the unit of the contract."""
        return self.convert(*self.read(path), str(path))

    def take(self, value: object, where: str) -> Tensor:
        """The tensor of an item of a dataset: a picture of Pillow, tensor, array, number or list, or a file's path.

        Raises:
            UserError: It is something else; the message begins with `where`.
        """
        if isinstance(value, Path):
            return self.decode(value)
        return self.convert(*as_array(value, self.use, where), where)

    def read(self, path: Path) -> tuple[Array, str]:
        """The array of a file and the mode of its picture, as `convert` takes them."""
        return read_array(path, self.use)

    @abstractmethod
    def convert(self, array: Array, mode: str, where: str) -> Tensor:
        """The tensor of an array, in the unit of the contract.

        Args:
            array: [H, W] or [H, W, C]; of a label of the whole image, any shape.
            mode: Pillow's mode of the picture that the array was read from; "" where it was no picture.
            where: The file or item, with which messages begin.

        Raises:
            UserError: The array does not fit this kind.
        """

    @abstractmethod
    def resize(self, x: Tensor, size: Size) -> Tensor:
        """The same data at another resolution."""

    def finish(self, x: Tensor) -> Tensor:
        """The label in the shape that tasks expect."""
        return x

    def label(self, x: Tensor, image: Size, size: Size | None, where: str) -> Tensor:
        """The finished label of an image of size `image`, resized to `size` unless that is None.

        Raises:
            UserError: The label is dense and its size is not the image's; the message begins with `where`.
        """
        if self.dense and x.shape[1:] != image:
            raise UserError(
                f"{where}: expected the size of its image, {image[0]}x{image[1]}, found {x.shape[1]}x{x.shape[2]}; "
                "resize one of them"
            )
        return self.finish(self.resize(x, size or image))

    def flip(self, x: Tensor) -> Tensor:
        """Mirrored left to right."""
        return x.flip(-1)

    def zoom(self, x: Tensor, scale: float) -> Tensor:
        """The values after the image is enlarged `scale`-fold; the same for most kinds."""
        return x


@dataclass
class Rgb(Modality):
    """An image: float32 in 0..1 without normalisation; resized with antialiased bilinear interpolation.

    Pictures have 8 bits per channel; a .npy holds floats in 0..1 [H, W, 3], or bytes.
    """

    content = "image"
    use = "image"

    def convert(self, array: Array, mode: str, where: str) -> Tensor:
        """[3, H, W]."""
        return rgb(array, where, mode)

    def resize(self, x: Tensor, size: Size) -> Tensor:
        """Antialiased bilinear."""
        if x.shape[1:] == size:
            return x
        return interpolate(x[None], size, mode="bilinear", antialias=True)[0].clamp(0, 1)


def whole_numbers(array: Array, where: str, remedy: str) -> npt.NDArray[np.int64]:
    """Class numbers of any type as int64; raises where one is not whole."""
    if array.dtype.kind == "f":
        wrong = array[~np.isfinite(array) | (array != np.trunc(array))]
        if len(wrong):
            raise UserError(f"{where}: expected whole class numbers, found {wrong[0]:g}; {remedy}")
    return array.astype(np.int64)
