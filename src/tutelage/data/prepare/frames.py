"""Frames of an official download become files, in parallel, and only those that are not there yet."""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from tutelage.data.base import Split
from tutelage.data.modalities import Size
from tutelage.data.prepare.summary import Counts, Folder, Summary
from tutelage.errors import UserError
from tutelage.files import remove_parts, write_atomically, write_text

Array = npt.NDArray[Any]

_EVERY = 15.0  # seconds between two plain lines


@dataclass(frozen=True)
class Frame:
    """One image and its labels.

    Args:
        split: where it belongs.
        stem: of its files.
        make: gives the array of every folder, [H, W] or [H, W, C], in the size that is wanted.
    """

    split: Split
    stem: str
    make: Callable[[], Mapping[str, Array]]


def write_frames(
    frames: Sequence[Frame], origin: str, summary: Summary, out: Path, jobs: int | None, console: Console
) -> None:
    """Write `out/<split>/<folder>/<stem>.<suffix>` of every frame, and `out/summary.json`.

    A frame whose files are all there, can be read and have the right size is kept as it is. Files are written
    atomically, and every file is read before it is counted: what was killed goes on, and what the summary counts is
    what a training will read. `out/origin.txt` says what the frames are of, so that those of another download are not
    taken for these.

    Args:
        frames: those of a split in their order.
        origin: changes with what the frames are made from.
        summary: empty; it says which folders there are and how large the files are. The frames are counted in it.
        out: the folder.
        jobs: frames that are made at the same time; none: one a core.
        console: a terminal gets a bar, anything else lines.

    Raises:
        ValueError: a frame is damaged, `out` is no folder or holds other frames, or `jobs` or the size is not positive.
    """
    if jobs is not None and jobs < 1:
        raise UserError(f"--jobs: expected 1 or more, found {jobs}")
    if min(summary.size) < 1:
        raise UserError(f"--size: expected height and width of at least 1, found {summary.size[0]} {summary.size[1]}")
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: expected a folder to write to, found a file; give another")
    _claim(frames, origin, summary.folders, out)
    for split in {frame.split for frame in frames}:
        for folder in summary.folders:
            remove_parts(out / split / folder.name)
    kept = 0
    bars = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip
    told = time.monotonic()
    with ThreadPoolExecutor(jobs or os.cpu_count()) as pool, bars:
        bar = bars.add_task(f"preparing {out}", total=len(frames))
        found = pool.map(partial(_keep_or_write, summary.folders, summary.size, out), frames)
        for number, (frame, (counts, was_there)) in enumerate(zip(frames, found, strict=True), 1):
            summary.add(frame.split, counts)
            kept += was_there
            bars.advance(bar)
            if not console.is_terminal and time.monotonic() - told >= _EVERY:
                told = time.monotonic()
                _say(console, f"{out}: {number} of {len(frames)} frames")
    write_text(out / "summary.json", json.dumps(summary.values(), indent=2) + "\n")
    summary.show(console)
    _say(console, f"summary   {out / 'summary.json'}\nframes    {len(frames) - kept} written, {kept} were there")


def _claim(frames: Sequence[Frame], origin: str, folders: Sequence[Folder], out: Path) -> None:
    """Make `out` the folder of the frames of `origin`, and of no others."""
    path = out / "origin.txt"
    expected = {folder.path(out, frame.split, frame.stem) for frame in frames for folder in folders}
    places = {file.parent for file in expected}
    there = [file for place in sorted(places) if place.is_dir() for file in sorted(place.iterdir())]
    if not there and not path.exists():
        return write_text(path, origin + "\n")
    found = path.read_text().strip() if path.is_file() else "another program"
    if found != origin:
        raise UserError(f"{out}: expected frames of {origin}, found those of {found}; give another folder, or empty it")
    for file in there:
        if file not in expected and not file.name.startswith("."):
            raise UserError(f"{file}: expected frames of {origin} alone, found another file; remove it")


def _keep_or_write(folders: Sequence[Folder], size: Size, out: Path, frame: Frame) -> tuple[dict[str, Counts], bool]:
    """The counts of a frame's files, and whether they were there."""
    try:
        return {folder.name: _count(folder, size, out, frame) for folder in folders}, True
    except (OSError, ValueError):
        pass  # not there, damaged, or of another size
    arrays = frame.make()
    for folder in folders:
        write_atomically(folder.path(out, frame.split, frame.stem), partial(_save, folder, arrays[folder.name]))
    return {folder.name: _count(folder, size, out, frame) for folder in folders}, False


def _count(folder: Folder, size: Size, out: Path, frame: Frame) -> Counts:
    path = folder.path(out, frame.split, frame.stem)
    value = folder.kind.decode(path)
    if value.shape[1:] != size:
        raise UserError(f"{path}: expected {size[0]}x{size[1]}, found {value.shape[1]}x{value.shape[2]}")
    return Counts.of(folder, value)


def _save(folder: Folder, array: Array, file: Any) -> None:
    if folder.suffix == ".npy":
        np.save(file, array, allow_pickle=False)
    else:
        Image.fromarray(array).save(file, format="PNG")


def picture(image: Tensor) -> Array:
    """Bytes [H, W, 3] of an image [3, H, W] in 0..1."""
    return np.ascontiguousarray((image * 255).round().byte().permute(1, 2, 0).numpy())


def library(name: str) -> Any:
    """A package of the extra `data`.

    Raises:
        ValueError: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise UserError(
            f"tutelage prepare: expected the package {name}, found none; pip install 'tutelage[data]'"
        ) from error


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
