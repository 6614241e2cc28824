"""Every source says the size that its images are resized to, however it is wrapped."""

from pathlib import Path

import pytest

from tutelage.data import (
    DataSource,
    HideLabels,
    HoldOut,
    Mix,
    Mnist,
    MnistUsps,
    NYUv2,
    OverlaidDigits,
    Rooms,
    Svhn,
    Usps,
)

SMALL, LARGE = (32, 48), (64, 96)


def rooms(size: tuple[int, int] = SMALL) -> Rooms:
    return Rooms(train=4, test=2, size=size)


@pytest.mark.parametrize(
    ("source", "size"),
    [
        (rooms(), SMALL),
        (NYUv2(Path("nowhere"), size=LARGE), LARGE),
        (OverlaidDigits(), (20, 20)),
        (Mnist(Path("nowhere")), (28, 28)),
        (Svhn(Path("nowhere")), (32, 32)),
        (HoldOut(Usps(Path("nowhere"))), (16, 16)),
        (Usps(Path("nowhere"), size=SMALL), SMALL),
        (MnistUsps(Path("nowhere")), None),
        (HideLabels(rooms(), {"depth": 0.5}), SMALL),
        (HoldOut(rooms()), SMALL),
        (HoldOut(HideLabels(rooms(LARGE), {"depth": 0.5})), LARGE),
        (HideLabels(HoldOut(HideLabels(rooms(), {"depth": 0.5})), {"normals": 0.5}), SMALL),
        (Mix({"a": rooms(), "b": rooms()}), SMALL),
        (Mix({"a": rooms(), "b": rooms(LARGE)}), None),
        (HoldOut(Mix({"a": rooms(LARGE), "b": HideLabels(rooms(LARGE), {"depth": 0.5})})), LARGE),
        (HideLabels(HoldOut(Mix({"a": rooms(), "b": rooms(LARGE)})), {"depth": 0.5}), None),
    ],
)
def test_a_source_says_its_size(source: DataSource, size: tuple[int, int] | None) -> None:
    assert source.size == size
    for part in source.parts().values():
        assert part.source.size in (SMALL, LARGE, (20, 20), (28, 28), (32, 32), (16, 16))
