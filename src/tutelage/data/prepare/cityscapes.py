"""Cityscapes from its official packages."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console

from tutelage.data.base import Split
from tutelage.data.cityscapes import InverseDepthLabel
from tutelage.data.files import read_array
from tutelage.data.modalities import ClassesLabel, Rgb, Size, resize_nearest
from tutelage.data.prepare.frames import Array, Frame, picture, write_frames
from tutelage.data.prepare.summary import Folder, Summary
from tutelage.errors import UserError

# Category: name and official id of the classes that are evaluated, both in the order of the train ids.
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
_IDS = 34  # 0..33, and 255 for -1, the licence plates
_NONE = 255

FOLDERS = (
    Folder("image", Rgb()),
    Folder("label", ClassesLabel((_NONE,)), classes=CLASSES19),
    Folder("label7", ClassesLabel((_NONE,)), classes=CLASSES7),
    Folder("depth", InverseDepthLabel(), unit="1/(1.85 m)"),
)
# Kind -> (package, end of its files' names).
_FILES = {
    "image": ("leftImg8bit", "leftImg8bit"),
    "label": ("gtFine", "gtFine_labelIds"),
    "depth": ("disparity", "disparity"),
}


def ids_to_classes() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """[256] twice: the class 0..18 and the category 0..6 of every official label id, 255 where there is none.

    The 19 classes are the official train ids; the 7 categories are theirs, as in MTAN's paper. What is not evaluated
    (parking, rail tracks, bridges, caravans, ...) has no label in either, although it has an official category.
    """
    classes, categories = np.full(256, _NONE, np.uint8), np.full(256, _NONE, np.uint8)
    for category, members in enumerate(_CATEGORIES.values()):
        for name, number in members.items():
            classes[number], categories[number] = CLASSES19.index(name), category
    return classes, categories


def prepare_cityscapes(
    download: Path, out: Path, size: Size = (128, 256), jobs: int | None = None, console: Console | None = None
) -> None:
    """`out/{train,val}/{image,label,label7,depth}` from leftImg8bit, gtFine and disparity.

    Stems are the official ones, as in aachen_000000_000019. Images are resized as docs/data.md says, labels and
    disparities by the nearest pixel. `depth` holds the 16 bits p of the official disparity, 0 where there is none; read
    as p / 65535 it is MTAN's inverse depth. The disparity in pixels of 2048 is (p - 1) / 256, so that 1 stands for a
    distance of 1.85 m, with a baseline of 0.209 m and a focal length of 2263 pixels, and 0.1 for 18.5 m.

    Args:
        download: has leftImg8bit/{train,val}/CITY/*_leftImg8bit.png, gtFine/.../*_gtFine_labelIds.png and
            disparity/.../*_disparity.png.
        out: a folder; what is whole in it is kept.
        size: height and width of what is written; the official ones are 1024 and 2048.
        jobs: frames that are made at the same time; none: one a core.
        console: where progress and the summary go.

    Raises:
        ValueError: a folder or a file is missing, or damaged.
    """
    frames = [
        Frame(split, stem, partial(_arrays, paths, size))
        for split in ("train", "val")
        for stem, paths in _find(download, split)
    ]
    write_frames(frames, "Cityscapes", Summary("cityscapes", size, FOLDERS), out, jobs, console or Console())


def _find(download: Path, split: Split) -> list[tuple[str, dict[str, Path]]]:
    """Stem and files of every frame of a split."""
    for package, _ in _FILES.values():
        folder = download / package / split
        if not folder.is_dir():
            raise UserError(f"{folder}: expected a folder of the official download, found none; unpack {package} there")
    package, end = _FILES["image"]
    found = []
    for image in sorted((download / package / split).glob(f"*/*_{end}.png")):
        stem = image.name.removesuffix(f"_{end}.png")
        paths = {
            kind: download / package / split / image.parent.name / f"{stem}_{end}.png"
            for kind, (package, end) in _FILES.items()
        }
        for path in paths.values():
            if not path.is_file():
                raise UserError(f"{path}: expected a file for {image}, found none; unpack the package again")
        found.append((stem, paths))
    if not found:
        raise UserError(f"{download / package / split}: expected CITY/*_{end}.png, found none; unpack {package} there")
    return found


def _arrays(paths: Mapping[str, Path], size: Size) -> Mapping[str, Array]:
    """What the folders hold of a frame."""
    image = Rgb().decode(paths["image"])
    ids, _ = read_array(paths["label"], indices=True)
    disparity, _ = read_array(paths["depth"])
    for kind, array in (("label", ids), ("depth", disparity)):
        if array.shape != image.shape[1:]:
            raise UserError(
                f"{paths[kind]}: expected the size of its image, {image.shape[1]}x{image.shape[2]}, found "
                f"{list(array.shape)}; unpack the package again"
            )
    if disparity.dtype.itemsize < 2:
        raise UserError(
            f"{paths['depth']}: expected 16 bits a pixel, found {disparity.dtype}; unpack the package again"
        )
    if wrong := set(np.unique(ids).tolist()) - {*range(_IDS), _NONE}:
        raise UserError(f"{paths['label']}: expected label ids 0..{_IDS - 1}, found {min(wrong)}; unpack gtFine again")
    classes, categories = ids_to_classes()
    ids = _nearest(ids, size).astype(np.uint8)
    return {
        "image": picture(Rgb().resize(image, size)),
        "label": classes[ids],
        "label7": categories[ids],
        "depth": _nearest(disparity, size).astype(np.uint16),
    }


def _nearest(array: Array, size: Size) -> Array:
    return resize_nearest(torch.from_numpy(array.astype(np.float64))[None], size)[0].numpy()
