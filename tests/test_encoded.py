"""TIFF and BMP whose values Pillow changes without a word: the numbers in the file, or a line, for every reader."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tutelage.data import ClassesLabel, CodedLabel, DepthLabel, MaskLabel, Modality, NormalsLabel, Rgb
from tutelage.data.look.stored import stored_in_file
from tutelage.errors import UserError
from tutelage.images import as_image

CLASSES, MASK, CODED, DEPTH = ClassesLabel(), MaskLabel(threshold=1), CodedLabel(codes=((0,), (1,))), DepthLabel(1.0)
COLOURS = CodedLabel(codes=((0, 0, 0), (1, 0, 0)))
NUMBERS = np.arange(12, dtype=np.uint8).reshape(3, 4)


def tiff(path: Path, planes: list[bytes], bits: int, photometric: int | None = 1, **tags: int) -> Path:
    """A TIFF of 3 x 4 pixels, uncompressed, written by hand."""
    samples = tags.get("samples", 1)
    entries: dict[int, tuple[str, list[int]]] = {
        256: ("I", [4]), 257: ("I", [3]), 258: ("H", [bits] * samples), 259: ("H", [1]), 262: ("H", [photometric or 0]),
        266: ("H", [tags.get("fill", 1)]), 273: ("I", [0] * len(planes)), 277: ("H", [samples]), 278: ("I", [3]),
        279: ("I", [len(plane) for plane in planes]), 284: ("H", [1 if len(planes) == 1 else 2]),
        339: ("H", [tags.get("kind", 1)] * samples),
    }  # fmt: skip
    if photometric is None:
        del entries[262]
    start = 8 + 2 + 12 * len(entries) + 4
    entries[273] = ("I", [start + sum(map(len, planes[:i])) for i in range(len(planes))])
    data = b"".join(planes)
    body = struct.pack("<H", len(entries))
    for tag, (letter, values) in entries.items():
        packed = struct.pack(f"<{len(values)}{letter}", *values)
        if len(packed) > 4:
            place, data = start + len(data), data + packed
            packed = struct.pack("<I", place)
        body += struct.pack("<HHI", tag, {"H": 3, "I": 4}[letter], len(values)) + packed.ljust(4, b"\0")
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + body + bytes(4) + data)
    return path


def readers(*labels: Modality) -> list[Any]:
    """Training, prediction, a picture in memory whose pixels are read, and labels."""
    return [Rgb().decode, as_image, _loaded, *(label.decode for label in labels)]


def _loaded(path: Path) -> torch.Tensor:
    with Image.open(path) as picture:
        picture.load()
        return as_image(picture)


def refused(path: Path, line: str, *reads: Any) -> None:
    for read in reads:
        with pytest.raises(UserError, match=line):
            read(path)


def test_sixteen_bits_in_planes_are_refused(tmp_path: Path) -> None:
    planes = [np.full((3, 4), value, "<u2").tobytes() for value in (65535, 32768, 0)]
    path = tiff(tmp_path / "a.tif", planes, 16, 2, samples=3)
    refused(path, "found 16 bits in separate planes; save", *readers(CLASSES, MASK, CODED, NormalsLabel()))


@pytest.mark.parametrize(("photometric", "samples"), [(2, 3), (2, 4), (5, 4)])
def test_colours_of_sixteen_bits_are_no_image_and_no_codes(photometric: int, samples: int, tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", [np.ones((3, 4, samples), "<u2").tobytes()], 16, photometric, samples=samples)
    refused(path, "expected 8 bits a channel, found 16 bits", *readers(COLOURS))


def test_sixteen_bits_a_pixel_are_an_image(tmp_path: Path) -> None:
    pixels = np.array([[0xF800, 0x07E0, 0x001F, 0xFFFF]], "<u2").tobytes()
    header = struct.pack("<IiiHHIIiiII3I", 40, 4, 1, 1, 16, 3, len(pixels), 0, 0, 0, 0, 0xF800, 0x07E0, 0x1F)
    path = tmp_path / "a.bmp"
    path.write_bytes(b"BM" + struct.pack("<IHHI", 66 + len(pixels), 0, 0, 66) + header + pixels)
    for read in readers():
        assert read(path)[:, 0].tolist() == [[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 1, 1]]


@pytest.mark.parametrize("photometric", [0, None])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_labels_of_which_0_is_white_are_refused(bits: int, photometric: int | None, tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", [bytes(12)], bits, photometric)
    refused(path, "expected 0 to be black, found a TIFF in which 0 is white or", *(
        label.decode for label in (CLASSES, MASK, CODED, DEPTH)
    ))  # fmt: skip
    assert all(read(path).min() == 1 for read in readers())  # an image looks as it is


def test_numbers_that_are_not_inverted_are_those_in_the_file(tmp_path: Path) -> None:
    short = tiff(tmp_path / "a.tif", [NUMBERS.astype("<u2").tobytes()], 16, 0)
    assert torch.equal(CLASSES.decode(short)[0], torch.from_numpy(NUMBERS).long())
    floats = tiff(tmp_path / "b.tif", [(NUMBERS / 16).astype("<f4").tobytes()], 32, 0, kind=3)
    assert torch.equal(DEPTH.decode(floats)[0], torch.from_numpy(NUMBERS).float() / 16)
    refused(floats, "expected 0 to be black", *readers())


@pytest.mark.parametrize(("bits", "row", "reversed_row"), [(4, "0123", "80C4"), (2, "1B", "D8")])
def test_few_bits_are_the_numbers_in_the_file_in_either_order(
    bits: int, row: str, reversed_row: str, tmp_path: Path
) -> None:
    for fill, text in ((1, row), (2, reversed_row)):
        path = tiff(tmp_path / f"{fill}.tif", [bytes.fromhex(text) * 3], bits, fill=fill)
        assert CLASSES.decode(path)[0, 0].tolist() == [0, 1, 2, 3]
        assert DEPTH.decode(path)[0, 0].tolist() == [0, 1, 2, 3]
        assert Rgb().decode(path)[0, 0, 3] == pytest.approx(3 / (2**bits - 1))


def test_bytes_with_a_sign_keep_it(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", [(NUMBERS.astype(np.int8) - 2).tobytes()], 8, kind=2)
    assert DEPTH.decode(path)[0, 0].tolist() == [0, 0, 0, 1]
    assert CLASSES.decode(path)[0].tolist() == [[-2, -1, 0, 1], [2, 3, 4, 5], [6, 7, 8, 9]]
    refused(path, "expected bytes .* found int8", *readers())


@pytest.mark.parametrize(("compression", "lossy"), [("jpeg", True), ("tiff_lzw", False)])
def test_a_tiff_of_jpeg_is_lossy(compression: str, lossy: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(np.tile(NUMBERS, (8, 8))).save(path, compression=compression)
    stored = stored_in_file(path)
    assert stored is not None
    assert stored.lossy == lossy
