"""Every mode of Pillow, and EXIF orientation, for training and prediction alike."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from PIL.Image import Transpose
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from tutelage.data import ClassesLabel, DepthLabel, FromDataset, MaskLabel, NormalsLabel, Rgb
from tutelage.deploy import Predictor
from tutelage.errors import UserError
from tutelage.images import as_array, as_image, read_array, read_rgb
from tutelage.nets import SegNet
from tutelage.pictures import READ_AS, is_turned, open_picture, upright_size
from tutelage.tasks import Depth

COLOURS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
DEEP = ("I", "I;16", "I;16L", "I;16B", "I;16N")
GREY = ("1", "L", "LA")
MODES = ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB", "F", *DEEP]


def picture(mode: str) -> Image.Image:
    """A picture of 8 by 6 pixels in a mode."""
    rgb = Image.fromarray(COLOURS)
    match mode:
        case "F":
            return Image.fromarray(COLOURS[..., 0].astype(np.float32) / 255)
        case "I":
            return Image.fromarray(COLOURS[..., 0].astype(np.int32) * 300)
        case "I;16" | "I;16L" | "I;16N":
            return Image.frombytes(
                mode, (8, 6), (COLOURS[..., 0].astype("=u2" if mode == "I;16N" else "<u2")).tobytes()
            )
        case "I;16B":
            return Image.frombytes(mode, (8, 6), COLOURS[..., 0].astype(">u2").tobytes())
        case "PA":
            return rgb.convert("P").convert("PA")
        case "RGBa":
            return rgb.convert("RGBA").convert("RGBa")
        case "LAB":
            return Image.frombytes("LAB", (8, 6), COLOURS.tobytes())
    return rgb.convert(mode)


def expected(mode: str) -> Tensor:
    """What an image in a mode holds, [3, H, W]."""
    if mode == "F":
        return torch.from_numpy(COLOURS[..., 0].astype(np.float32) / 255).expand(3, -1, -1)
    pixels = np.asarray(picture(mode).convert("RGB"))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255


def test_the_table_has_every_mode() -> None:
    assert set(MODES) == set(READ_AS)
    assert set(Image.MODES) <= {*MODES, "La"}  # premultiplied grey, which Pillow itself converts to nothing else


@pytest.mark.parametrize("mode", [m for m in MODES if m not in DEEP])
def test_an_image_is_the_same_in_training_and_prediction(mode: str) -> None:
    trained, predicted = Rgb().take(picture(mode), "image"), as_image(picture(mode))
    assert torch.equal(trained, predicted)
    torch.testing.assert_close(trained, expected(mode), rtol=0, atol=0)


@pytest.mark.parametrize("mode", [*DEEP, "La"])
def test_a_mode_that_is_no_image_is_refused_by_name_in_both(mode: str, tmp_path: Path) -> None:
    image = Image.new("LA", (8, 6)).convert("La") if mode == "La" else picture(mode)
    bits = 32 if mode == "I" else 16
    pattern = (
        rf"^image: expected 8 bits a channel, found {bits} bits \(Pillow's mode {mode}\), .*; map its values to 0..255"
    )
    if mode == "La":
        pattern = r"^image: expected .*, found .*La; save it as RGB$"
    with pytest.raises(UserError, match=pattern):
        Rgb().take(image, "image")
    with pytest.raises(UserError, match=pattern):
        as_image(image)
    if mode == "I;16":  # a file, too
        image.save(tmp_path / "a.png")
        for read in (Rgb().decode, as_image):
            with pytest.raises(UserError, match=r"a.png: expected 8 bits a channel, found 16 bits .*I;16\), .*; map"):
                read(tmp_path / "a.png")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", [ClassesLabel(ignore=()), MaskLabel(), DepthLabel(scale=0.5), NormalsLabel()])
def test_labels_in_every_mode(kind: ClassesLabel | MaskLabel | DepthLabel | NormalsLabel, mode: str) -> None:
    label = picture(mode)
    grey = mode in (*GREY, *DEEP, "F")
    indices = mode == "P" and isinstance(kind, ClassesLabel)
    if grey is isinstance(kind, NormalsLabel) and not indices:  # the other number of channels
        with pytest.raises(UserError, match=rf"^label: expected .*, found an array .* in mode {mode}; save"):
            kind.take(label, "label")
        return
    if isinstance(kind, ClassesLabel) and mode == "F":
        with pytest.raises(UserError, match=r"^label: expected whole class numbers, found 0\.\d+; write"):
            kind.take(label, "label")
        return
    values = np.asarray(label.convert("L") if mode in GREY else label).astype(np.float64)
    if mode == "1" and not isinstance(kind, DepthLabel):
        values = (values > 0) * (255 if isinstance(kind, MaskLabel) else 1)
    found = kind.take(label, "label")
    if isinstance(kind, MaskLabel):
        assert np.array_equal(found[0].numpy(), values >= 128)
    elif isinstance(kind, ClassesLabel):
        assert np.array_equal(found[0].numpy(), values)
    elif isinstance(kind, DepthLabel):
        assert np.allclose(found[0].numpy(), values / 2)
    else:
        torch.testing.assert_close(found, kind.take(label.convert("RGB"), "label"), rtol=0, atol=0)


ORIENTATIONS = {
    2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM, 5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE, 8: Transpose.ROTATE_90,
}  # fmt: skip


def turned(path: Path, image: Image.Image, orientation: int) -> Path:
    """A file whose EXIF data say how to turn it."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image.save(path, exif=exif)
    return path


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_exif_orientation_is_followed_in_training_and_prediction(
    orientation: int, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = Image.fromarray(np.repeat(np.repeat(COLOURS, 8, 0), 8, 1))  # 64 x 48
    path = turned(tmp_path / f"a{suffix}", image, orientation)
    image.save(tmp_path / f"b{suffix}")
    upright = np.asarray(Image.open(tmp_path / f"b{suffix}").transpose(ORIENTATIONS[orientation]))
    truth = torch.from_numpy(upright.copy()).permute(2, 0, 1).float() / 255
    assert torch.equal(Rgb().decode(path), truth)
    with Image.open(path) as opened:
        assert torch.equal(Rgb().take(opened, "image"), truth)
        assert opened.size == (64, 48)  # the caller's picture is as it was
    predictor, images = Predictor(SegNet({"depth": 1}, filters=(4, 4, 4, 4, 4)), {"depth": Depth()}), []
    raw = predictor._raw
    monkeypatch.setattr(predictor, "_raw", lambda x: images.append(x) or raw(x))
    predictor.predict(path)
    assert torch.equal(images[0][0], truth)


def test_labels_follow_exif_orientation_as_their_image_does(tmp_path: Path) -> None:
    label = np.arange(48, dtype=np.uint8).reshape(6, 8)
    image = turned(tmp_path / "image.png", Image.fromarray(COLOURS), 6)
    classes = turned(tmp_path / "classes.png", Image.fromarray(label), 6)
    depth = turned(tmp_path / "depth.png", Image.fromarray(label.astype(np.uint16)), 6)
    items = [{"image": image, "labels": {"segmentation": classes, "depth": depth}}] * 2
    kinds = {"segmentation": ClassesLabel(), "depth": DepthLabel(scale=1.0)}
    sample = FromDataset(items, kinds, items).split("train")[0]  # a list is map-style
    assert sample["image"].shape == (3, 8, 6)
    assert np.array_equal(sample["labels"]["segmentation"].numpy(), np.rot90(label, -1))
    assert np.array_equal(sample["labels"]["depth"][0].numpy(), np.rot90(label, -1))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("way", ["one strip", "strips", "tiff_lzw"])
@pytest.mark.parametrize("kind", ["bytes", "colours", "16 bits", "bits"])
def test_a_turned_tiff_is_not_scrambled(tmp_path: Path, kind: str, way: str, orientation: int) -> None:
    """Pillow maps an uncompressed file into memory, with height and width exchanged."""
    numbers = np.arange(48).reshape(6, 8)
    label = {"bytes": numbers.astype(np.uint8), "16 bits": numbers.astype(np.uint16) * 1000}.get(kind, COLOURS)
    image = Image.fromarray(numbers % 3 == 0 if kind == "bits" else label)
    tags = {ExifTags.Base.Orientation: orientation, **({ExifTags.Base.RowsPerStrip: 2} if way == "strips" else {})}
    image.save(tmp_path / "a.tif", tiffinfo=tags, compression=way if way == "tiff_lzw" else None)
    upright = np.asarray(image.transpose(ORIENTATIONS[orientation])).astype(label.dtype)
    assert np.array_equal(read_array(tmp_path / "a.tif", "classes")[0], upright)
    with open_picture(tmp_path / "a.tif") as picture:
        assert upright_size(picture) == upright.shape[:2]
    with Image.open(tmp_path / "a.tif") as opened:
        assert np.array_equal(as_array(opened, "classes", "label")[0], upright)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_normals_are_not_turned_without_their_components(tmp_path: Path, orientation: int) -> None:
    path = turned(tmp_path / "n.png", Image.new("RGB", (8, 6), (255, 128, 128)), orientation)
    line = rf"expected a picture of vectors as it is stored, found one that its EXIF orientation {orientation} turns"
    with pytest.raises(UserError, match=line):
        NormalsLabel().decode(path)
    with Image.open(path) as opened, pytest.raises(UserError, match=line):
        NormalsLabel().take(opened, "label")
    assert NormalsLabel().decode(turned(path, Image.new("RGB", (8, 6), (255, 128, 128)), 1))[0, 0, 0] > 0.99


@pytest.mark.parametrize("shape", [(3, 6, 8), (6, 8, 3), (1, 6, 8), (6, 8, 1), (6, 8), (3, 6, 3), (2, 6, 8), (6, 8, 4)])
@pytest.mark.parametrize("kind", ["array", "tensor"])
def test_an_array_is_the_same_image_in_training_and_prediction(kind: str, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).random(shape, dtype=np.float32)
    value = array if kind == "array" else torch.from_numpy(array)
    images: list[Tensor | str] = []
    for read in (lambda x: Rgb().take(x, "image"), as_image):
        try:
            images.append(read(value))
        except UserError as error:
            images.append(str(error))
    trained, predicted = images
    if shape in ((2, 6, 8), (6, 8, 4)):
        message = f"image: expected an RGB image [H, W, 3], found an array {list(shape)}; save it as RGB"
        assert trained == predicted == message
    else:
        assert torch.equal(trained, predicted)
        assert trained.shape[0] == 3


def test_damaged_exif_data_say_nothing(tmp_path: Path) -> None:
    Image.fromarray(COLOURS).save(tmp_path / "a.jpg", exif=b"Exif\x00\x00no header at all")
    Image.fromarray(COLOURS).save(tmp_path / "b.jpg")
    assert torch.equal(Rgb().decode(tmp_path / "a.jpg"), Rgb().decode(tmp_path / "b.jpg"))


@pytest.mark.parametrize("place", ["before", "after", "xmp", "none"])
def test_a_png_is_known_to_be_turned_without_decoding_it(tmp_path: Path, place: str) -> None:
    """EXIF may stand before the pixels or behind them, or in XMP; a PNG without either is not decoded to find out."""
    exif, info = Image.Exif(), PngInfo()
    exif[ExifTags.Base.Orientation] = 6
    if place == "xmp":
        info.add_itxt("XML:com.adobe.xmp", '<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="6"></x:xmpmeta>')
    info.add_text("Software", "a camera")
    path = tmp_path / "a.png"
    turned = {"exif": exif} if place in ("before", "after") else {}
    Image.new("RGB", (40, 20)).save(path, pnginfo=info, **turned)
    if place == "after":
        data = path.read_bytes()
        start = data.index(b"eXIf") - 4
        end = start + 12 + int.from_bytes(data[start : start + 4])
        last = data.index(b"IEND") - 4
        path.write_bytes(data[:start] + data[end:last] + data[start:end] + data[last:])
    with open_picture(path) as picture:
        assert upright_size(picture) == ((40, 20) if place != "none" else (20, 40))
        assert (picture._im is None) == (place in ("before", "none"))
    assert read_rgb(path).shape[1:] == ((40, 20) if place != "none" else (20, 40))
    assert is_turned(path) == (place != "none")
