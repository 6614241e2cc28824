"""Which pictures and videos paths mean, and what they are called."""

import glob
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from torch import Tensor

from tutelage.deploy.video import read_frames
from tutelage.errors import UserError
from tutelage.images import as_image
from tutelage.pictures import PICTURES
from tutelage.reading import files_below

_FRAME = re.compile(r"\.\d{6,}$")  # what the name of a frame has after that of its video
VIDEOS = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv")


def find_images(paths: Iterable[str | Path], leave_out: Path | None = None) -> dict[str, Path]:
    """Name -> file of the pictures and videos that paths mean, in alphabetical order within each path.

    A file is called by its stem, and with its suffix where two would have one name. A folder means all pictures and
    videos in it, below it and in folders that are linked there, by their suffixes, without hidden ones; these are
    called by their path in the folder. A pattern (`photos/*.jpg`, `photos/**/*.png`) means what it matches, called by
    the path below its first part with a `*`, `?` or `[`.

    Args:
        paths: Files, folders and patterns.
        leave_out: A folder that folders and patterns do not mean: that of earlier predictions.

    Raises:
        UserError: A path means nothing, or two files have one name, or a picture has that of a frame of a video.
    """
    found: dict[Path, Path] = {}  # file -> its path below what names it
    for path in paths:
        meant = list(_files(Path(path)))
        files = [
            (base, file)
            for base, file in meant
            if not (leave_out and file != Path(path) and file.resolve().is_relative_to(leave_out.resolve()))
        ]
        if meant and not files:
            raise UserError(
                f"{path}: expected pictures or videos outside of {leave_out}, where predictions are written, found "
                f"{len(meant)} in it alone; give another --out"
            )
        if not files:
            raise UserError(f"{path}: expected pictures or videos, found none; give a file, a folder or a pattern")
        for base, file in files:
            found.setdefault(file, file.relative_to(base))
    stems = Counter(below.with_suffix("") for below in found.values())
    images: dict[str, Path] = {}
    for file, below in found.items():
        name = (below if stems[below.with_suffix("")] > 1 else below.with_suffix("")).as_posix()
        if name in images:
            raise UserError(
                f"{file}: expected names that differ, found {images[name]}, too; give the folder above both, or write "
                "them to two folders"
            )
        images[name] = file
    for name in images:
        video = _FRAME.sub("", name)
        if video != name and video in images and is_video(images[video]):
            raise UserError(
                f"{images[name]}: expected names that differ, found that of a frame of {images[video]}; write them to "
                "two folders"
            )
    return images


def _files(path: Path) -> Iterator[tuple[Path, Path]]:
    """The files that a path means, each with the folder by which it is called."""
    if path.is_dir():
        for file in sorted(files_below(path)):
            if file.suffix.lower() in (*PICTURES, *VIDEOS) and file.is_file():
                yield path, file
    elif path.exists():
        yield path.parent, path
    else:
        first = next((i for i, part in enumerate(path.parts) if glob.has_magic(part)), len(path.parts) - 1)
        base = Path(*path.parts[:first])
        matches: dict[Path, Path] = {}  # `**` follows a link to a folder above again and again
        for file in sorted(map(Path, glob.glob(str(path), recursive=True)), key=_order):
            if file.is_file():
                matches.setdefault(file.parent.resolve() / file.name if "**" in path.parts else file, file)
        for file in sorted(matches.values(), key=str):
            yield base, file


def _order(file: Path) -> tuple[bool, int, str]:
    """As `files_below` has it: what lies in folders before what links lead to."""
    return any(folder.is_symlink() for folder in file.parents), len(str(file)), str(file)


def read_images(name: str, path: Path, every: int = 1) -> Iterator[tuple[str, Tensor]]:
    """The image of a file, or every nth frame of a video, each with its name: float32 [3, H, W] in 0..1.

    The names of frames end in their number from 0: `clip.000042`.

    Raises:
        UserError: It cannot be read.
    """
    if not is_video(path):
        yield name, as_image(path)
        return
    for number, frame in read_frames(path, every):
        yield f"{name}.{number:06d}", as_image(frame)


def is_video(path: Path) -> bool:
    """Whether a file is a video, by its suffix."""
    return path.suffix.lower() in VIDEOS
