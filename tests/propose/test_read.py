"""Of many files the beginnings are read, and say the same as the whole files."""

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tutelage.errors import UserError
from tutelage.images import Size
from tutelage.propose.read import read_sizes


def save(path: Path, exif: bytes = b"", size: tuple[int, int] = (32, 24)) -> None:
    Image.new("RGB", size, (9, 99, 199)).save(path, exif=exif)


@pytest.mark.parametrize("decoded", [4000, 0])
def test_sizes_and_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoded: int) -> None:
    monkeypatch.setattr("tutelage.propose.read._DECODED", decoded)
    monkeypatch.setenv("TUTELAGE_MAX_PIXELS", "2000")
    turned = Image.Exif()
    turned[0x0112] = 6
    save(tmp_path / "turned.jpg", turned.tobytes())
    save(tmp_path / "turned.tif", turned.tobytes())
    save(tmp_path / "damaged.jpg", b"Exif\0\0no header at all")
    save(tmp_path / "large.png", size=(50, 41))
    np.save(tmp_path / "array.npy", np.zeros((5, 7, 3)))
    (tmp_path / "program.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 6\n%%EndComments\n%%EOF\n")
    sizes, wrong = read_sizes(list(tmp_path.iterdir()), lambda: None)
    assert {path.name: size for path, size in sizes.items()} == {
        "turned.jpg": (32, 24), "turned.tif": (32, 24), "damaged.jpg": (24, 32), "array.npy": (5, 7)
    }  # fmt: skip
    beginnings = {path.name: line[:19] for path, line in wrong.items()}
    assert beginnings == {"large.png": "expected at most 20", "program.png": "expected a readable"}


def test_they_are_in_the_order_of_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [tmp_path / f"{i}.png" for i in range(6)]

    def slower_first(path: Path) -> Size:
        time.sleep(0.02 * (6 - int(path.stem)))
        if int(path.stem) % 2:
            raise UserError(f"{path}: expected a picture, found none")
        return 1, 2

    monkeypatch.setattr("tutelage.propose.read._decoded", slower_first)
    sizes, wrong = read_sizes(files, lambda: None)
    assert list(sizes) == files[::2]
    assert list(wrong) == files[1::2]
