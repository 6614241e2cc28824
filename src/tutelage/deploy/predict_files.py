"""Predictions of many pictures and videos, written as files; what cannot be read is named, and the rest goes on."""

import errno
import glob
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from tutelage.deploy.inputs import is_video, read_images
from tutelage.deploy.predictor import Predictor
from tutelage.deploy.sheet import ContactSheets
from tutelage.deploy.video import check_readers
from tutelage.deploy.write import SUFFIXES, USUAL, Kind, as_picture, describe, write_prediction
from tutelage.errors import UserError
from tutelage.pictures import is_turned


@dataclass(frozen=True)
class Predicted:
    """What became of an image.

    Attributes:
        name: What its files are called.
        path: The picture or video.
        files: What was written; empty where it could not be predicted.
        values: Task -> prediction as text, of tasks of the whole image.
        problem: Why it could not be predicted, one line; "" where it could.
        turned: The image was turned or mirrored as its EXIF orientation says, and so are its predictions.
    """

    name: str
    path: Path
    files: tuple[Path, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    turned: bool = False


def predict_files(
    predictor: Predictor,
    images: Mapping[str, Path],
    out: Path,
    kinds: Collection[Kind] = USUAL,
    batch_size: int = 1,
    every: int = 1,
    overwrite: bool = False,
    note: Callable[[Predicted], object] = lambda predicted: None,
) -> tuple[list[Predicted], list[Path]]:
    """Predict pictures and every nth frame of videos, and write the predictions.

    An image that cannot be read, or that the network cannot take, is left out and named in what is returned.

    Args:
        predictor: The predictor.
        images: Name -> picture or video, as `find_images` gives them. The files of an image begin with its name, those
            of a frame with that of its video and its number.
        out: The folder to write to.
        kinds: What to write for every task: `picture`, NAME.TASK.png, the colours of the report; `overlay`,
            NAME.TASK.overlay.jpg, the same over the image; `label`, NAME.TASK.label.png, as `Task.encode` gives it;
            `array`, NAME.TASK.npy, the activated prediction. Besides them `sheet`: contact-sheet.jpg.
        batch_size: How many images go through the network at once.
        every: n.
        overwrite: Replace existing files.
        note: Receives what became of each image, as soon as it is known.

    Returns:
        What became of each image or frame, in their order, and the contact sheets.

    Raises:
        ValueError: A file exists already, or no package reads videos: nothing was written.
        OSError: A file cannot be written.
    """
    if batch_size < 1 or every < 1:
        raise UserError(f"batch_size, every: expected numbers of at least 1, found {batch_size} and {every}")
    if any(is_video(path) for path in images.values()):
        check_readers()
    files: dict[Kind, str] = {kind: suffix for kind, suffix in SUFFIXES.items() if kind in kinds}
    if not overwrite:
        _refuse_existing(images, [f"{t}{suffix}" for t in predictor.tasks for suffix in files.values()], out)
    sheets = ContactSheets(predictor.tasks, out, overwrite) if "sheet" in kinds else None
    draws = bool({"picture", "overlay", "sheet"}.intersection(kinds))
    done: list[Predicted] = []
    reads = _read(images, every)
    while batch := list(islice(reads, batch_size)):
        for read, prediction in zip(batch, _predict(predictor, batch), strict=True):
            if isinstance(prediction, str):
                done.append(Predicted(read.name, read.path, problem=prediction))
            else:
                assert read.image is not None, "only what was read is predicted"
                picture = as_picture(read.image)
                drawn = {t: task.draw(prediction[t]) for t, task in predictor.tasks.items()} if draws else {}
                try:
                    written = write_prediction(predictor.tasks, prediction, picture, drawn, out / read.name, files)
                except OSError as error:
                    if error.errno != errno.ENAMETOOLONG:
                        raise
                    problem = (
                        f"{read.path}: expected a name that is short enough for the files of predictions, found "
                        f"{len(read.path.name)} letters; rename it"
                    )
                    done.append(Predicted(read.name, read.path, problem=problem))
                    note(done[-1])
                    continue
                if sheets is not None:
                    sheets.add(read.name, picture, drawn)
                values = {t: describe(predictor.tasks[t], x) for t, x in prediction.items() if t not in predictor.dense}
                done.append(Predicted(read.name, read.path, tuple(written), values, turned=read.turned))
            note(done[-1])
    if sheets is not None:
        sheets.flush()
    return done, [] if sheets is None else sheets.files


@dataclass(frozen=True)
class _Read:
    """An image in memory, or why it is not."""

    name: str
    path: Path
    image: Tensor | None
    problem: str = ""
    turned: bool = False


def _read(images: Mapping[str, Path], every: int) -> Iterator[_Read]:
    for name, path in images.items():
        try:
            for frame, image in read_images(name, path, every):
                yield _Read(frame, path, image, turned=not is_video(path) and is_turned(path))
        except UserError as error:
            yield _Read(name, path, None, str(error))


def _predict(predictor: Predictor, reads: Sequence[_Read]) -> list[dict[str, Tensor] | str]:
    """The predictions of images, or why there are none; where a batch is refused, each image is tried alone."""
    images = [read.image for read in reads if read.image is not None]
    try:
        predictions = iter(predictor.predict_several(images))
    except UserError as error:
        if len(reads) == 1:
            return [f"{reads[0].path}: {error}"]
        return [prediction for read in reads for prediction in _predict(predictor, [read])]
    except torch.OutOfMemoryError as error:
        pixels = max(image.shape[1] * image.shape[2] for image in images)
        raise UserError(
            f"--batch-size: expected images that fit into the memory of the GPU, found {len(images)} of up to "
            f"{pixels / 1e6:.1f} million pixels; give a smaller number, a --size, or --device cpu"
        ) from error
    return [read.problem if read.image is None else next(predictions) for read in reads]


def _refuse_existing(images: Mapping[str, Path], ends: Sequence[str], out: Path) -> None:
    """Raise a UserError where a file exists that would be written."""
    for name, path in images.items():
        for end in ends:
            pattern = f"{glob.escape(name)}.[0-9]*.{end}" if is_video(path) else f"{glob.escape(name)}.{end}"
            for file in out.glob(pattern):
                raise UserError(f"{file}: expected no such file yet, found one; give another --out, or --overwrite")
