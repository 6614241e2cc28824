"""Pictures that are too large, lie, move or are of another kind: one answer for training and prediction alike."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tutelage.data import ClassesLabel, DepthLabel, Rgb
from tutelage.errors import UserError
from tutelage.images import as_image
from tutelage.pictures import max_pixels

COLOURS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
RGB = Image.fromarray(COLOURS)
READERS: list[Callable[[Path], Tensor]] = [Rgb().decode, as_image]  # training, prediction


def refused(path: Path, line: str) -> None:
    """The file is no image and no label, with the same line for all."""
    for read in (*READERS, ClassesLabel().decode, DepthLabel(scale=1.0).decode):
        with pytest.raises(UserError, match=line) as caught:
            read(path)
        assert str(caught.value).startswith(str(path))


def png(path: Path, width: int, height: int, pixels: bytes = b"") -> Path:
    """A PNG whose header says this size, whatever its pixels are."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("size", [(10_000, 9_000), (100_000, 100_000), (2**31 - 1, 2**31 - 1)])
def test_a_picture_of_more_pixels_is_refused_before_they_are_read(size: tuple[int, int], tmp_path: Path) -> None:
    found = rf"found .*{size[0] * size[1]}.*; make it smaller, or raise the limit .* TUTELAGE_MAX_PIXELS"
    refused(png(tmp_path / "a.png", *size), rf"a.png: expected at most 89478485 pixels, {found}")


def test_the_limit_is_raised_and_lowered_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)  # the test's changes end with it
    RGB.save(tmp_path / "a.png")
    monkeypatch.setenv("TUTELAGE_MAX_PIXELS", "47")
    refused(tmp_path / "a.png", r"expected at most 47 pixels, found 8 x 6 = 48; make")
    with pytest.raises(UserError, match=r"^image: expected at most 47 pixels"):  # of a dataset in memory
        Rgb().take(RGB, "image")
    monkeypatch.setenv("TUTELAGE_MAX_PIXELS", "48")
    assert as_image(tmp_path / "a.png").shape == (3, 6, 8)
    huge = png(tmp_path / "huge.png", 20_000, 10_000)
    monkeypatch.setenv("TUTELAGE_MAX_PIXELS", str(10**9))
    refused(huge, r"huge.png: expected a readable .png file, found .*truncated.*; replace or remove it")
    for wrong in ("many", "-1", "0", "1e9", "²"):
        monkeypatch.setenv("TUTELAGE_MAX_PIXELS", wrong)
        with pytest.raises(
            UserError, match=f"TUTELAGE_MAX_PIXELS: expected a whole number of at least 1, found `{wrong}`"
        ):
            max_pixels()


def lying_npy(path: Path, shape: str) -> Path:
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + bytes(100))
    return path


@pytest.mark.parametrize("shape", ["(1000000, 1000000, 3)", "(1000, 1000)", "(-1, 3)", "(2**9, 2)", "(10, 10, 0)"])
def test_an_array_that_lies_about_its_size_is_refused(shape: str, tmp_path: Path) -> None:
    refused(lying_npy(tmp_path / "a.npy", shape), r"a.npy: expected a readable .npy file, found .*; replace or remove")


@pytest.mark.parametrize("size", [(4000, 4000), (9, 6)])
def test_a_picture_with_fewer_pixels_than_it_says_is_refused(size: tuple[int, int], tmp_path: Path) -> None:
    rows = b"".join(b"\0" + row.tobytes() for row in COLOURS)
    path = png(tmp_path / "a.png", *size, rows)
    refused(path, r"a.png: expected a readable .png file, found .*; replace or remove it")


def save(path: Path, picture: Image.Image = RGB, **options: Any) -> Path:
    picture.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["gif", "png", "tif", "webp"])
def test_one_of_several_frames_is_not_chosen(suffix: str, tmp_path: Path) -> None:
    frames = [Image.fromarray(np.roll(COLOURS, i, 0)) for i in range(3)]
    path = save(tmp_path / f"a.{suffix}", frames[0], save_all=True, append_images=frames[1:])
    refused(path, rf"a.{suffix}: expected one picture, found a \w+ of several frames; save one of them")
    one = save(tmp_path / f"one.{suffix}", frames[0], save_all=True)
    assert all(read(one).shape == (3, 6, 8) for read in READERS)


def test_a_photograph_with_a_preview_behind_it_is_the_photograph(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", RGB, format="MPO", save_all=True, append_images=[RGB.resize((4, 3))])
    with Image.open(path) as picture:
        assert picture.format == "MPO"
    single = save(tmp_path / "b.jpg")
    for read in READERS:
        assert torch.equal(read(path), read(single))


def test_a_program_is_not_started_to_read_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.Popen.__init__", lambda *_, **__: pytest.fail("a program was started"))
    path = tmp_path / "a.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 6\n%%EndComments\n%%EOF\n")
    refused(path, r"a.png: expected a readable .png file, found cannot identify image file .*; replace")


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [("png", "1"), ("tif", "1"), ("bmp", "1"), ("png", "P"), ("gif", "P"), ("png", "LA"), ("png", "RGBA"),
     ("webp", "RGB"), ("jpg", "CMYK"), ("tif", "CMYK"), ("jpg", "L"), ("bmp", "RGB"), ("tif", "LAB"), ("tif", "F")],
)  # fmt: skip
def test_a_file_of_every_kind_is_the_same_image_in_training_and_prediction(
    suffix: str, mode: str, tmp_path: Path
) -> None:
    if mode == "F":
        picture = Image.fromarray(COLOURS[..., 0].astype(np.float32) / 255)
    else:
        picture = Image.frombytes("LAB", (8, 6), COLOURS.tobytes()) if mode == "LAB" else RGB.convert(mode)
    path = save(tmp_path / f"a.{suffix}", picture, **({"lossless": True} if suffix == "webp" else {}))
    with Image.open(path) as opened:
        assert opened.mode == mode
        shown = np.asarray(opened)[..., None] if mode == "F" else np.asarray(opened.convert("RGB")) / np.float32(255)
    truth = torch.from_numpy(np.broadcast_to(shown, (6, 8, 3)).copy()).permute(2, 0, 1)
    for read in READERS:
        torch.testing.assert_close(read(path), truth, rtol=0, atol=0)


def test_a_palette_with_a_transparent_colour_keeps_its_colours(tmp_path: Path) -> None:
    palette = RGB.quantize(16)
    path, opaque = save(tmp_path / "a.png", palette, transparency=0), save(tmp_path / "b.png", palette)
    for read in (*READERS, ClassesLabel(ignore=()).decode):
        assert torch.equal(read(path), read(opaque))


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif", "gif", "webp", "ppm"])
def test_a_picture_that_is_cut_off_is_refused(suffix: str, tmp_path: Path) -> None:
    whole = save(tmp_path / f"whole.{suffix}", Image.fromarray(np.repeat(np.repeat(COLOURS, 8, 0), 8, 1)))
    data, image = whole.read_bytes(), as_image(whole)
    for cut in np.linspace(0, len(data) - 1, 40).astype(int).tolist():
        path = tmp_path / f"a.{suffix}"
        path.write_bytes(data[:cut])
        try:
            assert torch.equal(as_image(path), image)  # what is missing is no pixel
        except UserError as error:
            assert f"a.{suffix}: expected a readable .{suffix} file, found" in str(error)  # noqa: PT017  # or equal
