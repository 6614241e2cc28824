"""A page on this machine: drop an image, see every task, and move a slider between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from tutelage.deploy.predictor import Predictor
from tutelage.deploy.write import as_picture, describe
from tutelage.errors import UserError
from tutelage.images import Size, as_image, resize_image
from tutelage.types import Colour, Picture

if TYPE_CHECKING:
    import gradio

_SMALLEST, _LARGEST = 512, 1024  # pixels of the longer side of what the page shows
_HEIGHT = 420  # of the two large pictures on the page
_BUTTONS = ["download", "fullscreen"]  # Gradio's default would also share them with everybody


@dataclass(frozen=True)
class View:
    """What the page shows of an image: the image itself, or a prediction with a value per pixel.

    Attributes:
        name: `image`, or the task.
        picture: [H, W, 3], of one size for all views of an image.
    """

    name: str
    picture: Picture


def predict_views(predictor: Predictor, image: str | Path | Picture) -> tuple[list[View], dict[str, str]]:
    """The views of an image in the order of the tasks, and the predictions of tasks of the whole image as text.

    The longer side of the views has 512 to 1024 pixels.

    Raises:
        UserError: The network cannot take it.
    """
    x = as_image(image)
    shown = _shown_size(x.shape[1], x.shape[2])
    size = predictor.size or x.shape[1:]
    if max(x.shape[1:]) > _LARGEST and shown[0] >= size[0] and shown[1] >= size[1]:  # it would be made smaller later
        x = resize_image(x, shown)
    predictions = predictor.predict(x)
    views, words = [View("image", _shown(as_picture(x), Image.Resampling.LANCZOS))], {}
    for t, task in predictor.tasks.items():
        if t in predictor.dense:
            views.append(View(t, _shown(task.draw(predictions[t]), Image.Resampling.NEAREST)))
        else:
            words[t] = describe(task, predictions[t])
    return views, words


def _shown(picture: Picture, resampling: Image.Resampling) -> Picture:
    """A picture at the size at which the page shows it."""
    height, width = _shown_size(*picture.shape[:2])
    return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize((width, height), resampling))


def _shown_size(height: int, width: int) -> Size:
    longer = max(height, width)
    scale = min(max(longer, _SMALLEST), _LARGEST) / longer
    return max(1, round(height * scale)), max(1, round(width * scale))


def between(views: Sequence[View], position: float) -> Picture:
    """The picture at a position of the slider: view k at k, and mixed with the next one in between.

    (1 - s) view_k + s view_{k+1},    k = floor(position), s = position - k
    """
    position = min(max(position, 0.0), len(views) - 1.0)
    k = int(position)
    if k == position:
        return views[k].picture
    a, b = (Image.fromarray(view.picture) for view in views[k : k + 2])
    return np.asarray(Image.blend(a, b, position - k))


def build_app(predictor: Predictor, title: str) -> "gradio.Blocks":
    """The page; its `launch` serves it.

    Raises:
        UserError: Gradio is not installed.
    """
    if find_spec("gradio") is None:
        raise UserError("app: expected Gradio, found none; pip install 'tutelage[app]'")
    import gradio

    dense = [t for t in predictor.tasks if t in predictor.dense]
    whole = [t for t in predictor.tasks if t not in predictor.dense]

    def predict(path: str | None, position: float = 0.0) -> list[Any]:
        """The views, the picture at the slider's position, that of every dense task, and the words of the others."""
        if path is None:
            return [[], *[None] * (1 + len(dense) + len(whole))]
        try:
            views, words = predict_views(predictor, path)
        except UserError as error:
            raise gradio.Error(str(error).replace(path, Path(path).name)) from error
        return [views, between(views, position), *(view.picture for view in views[1:]), *words.values()]

    def move(views: list[View], position: float) -> Picture | None:
        """The picture at the slider's position."""
        return between(views, position) if views else None

    picture = partial(gradio.Image, format="png", interactive=False, buttons=_BUTTONS)
    with gradio.Blocks(title=title, analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        gradio.Markdown(f"## {title}\nDrop an image. One network predicts every task, on this machine.")
        views = gradio.State([])
        with gradio.Row():
            # The file as it is: it is read as training reads it.
            image = gradio.Image(
                label="image", type="filepath", image_mode=None, sources=["upload", "clipboard"], height=_HEIGHT,
                buttons=_BUTTONS,
            )  # fmt: skip
            with gradio.Column(visible=bool(dense)):
                shown = picture(label="between the tasks", height=_HEIGHT)
                stops = " · ".join(f"{i} {name}" for i, name in enumerate(("image", *dense)))
                slider = gradio.Slider(0, max(1, len(dense)), 1, step=0.05, label=stops)
        words = [gradio.Textbox(label=t, interactive=False) for t in whole]
        pictures = []
        with gradio.Row():
            for t in dense:
                with gradio.Column(min_width=240):
                    pictures.append(picture(label=t))
                    gradio.HTML(_swatches(predictor.tasks[t].legend()))
        image.change(predict, [image, slider], [views, shown, *pictures, *words], api_name="predict")
        slider.input(
            move, [views, slider], shown, api_name="between", trigger_mode="always_last", show_progress="hidden"
        )
    return page


def _swatches(legend: Sequence[tuple[str, Colour]]) -> str:
    """What colours mean, as HTML."""
    mark = '<span style="display:inline-block;margin-right:1em"><i style="{}background:rgb{}"></i>{}</span>'
    box = "display:inline-block;width:.8em;height:.8em;margin-right:.35em;border:1px solid #8888;"
    return " ".join(mark.format(box, colour, escape(name)) for name, colour in legend)
