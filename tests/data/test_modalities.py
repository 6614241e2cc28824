"""The numeric contract of docs/data.md, and the wrong files that users have."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tutelage.data import ClassesLabel, DepthLabel, InverseDepthLabel, MaskLabel, Modality, NormalsLabel, Rgb
from tutelage.images import resize_image


def png(path: Path, array: np.ndarray) -> Path:
    Image.fromarray(array).save(path)
    return path


def npy(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_images_are_rgb_in_0_1(tmp_path: Path) -> None:
    pixels = random(6, 8, 3)
    expected = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
    assert torch.equal(Rgb().decode(png(tmp_path / "a.png", pixels)), expected)
    assert torch.equal(Rgb().decode(npy(tmp_path / "a.npy", pixels)), expected)
    assert torch.equal(
        Rgb().decode(npy(tmp_path / "b.npy", pixels / 255.0)),
        (torch.from_numpy(pixels / 255.0)).permute(2, 0, 1).float(),
    )
    grey = Rgb().decode(png(tmp_path / "grey.png", pixels[..., 0]))
    assert torch.equal(grey, expected[:1].expand(3, -1, -1))
    alpha = np.concatenate([pixels, random(6, 8, 1)], 2)
    assert torch.equal(Rgb().decode(png(tmp_path / "alpha.png", alpha)), expected)


def test_classes(tmp_path: Path) -> None:
    label = np.array([[0, 12, 255], [3, 3, 1]], np.uint8)
    expected = torch.tensor([[[0, 12, -1], [3, 3, 1]]])
    assert torch.equal(ClassesLabel().decode(png(tmp_path / "a.png", label)), expected)
    assert torch.equal(ClassesLabel().decode(npy(tmp_path / "a.npy", np.where(label == 255, -1.0, label))), expected)
    palette = Image.frombytes("P", (3, 2), label.tobytes())
    palette.putpalette(list(range(256)) * 3)
    palette.save(tmp_path / "palette.png")
    assert torch.equal(
        ClassesLabel().decode(tmp_path / "palette.png"), expected
    )  # a palette's indices, not its colours
    palette.putpalette([200, 30, 90] * 256)
    palette.save(tmp_path / "coloured.png")
    colour = torch.tensor([200, 30, 90])[:, None, None].expand(3, 2, 3) / 255
    assert torch.equal(Rgb().decode(tmp_path / "coloured.png"), colour)  # an image is its colours
    assert torch.equal(ClassesLabel(ignore=(0, 255)).decode(tmp_path / "a.png")[0, 0], torch.tensor([-1, 12, -1]))


def test_depth_in_metres(tmp_path: Path) -> None:
    sixteen = png(tmp_path / "a.png", np.array([[0, 1000], [65535, 1]], np.uint16))
    assert torch.equal(DepthLabel().decode(sixteen), torch.tensor([[[0.0, 1.0], [0.0, 0.001]]]))
    assert torch.equal(DepthLabel(ignore=(1,)).decode(sixteen), torch.tensor([[[0.0, 1.0], [65.535, 0.0]]]))
    assert torch.equal(DepthLabel(limit=0.5).decode(sixteen), torch.tensor([[[0.0, 0.0], [0.0, 0.001]]]))
    assert torch.equal(InverseDepthLabel().decode(sixteen)[0, 1], torch.tensor([1.0, 1 / 65535]))
    eight = DepthLabel(scale=1 / 25.5).decode(png(tmp_path / "b.png", np.array([[0, 255]], np.uint8)))
    torch.testing.assert_close(eight, torch.tensor([[[0.0, 10.0]]]))
    metres = np.array([[1.5, np.nan], [np.inf, -2.0]])
    assert torch.equal(DepthLabel().decode(npy(tmp_path / "a.npy", metres)), torch.tensor([[[1.5, 0.0], [0.0, 0.0]]]))


def test_normals_are_unit_or_none(tmp_path: Path) -> None:
    pixels = np.array([[[255, 127, 128], [0, 0, 0]], [[128, 255, 128], [127, 127, 0]]], np.uint8)
    n = NormalsLabel().decode(png(tmp_path / "a.png", pixels))
    length = n.norm(dim=0)
    torch.testing.assert_close(length, torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    torch.testing.assert_close(n[:, 0, 0], torch.tensor([1.0, 0.0, 0.0]), atol=0.01, rtol=0)
    vectors = np.array([[[0.0, 3.0, 0.0], [np.nan, 0.0, 0.0]]])
    found = NormalsLabel().decode(npy(tmp_path / "a.npy", vectors))
    assert torch.equal(found, torch.tensor([[[0.0, 0.0]], [[1.0, 0.0]], [[0.0, 0.0]]]))


def test_labels_take_the_nearest_pixel() -> None:
    label = torch.tensor([[[0, 5], [7, -1]]])
    assert ClassesLabel().resize(label, label.shape[1:], (4, 4)).unique().tolist() == [-1, 0, 5, 7]
    depth = torch.tensor([[[1.0, 9.0], [0.0, 3.0]]])
    assert sorted(DepthLabel().resize(depth, depth.shape[1:], (3, 5)).unique().tolist()) == [0.0, 1.0, 3.0, 9.0]
    for kind, x in ((ClassesLabel(), label), (DepthLabel(), depth)):
        big = kind.resize(x, x.shape[1:], (8, 8))
        assert torch.equal(kind.resize(big, (8, 8), (2, 2)), x)
        # The pixel whose centre is nearest: both rules of rounding halves agree on an even enlargement.
        assert torch.equal(big, x.repeat_interleave(4, 1).repeat_interleave(4, 2))


def test_normals_are_averaged_and_renormalised() -> None:
    n = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).T[:, None, :]  # x, then y
    n = torch.cat([n, torch.zeros(1, 1, 2)])
    small = NormalsLabel().resize(n, n.shape[1:], (1, 1))
    torch.testing.assert_close(small[:, 0, 0], torch.tensor([0.5**0.5, 0.5**0.5, 0.0]))
    n[:, :, 1] = 0  # a pixel without a normal does not count
    torch.testing.assert_close(NormalsLabel().resize(n, n.shape[1:], (1, 1))[:, 0, 0], torch.tensor([1.0, 0.0, 0.0]))
    n[:] = 0
    assert not NormalsLabel().resize(n, n.shape[1:], (1, 1)).any()


def test_masks_are_0_and_1(tmp_path: Path) -> None:
    mask = np.array([[0, 127, 128, 255], [7, 200, 1, 0]], np.uint8)
    path = png(tmp_path / "a.png", mask)
    assert MaskLabel().decode(path).tolist() == [[[0, 0, 1, 1], [0, 1, 0, 0]]]
    assert MaskLabel(threshold=1).decode(path).tolist() == [[[0, 1, 1, 1], [1, 1, 1, 0]]]
    assert MaskLabel(ignore=(7, 127)).decode(path).tolist() == [[[0, -1, 1, 1], [-1, 1, 0, 0]]]
    assert MaskLabel().decode(npy(tmp_path / "a.npy", np.array([[True, False]]))).tolist() == [[[1, 0]]]
    assert MaskLabel().decode(npy(tmp_path / "b.npy", np.array([[1, 0, -1]]))).tolist() == [[[1, 0, -1]]]


def test_an_image_stays_in_0_1_when_resized() -> None:
    x = torch.rand(3, 9, 7)
    for size in ((4, 3), (30, 20)):
        y = resize_image(x, size)
        assert y.shape == (3, *size)
        assert 0 <= float(y.min()) <= float(y.max()) <= 1


WRONG = [
    (Rgb(), "a.npy", np.zeros((4, 4, 2)), r"expected an RGB image \[H, W, 3\], found an array \[4, 4, 2\]"),
    (
        Rgb(),
        "a.npy",
        np.full((4, 4, 3), 200.0),
        r"expected an image in 0..1 \(or bytes\), found values from 200 to 200",
    ),
    (Rgb(), "a.npy", np.full((4, 4, 3), np.nan), "expected an image in 0..1"),
    (ClassesLabel(), "a.npy", np.zeros((4, 4, 3)), "expected class numbers"),
    (DepthLabel(), "a.npy", np.zeros((4, 4, 3)), "expected distances"),
    (NormalsLabel(), "a.npy", np.zeros((4, 4)), "expected normals"),
    (Rgb(), "a.png", b"no picture", "expected a readable .png file"),
    (Rgb(), "a.npy", b"no array", "expected a readable .npy file"),
    (Rgb(), "a.jpg", b"", "expected a readable .jpg file"),
    (DepthLabel(), "a.npy", np.array([object()]), "expected a readable .npy file"),  # a pickle is never opened
    (
        DepthLabel(),
        "a.npy",
        np.array([["far"]]),
        r"expected a readable .npy file, found an array \[1, 1\] of <U3; replace",
    ),
    (
        DepthLabel(),
        "a.npy",
        np.zeros((0, 4)),
        r"expected a readable .npy file, found an array \[0, 4\] of float64; replace",
    ),
    (Rgb(), "a.npy", b"PK\x03\x04 no archive", "expected a readable .npy file, found the magic string is not correct"),
    (ClassesLabel(), "a.npy", np.full((4, 4), 2.5), "expected whole class numbers, found 2.5; write"),
    (ClassesLabel(), "a.npy", np.full((4, 4), np.nan), "expected whole class numbers, found nan; write"),
    (ClassesLabel(), "a.npy", np.full((4, 4), np.inf), "expected whole class numbers, found inf; write"),
]


@pytest.mark.parametrize(("kind", "name", "content", "message"), WRONG)
def test_a_wrong_file_is_one_line_that_names_it(
    kind: Modality, name: str, content: object, message: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content, allow_pickle=True)
    with pytest.raises(ValueError, match=message) as error:
        kind.decode(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_an_archive_is_no_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", depth=np.ones((4, 4)))
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    with pytest.raises(ValueError, match=r"a\.npy: expected a readable .npy file, found the magic string"):
        DepthLabel().decode(tmp_path / "a.npy")


@pytest.mark.parametrize("kind", [ClassesLabel(), DepthLabel(), Rgb()])
def test_arrays_of_other_machines_and_other_types(kind: Modality, tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 2, (4, 6, 3) if isinstance(kind, Rgb) else (4, 6))
    expected = kind.decode(npy(tmp_path / "a.npy", array.astype(np.float64)))
    for dtype in (">f4", "<f2") if isinstance(kind, Rgb) else (">f4", ">i2", "<f2", "?", "u2"):
        assert torch.equal(kind.decode(npy(tmp_path / "b.npy", array.astype(dtype))), expected), dtype
    (tmp_path / "b.npy").rename(tmp_path / "b.NPY")
    assert torch.equal(kind.decode(tmp_path / "b.NPY"), expected)


def test_half_a_file(tmp_path: Path) -> None:
    path = png(tmp_path / "a.png", random(64, 64, 3))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"a\.png: expected a readable"):
        Rgb().decode(path)


@pytest.mark.parametrize("mode", ["HSV", "YCbCr", "CMYK", "RGBX", "PA", "RGBA"])
def test_an_image_in_memory_is_rgb_whatever_its_mode(mode: str) -> None:
    red = Image.new("RGB", (5, 4), (255, 0, 0))
    picture = red.convert("P").convert("PA") if mode == "PA" else red.convert(mode)
    image = Rgb().take(picture, "image 0")
    assert image.shape == (3, 4, 5)
    assert image[0].min() > 0.9
    assert image[1:].max() < 0.2
