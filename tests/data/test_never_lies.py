"""Encodings that would be read as other values: each has the right value, or a line."""

import pickle
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from tutelage.data import (
    ClassesLabel,
    ClassFolders,
    ClassLabel,
    CodedLabel,
    DepthLabel,
    Folders,
    InverseDepthLabel,
    Label,
    MaskLabel,
    Modality,
    NormalsLabel,
    NumbersLabel,
    Rgb,
)
from tutelage.errors import UserError
from tutelage.images import as_image

Y, X = np.mgrid[-1:1:12j, -1:1:16j] / 2
SPHERE = np.stack([X, -Y, np.sqrt(1 - X**2 - Y**2)], -1)


def saved(path: Path, content: Any) -> Path:
    if path.suffix == ".npy":
        np.save(path, content, allow_pickle=True)
    elif isinstance(content, str | bytes):
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    else:
        Image.fromarray(content).save(path)
    return path


@pytest.mark.parametrize("grey", [(127, 127, 127), (128, 128, 128), (127, 128, 127), (0, 0, 0)])
def test_grey_and_black_are_no_normals(tmp_path: Path, grey: tuple[int, int, int]) -> None:
    colours = ((SPHERE + 1) * 127.5).round().astype(np.uint8)
    colours[:6] = grey
    n = NormalsLabel().decode(saved(tmp_path / "a.png", colours))
    assert n[:, :6].abs().max() == 0
    assert torch.equal(NormalsLabel().measure(n).labelled * torch.ones(1), torch.tensor([96.0]))
    torch.testing.assert_close(n[:, 6:], torch.from_numpy(SPHERE[6:]).permute(2, 0, 1).float(), atol=0.01, rtol=0)


def test_a_normal_of_which_a_component_is_missing_is_none(tmp_path: Path) -> None:
    vectors = SPHERE.copy()
    vectors[0, 0, 0], vectors[0, 1, 1] = np.nan, np.inf
    n = NormalsLabel().decode(saved(tmp_path / "a.npy", vectors))
    assert n[:, 0, :2].abs().max() == 0
    assert n[:, 0, 2].norm() == pytest.approx(1)


VOID = np.array([[0, 1, 255]], np.uint8)
NORMALS, IMAGE, CLASSES, DEPTH, INVERSE = NormalsLabel(), Rgb(), ClassesLabel(), DepthLabel(), InverseDepthLabel()
WRONG: dict[str, tuple[Modality, str, Any, str]] = {
    "normals in 0..1": (NORMALS, "a.npy", (SPHERE + 1) / 2, "found colours .* 0..1; write 2 n"),
    "normals in 0..255": (NORMALS, "a.npy", (SPHERE + 1) * 127.5, "found colours of normals in 0..255; write value /"),
    "normals of bytes": (
        NORMALS, "a.npy", ((SPHERE + 1) * 127.5).astype(np.uint8), "as floats, found uint8",
    ),
    "masks of 0 and 1 at 128": (
        MaskLabel(), "a.png", (X > 0).astype(np.uint8), "from 128 on, found 0 and 1; set .* `threshold` to 1",
    ),
    "masks of 0, 1 and void at 128": (MaskLabel(), "a.png", VOID, "found 1 beside 255; .* to 1 and `ignore` to"),
    "masks of 0, 1 and void at 1": (MaskLabel(threshold=1), "a.png", VOID, "found 1 beside 255; .* `threshold` to 2"),
    "millimetres in 8 bits": (DEPTH, "a.png", np.ones((4, 4), np.uint8), "expected 16 bits .* found 8, .* 0.255 m"),
    "disparity in 8 bits": (INVERSE, "a.png", np.ones((4, 4), np.uint8), "expected 16 bits .* found 8, .* 0.00389;"),
    "gaps in classes": (CLASSES, "a.npy", np.array([[1.0, np.nan]]), "found nan; write -1 where there is no label"),
    "endless classes": (CLASSES, "a.npy", np.array([[1.0, 1e20]]), "expected class numbers, found 1e\\+20;"),
    "an image with gaps": (
        IMAGE, "a.npy", np.where(X > 0, np.nan, 0.5), "without gaps, found nan at 288 of 576 values;",
    ),
    "an image that is endless": (IMAGE, "a.npy", np.where(X > 0, np.inf, 0.5), "without gaps, found inf at"),
    "an image in 0..255": (IMAGE, "a.npy", np.full((4, 4, 3), 200.0), "from 200 to 200; divide them by 255"),
    "an image around 0": (IMAGE, "a.npy", SPHERE, "found values from -0.5 to 0.99.*; map them to 0..1"),
    "a grey image of 16 bits": (
        IMAGE, "a.png", np.full((4, 4), 40000, np.uint16), "found 16 bits .*; map its values to 0..255",
    ),
    "an image of 16 bits": (IMAGE, "a.npy", np.full((4, 4, 3), 9, np.uint16), "found uint16; write 0..255"),
    "an image of truth values": (IMAGE, "a.npy", X > 0, "expected bytes .*, found bool"),
    "objects": (DEPTH, "a.npy", np.array([[{}, None]]), "expected a readable .npy file, found Object arrays"),
    "texts": (CLASSES, "a.npy", np.array([["a", "b"]]), "found an array .* of <U1"),
    "times": (DEPTH, "a.npy", np.array([[1]], "M8[s]"), "found an array .* of datetime64"),
    "complex numbers": (DEPTH, "a.npy", np.ones((2, 2), complex), "found an array .* of complex128"),
    "a number with a line": (NumbersLabel(), "a.txt", "1_000", "expected a text of numbers, found 1_000"),
    "a table with a head": (NumbersLabel(), "a.txt", "x y\n1 2", "expected a text of numbers, found could not convert"),
    "a class that is several": (ClassLabel(), "a.txt", "1 2", r"expected the number of a class, found \[1.0, 2.0\]"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_would_be_read_as_something_else_is_a_line(case: str, tmp_path: Path) -> None:
    kind, name, content, line = WRONG[case]
    path = saved(tmp_path / name, content)
    with pytest.raises(UserError, match=rf"^{path}: .*{line}") as error:
        kind.decode(path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("arguments", "values", "label"),
    [
        ({"threshold": 1, "ignore": (255,)}, [0, 1, 255], [0, 1, -1]),
        ({"threshold": 2}, [0, 1, 255], [0, 0, 1]),
        ({}, [0, 1, 200, 255], [0, 0, 1, 1]),  # a smoothed edge
        ({}, [0, 255], [0, 1]),
        ({"threshold": 1}, [0, 1, 2], [0, 1, 1]),
    ],
)
def test_masks_that_say_what_255_means(
    arguments: dict[str, Any], values: list[int], label: list[int], tmp_path: Path
) -> None:
    path = saved(tmp_path / "a.png", np.array([values], np.uint8))
    assert MaskLabel(**arguments).decode(path)[0, 0].tolist() == label


@pytest.mark.parametrize("kind", [DepthLabel, InverseDepthLabel])
@pytest.mark.parametrize("key", ["scale", "limit"])
@pytest.mark.parametrize("value", [-0.001, 0, float("nan"), float("inf")])
def test_a_unit_and_a_limit_are_positive(kind: type[DepthLabel], key: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"^{kind.__name__}.{key}: expected a positive number, found {value}; correct"):
        kind(**{key: value})


@pytest.mark.parametrize("threshold", [0, -1])
def test_a_threshold_leaves_values_for_0(threshold: int) -> None:
    with pytest.raises(UserError, match=f"^MaskLabel.threshold: expected at least 1, .* found {threshold}; correct it"):
        MaskLabel(threshold=threshold)


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("executed"),))


@pytest.mark.parametrize("kind", [Rgb(), ClassesLabel(), DepthLabel(), NormalsLabel(), ClassLabel(), NumbersLabel()])
def test_an_array_of_objects_is_never_unpickled(
    kind: Modality, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "a.npy", np.array([Evil()]), allow_pickle=True)
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Evil()))
    for name in ("a.npy", "b.npy"):
        with pytest.raises(UserError, match=rf"{name}: expected a readable .npy file"):
            kind.decode(tmp_path / name)
    assert not Path("executed").exists()


def test_right_values_of_odd_files(tmp_path: Path) -> None:
    assert torch.equal(ClassesLabel().decode(saved(tmp_path / "a.png", X > 0))[0], torch.from_numpy(X > 0).long())
    assert torch.equal(MaskLabel().decode(tmp_path / "a.png")[0], torch.from_numpy(X > 0).long())
    big = np.array([[1000, 2500]], ">u2")
    Image.frombytes("I;16B", (2, 1), big.tobytes()).save(tmp_path / "b.tif")
    assert torch.equal(DepthLabel().decode(tmp_path / "b.tif"), torch.tensor([[[1.0, 2.5]]]))
    half = np.linspace(0, 1, 12, dtype=np.dtype("<f2").newbyteorder(">")).reshape(2, 2, 3)
    assert torch.equal(
        Rgb().decode(saved(tmp_path / "c.npy", half)), torch.from_numpy(half.astype("f4")).permute(2, 0, 1)
    )
    assert NumbersLabel().decode(saved(tmp_path / "d.txt", "\ufeff1, 2.5\n")).tolist() == [1, 2.5]
    assert ClassLabel().decode(saved(tmp_path / "e.npy", np.array([3]))) == 3


@pytest.mark.parametrize("suffix", [".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm"])
def test_pictures_of_every_usual_format_are_images(tmp_path: Path, suffix: str) -> None:
    grey = np.full((4, 6, 3), 99, np.uint8)
    Image.fromarray(grey).save(tmp_path / f"a{suffix}", **({"lossless": True} if suffix == ".webp" else {}))
    for read in (Rgb().decode, as_image):  # in training and in prediction
        torch.testing.assert_close(read(tmp_path / f"a{suffix}"), torch.full((3, 4, 6), 99 / 255))


NAMES = ["①2", "a²", "x\u0661", "10", "9", "ein Bild", "ü"]


def test_names_of_any_letters(tmp_path: Path) -> None:
    for name in NAMES:
        for folder in ("image", "x"):
            (tmp_path / "train" / folder).mkdir(parents=True, exist_ok=True)
            saved(
                tmp_path / "train" / folder / f"{name}.png",
                np.ones((4, 4, 3)[: 3 if folder == "image" else 2], np.uint8),
            )
        (tmp_path / "classes/train" / name).mkdir(parents=True)
        saved(tmp_path / "classes/train" / name / f"{name}.png", np.ones((4, 4, 3), np.uint8))
    source = Folders(tmp_path, {"x": Label("x", ClassesLabel())}, holdout=0.3)
    source.check(["x"])
    assert len(source.split("train")) + len(source.split("test")) == len(NAMES)
    names = [Path(source.split("train").where(i)).stem for i in range(len(source.split("train")))]
    assert [name for name in names if name.isdecimal()] == sorted((x for x in names if x.isdecimal()), key=int)
    classes = ClassFolders(tmp_path / "classes", holdout=0.3)
    classes.check(["class"])
    assert classes.classes == sorted(NAMES)


def test_folders_of_numbers_in_another_order(tmp_path: Path) -> None:
    for name in ("1", "2", "10"):
        (tmp_path / "train" / name).mkdir(parents=True)
        saved(tmp_path / "train" / name / "a.png", np.ones((4, 4, 3), np.uint8))
    saved(tmp_path / "train/stray.png", np.ones((4, 4, 3), np.uint8))
    source = ClassFolders(tmp_path, holdout=0.3)
    (doubt,) = source.doubts()
    assert "found `10` as class 1" in doubt.text
    (out,) = source.left_out()
    assert (out.count, out.examples) == (1, ("stray.png",))


@pytest.mark.parametrize("orientation", [3, 6])
def test_an_image_is_turned_alike_in_training_and_prediction(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    turned = np.rot90(pixels, 2 if orientation == 3 else -1).copy()
    for read in (Rgb().decode, as_image):
        assert torch.equal(read(tmp_path / "a.png"), torch.from_numpy(turned).permute(2, 0, 1) / 255)


def test_components_of_normals_that_float32_cannot_hold_are_no_label() -> None:
    array = np.zeros((2, 2, 3))
    array[..., 2] = 1
    array[0, 0] = 1e300
    normals = NormalsLabel().convert(array, "", "here")
    assert normals[:, 0, 0].tolist() == [0, 0, 0]
    assert normals[:, 1, 1].tolist() == [0, 0, 1]


def grey_png(path: Path, values: np.ndarray[Any, Any], bits: int, colour: int = 0) -> Path:
    """A PNG of 2, 4 or 16 bits a channel, as Pillow does not write it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = values.shape[:2]
    if bits == 16:
        rows = [row.astype(">u2").tobytes() for row in values]
    else:
        rows = [np.packbits((row[:, None] >> np.arange(bits)[::-1]) & 1).tobytes() for row in values]
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("bits", [2, 4])
def test_classes_in_fewer_bits_are_their_numbers(bits: int, tmp_path: Path) -> None:
    """Pillow stretches them to 0..255, so that 3 in 2 bits was 255, no label."""
    numbers = np.arange(64, dtype=np.uint8).reshape(8, 8) % 2**bits
    path = grey_png(tmp_path / "a.png", numbers, bits)
    assert np.array_equal(ClassesLabel().decode(path)[0], numbers)
    assert np.array_equal(MaskLabel().decode(path)[0], numbers >= 2 ** (bits - 1))  # white is white
    torch.testing.assert_close(Rgb().decode(path)[0], torch.from_numpy(numbers / (2**bits - 1)).float())


@pytest.mark.parametrize("white", [3, 9999, 10000, 65535])
def test_values_of_a_pgm_are_those_in_the_file(white: int, tmp_path: Path) -> None:
    """Pillow stretches them to 255 or 65535: 2500 mm were 16 m where white was 10000."""
    values = np.array([[0, 1, 2, 3 if white == 3 else 2500]] * 2)
    content = values.astype("u1" if white < 256 else ">u2").tobytes()
    path = saved(tmp_path / "a.pgm", f"P5 4 2 {white}\n".encode() + content)
    assert np.array_equal(ClassesLabel(ignore=()).decode(path)[0], values)
    if white > 255:
        torch.testing.assert_close(DepthLabel().decode(path)[0], torch.from_numpy(values / 1000).float())


@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (6, 4), (4, 2)])
def test_images_of_16_bits_a_channel_are_refused(colour: int, channels: int, tmp_path: Path) -> None:
    """Pillow takes the upper 8 bits, which are dark where a camera has 12."""
    values = np.random.default_rng(0).integers(0, 4096, (6, 8, channels))
    path = grey_png(tmp_path / "a.png", values, 16, colour)
    for read in (Rgb().decode, as_image):
        with pytest.raises(UserError, match=r"a.png: expected 8 bits a channel, found 16 bits .*; map its values"):
            read(path)


def test_codes_are_compared_as_they_are(tmp_path: Path) -> None:
    """Numbers beyond 16 bits and parts of numbers were taken for other codes."""
    kind = CodedLabel(codes=((0, 0, 0), (0, 1, 0)))
    for array, line in (
        (np.full((2, 2, 3), 0.5), r"expected whole class numbers, found 0.5"),
        (
            np.array([[[65536, 0, 0]]]),
            r"expected the 2 values in .*, found \[65536, 0, 0\] in 1 pixels",
        ),
        (np.array([[[-1, 1, 0]]]), r"found \[-1, 1, 0\] in 1 pixels"),
    ):
        with pytest.raises(UserError, match=line):
            kind.decode(saved(tmp_path / "a.npy", array))
    with pytest.raises(UserError, match=r"CodedLabel.ignore: expected none, found \[2\]; name these values in `void`"):
        CodedLabel(ignore=(2,), codes=((0,), (1,)))
    with pytest.raises(UserError, match=r"CodedLabel.codes: expected values from 0 to 65535, found -1"):
        CodedLabel(codes=((0,), (-1,)))


@pytest.mark.parametrize("folder", ["./train", "train/", ".//train"])
def test_the_same_folder_in_other_words_is_divided(folder: str, tmp_path: Path) -> None:
    """Its images were those of train, and of test."""
    for i in range(10):
        for name in ("image", "x"):
            (tmp_path / "train" / name).mkdir(parents=True, exist_ok=True)
            saved(tmp_path / f"train/{name}/{i}.png", np.ones((4, 4, 3)[: 3 if name == "image" else 2], np.uint8))
    source = Folders(tmp_path, {"x": Label("./x/", ClassesLabel())}, train="train", test=folder)
    source.check(["x"])
    assert [len(source.split("train")), len(source.split("test"))] == [8, 2]
