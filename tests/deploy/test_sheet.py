from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.deploy.conftest import make

from tutelage.deploy import sheet
from tutelage.deploy.sheet import ContactSheets

TASKS = make().tasks


def add(sheets: ContactSheets, name: str = "photo", size: tuple[int, int] = (30, 40)) -> None:
    image = np.full((*size, 3), 200, np.uint8)
    sheets.add(name, image, {t: np.full((*size, 3), 60, np.uint8) for t in TASKS})


def test_it_shows_every_image_and_the_colours(tmp_path: Path) -> None:
    sheets = ContactSheets(TASKS, tmp_path)
    for name, size in (("a long name " * 30, (30, 40)), ("line\nbreak", (400, 10)), ("caf\udce9", (10, 4000))):
        add(sheets, name, size)
    sheets.flush()
    with Image.open(tmp_path / "contact-sheet.jpg") as picture:
        shown = np.asarray(picture).astype(int)
    grey = (abs(shown - 60) < 12).all(2)
    # Three cells of 240x180 and what is left of the thin ones; the image's own cell has another grey.
    assert grey.sum() > 3 * 240 * 180
    assert (abs(shown - 200) < 12).all(2).sum() > 240 * 180
    for _, colour in TASKS["segmentation"].legend():
        assert (abs(shown - np.array(colour)) < 20).all(2).any(), colour


def test_after_so_many_images_there_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheet, "_IMAGES", 2)
    sheets = ContactSheets(TASKS, tmp_path)
    for _ in range(3):
        add(sheets)
    sheets.flush()
    assert [file.name for file in sheets.files] == ["contact-sheet.jpg", "contact-sheet-2.jpg"]
    again = ContactSheets(TASKS, tmp_path)
    add(again)
    again.flush()
    assert [file.name for file in again.files] == ["contact-sheet-3.jpg"]
    over = ContactSheets(TASKS, tmp_path, overwrite=True)
    add(over)
    over.flush()
    assert [file.name for file in over.files] == ["contact-sheet.jpg"]
    over.flush()  # there is nothing more to write
    assert len(list(tmp_path.iterdir())) == 3


def test_several_images_stand_beside_each_other_below_the_legend(tmp_path: Path) -> None:
    sheets = ContactSheets({"depth": TASKS["depth"]}, tmp_path)
    for _ in range(9):
        add(sheets)
    sheets.flush()
    with Image.open(tmp_path / "contact-sheet.jpg") as picture:
        shown = np.asarray(picture).astype(int)
    assert shown.shape[1] < 2400
    assert shown.shape[0] < 4 * 240  # three rows of four images, or fewer
    (near, *_), _ = zip(*TASKS["depth"].legend(), strict=True)
    colour = np.array(dict(TASKS["depth"].legend())[near])
    first_picture = ((abs(shown - 200) < 12).all(2).sum(1) > 200).argmax()
    assert (abs(shown[:first_picture] - colour) < 20).all(2).any()
