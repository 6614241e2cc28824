"""Pictures and videos for the tests of what reads files."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

# imageio-ffmpeg leaves pipes to its process open where that has ended by itself; Python closes them later, and says so.
_quiet = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def reads_video(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test that reads videos."""
    return _quiet(pytest.mark.usefixtures("collected")(test))


def picture(path: Path, size: tuple[int, int] = (40, 48)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)
    return path


def video(path: Path, frames: int = 5, size: tuple[int, int] = (32, 48), turned: bool = False) -> Path:
    """A video whose nth frame is grey of 20 n; `turned`: it says that it has to be shown turned by 90 degrees."""
    ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="videos need the extra `video`")
    plain = path.with_name(f"plain-{path.name}") if turned else path
    writer = ffmpeg.write_frames(str(plain), size[::-1], fps=5, macro_block_size=2)
    writer.send(None)
    for n in range(frames):
        writer.send(np.full((*size, 3), 20 * n, np.uint8))
    writer.close()
    if turned:
        program = ffmpeg.get_ffmpeg_exe()
        words = [program, "-loglevel", "error", "-display_rotation", "90", "-i", plain, "-c", "copy", path]
        subprocess.run(words, check=True)
    return path
