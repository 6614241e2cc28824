import io
from base64 import b64decode

import numpy as np
from PIL import Image

from tutelage.report.encode import Drawing, addresses


def noise(width: int, height: int) -> Drawing:
    return Drawing(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def decoded(address: str) -> Image.Image:
    return Image.open(io.BytesIO(b64decode(address.split(",")[1]))).convert("RGB")


def test_labels_are_exact() -> None:
    drawing = noise(40, 30)
    assert np.array_equal(np.asarray(decoded(addresses([drawing], 10**6)[0])), drawing.picture)


def test_pictures_shrink_until_they_fit() -> None:
    drawings = [noise(200, 150) for _ in range(5)]
    texts = addresses(drawings, 100_000)
    assert sum(map(len, texts)) <= 100_000
    width, height = decoded(texts[0]).size
    assert 48 <= width < 200
    assert height == round(0.75 * width)


def test_no_picture_is_larger_than_the_screen_and_none_vanishes() -> None:
    assert decoded(addresses([noise(2000, 10)], 10**8)[0]).size == (640, 3)
    assert decoded(addresses([noise(200, 1)], 1)[0]).size == (48, 1)
    assert addresses([], 1) == []
