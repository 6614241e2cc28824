"""How images and labels are decoded, resized and augmented; docs/data.md has the numeric contract."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from tutelage.data.look.measure import Measure, measure_classes, measure_values
from tutelage.data.look.stored import Stored
from tutelage.data.packed import Column
from tutelage.errors import UserError
from tutelage.images import Size, as_array, read_array, read_rgb, resize_image, rgb
from tutelage.pictures import Array, Use
from tutelage.recorded import Recorded

_LARGEST = 2**31 - 1  # no class has a larger number
_CACHED = 1 << 18  # values that are changed at once on a CPU


def resize_nearest(x: Tensor, size: Size) -> Tensor:
    """[..., H, W] of any type to another size, taking the pixel whose centre is nearest."""
    if x.shape[-2:] == size:
        return x
    if x.dtype in (torch.float32, torch.uint8):
        return interpolate(x.reshape(1, -1, *x.shape[-2:]), size, mode="nearest-exact").view(*x.shape[:-2], *size)
    # `interpolate` knows no other integers, but says which pixel is nearest: float32 holds every row and column.
    rows, columns = (
        interpolate(torch.arange(n, device=x.device).float()[None, None], m, mode="nearest-exact")[0, 0].long()
        for n, m in zip(x.shape[-2:], size, strict=True)
    )
    # `gather` before `index_select`, which copies whole rows: picking single pixels takes it twenty times as long.
    return x.gather(-1, columns.expand(*x.shape[:-1], -1)).index_select(-2, rows)


@dataclass(frozen=True)
class Window:
    """The part of an image that an augmentation shows: a window, enlarged to the size of the image, perhaps mirrored.

    Attributes:
        image: Height and width of the image, before and after.
        top: The first row of the window.
        left: Its first column.
        size: Its height and width, which are rounded to whole pixels.
        scale: By how much it is enlarged; 1 is the whole image.
        mirrored: Whether the result is mirrored, left to right.
    """

    image: Size
    top: int
    left: int
    size: Size
    scale: float
    mirrored: bool


class Modality(Recorded, ABC):
    """One kind of data: the image, or a kind of label.

    Dense data are [C, H, W] from `decode` or `take` until `finish`. `whole_labels.Whole` is the base of labels that no
    augmentation changes. A label of another kind, such as boxes, is not dense, and overrides `resize` and `view`.

    Attributes:
        content: What the values mean, as `Task.contents` names it: "depth", "classes", ...; "" fits every task.
        dense: There is a value for every pixel.
        use: How a picture is read: as colours, as class numbers (a palette's indices) or as other values.
        batched: Several labels have one shape, and `resize` takes [B, C, H, W] as well as [C, H, W], so that
            views of whole batches are made at once. A subclass that overrides `resize`, `flip`, `zoom` or `view` is
            taken to work on single samples, unless it sets this itself.
        copies: `resize` copies values, whatever their type.
        unit: Of the values, for summaries: "m".
    """

    content: ClassVar[str] = ""
    dense: ClassVar[bool] = True
    use: ClassVar[Use] = "values"
    batched: ClassVar[bool] = False
    copies: ClassVar[bool] = False
    unit: ClassVar[str] = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "batched" not in vars(cls) and not vars(cls).keys().isdisjoint(("resize", "flip", "zoom", "view", "views")):
            cls.batched = cls.copies = False

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
    def resize(self, x: Tensor, image: Size, size: Size) -> Tensor:
        """The data of an image of size `image`, for the image resized to `size`."""

    def finish(self, x: Tensor) -> Tensor:
        """The label in the shape that tasks expect."""
        return x

    def label(self, x: Tensor, image: Size, size: Size | None, where: str) -> Tensor:
        """The finished label of an image of size `image`, resized to `size` unless that is None.

        Raises:
            UserError: The label is dense and its size is not the image's; the message begins with `where`.
        """
        if self.dense and x.shape[1:] != image:
            remedy = "resize one of them"
            if x.shape[1:] == image[::-1]:
                remedy = "where the image is turned by its EXIF orientation, turn the label likewise, else resize one"
            raise UserError(
                f"{where}: expected the size of its image, {image[0]}x{image[1]}, found {x.shape[1]}x{x.shape[2]}; "
                f"{remedy}"
            )
        return self.finish(self.resize(x, image, size or image))

    def measure(self, x: Tensor) -> Measure:
        """The values of a finished label, for summaries: whole numbers are classes, below 0 or not finite is none."""
        return measure_values(x, x.isfinite()) if x.is_floating_point() else measure_classes(x)

    def reading(self, stored: Stored) -> str:
        """How stored values are understood, in words, for summaries.

        Args:
            stored: How they are stored.
        """
        return ""

    def view(self, x: Tensor, window: Window) -> Tensor:
        """The finished label of what `window` shows, of the finished label of the whole image.

        Raises:
            UserError: The kind is not dense and does not define it.
        """
        if not self.dense:
            raise UserError(
                f"train.augment: expected {type(self).__name__} to define `view`, since its labels are not dense; "
                "found none; write it, or subclass tutelage.data.whole_labels.Whole"
            )
        dense = x if x.ndim == 3 else x[None]
        if window.scale != 1:
            dense = self.zoom(self.resize(_cut(dense, window), window.size, window.image), window.scale)
        if window.mirrored:
            dense = self.flip(dense)
        return dense if x.ndim == 3 else dense[0]

    def views(self, labels: Column, windows: Sequence[Window]) -> Tensor:
        """`view` of a whole batch [B, ...], bit for bit; for kinds that are `batched`."""
        if not self.dense:
            return labels.decode()
        whole = labels.values if labels.values.ndim == 4 else labels.values[:, None]
        result: Tensor | None = None
        for scale in dict.fromkeys(window.scale for window in windows):
            group = [i for i, window in enumerate(windows) if window.scale == scale]
            for chunk in _chunks(group, whole):
                shown = self._shown(torch.stack([_cut(whole[i], windows[i]) for i in chunk]), labels, windows[chunk[0]])
                result = shown.new_empty(len(windows), *shown.shape[1:]) if result is None else result
                for i, x in zip(chunk, shown, strict=True):
                    result[i] = self.flip(x) if windows[i].mirrored else x
        assert result is not None
        return result if labels.values.ndim == 4 else result[:, 0]

    def _shown(self, codes: Tensor, labels: Column, window: Window) -> Tensor:
        """The values of stored windows of one size [n, C, h, w], enlarged."""
        if window.scale == 1:
            return labels.coding.decode(codes)
        if self.copies:  # fewer bytes to copy
            shown = labels.coding.decode(self.resize(codes, window.size, window.image))
        else:
            shown = self.resize(labels.coding.decode(codes), window.size, window.image)
        return self.zoom(shown, window.scale)

    def flip(self, x: Tensor) -> Tensor:
        """Dense data, mirrored left to right."""
        return x.flip(-1)

    def zoom(self, x: Tensor, scale: float) -> Tensor:
        """The values of dense data after the image is enlarged `scale`-fold; the same for most kinds."""
        return x


@dataclass
class Rgb(Modality):
    """An image: float32 in 0..1 without normalisation; resized with antialiased bilinear interpolation.

    Pictures have 8 bits per channel; a .npy holds floats in 0..1 [H, W, 3], or bytes.
    """

    content = "image"
    use = "image"
    batched = True

    def decode(self, path: Path) -> Tensor:
        """[3, H, W]."""
        return read_rgb(path)

    def convert(self, array: Array, mode: str, where: str) -> Tensor:
        """[3, H, W]."""
        return rgb(array, where, mode)

    def reading(self, stored: Stored) -> str:
        """Of a picture, bytes / 255."""
        return "value / 255" if stored.picture else "values"

    def resize(self, x: Tensor, image: Size, size: Size) -> Tensor:
        """Antialiased bilinear."""
        return resize_image(x, size)


def _chunks(group: list[int], whole: Tensor) -> list[list[int]]:
    """The samples of a group that are shown at once: on a CPU, as many as its caches hold."""
    size = len(group) if whole.is_cuda else max(1, _CACHED // whole[0].numel())
    return [group[i : i + size] for i in range(0, len(group), size)]


def _cut(x: Tensor, window: Window) -> Tensor:
    """The part of dense data [C, H, W] in a window."""
    (height, width), top, left = window.size, window.top, window.left
    return x[:, top : top + height, left : left + width]


def whole_numbers(array: Array, where: str, remedy: str) -> npt.NDArray[np.int64]:
    """Class numbers of any type as int64; raises where one is not whole, or larger than any number of classes."""
    if array.dtype.kind == "f":
        gaps, parts = array[~np.isfinite(array)], array[array != np.trunc(array)]
        for wrong, advice in ((gaps, "write -1 where there is no label"), (parts, remedy)):
            if len(wrong):
                raise UserError(f"{where}: expected whole class numbers, found {wrong[0]:g}; {advice}")
    wrong = array[(array > _LARGEST) | (array < -_LARGEST)] if array.dtype.itemsize > 2 else array[:0]
    if len(wrong):
        raise UserError(f"{where}: expected class numbers, found {wrong[0]:g}; {remedy}")
    return array.astype(np.int64)
