"""Small files of exactly the official structure."""

from pathlib import Path

import h5py
import numpy as np
import scipy.io
from PIL import Image

from tutelage.prepare.nyuv2 import CAMERA
from tutelage.prepare.nyuv2_classes import NAMES

FRAMES, HEIGHT, WIDTH = 6, 24, 32
TRAIN, TEST = (2, 3, 6), (1, 5)  # from 1; frame 4 belongs to neither
PLANE = np.array([0.02, 0.05, 0.5])  # n . X = 1 with x right, y down, z forward
LABELS = (21, 11, 172, 331, 0, 25, 12, 1)  # wall, floor, tv, person, none, other structure, other furniture, other prop
IN_40 = (0, 1, 24, 30, 255, 37, 38, 39)
IN_13 = (11, 4, 10, 6, 255, 6, 5, 6)


def image(frame: int) -> np.ndarray:
    """[H, W, 3]: red grows to the right, green downwards, blue with the frame."""
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([u * 7, v * 9, np.full_like(u, 20 * frame)], -1).astype(np.uint8)


def labels(frame: int) -> np.ndarray:
    """[H, W]: four columns of two rows, each with another label; shifted by the frame."""
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    return np.array(LABELS, np.uint16)[(u // 8 + 4 * (v // 16) + frame) % len(LABELS)]


def depth(frame: int) -> np.ndarray:
    """[H, W] metres: a slanted plane, farther with the frame; no depth in the upper left corner."""
    camera = CAMERA.resized(WIDTH / 640)
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    z = (1 + frame) / (PLANE[0] * (u - camera.cx) / camera.fx + PLANE[1] * (v - camera.cy) / camera.fy + PLANE[2])
    z[:2, :3] = 0
    return z.astype(np.float32)


def write_nyuv2(folder: Path, compress: bool = True) -> tuple[Path, Path]:
    """nyu_depth_v2_labeled.mat, as MATLAB 7.3 writes it, and splits.mat, as MATLAB 5 does."""
    folder.mkdir(parents=True, exist_ok=True)
    mat, splits = folder / "nyu_depth_v2_labeled.mat", folder / "splits.mat"
    with h5py.File(mat, "w", userblock_size=512) as file:  # MATLAB's own header is in the user block
        for name, of in (("images", image), ("depths", depth), ("labels", labels)):
            # Columns first: MATLAB's [H, W, 3, N] lies on the disk as [N, 3, W, H].
            data = np.stack([of(i).transpose() for i in range(FRAMES)])
            chunk = (1, *data.shape[1:])
            file.create_dataset(name, data=data, chunks=chunk, compression="gzip" if compress else None)
        names = file.create_dataset("names", (1, 894), dtype=h5py.ref_dtype)
        for i in range(894):
            text = NAMES.get(i + 1, f"thing {i + 1}")
            cell = file.create_dataset(f"#refs#/{i}", data=np.array([[ord(c)] for c in text], np.uint16))
            names[0, i] = cell.ref
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + bytes(8) + b"\x00\x02IM"
    with mat.open("r+b") as file:
        file.write(header)
    scipy.io.savemat(splits, {"trainNdxs": np.array(TRAIN)[:, None], "testNdxs": np.array(TEST)[:, None]})
    return mat, splits


CITIES = {"train": (("aachen", 2), ("zurich", 1)), "val": (("lindau", 2),)}
IDS = (7, 8, 11, 17, 21, 23, 24, 26, 33, 0, 9, 255)  # road, pavement, ..., bicycle; then none, parking, licence plate
IN_19 = (0, 1, 2, 5, 8, 10, 11, 13, 18, 255, 255, 255)
IN_7 = (0, 0, 1, 2, 3, 4, 5, 6, 6, 255, 255, 255)


def street(number: int) -> dict[str, np.ndarray]:
    """Image, label ids and disparity of a frame of 24x48."""
    v, u = np.mgrid[:24, :48]
    ids = np.array(IDS, np.uint8)[(u // 8 + 6 * (v // 12) + number) % len(IDS)]
    disparity = (1 + u * 500 + v * 7 + number).astype(np.uint16)
    disparity[:3, :5] = 0
    return {
        "leftImg8bit": np.stack([u * 5, v * 10, np.full_like(u, 40 * number)], -1).astype(np.uint8),
        "gtFine": ids,
        "disparity": disparity,
    }


def write_cityscapes(folder: Path) -> Path:
    """The three packages, unpacked into one folder."""
    ends = {"leftImg8bit": "leftImg8bit", "gtFine": "gtFine_labelIds", "disparity": "disparity"}
    number = 0
    for split, cities in CITIES.items():
        for city, count in cities:
            for i in range(count):
                for package, array in street(number).items():
                    path = folder / package / split / city / f"{city}_{i:06d}_000019_{ends[package]}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(array).save(path)
                number += 1
    return folder
