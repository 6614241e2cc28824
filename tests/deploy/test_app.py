import gc
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.deploy.conftest import make
from tests.deploy.files import picture

from tutelage.deploy import Predictor, app
from tutelage.deploy.app import View, between, build_app, predict_views

# Gradio leaves event loops and their sockets to Python, which says so when it closes them, and takes deprecated ways.
of_gradio = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def closed_here() -> Iterator[None]:
    """What Gradio left is closed in the test that made it."""
    yield
    gc.collect()


@pytest.mark.parametrize(
    ("size", "shown"), [((40, 80), (256, 512)), ((600, 300), (600, 300)), ((40, 2048), (20, 1024))]
)
def test_the_views_of_an_image_have_one_size(size: tuple[int, int], shown: tuple[int, int], tmp_path: Path) -> None:
    views, words = predict_views(make(), picture(tmp_path / "a.png", size))
    assert [view.name for view in views] == ["image", "segmentation", "depth", "normals"]
    assert {view.picture.shape for view in views} == {(*shown, 3)}
    assert words == {}


def test_the_views_are_what_is_predicted(tmp_path: Path) -> None:
    predictor, path = make(), picture(tmp_path / "a.png", (512, 256))
    views, _ = predict_views(predictor, path)
    for view in views[1:]:
        assert np.array_equal(view.picture, predictor.tasks[view.name].draw(predictor.predict(path)[view.name]))
    with Image.open(path) as image:
        assert np.array_equal(views[0].picture, np.asarray(image))


def test_without_a_size_the_network_sees_the_whole_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor, seen = make(size=None), []
    raw = predictor._raw
    monkeypatch.setattr(predictor, "_raw", lambda x: (seen.append(x.shape[2:]), raw(x))[1])
    views, _ = predict_views(predictor, picture(tmp_path / "a.png", (64, 1100)))
    assert [tuple(size) for size in seen] == [(64, 1100)]
    assert views[1].picture.shape[1] == 1024


def test_the_slider_mixes_neighbours() -> None:
    views = [View(str(value), np.full((2, 3, 3), value, np.uint8)) for value in (0, 100, 200)]
    for position, value in ((0, 0), (0.25, 25), (1, 100), (1.5, 150), (2, 200), (-1, 0), (9, 200)):
        assert abs(between(views, position).astype(int) - value).max() <= 1, position


def test_without_gradio_a_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"app: expected Gradio, found none; pip install 'tutelage\[app\]'"):
        build_app(make(), "title")


def page(predictor: Predictor) -> dict[str, object]:
    """What the page calls, by name."""
    pytest.importorskip("gradio", reason="the page needs the extra `app`")
    blocks = build_app(predictor, "kitchen")
    return {function.api_name: function.fn for function in blocks.fns.values()}


@of_gradio
def test_the_page_shows_every_task(tmp_path: Path) -> None:
    functions, path = page(make()), str(picture(tmp_path / "a.png"))
    views, shown, *pictures = functions["predict"](path, 1.0)
    assert len(pictures) == 3
    assert np.array_equal(shown, pictures[0])
    assert np.array_equal(functions["between"](views, 3), pictures[2])
    assert functions["predict"](None, 1.0) == [[], None, None, None, None]  # the image was taken away
    assert functions["between"]([], 1.0) is None
    views, shown, digit, angle = page(make("ResNet"))["predict"](path, 1.0)
    assert digit.startswith("class ")
    assert angle.count("deg") == 2
    assert np.array_equal(shown, views[0].picture)


@of_gradio
def test_the_page_begins_empty_and_names_its_pictures() -> None:
    """What is given to a picture without a name is its value: a file that is not there."""
    gradio = pytest.importorskip("gradio", reason="the page needs the extra `app`")
    pictures = [block for block in build_app(make(), "kitchen").blocks.values() if isinstance(block, gradio.Image)]
    assert [picture.value for picture in pictures] == [None] * 5
    assert [picture.label for picture in pictures] == ["image", "between the tasks", "segmentation", "depth", "normals"]


@of_gradio
def test_what_is_no_picture_is_said_on_the_page(tmp_path: Path) -> None:
    functions = page(make())
    import gradio

    (tmp_path / "notes.png").write_text("no picture")
    with pytest.raises(gradio.Error, match=r"notes.png: expected a readable .png file") as error:
        functions["predict"](str(tmp_path / "notes.png"))
    assert str(tmp_path) not in str(error.value)


@of_gradio
def test_names_of_classes_are_no_markup() -> None:
    pytest.importorskip("gradio", reason="the page needs the extra `app`")
    import gradio

    predictor = make()
    predictor.tasks["segmentation"].names = ["<script>alert(1)</script>", "b", "c", "d"]
    html = [block.value for block in build_app(predictor, "x").blocks.values() if isinstance(block, gradio.HTML)]
    assert len(html) == 3
    assert not re.search("<script", "".join(html))
    assert "&lt;script&gt;" in html[0]


def test_the_network_sees_an_image_of_its_size_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page shows at most 1024 pixels; what it shows must not be what the network sees."""
    predictor, seen = make(size=(64, 1536)), list[torch.Tensor]()
    raw = predictor._raw
    monkeypatch.setattr(predictor, "_raw", lambda x: (seen.append(x), raw(x))[1])
    image = np.random.default_rng(0).integers(0, 256, (64, 1536, 3), dtype=np.uint8)
    views, _ = predict_views(predictor, image)
    assert torch.equal((seen[0][0] * 255).round().byte().permute(1, 2, 0), torch.from_numpy(image))
    assert {view.picture.shape for view in views} == {(43, 1024, 3)}
