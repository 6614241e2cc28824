"""What a folder of files seems to hold: which kind of label in which unit, and which task learns it."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tutelage.data.look.areas import CLASSES, are_classes, are_instances, is_mask, is_smoothed_mask
from tutelage.data.look.found import Guess
from tutelage.data.look.numbers import guess_numbers, read_texts
from tutelage.data.look.stored import Stored, stored_in_file
from tutelage.images import flat, read_array
from tutelage.pictures import Array

_LOOKED_AT = 32  # files, at even distances, from which the kind follows
_COUNTED = 2000  # files, at even distances, whose classes are counted
_NO_MASKS = ("depth", "disp", "image", "rgb", "photo")  # words in names of what has grey values of its own
_STEP = 37  # pixels are taken at this distance where a few suffice
_SATURATED = 65535
_FAR, _NEAR = 100.0, 0.2  # metres: a median depth beyond is in another unit


def guess(files: Sequence[Path], name: str = "") -> Guess:
    """Guess what files of one folder hold, from some of them at even distances and from the folder's name.

    Args:
        files: Pictures, .npy files or texts of numbers, of one folder.
        name: The name of the folder, which decides where values fit more than one kind: depth or disparity, say.

    Raises:
        UserError: A file that is looked at cannot be read.
    """
    chosen = _spread(files, _LOOKED_AT)
    stored = Counter(x for x in map(stored_in_file, chosen) if x is not None)
    found = _guess(files, chosen, stored, name.lower())
    return Guess(**{**vars(found), "files": len(files), "stored": dict(stored.most_common())})


def _guess(files: Sequence[Path], chosen: Sequence[Path], stored: Counter[Stored], name: str) -> Guess:
    if not files:
        return Guess(words="no files")
    if all(path.suffix.lower() == ".txt" for path in chosen):
        return guess_numbers(read_texts(_spread(files, _COUNTED)))
    arrays = [flat(read_array(path, "classes")[0]) for path in chosen if path.suffix.lower() != ".txt"]
    is_picture = any(x.picture for x in stored)
    if any(x.ndim == 3 for x in arrays):
        return _colours([x for x in arrays if x.ndim == 3], is_picture, name)
    if any(x.ndim < 2 for x in arrays):
        return guess_numbers(arrays)
    bits = {x.bits for x in stored if x.picture}
    doubts = []
    if len(bits & {8, 16, 32}) > 1:
        doubts.append("pictures of 8 and of more bits are mixed: one scale cannot be right for both")
    values = np.unique(np.concatenate([np.unique(x) for x in arrays]))
    lossy = any(x.lossy for x in stored)
    whole = bool(np.isfinite(values).all() and (values == np.trunc(values)).all())
    if whole and (bits == {1} or values.dtype == bool or set(values.tolist()) <= {0, 1} or is_mask(values, lossy)):
        return _mask(values, bits == {1}, is_picture, lossy)
    if bits == {8} and not _says(name, *_NO_MASKS) and is_smoothed_mask(arrays):
        doubt = "they were smoothed when they were resized, so that 128 to 255 is taken for 1 and the rest for 0"
        words = f"masks of 0 and {int(values.max())} with smoothed edges"
        return Guess("tutelage.data.MaskLabel", {}, "tutelage.tasks.Segmentation", {"classes": 2}, words, (doubt,))
    if not is_picture and values.min() == 0 and values.max() == 1 and is_smoothed_mask([x * 255 for x in arrays]):
        return Guess(words="masks of 0 and 1 with smoothed edges", doubts=("write 0 and 1 alone",))
    if (
        whole
        and len(values) <= CLASSES
        and not _says(name, "depth", "disp")
        and not lossy
        and are_classes(values, arrays)
    ):
        rest = [flat(read_array(path, "classes")[0]) for path in _spread(files, _COUNTED) if path not in chosen]
        return _classes(np.unique(np.concatenate([values, *map(np.unique, rest)])), doubts)
    return _depth(arrays, stored, name, doubts)


def _colours(arrays: Sequence[Array], is_picture: bool, name: str) -> Guess:
    if any(x.shape[2] != 3 for x in arrays):
        return Guess(words=f"arrays of {arrays[0].shape[2]} channels; tutelage reads 1 or 3")
    pixels = np.concatenate([x.reshape(-1, 3)[::_STEP] for x in arrays]).astype(np.float64)
    pixels = pixels[np.isfinite(pixels).all(1)]
    colours = len(np.unique(pixels, axis=0))
    if colours <= CLASSES and _says(name, "label", "seg", "mask", "class", "anno", "gt"):
        doubt = "classes as colours are not read: write one whole number per pixel, in a picture of one channel"
        return Guess(words=f"{colours} colours, which may stand for classes", doubts=(doubt,))
    n = pixels / 127.5 - 1 if is_picture else pixels
    some = (np.abs(pixels - 127.5).max(1) > 1) & (pixels != 0).any(1) if is_picture else (pixels != 0).any(1)
    unit = np.abs(np.linalg.norm(n[some], axis=1) - 1) < 0.1
    signs = is_picture or bool((n < 0).any())
    if some.any() and unit.mean() > 0.9 and signs and not _says(name, "image", "rgb", "photo"):
        return Guess("tutelage.data.NormalsLabel", {}, "tutelage.tasks.Normals", {}, "vectors of unit length: normals")
    if not is_picture and _says(name, "normal") and len(n) and n.min() >= 0:
        return Guess(words="normals in 0..1, not -1..1", doubts=("write normals n as components in -1..1: 2 n - 1",))
    return Guess(words="colour images", is_image=True)


def _mask(values: Array, is_bit: bool, is_picture: bool, lossy: bool) -> Guess:
    high = int(values.max())
    args = {"threshold": 1} if is_picture and not is_bit and high == 1 else {}
    words = "1-bit masks" if is_bit else f"masks of 0 and {high}" + (", blurred by JPEG" if lossy else "")
    return Guess("tutelage.data.MaskLabel", args, "tutelage.tasks.Segmentation", {"classes": 2}, words)


def _classes(values: Array, doubts: list[str]) -> Guess:
    whole = [int(x) for x in values]
    ignored = [x for x in whole if x < 0 or x == 255]
    classes = [x for x in whole if 0 <= x != 255]
    highest = max(classes)
    words = f"{len(classes)} classes, {classes[0]} to {highest}"
    words += f", and {', '.join(map(str, ignored))} for no label" if ignored else ""
    missing = [c for c in range(highest + 1) if c not in classes]
    if missing == [0]:
        doubts.append(
            "class 0 does not occur: where it means no label, write ignore: [0, 255] and lower the others by 1"
        )
    if set(classes) - set(range(19)) and highest <= 33 and 26 in classes:
        doubts.append("these may be Cityscapes' ids, 0 to 33: tutelage prepare cityscapes writes the 19 train ids")
    task_args = {"classes": max(2, highest + 1)}
    return Guess("tutelage.data.ClassesLabel", {}, "tutelage.tasks.Segmentation", task_args, words, tuple(doubts))


def _depth(arrays: Sequence[Array], stored: Counter[Stored], name: str, doubts: list[str]) -> Guess:
    known = np.concatenate([_known(x) for x in arrays])
    if not len(known):
        return Guess(words="no positive value")
    low, middle, high = float(known.min()), float(np.median(known)), float(known.max())
    bits = max((x.bits or 0 for x in stored if x.picture), default=0)
    floats = bits == 0  # of an array, or of a picture of floats
    if _says(name, "disp", "inverse"):
        scale = {8: 1 / 255, 16: 1 / 65535}.get(bits, 1.0)
        words = f"looks like inverse depth (disparity): {low * scale:.3g} to {high * scale:.3g} at {scale:.3g} per unit"
        args = {} if floats and not _is_picture(stored) else {"scale": scale}
        task_args = _range(known, scale)
        return Guess(
            "tutelage.data.InverseDepthLabel", args, "tutelage.tasks.InverseDepth", task_args, words, tuple(doubts)
        )
    if not _says(name, "depth") and bits == 8:
        return Guess(words="grey images", is_image=True, doubts=tuple(doubts))
    if floats:
        unit, scale = ("metres", 1.0) if _NEAR < middle < _FAR else ("millimetres", 0.001)
        if scale != 1.0 and not _is_picture(stored):
            doubts.append("a .npy of depth holds metres: divide the values by 1000")
        args = {"scale": scale} if _is_picture(stored) else {}
    elif bits == 8:
        unit, scale = "10 m at 255", 1 / 25.5
        doubts.append(
            "8 bits do not say their unit: set `scale` to metres per unit; 1/25.5, where 255 is 10 m, is a guess"
        )
        args = {"scale": scale}
    else:
        unit, scale = "millimetres", 0.001
        args = {"scale": scale}
        if high == _SATURATED and len(measured := known[known < _SATURATED]):
            known, middle, high = measured, float(np.median(measured)), float(measured.max())
            doubts.append("65535 is taken for no value")
        if not _NEAR < middle * scale < _FAR:
            doubts.append(f"in millimetres the median is {middle * scale:.3g} m: set `scale` to metres per unit")
    if not floats and not _says(name, "depth") and are_instances(arrays):
        doubts.append("each file has a few values in areas, as numbers of instances are")
    words = f"looks like depth in {unit}: {low * scale:.3g} to {high * scale:.3g} m"
    return Guess("tutelage.data.DepthLabel", args, "tutelage.tasks.Depth", _range(known, scale), words, tuple(doubts))


def _range(known: Array, scale: float) -> dict[str, Any]:
    """What pictures have to show: all values but the nearest and the farthest hundredth, to two digits outwards."""
    ends = (float(x) * scale for x in np.percentile(known, (1, 99)))
    first, last = (_two_digits(x, up) for x, up in zip(ends, (math.floor, math.ceil), strict=True))
    return {"range": [first, last]} if 0 < first < last else {}


def _two_digits(x: float, rounded: Callable[[float], int]) -> float:
    power = math.floor(math.log10(x)) - 1
    return float(f"{rounded(round(x / 10.0**power, 6)) * 10.0**power:.2g}")


def _known(array: Array) -> Array:
    values = array.reshape(-1).astype(np.float64)
    known: Array = values[np.isfinite(values) & (values > 0)]
    return known


def _is_picture(stored: Mapping[Stored, int]) -> bool:
    return any(x.picture for x in stored)


def _spread(files: Sequence[Path], most: int) -> Sequence[Path]:
    return [files[i * len(files) // most] for i in range(most)] if len(files) > most else files


def _says(name: str, *words: str) -> bool:
    return any(word in name for word in words)
