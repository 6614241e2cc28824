"""Downloads that are wrong: name -> how, and the line that says so."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import scipy.io
from tests.prepare.official import write_cityscapes, write_nyuv2
from tests.wrong import Change, Make, command, holding, nothing, removed

IMAGE = "leftImg8bit/train/zurich/zurich_000000_000019_leftImg8bit.png"


def download(write: Callable[[Path], object], change: Change, *words: str) -> Make:
    """An official download to which something was done, and the command that prepares it."""

    def make(folder: Path, finished: Path) -> list[str]:
        write(folder / "download")
        change(folder / "download")
        return ["prepare", *words]

    return make


def nyuv2(change: Change, *flags: str) -> Make:
    """NYU-v2's two files."""
    words = ("nyuv2", "download/nyu_depth_v2_labeled.mat", "download/splits.mat", "out", "--size", "24", "32", *flags)
    return download(lambda folder: write_nyuv2(folder, compress=False), change, *words)


def cityscapes(change: Change, *flags: str) -> Make:
    """Cityscapes' three packages."""
    return download(write_cityscapes, change, "cityscapes", "download", "out", "--size", "24", "48", *flags)


def other_splits(folder: Path) -> None:
    scipy.io.savemat(folder / "splits.mat", {"mapClass": np.ones((1, 894))})


def changed(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Change:
    """With other values in one array of the official file."""

    def other(folder: Path) -> None:
        with h5py.File(folder / "nyu_depth_v2_labeled.mat", "r+") as file:
            values = change(file[name][()])
            del file[name]
            file[name] = values

    return other


PREPARE: dict[str, tuple[Make, str]] = {
    "no data set": (command("prepare"), r"DATA: expected a value, found none; see `tutelage prepare --help`"),
    "another data set": (command("prepare", "kitti"), r"DATA: expected one of nyuv2, cityscapes, found `kitti`"),
    "no paths": (command("prepare", "nyuv2", "a.mat"), r"splits.mat, OUT: expected a value, found none"),
    "no number of jobs": (cityscapes(nothing, "--jobs", "all"), r"--jobs: expected a whole number, found `all`"),
    "no jobs": (nyuv2(nothing, "--jobs", "0"), r"--jobs: expected 1 or more, found 0"),
    "no size": (cityscapes(nothing, "--size", "0", "48"), r"--size: expected height and width .*, found 0 48"),
    "no labelled frames": (
        nyuv2(removed("nyu_depth_v2_labeled.mat")),
        r"labeled.mat: expected the official .*, found no file",
    ),
    "no matrix": (
        nyuv2(holding("nyu_depth_v2_labeled.mat", "half")),
        r"labeled.mat: expected the official .* \(HDF5\), found .*; download it again",
    ),
    "depth in millimetres": (
        nyuv2(changed("depths", lambda x: x * 1000)),
        r"labeled.mat: frame \d+: expected depths in metres, at most 100 in the median, found .*; download it again",
    ),
    "images of floats": (
        nyuv2(changed("images", lambda x: x / 255)),
        r"labeled.mat: expected images of bytes \(uint8\), found float64; take the official",
    ),
    "other splits": (nyuv2(other_splits), r"splits.mat: expected trainNdxs and testNdxs, found mapClass; take"),
    "no package": (
        cityscapes(removed("gtFine")),
        r"gtFine/train: expected a folder of the official download, found none; unpack gtFine",
    ),
    "half an official image": (
        cityscapes(holding(IMAGE, b"\x89PNG half")),
        r"zurich_000000_000019_leftImg8bit.png: expected a readable .png file, found",
    ),
    "a file in the way": (
        download(
            write_cityscapes, lambda folder: (folder.parent / "out").write_text(""), "cityscapes", "download", "out"
        ),
        r"out: expected a folder to write to, found a file; give another",
    ),
}
