"""The frames of a video, by torchcodec or imageio-ffmpeg, whichever is installed."""

import logging
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from tutelage.errors import UserError, printable
from tutelage.reading import check_regular

_MOST = 160  # characters of a library's error


def check_readers() -> None:
    """Raise a UserError that says what to install where no package reads videos."""
    if not _has_torchcodec() and find_spec("imageio_ffmpeg") is None:
        raise UserError(
            "IMAGE: expected torchcodec or imageio-ffmpeg, which read videos, found neither; pip install "
            "'tutelage[video]'"
        )


def read_frames(path: Path, every: int = 1) -> Iterator[tuple[int, Tensor]]:
    """Every nth frame of a video with its number, from 0: uint8 [3, H, W], turned as the video says.

    torchcodec reads them where it is installed with the libraries of FFmpeg that it needs, otherwise imageio-ffmpeg,
    which brings its own.

    Raises:
        UserError: It is no video, or cannot be read to its end.
    """
    check_readers()
    check_regular(path)
    try:
        for number, frame in enumerate(_torchcodec(path) if _has_torchcodec() else _imageio(path)):
            if number % every == 0:
                yield number, frame
    except Exception as error:  # both raise what their libraries of C say, in several kinds
        text = (str(error).strip().splitlines() or [type(error).__name__])[-1]  # the log of FFmpeg: its end says why
        raise UserError(
            f"{path}: expected a readable video, found {printable(text)[-_MOST:]}; replace or remove it"
        ) from error


def _has_torchcodec() -> bool:
    if find_spec("torchcodec") is None:
        return False
    try:
        import torchcodec.decoders  # noqa: F401  # whether it loads is the question
    except (ImportError, OSError, RuntimeError):  # it finds no FFmpeg that it knows
        return False
    return True


def _torchcodec(path: Path) -> Iterator[Tensor]:
    from torchcodec.decoders import VideoDecoder

    yield from VideoDecoder(path)


def _imageio(path: Path) -> Iterator[Tensor]:
    import imageio_ffmpeg

    logging.getLogger("imageio_ffmpeg").setLevel(logging.ERROR)  # it warns of every video that is turned
    frames = imageio_ffmpeg.read_frames(path)
    width, height = next(frames)["size"]
    for frame in frames:
        yield torch.frombuffer(bytearray(frame), dtype=torch.uint8).reshape(height, width, 3).permute(2, 0, 1)
