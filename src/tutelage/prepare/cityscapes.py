"""Prepares Cityscapes from its official packages."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console

from tutelage.data.base import Split
from tutelage.data.labels import ClassesLabel, InverseDepthLabel
from tutelage.data.modalities import Rgb, resize_nearest
from tutelage.errors import UserError
from tutelage.images import Size, read_array, read_rgb, resize_image
from tutelage.prepare.frames import Array, Frame, picture, write_frames
from tutelage.prepare.summary import Folder, Summary

# Category -> name -> official id of the classes that are evaluated; both levels are in the order of the train ids.
_CATEGORIES = {
    "flat": {"road": 7, "sidewalk": 8},
    "construction": {"building": 11, "wall": 12, "fence": 13},
    "object": {"pole": 17, "traffic light": 19, "traffic sign": 20},
    "nature": {"vegetation": 21, "terrain": 22},
    "sky": {"sky": 23},
    "human": {"person": 24, "rider": 25},
    "vehicle": {"car": 26, "truck": 27, "bus": 28, "train": 31, "motorcycle": 32, "bicycle": 33},
}
CLASSES7 = tuple(_CATEGORIES)
CLASSES19 = tuple(name for classes in _CATEGORIES.values() for name in classes)
_IDS = 34  # ids are 0..33; 255 stands for -1, licence plates
_NONE = 255
_SPLITS: dict[Split, str] = {"train": "train", "test": "val"}  # the labels of the official test images are not public

FOLDERS = (
    Folder("image", Rgb()),
    Folder("label", ClassesLabel((_NONE,)), classes=CLASSES19),
    Folder("label7", ClassesLabel((_NONE,)), classes=CLASSES7),
    Folder("depth", InverseDepthLabel(), unit="1/(1.85 m)"),
)
# Kind -> (package, ending of its files' names).
_FILES = {
    "image": ("leftImg8bit", "leftImg8bit"),
    "label": ("gtFine", "gtFine_labelIds"),
    "depth": ("disparity", "disparity"),
}


def ids_to_classes() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Two tables [256]: the class 0..18 and the category 0..6 of every official label id, 255 where there is none.

    The 19 classes are the official train ids, the 7 categories are the official ones of these classes, as in MTAN's
    paper. Ids that are not evaluated (parking, rail tracks, bridges, caravans, ...) have no label in either table,
    although they have an official category.
    """
    classes, categories = np.full(256, _NONE, np.uint8), np.full(256, _NONE, np.uint8)
    for category, members in enumerate(_CATEGORIES.values()):
        for name, number in members.items():
            classes[number], categories[number] = CLASSES19.index(name), category
    return classes, categories


def prepare_cityscapes(
    download: Path, out: Path, size: Size = (128, 256), jobs: int | None = None, console: Console | None = None
) -> None:
    """Write `out/{train,test}/{image,label,label7,depth}` from leftImg8bit, gtFine and disparity.

    `test` holds the official validation images, since the labels of the official test images are not public. Stems are
    the official ones, as in aachen_000000_000019. Images are resized as docs/data.md says, labels and disparities to
    the nearest pixel. `depth` holds the 16 bits p of the official disparity, 0 where there is none; p / 65535 is MTAN's
    inverse depth. At a width of 2048 the disparity is (p - 1) / 256 pixels. With a baseline of 0.209 m and a focal
    length of 2263 pixels, an inverse depth of 1 is a distance of 1.85 m, and 0.1 is 18.5 m.

    Args:
        download: The folder with leftImg8bit/{train,val}/CITY/*_leftImg8bit.png, gtFine/.../*_gtFine_labelIds.png and
            disparity/.../*_disparity.png.
        out: The folder to write to; complete frames in it are kept.
        size: Height and width of the files; the official ones are 1024 and 2048.
        jobs: The number of frames that are made at the same time; None: one per core.
        console: Where progress and summary are printed.

    Raises:
        UserError: A folder or a file is missing or damaged.
    """
    frames = [
        Frame(split, stem, partial(_arrays, paths, size))
        for split, official in _SPLITS.items()
        for stem, paths in _find(download, official)
    ]
    write_frames(frames, "Cityscapes", Summary("cityscapes", size, FOLDERS), out, jobs, console or Console())


def _find(download: Path, split: str) -> list[tuple[str, dict[str, Path]]]:
    """The stem and the files of every frame of an official split."""
    for package, _ in _FILES.values():
        folder = download / package / split
        if not folder.is_dir():
            raise UserError(f"{folder}: expected a folder of the official download, found none; unpack {package} there")
    package, end = _FILES["image"]
    frames = []
    for image in sorted((download / package / split).glob(f"*/*_{end}.png")):
        stem = image.name.removesuffix(f"_{end}.png")
        paths = {
            kind: download / package / split / image.parent.name / f"{stem}_{end}.png"
            for kind, (package, end) in _FILES.items()
        }
        for path in paths.values():
            if not path.is_file():
                raise UserError(f"{path}: expected a file for {image}, found none; unpack the package again")
        frames.append((stem, paths))
    if not frames:
        raise UserError(f"{download / package / split}: expected CITY/*_{end}.png, found none; unpack {package} there")
    return frames


def _arrays(paths: Mapping[str, Path], size: Size) -> Mapping[str, Array]:
    """Folder -> the array of a frame."""
    image = read_rgb(paths["image"])
    ids, _ = read_array(paths["label"], "classes")
    disparity, _ = read_array(paths["depth"], "values")
    for kind, array in (("label", ids), ("depth", disparity)):
        if array.shape != image.shape[1:]:
            raise UserError(
                f"{paths[kind]}: expected the size of its image, {image.shape[1]}x{image.shape[2]}, found "
                f"{list(array.shape)}; unpack the package again"
            )
    if disparity.dtype.itemsize < 2:
        raise UserError(
            f"{paths['depth']}: expected 16 bits per pixel, found {disparity.dtype}; unpack the package again"
        )
    if wrong := set(np.unique(ids).tolist()) - {*range(_IDS), _NONE}:
        raise UserError(f"{paths['label']}: expected label ids 0..{_IDS - 1}, found {min(wrong)}; unpack gtFine again")
    classes, categories = ids_to_classes()
    ids = _nearest(ids, size).astype(np.uint8)
    return {
        "image": picture(resize_image(image, size)),
        "label": classes[ids],
        "label7": categories[ids],
        "depth": _nearest(disparity, size).astype(np.uint16),
    }


def _nearest(array: Array, size: Size) -> Array:
    return resize_nearest(torch.from_numpy(array.astype(np.float64))[None], size)[0].numpy()
