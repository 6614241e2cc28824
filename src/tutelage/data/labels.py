"""Kinds of labels with a value for every pixel; docs/data.md has the numeric contract."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from tutelage.data.modalities import Modality, resize_nearest, whole_numbers
from tutelage.errors import UserError
from tutelage.images import Array, Size, describe, flat


@dataclass
class ClassesLabel(Modality):
    """A class for every pixel: int64 [H, W], -1 where there is no label; resized to the nearest pixel.

    Args:
        ignore: The values that mean "no label".
    """

    content = "classes"
    use = "classes"
    batched = copies = True
    ignore: tuple[int, ...] = (255,)

    def convert(self, array: Array, mode: str, where: str) -> Tensor:
        """[1, H, W], int64."""
        array = flat(array)
        if array.ndim != 2:
            raise UserError(
                f"{where}: expected class numbers [H, W], found {describe(array, mode)}; save one number per pixel"
            )
        label = torch.from_numpy(whole_numbers(array, where, "write the labels without averaging pixels"))[None]
        for value in self.ignore:
            label[label == value] = -1
        return label

    def resize(self, x: Tensor, image: Size, size: Size) -> Tensor:
        """Nearest pixel."""
        return resize_nearest(x, size)

    def finish(self, x: Tensor) -> Tensor:
        """[H, W]."""
        return x[0]


@dataclass
class MaskLabel(ClassesLabel):
    """Yes or no for every pixel, as for saliency, edges and outlines: int64 [H, W] of 0 and 1; nearest pixel.

    In a picture, a value (or a palette's index) of at least `threshold` means 1, anything below means 0; a picture of
    1 bit has the values 0 and 255. A .npy holds 0 and 1, or truth values, and -1 where there is no label.

    Args:
        threshold: The least value of a picture that means 1; set it to 1 where masks are drawn with 0 and 1.
        ignore: The values of a picture that mean "no label".
    """

    content = "mask"
    ignore: tuple[int, ...] = ()
    threshold: int = 128

    def convert(self, array: Array, mode: str, where: str) -> Tensor:
        """[1, H, W], int64."""
        label = super().convert(array, mode, where)
        return torch.where(label < 0, label, (label >= self.threshold).long()) if mode else label


@dataclass
class DepthLabel(Modality):
    """The distance of every pixel: float32 metres [1, H, W], 0 where there is no label; nearest pixel.

    Args:
        scale: Metres per unit of a picture's values: 1/25.5 where 255 is 10 m, 0.001 for millimetres in 16 bits. A
            .npy holds metres.
    """

    content = "depth"
    batched = copies = True
    scale: float = 0.001

    def convert(self, array: Array, mode: str, where: str) -> Tensor:
        """[1, H, W], metres."""
        array = flat(array)
        if array.ndim != 2:
            raise UserError(
                f"{where}: expected distances [H, W], found {describe(array, mode)}; save one number per pixel"
            )
        depth = torch.from_numpy(array.astype(np.float64) * (self.scale if mode else 1.0)).float()[None]
        return torch.where(depth.isfinite() & (depth > 0), depth, 0.0)

    def resize(self, x: Tensor, image: Size, size: Size) -> Tensor:
        """Nearest pixel: the mean across an edge is a distance at which there is no surface."""
        return resize_nearest(x, size)

    def zoom(self, x: Tensor, scale: float) -> Tensor:
        """Metres / scale: a surface that looks larger is nearer."""
        return x / scale


@dataclass
class InverseDepthLabel(DepthLabel):
    """One over the distance of every pixel: float32 [1, H, W], 0 where there is no label; nearest pixel.

    It grows where a surface comes nearer, and is near 0 for what is far away.

    Args:
        scale: The factor of a picture's values; by default that of MTAN's files, where 65535 is 1. A .npy holds the
            values themselves.
    """

    content = "inverse depth"
    batched = copies = True
    scale: float = 1 / 65535

    def zoom(self, x: Tensor, scale: float) -> Tensor:
        """The values times `scale`: a surface that looks larger is nearer."""
        return x * scale


@dataclass
class NormalsLabel(Modality):
    """The surface normal of every pixel: float32 [3, H, W] of unit length, x right, y up, z towards the viewer.

    (0, 0, 0) means "no label". Resizing takes the mean over each pixel's area and normalises it again. Pictures hold
    n = value / 127.5 - 1, and (0, 0, 0) where there is no label; a .npy holds components [H, W, 3].
    """

    content = "normals"
    batched = True

    def convert(self, array: Array, mode: str, where: str) -> Tensor:
        """[3, H, W], unit length."""
        if array.ndim != 3 or array.shape[2] != 3:
            raise UserError(
                f"{where}: expected normals [H, W, 3], found {describe(array, mode)}; save three values per pixel"
            )
        n = torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)).astype(np.float32))
        if mode:
            n = torch.where((n == 0).all(0), 0.0, n / 127.5 - 1)
        return _unit(n.nan_to_num())

    def resize(self, x: Tensor, image: Size, size: Size) -> Tensor:
        """The normalised mean over each pixel's area; pixels without a normal are left out of it."""
        if x.shape[-2:] == size:
            return x
        resized = interpolate(x if x.ndim == 4 else x[None], size, mode="bilinear", antialias=True)
        return _unit(resized if x.ndim == 4 else resized[0])

    def flip(self, x: Tensor) -> Tensor:
        """Mirrored left to right, with x negated."""
        mirrored = x.flip(-1)
        mirrored[..., 0, :, :].neg_()
        return mirrored


def _unit(n: Tensor) -> Tensor:
    x, y, z = n.unbind(-3)
    length = _root((x * x).add_(y * y).add_(z * z)).unsqueeze(-3)  # `norm` over a dimension of three is far slower
    return (n / length.clamp(min=1e-3)).masked_fill_(~(length > 1e-3), 0.0)


def _root(x: Tensor) -> Tensor:
    """The float32 nearest to the square root, on every device: torch's own may be the one beside it on a CPU."""
    if x.is_cuda:
        return x.double().sqrt().float()
    np.sqrt(x.numpy(), out=x.numpy())
    return x
