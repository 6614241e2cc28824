from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.deploy.conftest import NETS, make
from torch import Tensor
from torch.nn.functional import interpolate

from tutelage.data import Rgb
from tutelage.deploy import Predictor
from tutelage.images import resize_image
from tutelage.nets import SegNet
from tutelage.tasks import Depth


@pytest.mark.parametrize("name", NETS)
def test_at_the_trained_size_it_is_the_net_and_the_activations(name: str, images: Tensor) -> None:
    predictor = make(name)
    with torch.no_grad():
        raw = predictor.net(images).predictions
        actual = predictor(images)
    assert list(actual) == list(predictor.tasks)
    for t, task in predictor.tasks.items():
        torch.testing.assert_close(actual[t], task.activate(raw[t]), rtol=0, atol=0)


def test_other_sizes_are_resized_as_training_did_and_back(images: Tensor) -> None:
    predictor = make()
    for size in ((48, 80), (24, 40)):
        image = resize_image(images[0], size)
        resized = resize_image(image, (32, 64))
        x = (resized * 65280).round() / 65280  # areas of one colour are that again
        torch.testing.assert_close(x, resized, rtol=0, atol=0.51 / 65280)
        raw = predictor.net(x[None]).predictions
        actual = predictor.predict(image)
        for t, task in predictor.tasks.items():
            back = interpolate(raw[t], size, mode="bilinear", antialias=True)
            torch.testing.assert_close(actual[t], task.activate(back)[0].detach(), rtol=0, atol=0)
        assert actual["segmentation"].shape == size
        assert actual["segmentation"].dtype == torch.int64
        torch.testing.assert_close(actual["normals"].norm(dim=0), torch.ones(size))


def test_predictions_of_the_whole_image_are_not_resized(images: Tensor) -> None:
    actual = make("ResNet").predict(interpolate(images, (40, 40)))
    assert actual["digit"].shape == (2,)
    assert actual["angle"].shape == (2, 2)


def test_without_a_size_images_are_taken_as_they_are(images: Tensor) -> None:
    predictor = make(size=None)
    image = images[:1, :, :, :48]
    raw = predictor.net(image).predictions["depth"]
    torch.testing.assert_close(predictor(image)["depth"], raw, rtol=0, atol=0)
    with pytest.raises(ValueError, match="SegNet: expected images of at least 32x32"):
        predictor.predict(image[..., :20])


def test_every_kind_of_image_is_the_same_image(tmp_path: Path) -> None:
    predictor = make()
    array = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    Image.fromarray(array).save(tmp_path / "x.png")
    np.save(tmp_path / "x.npy", array.astype(np.float32) / 255)
    picture, pixels = Image.fromarray(array), torch.from_numpy(array).permute(2, 0, 1)
    expected = predictor.predict(Rgb().decode(tmp_path / "x.png"))
    for image in (tmp_path / "x.png", str(tmp_path / "x.npy"), picture, array, array / 255, pixels, pixels / 255):
        for t, value in predictor.predict(image).items():
            torch.testing.assert_close(value, expected[t], rtol=0, atol=1e-6)
    batch = predictor.predict(pixels[None])
    assert {t: value.shape[1:] for t, value in batch.items()} == {t: value.shape for t, value in expected.items()}
    torch.testing.assert_close(predictor(pixels[None])["depth"][0].detach(), expected["depth"], rtol=0, atol=0)


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P", "RGBA", "CMYK"])
def test_pictures_are_read_as_the_data_are(mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    path = tmp_path / ("x.jpg" if mode == "CMYK" else "x.png")
    Image.fromarray(array).convert(mode).save(path)
    seen = []
    predictor = make()
    raw = predictor._raw
    monkeypatch.setattr(predictor, "_raw", lambda images: seen.append(images) or raw(images))
    predictor.predict(path)
    torch.testing.assert_close(seen[0][0], Rgb().decode(path), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((2, 32, 64), np.uint8), r"expected an RGB image \[H, W, 3\], found an array \[2, 32, 64\]"),
        (
            np.zeros((32, 64, 3), np.int64),
            r"expected bytes \(uint8\) or floats in 0..1, found int64; write 0..255 as uint8",
        ),
        (np.full((32, 64, 3), 255.0), r"expected an image in 0..1 \(or bytes\), found values from 255 to 255"),
        (torch.full((1, 3, 32, 64), torch.nan), "expected an image in 0..1"),
        (torch.zeros(4, 32, 64), r"expected an RGB image \[H, W, 3\], found an array \[4, 32, 64\]"),
        (torch.zeros(1, 1, 32, 64), r"images: expected \[B, 3, H, W\]"),
        (torch.zeros(1, 3, 32, 64, dtype=torch.int32), r"expected bytes \(uint8\)"),
        (Image.new("I;16", (64, 32)), "expected 8 bits a channel"),
        ("nowhere.png", "nowhere.png: expected a readable .png file"),
        (3, "expected bytes"),
        (None, "expected a picture or an array of numbers, found NoneType"),
    ],
)
def test_what_is_no_image_is_refused_in_one_line(image: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        make().predict(image)
    assert "\n" not in str(caught.value)


def test_it_stays_in_eval_mode_and_needs_no_gradient(images: Tensor) -> None:
    predictor = make()
    before = {name: x.clone() for name, x in predictor.state_dict().items()}
    predictor.train()
    assert not any(module.training for module in predictor.modules())
    assert not predictor.predict(images)["depth"].requires_grad
    for name, value in predictor.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_it_predicts_on_another_device_and_in_bfloat16(images: Tensor) -> None:
    predictor = make()
    actual = predictor.to(torch.bfloat16).predict(images)
    assert actual["depth"].dtype == torch.float32
    if torch.cuda.is_available():
        assert make().to("cuda").predict(images)["depth"].device.type == "cpu"


def test_names_and_sizes_are_checked() -> None:
    net = SegNet({"depth": 1}, filters=(4, 4, 4, 4, 4))
    with pytest.raises(ValueError, match="expected one task or more"):
        Predictor(net, {})
    with pytest.raises(ValueError, match=r"found `\.\./depth`"):
        Predictor(net, {"../depth": Depth()})
    with pytest.raises(ValueError, match="size: expected height and width"):
        Predictor(net, {"depth": Depth()}, (0, 32))
