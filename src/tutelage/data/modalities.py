"""How each kind of label is decoded, resized and augmented: the numeric contract of the data, see docs/data.md."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from tutelage.data.files import as_array, first_line, read_array, read_numbers
from tutelage.errors import UserError

Size = tuple[int, int]  # height, width
Array = npt.NDArray[Any]


def resize_nearest(x: Tensor, size: Size) -> Tensor:
    """[C, H, W] to another size, taking the pixel whose centre is nearest."""
    return x if x.shape[1:] == size else interpolate(x[None], size, mode="nearest-exact")[0]


class Modality(ABC):
    """One kind of array beside or instead of the image. All are [C, H, W] between `decode` or `take` and `finish`.

    Attributes:
        dense: A value for every pixel; otherwise one for the whole image, which no view of it changes.
        indices: A picture with a palette stands for its indices, not for its colours.
    """

    dense: ClassVar[bool] = True
    indices: ClassVar[bool] = False

    def decode(self, path: Path) -> Tensor:
        """The tensor of a file in the unit of the contract."""
        return self.convert(*self.read(path), str(path))

    def take(self, value: object, where: str) -> Tensor:
        """The tensor of what a dataset holds: a picture of Pillow, tensor, array, number or list, or a file's path.

        Raises:
            ValueError: It is something else; the message begins with `where`.
        """
        if isinstance(value, Path):
            return self.decode(value)
        try:
            array, picture = as_array(value, self.indices)
        except Exception as error:  # of numpy and Pillow, too
            raise UserError(
                f"{where}: expected a picture or an array of numbers, found {first_line(error)}; mend it"
            ) from error
        return self.convert(array, picture, where)

    def read(self, path: Path) -> tuple[Array, bool]:
        """What `convert` takes, of a file."""
        return read_array(path, self.indices)

    @abstractmethod
    def convert(self, array: Array, picture: bool, where: str) -> Tensor:
        """The tensor of an array in the unit of the contract; `picture`: it holds the values of a picture.

        Raises:
            ValueError: It does not fit; the message begins with `where`.
        """

    @abstractmethod
    def resize(self, x: Tensor, size: Size) -> Tensor:
        """Another resolution of the same thing."""

    def finish(self, x: Tensor) -> Tensor:
        """The label as the task expects it."""
        return x

    def label(self, x: Tensor, image: Size, size: Size | None, where: str) -> Tensor:
        """The label of an image of size `image`, resized to `size` where that is given.

        Raises:
            ValueError: It has another size than its image; the message begins with `where`.
        """
        if self.dense and x.shape[1:] != image:
            raise UserError(
                f"{where}: expected the size of its image, {image[0]}x{image[1]}, found {x.shape[1]}x{x.shape[2]}; "
                "resize one of them"
            )
        return self.finish(self.resize(x, size or image))

    def flip(self, x: Tensor) -> Tensor:
        """The mirror image, left to right."""
        return x.flip(-1)

    def zoom(self, x: Tensor, scale: float) -> Tensor:
        """What `scale`-fold enlargement does to the values."""
        return x


@dataclass
class Rgb(Modality):
    """An image: float32 in 0..1, no normalisation; resized with antialiased bilinear interpolation.

    Pictures have 8 bits a channel; a .npy holds floats in 0..1 [H, W, 3] (or bytes).
    """

    def convert(self, array: Array, picture: bool, where: str) -> Tensor:
        """[3, H, W]."""
        array = _flat(array)
        array = np.repeat(array[..., None], 3, 2) if array.ndim == 2 else array
        if array.ndim != 3 or array.shape[2] != 3:
            raise UserError(
                f"{where}: expected an RGB image [H, W, 3], found an array {list(array.shape)}; save it as RGB"
            )
        image = torch.from_numpy(np.array(array.transpose(2, 0, 1), order="C"))  # a copy: nobody can spoil the dataset
        if image.dtype == torch.uint8:
            return image.float() / 255
        image = image.float()
        if not bool(((image >= 0) & (image <= 1)).all()):
            low, high = float(image.min()), float(image.max())
            raise UserError(
                f"{where}: expected an image in 0..1 (or bytes), found values from {low:g} to {high:g}; divide them"
            )
        return image

    def resize(self, x: Tensor, size: Size) -> Tensor:
        """Antialiased bilinear."""
        if x.shape[1:] == size:
            return x
        return interpolate(x[None], size, mode="bilinear", antialias=True)[0].clamp(0, 1)


@dataclass
class ClassesLabel(Modality):
    """A class for every pixel: int64 [H, W] as a label, -1 where there is none; nearest pixel.

    Args:
        ignore: the values that mean: no label.
    """

    indices = True
    ignore: tuple[int, ...] = (255,)

    def convert(self, array: Array, picture: bool, where: str) -> Tensor:
        """[1, H, W], int64."""
        array = _flat(array)
        if array.ndim != 2:
            raise UserError(
                f"{where}: expected class numbers [H, W], found an array {list(array.shape)}; save one a pixel"
            )
        label = torch.from_numpy(_whole(array, where, "write the labels without averaging pixels"))[None]
        for value in self.ignore:
            label[label == value] = -1
        return label

    def resize(self, x: Tensor, size: Size) -> Tensor:
        """Nearest pixel."""
        return resize_nearest(x.double(), size).long()  # interpolate knows no int64

    def finish(self, x: Tensor) -> Tensor:
        """[H, W]."""
        return x[0]


@dataclass
class MaskLabel(ClassesLabel):
    """Yes or no for every pixel, as saliency, edges and outlines are published: int64 [H, W] as a label; nearest pixel.

    A picture's value, or its palette's index, is 1 from `threshold` on and 0 below: 255 is yes, in 1 bit, too. A .npy
    holds 0 and 1, or truth values, and -1 where there is no label.

    Args:
        threshold: the least value of a picture that means yes; 1 where masks are drawn with 0 and 1.
        ignore: the values of a picture that mean: no label.
    """

    ignore: tuple[int, ...] = ()
    threshold: int = 128

    def convert(self, array: Array, picture: bool, where: str) -> Tensor:
        """[1, H, W], int64."""
        label = super().convert(array, picture, where)
        return torch.where(label < 0, label, (label >= self.threshold).long()) if picture else label


def _flat(array: Array) -> Array:
    return array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array


def _whole(array: Array, where: str, remedy: str) -> npt.NDArray[np.int64]:
    if array.dtype.kind == "f":
        wrong = array[~np.isfinite(array) | (array != np.trunc(array))]
        if len(wrong):
            raise UserError(f"{where}: expected whole class numbers, found {wrong[0]:g}; {remedy}")
    return array.astype(np.int64)


@dataclass
class DepthLabel(Modality):
    """A distance for every pixel: float32 metres [1, H, W], 0 where there is none; nearest pixel.

    Args:
        scale: metres of one unit of a picture's values (1/25.5 where 255 is 10 m; 0.001 for millimetres in 16 bits);
            a .npy holds metres.
    """

    scale: float = 0.001

    def convert(self, array: Array, picture: bool, where: str) -> Tensor:
        """[1, H, W], metres."""
        array = _flat(array)
        if array.ndim != 2:
            raise UserError(f"{where}: expected distances [H, W], found an array {list(array.shape)}; save one a pixel")
        depth = torch.from_numpy(array.astype(np.float64) * (self.scale if picture else 1.0)).float()[None]
        return torch.where(depth.isfinite() & (depth > 0), depth, 0.0)

    def resize(self, x: Tensor, size: Size) -> Tensor:
        """Nearest pixel: a mean across an edge is a distance at which there is nothing."""
        return resize_nearest(x, size)

    def zoom(self, x: Tensor, scale: float) -> Tensor:
        """Metres / scale: the same surface, seen larger, is nearer."""
        return x / scale


@dataclass
class NormalsLabel(Modality):
    """A direction for every pixel: float32 [3, H, W] of unit length, x right, y up, z towards the viewer, and (0, 0, 0)
    where there is none; the mean over the area of each pixel, renormalised.

    Pictures hold n = value / 127.5 - 1, and (0, 0, 0) for none; a .npy holds components [H, W, 3].
    """

    def convert(self, array: Array, picture: bool, where: str) -> Tensor:
        """[3, H, W], unit length."""
        if array.ndim != 3 or array.shape[2] != 3:
            raise UserError(
                f"{where}: expected normals [H, W, 3], found an array {list(array.shape)}; save three values a pixel"
            )
        n = torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)).astype(np.float32))
        if picture:
            n = torch.where((n == 0).all(0), 0.0, n / 127.5 - 1)
        return _unit(n.nan_to_num())

    def resize(self, x: Tensor, size: Size) -> Tensor:
        """Mean over the area, renormalised: pixels without a normal do not count; pixels of nothing else have none."""
        if x.shape[1:] == size:
            return x
        return _unit(interpolate(x[None], size, mode="bilinear", antialias=True)[0])

    def flip(self, x: Tensor) -> Tensor:
        """The mirror image, with x negated."""
        return x.flip(-1) * torch.tensor([-1.0, 1.0, 1.0])[:, None, None]


def _unit(n: Tensor) -> Tensor:
    length = n.norm(dim=0, keepdim=True)
    return torch.where(length > 1e-3, n / length.clamp(min=1e-3), 0.0)


class Whole(Modality, ABC):
    """A label of the whole image: a class, several of them, or numbers. No view of the image changes it."""

    dense = False

    def resize(self, x: Tensor, size: Size) -> Tensor:
        """The label as it is."""
        return x

    def flip(self, x: Tensor) -> Tensor:
        """The label as it is."""
        return x


@dataclass
class ClassLabel(Whole):
    """One class for the whole image: int64 [] as a label, -1 where there is none.

    A file is a text with the number of the class.
    """

    def read(self, path: Path) -> tuple[Array, bool]:
        """The number in a text."""
        return np.asarray(read_numbers(path)), False

    def convert(self, array: Array, picture: bool, where: str) -> Tensor:
        """[], int64."""
        if array.size != 1:
            found = array.reshape(-1)[:5].tolist()
            raise UserError(f"{where}: expected the number of a class, found {found}; write one whole number")
        return torch.from_numpy(_whole(array.reshape(1), where, "write one whole number"))[0]


@dataclass
class NumbersLabel(Whole):
    """Numbers for the whole image: float32 [D] as a label, nan where one is not known.

    The same for several classes at once: 1 where the image has the class, 0 where not, nan where nobody looked. A file
    is a text of numbers separated by white space or commas, or a .npy [D].
    """

    def read(self, path: Path) -> tuple[Array, bool]:
        """The numbers of a text or array."""
        return read_array(path) if path.suffix.lower() == ".npy" else (np.asarray(read_numbers(path)), False)

    def convert(self, array: Array, picture: bool, where: str) -> Tensor:
        """[D], float32."""
        return torch.from_numpy(array.reshape(-1).astype(np.float32))
