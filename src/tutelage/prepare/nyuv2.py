"""Prepares NYU-Depth-v2 from its official files."""

from collections.abc import Mapping
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from tutelage.data.base import Split
from tutelage.data.fingerprint import FINGERPRINTED
from tutelage.data.hdf5 import check_own, own_dataset
from tutelage.data.labels import ClassesLabel, DepthLabel
from tutelage.data.modalities import Rgb
from tutelage.data.normals_label import NormalsLabel
from tutelage.errors import UserError, one_line
from tutelage.images import Size, resize_image
from tutelage.pictures import check_pixels
from tutelage.prepare.frames import Array, Frame, library, picture, write_frames
from tutelage.prepare.normals import Camera, normals_from_depth
from tutelage.prepare.nyuv2_classes import (
    CLASSES13,
    CLASSES40,
    LABELS,
    NAMES,
    NONE,
    classes_40_to_13,
    labels_to_40,
)
from tutelage.prepare.summary import Folder, Summary
from tutelage.tasks import Depth

# The toolbox's calibration of the colour camera at 480x640 (camera_params.m), which counts pixels from 1, here from 0.
# The depth of the labelled frames is projected into this camera.
CAMERA = Camera(518.85790117450188, 519.46961112127485, 325.58244941119034 - 1, 253.73616633400465 - 1)
_WIDTH = 640

FOLDERS = (
    Folder("image", Rgb()),
    Folder("label", ClassesLabel((NONE,)), classes=CLASSES13),
    Folder("label40", ClassesLabel((NONE,)), classes=CLASSES40),
    Folder("depth", DepthLabel(), ".npy", unit="m"),
    Folder("normal", NormalsLabel()),
)
_SPLITS: dict[str, Split] = {"trainNdxs": "train", "testNdxs": "test"}
_AGAIN = "download it again"


def prepare_nyuv2(
    labeled: Path,
    splits: Path,
    out: Path,
    size: Size = (288, 384),
    jobs: int | None = None,
    console: Console | None = None,
) -> None:
    """Write `out/{train,test}/{image,label,label40,depth,normal}` from `nyu_depth_v2_labeled.mat` and `splits.mat`.

    The splits are the official ones: 795 frames in `train`, 654 in `test`. Stems count the frames of a split from 0 in
    the order of splits.mat. Images, classes, depth and normals are resized by the rules of docs/data.md; the normals
    are computed from the depth at its full size (`normals_from_depth`).

    Args:
        labeled: The official file, which is read frame by frame.
        splits: The file with the official `trainNdxs` and `testNdxs`.
        out: The folder to write to; complete frames in it are kept.
        size: Height and width of the files; the official ones are 480 and 640.
        jobs: The number of frames that are made at the same time; None: one per core.
        console: Where progress and summary are printed.

    Raises:
        UserError: A file is missing, damaged or not the official one.
    """
    h5py, blas = library("h5py"), library("threadpoolctl")
    _check_labeled(labeled)
    numbers = _splits(splits)
    with _open(h5py, labeled) as file, blas.threadpool_limits(1):  # there is one thread per frame already
        images = _Labeled(labeled, file, size)
        last = max(max(part) for part in numbers.values())
        if last > images.count:
            raise UserError(
                f"{splits}: expected frames 1..{images.count}, as {labeled} has, found {last}; take the splits.mat of "
                "this data set"
            )
        frames = [
            Frame(split, str(stem), partial(images.arrays, number - 1))
            for split, part in numbers.items()
            for stem, number in enumerate(part)
        ]
        # Stems are positions in a split, so that other splits have other frames under the same names.
        by_name = {FINGERPRINTED[split]: part for split, part in numbers.items()}
        origin = f"NYU-Depth-v2, split {blake2b(repr(by_name).encode(), digest_size=4).hexdigest()}"
        write_frames(frames, origin, Summary("nyuv2", size, FOLDERS), out, jobs, console or Console())


def _splits(path: Path) -> dict[Split, list[int]]:
    """Split -> the numbers of its frames, which begin at 1."""
    scipy = library("scipy.io")
    if not path.is_file():
        raise UserError(f"{path}: expected the official splits.mat, found no file")
    try:
        values = scipy.loadmat(path)
    except Exception as error:  # scipy names its errors by what the bytes look like
        raise UserError(f"{path}: expected the official splits.mat, found {one_line(error)}; {_AGAIN}") from error
    if any(name not in values for name in _SPLITS):
        names = ", ".join(name for name in values if not name.startswith("__")) or "nothing"
        raise UserError(f"{path}: expected trainNdxs and testNdxs, found {names}; take the official splits.mat")
    numbers = {split: [int(n) for n in values[name].ravel()] for name, split in _SPLITS.items()}
    frames = [number for part in numbers.values() for number in part]
    if not all(numbers.values()) or min(frames) < 1 or len(set(frames)) < len(frames):
        raise UserError(f"{path}: expected different frames from 1 in trainNdxs and testNdxs, found others; {_AGAIN}")
    return numbers


def _check_labeled(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"{path}: expected the official nyu_depth_v2_labeled.mat, found no file")


def _open(h5py: Any, path: Path) -> Any:
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise UserError(
            f"{path}: expected the official nyu_depth_v2_labeled.mat (HDF5), found {one_line(error)}; {_AGAIN}"
        ) from error


class _Labeled:
    """The official file: its arrays are [frames, ..., width, height], since MATLAB stores columns first.

    Raises:
        UserError: It is another file.
    """

    def __init__(self, path: Path, file: Any, size: Size) -> None:
        self.path, self.file, self.size = path, file, size
        names = ("images", "depths", "labels", "names")
        try:
            shapes = {name: own_dataset(file, name).shape for name in names if name in file}
        except ValueError as error:
            raise UserError(f"{path}: expected the official file, found {error}; {_AGAIN}") from None
        shapes = {name: shapes.get(name) for name in names[:3]}
        images: tuple[int, ...] = shapes["images"] or ()
        single = (*images[:1], *images[2:])  # one channel
        if len(images) != 4 or images[1] != 3 or not shapes["depths"] == shapes["labels"] == single:
            raise UserError(
                f"{path}: expected images [N, 3, W, H], depths and labels [N, W, H], found {shapes}; take the official "
                "nyu_depth_v2_labeled.mat"
            )
        if file["images"].dtype != np.uint8:
            raise UserError(
                f"{path}: expected images of bytes (uint8), found {file['images'].dtype}; take the official "
                "nyu_depth_v2_labeled.mat"
            )
        check_pixels(images[2], images[3], f"{path}: images")
        self.count = images[0]
        self.to_40, self.to_13 = labels_to_40(), classes_40_to_13()
        for label, name in NAMES.items():
            if (actual := self._name(label)) != name:
                raise UserError(
                    f"{self.path}: expected the name `{name}` of label {label}, found `{actual}`; take the official "
                    "nyu_depth_v2_labeled.mat"
                )

    def _name(self, label: int) -> str | None:
        """The name of a label; `names` holds references to arrays of characters."""
        try:
            name = self.file[self.file["names"][0, label - 1]]
            check_own(name, "names")
            characters = name[()]
            return "".join(map(chr, np.ravel(characters)))
        except (KeyError, IndexError, OSError, TypeError, ValueError):
            return None

    def _frame(self, name: str, index: int) -> Array:
        """[H, W] or [H, W, 3] of one frame."""
        try:
            return np.ascontiguousarray(self.file[name][index].T)
        except OSError as error:
            raise UserError(
                f"{self.path}: expected a readable frame {index + 1} in `{name}`, found {one_line(error)}; {_AGAIN}"
            ) from error

    def arrays(self, index: int) -> Mapping[str, Array]:
        """Folder -> the array of a frame."""
        image, depth, labels = (self._frame(name, index) for name in ("images", "depths", "labels"))
        if labels.max() > LABELS:
            raise UserError(
                f"{self.path}: expected labels 0..{LABELS} in frame {index + 1}, found {labels.max()}; {_AGAIN}"
            )
        depth = np.where(np.isfinite(depth) & (depth > 0), depth, 0).astype(np.float32)
        if (problem := Depth().validate_values(torch.from_numpy(depth))) is not None:
            raise UserError(f"{self.path}: frame {index + 1}: {problem.split(';')[0]}; {_AGAIN}")
        normals = normals_from_depth(depth, CAMERA.resized(depth.shape[1] / _WIDTH))
        shape = (depth.shape[0], depth.shape[1])
        classes = ClassesLabel().resize(torch.from_numpy(self.to_40[labels])[None], shape, self.size)[0].numpy()
        n = NormalsLabel().resize(torch.from_numpy(normals).permute(2, 0, 1), shape, self.size)
        rgb = torch.from_numpy(image).permute(2, 0, 1).float() / 255
        return {
            "image": picture(resize_image(rgb, self.size)),
            "label": self.to_13[classes],
            "label40": classes.astype(np.uint8),
            "depth": DepthLabel().resize(torch.from_numpy(depth)[None], shape, self.size)[0].numpy(),
            "normal": picture(torch.where((n == 0).all(0), 0.0, (n + 1) / 2)),
        }
