"""Writes the frames of an official download to files, in parallel, and leaves out frames that are complete."""

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
from tutelage.errors import UserError
from tutelage.files import remove_parts, write_atomically, write_json, write_text
from tutelage.images import Size
from tutelage.prepare.summary import Counts, Folder, Summary

Array = npt.NDArray[Any]

_LINE_SECONDS = 15.0  # between two lines of progress where there is no terminal


@dataclass(frozen=True)
class Frame:
    """One image and its labels.

    Args:
        split: The split that the frame belongs to.
        stem: The stem of its files.
        make: Returns folder -> array, [H, W] or [H, W, C], in the size of the files.
    """

    split: Split
    stem: str
    make: Callable[[], Mapping[str, Array]]


def write_frames(
    frames: Sequence[Frame], origin: str, summary: Summary, out: Path, jobs: int | None, console: Console
) -> None:
    """Write `out/<split>/<folder>/<stem>.<suffix>` for every frame, and `out/summary.json`.

    A frame is kept if all of its files exist, can be read and have the right size. Files are written atomically, so
    that a process that was killed can be continued. Every file is read before it is counted, so that the summary counts
    what training will read. `out/origin.txt` names the origin of the frames, so that they are not mixed with those of
    another download.

    Args:
        frames: The frames, in their order within each split.
        origin: A text that changes with the data from which the frames are made.
        summary: An empty summary with the folders and the size of the files; the frames are counted in it.
        out: The folder to write to.
        jobs: The number of frames that are made at the same time; None: one per core.
        console: A terminal shows a bar; anything else gets lines.

    Raises:
        UserError: A frame is damaged, `out` is no folder or holds other frames, or `jobs` or the size is not positive.
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
    printed = time.monotonic()
    with ThreadPoolExecutor(jobs or os.cpu_count()) as pool, bars:
        bar = bars.add_task(f"preparing {out}", total=len(frames))
        results = pool.map(partial(_keep_or_write, summary.folders, summary.size, out), frames)
        for number, (frame, (counts, existed)) in enumerate(zip(frames, results, strict=True), 1):
            summary.add(frame.split, counts)
            kept += existed
            bars.advance(bar)
            if not console.is_terminal and time.monotonic() - printed >= _LINE_SECONDS:
                printed = time.monotonic()
                _say(console, f"{out}: {number} of {len(frames)} frames")
    write_json(out / "summary.json", summary.values())
    summary.show(console)
    _say(console, f"summary   {out / 'summary.json'}\nframes    {len(frames) - kept} written, {kept} were there")


def _claim(frames: Sequence[Frame], origin: str, folders: Sequence[Folder], out: Path) -> None:
    """Record that `out` holds the frames of `origin`; raise if it holds any others."""
    if (out / "val").is_dir():
        raise UserError(
            f"{out / 'val'}: expected the folder `test`, found `val`, as earlier versions wrote it; rename it to test"
        )
    path = out / "origin.txt"
    expected = {folder.path(out, frame.split, frame.stem) for frame in frames for folder in folders}
    places = {file.parent for file in expected}
    existing = [file for place in sorted(places) if place.is_dir() for file in sorted(place.iterdir())]
    if not existing and not path.exists():
        return write_text(path, origin + "\n")
    actual = path.read_text().strip() if path.is_file() else "another program"
    if actual != origin:
        raise UserError(
            f"{out}: expected frames of {origin}, found those of {actual}; give another folder, or empty it"
        )
    for file in existing:
        if file not in expected and not file.name.startswith("."):
            raise UserError(f"{file}: expected frames of {origin} alone, found another file; remove it")


def _keep_or_write(folders: Sequence[Folder], size: Size, out: Path, frame: Frame) -> tuple[dict[str, Counts], bool]:
    """The counts of a frame's files, and whether the files existed."""
    try:
        return {folder.name: _count(folder, size, out, frame) for folder in folders}, True
    except (OSError, ValueError):
        pass  # missing, damaged, or of another size: made again
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
    """Import a package of the extra `data`.

    Raises:
        UserError: It is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise UserError(
            f"tutelage prepare: expected the package {name}, found none; pip install 'tutelage[data]'"
        ) from error


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
