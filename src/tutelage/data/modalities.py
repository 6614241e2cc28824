"""How each kind of label is decoded, resized and augmented: the numeric contract of the data, see docs/data.md."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from tutelage.data.files import read_array, read_numbers

Size = tuple[int, int]  # height, width


def resize_nearest(x: Tensor, size: Size) -> Tensor:
    """[C, H, W] to another size, taking the pixel whose centre is nearest."""
    return x if x.shape[1:] == size else interpolate(x[None], size, mode="nearest-exact")[0]


class Modality(ABC):
    """One kind of array beside or instead of the image. All arrays are [C, H, W] between `decode` and `resize`.

    Attributes:
        dense: A value for every pixel; otherwise one for the whole image, which no view of it changes.
    """

    dense: ClassVar[bool] = True

    @abstractmethod
    def decode(self, path: Path) -> Tensor:
        """The array of a file in the unit of the contract."""

    @abstractmethod
    def resize(self, x: Tensor, size: Size) -> Tensor:
        """Another resolution of the same thing."""

    def finish(self, x: Tensor) -> Tensor:
        """The label as the task expects it."""
        return x

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

    def decode(self, path: Path) -> Tensor:
        """[3, H, W]."""
        array, _ = read_array(path)
        array = np.repeat(array[..., None], 3, 2) if array.ndim == 2 else array
        if array.ndim != 3 or array.shape[2] != 3:
            raise ValueError(
                f"{path}: expected an RGB image [H, W, 3], found an array {list(array.shape)}; save it as RGB"
            )
        image = torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))
        if image.dtype == torch.uint8:
            return image.float() / 255
        image = image.float()
        if not bool(((image >= 0) & (image <= 1)).all()):
            low, high = float(image.min()), float(image.max())
            raise ValueError(
                f"{path}: expected an image in 0..1 (or bytes), found values from {low:g} to {high:g}; divide them"
            )
        return image

    def resize(self, x: Tensor, size: Size) -> Tensor:
        """Antialiased bilinear."""
        if x.shape[1:] == size:
            return x
        return interpolate(x[None], size, mode="bilinear", antialias=True)[0].clamp(0, 1)


@dataclass
class Classes(Modality):
    """A class for every pixel: int64 [H, W] as a label, -1 where there is none; nearest pixel.

    Args:
        ignore: the values that mean: no label.
    """

    ignore: tuple[int, ...] = (255,)

    def decode(self, path: Path) -> Tensor:
        """[1, H, W], int64."""
        array, _ = read_array(path, indices=True)
        array = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
        if array.ndim != 2:
            raise ValueError(
                f"{path}: expected class numbers [H, W], found an array {list(array.shape)}; save one a pixel"
            )
        whole = array.astype(np.int64) if array.dtype.kind != "f" else _whole(array, path)
        label = torch.from_numpy(whole)[None]
        for value in self.ignore:
            label[label == value] = -1
        return label

    def resize(self, x: Tensor, size: Size) -> Tensor:
        """Nearest pixel."""
        return resize_nearest(x.double(), size).long()  # interpolate knows no int64

    def finish(self, x: Tensor) -> Tensor:
        """[H, W]."""
        return x[0]


def _whole(array: npt.NDArray[np.floating], path: Path) -> npt.NDArray[np.int64]:
    wrong = array[~np.isfinite(array) | (array != np.trunc(array))]
    if len(wrong):
        raise ValueError(
            f"{path}: expected whole class numbers, found {wrong[0]:g}; write the labels without averaging pixels"
        )
    return array.astype(np.int64)


@dataclass
class Depth(Modality):
    """A distance for every pixel: float32 metres [1, H, W], 0 where there is none; nearest pixel.

    Args:
        scale: metres of one unit of a picture's values (1/25.5 where 255 is 10 m; 0.001 for millimetres in 16 bits);
            a .npy holds metres.
    """

    scale: float = 0.001

    def decode(self, path: Path) -> Tensor:
        """[1, H, W], metres."""
        array, picture = read_array(path)
        array = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
        if array.ndim != 2:
            raise ValueError(f"{path}: expected distances [H, W], found an array {list(array.shape)}; save one a pixel")
        depth = torch.from_numpy(array.astype(np.float64) * (self.scale if picture else 1.0)).float()[None]
        return torch.where(depth.isfinite() & (depth > 0), depth, 0.0)

    def resize(self, x: Tensor, size: Size) -> Tensor:
        """Nearest pixel: a mean across an edge is a distance at which there is nothing."""
        return resize_nearest(x, size)

    def zoom(self, x: Tensor, scale: float) -> Tensor:
        """Metres / scale: the same surface, seen larger, is nearer."""
        return x / scale


@dataclass
class Normals(Modality):
    """A direction for every pixel: float32 [3, H, W] of unit length, x right, y up, z towards the viewer, and (0, 0, 0)
    where there is none; the mean over the area of each pixel, renormalised.

    Pictures hold n = value / 127.5 - 1, and (0, 0, 0) for none; a .npy holds components [H, W, 3].
    """

    def decode(self, path: Path) -> Tensor:
        """[3, H, W], unit length."""
        array, picture = read_array(path)
        if array.ndim != 3 or array.shape[2] != 3:
            raise ValueError(
                f"{path}: expected normals [H, W, 3], found an array {list(array.shape)}; save three values a pixel"
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
class Class(Whole):
    """One class for the whole image: int64 [] as a label, -1 where there is none.

    A file is a text with the number of the class.
    """

    def decode(self, path: Path) -> Tensor:
        """[], int64."""
        numbers = read_numbers(path)
        if len(numbers) != 1 or numbers[0] != int(numbers[0]):
            raise ValueError(f"{path}: expected the number of a class, found {numbers[:5]}; write one whole number")
        return torch.tensor(int(numbers[0]))


@dataclass
class Numbers(Whole):
    """Numbers for the whole image: float32 [D] as a label, nan where one is not known.

    The same for several classes at once: 1 where the image has the class, 0 where not, nan where nobody looked. A file
    is a text of numbers separated by white space or commas, or a .npy [D].
    """

    def decode(self, path: Path) -> Tensor:
        """[D], float32."""
        if path.suffix.lower() == ".npy":
            return torch.from_numpy(read_array(path)[0].reshape(-1).astype(np.float32))
        return torch.tensor(read_numbers(path))
