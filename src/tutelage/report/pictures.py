"""The page's pictures: validation images with truth and predictions."""

import io
from base64 import b64encode
from collections.abc import Iterable, Mapping
from copy import copy
from html import escape
from pathlib import Path

import numpy as np
import safetensors.numpy
import torch
from PIL import Image
from torch import Tensor

from tutelage.report.results import Results
from tutelage.types import Picture, Task

_WIDEST = 320  # pixels


def pictures(found: Results) -> str:
    """What the first seed's networks say about a few images; nothing where no run left predictions."""
    if not found.seeds:
        return ""
    runs = {
        (m, t): Predictions(found.run(m, t) / "predictions.safetensors") for m in found.methods for t in found.tasks
    }
    sources = dict.fromkeys(source for run in runs.values() for source in run.sources)
    if not sources:
        return ""
    legends = "".join(
        f"<dt>{escape(t)}</dt><dd>{swatches((name, _hex(colour), 0) for name, colour in task.legend())}</dd>"
        for t, task in found.tasks.items()
        if task.legend()
    )
    parts = ((source, {key: run.of(source) for key, run in runs.items()}) for source in sources)
    scenes = "".join(_scenes(found, source, part) for source, part in parts)
    return (
        '<h2>Predictions</h2>\n<p class="soft">Validation images at even distances through the split, seed '
        f"{found.seeds[0]}; black: no label.</p>\n<dl>{legends}</dl>\n{scenes}"
    )


Runs = Mapping[tuple[str, str], "Predictions"]  # of one source, by method and task


def _scenes(found: Results, source: str, runs: Runs) -> str:
    images = next(run for run in runs.values() if len(run))
    # A task without labels in this source has a prediction of it nowhere.
    tasks = {t: task for t, task in found.tasks.items() if any(run.predicts(t) for run in runs.values())}
    if not tasks:
        return ""
    head = f"<h3>{escape(source.removesuffix('/'))}</h3>\n" if source else ""
    return head + "".join(_scene(found, tasks, index, images, runs) for index in range(len(images)))


def _scene(found: Results, tasks: Mapping[str, Task], index: int, images: "Predictions", runs: Runs) -> str:
    names = ("truth", *found.methods)
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in ("image", *names))
    lines: list[str] = []
    for t, task in tasks.items():
        # The file of a single-task network holds its own task's truth alone.
        truth = next((run.target(t, task, index) for (_, of), run in runs.items() if of == t and len(run)), None)
        cells = [truth, *(runs[m, t].prediction(t, task, index) for m in found.methods)]
        shown = "".join(f"<td>{_img(cell, f'{t}, {name}')}</td>" for cell, name in zip(cells, names, strict=True))
        if not lines:
            image = _img(images.image(index), f"image {index + 1}")
            shown = f'<td rowspan="{len(tasks)}">{image}</td>{shown}'
        lines.append(f'<tr><th scope="row">{escape(t)}</th>{shown}</tr>\n')
    return (
        f'<div class="wide"><table class="pictures"><thead><tr><td></td>{heads}</tr></thead>\n'
        f"<tbody>{''.join(lines)}</tbody></table></div>\n"
    )


def swatches(entries: Iterable[tuple[str, str, int]]) -> str:
    """Names, their colours and how their lines are drawn (0 solid, 1 dashed, 2 dotted) as a list."""
    items = "".join(
        f'<li><i class="dash{dash}" style="color:{colour}"></i>{escape(name)}</li>' for name, colour, dash in entries
    )
    return f'<ul class="legend">{items}</ul>\n'


def _hex(colour: Iterable[int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _img(uri: str | None, name: str) -> str:
    return '<span class="soft">none</span>' if uri is None else f'<img src="{uri}" alt="{escape(name)}">'


class Predictions:
    """The predictions.safetensors of one run; of several sources, the names of each begin with its own.

    Args:
        path: the file; where there is none, or it is unreadable, there is nothing to draw.
    """

    def __init__(self, path: Path) -> None:
        self.tensors: dict[str, Tensor] = {}
        try:
            arrays = safetensors.numpy.load_file(path)
        except (OSError, safetensors.SafetensorError):
            return
        self.tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}

    @property
    def sources(self) -> list[str]:
        """The names of the sources; of one alone, the empty name."""
        tasks = ("prediction/", "target/", "valid/")  # one may be called `image`
        images = (name for name in self.tensors if name == "image" or name.endswith("/image"))
        return [name.removesuffix("image") for name in images if name.count("/") < 2 and not name.startswith(tasks)]

    def of(self, source: str) -> "Predictions":
        """The part of one source."""
        part = copy(self)
        part.tensors = {n.removeprefix(source): x for n, x in self.tensors.items() if n.startswith(source)}
        return part

    def predicts(self, name: str) -> bool:
        """Whether there are predictions of a task."""
        return f"prediction/{name}" in self.tensors

    def __len__(self) -> int:
        return len(self.tensors["image"]) if "image" in self.tensors else 0

    def image(self, index: int) -> str:
        """The input."""
        return uri(self.tensors["image"][index].permute(1, 2, 0).numpy(), photograph=True)

    def target(self, name: str, task: Task, index: int) -> str | None:
        """The truth of a task, or nothing where the image has none."""
        valid = self.tensors.get(f"valid/{name}")
        if valid is None or not valid[index].any():
            return None
        return uri(task.draw(_value(self.tensors[f"target/{name}"][index]), valid[index]))

    def prediction(self, name: str, task: Task, index: int) -> str | None:
        """What the network says."""
        values = self.tensors.get(f"prediction/{name}")
        return None if values is None or index >= len(values) else uri(task.draw(_value(values[index])))


def _value(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor.long()


def uri(picture: Picture, photograph: bool = False) -> str:
    """A picture as the `src` of an image: JPEG for photographs, PNG for the rest."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    if image.width > _WIDEST:
        size = (_WIDEST, round(image.height * _WIDEST / image.width))
        image = image.resize(size, Image.Resampling.LANCZOS if photograph else Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    if photograph:
        image.save(buffer, "jpeg", quality=90)
    else:
        image.save(buffer, "png", optimize=True)
    return f"data:image/{'jpeg' if photograph else 'png'};base64,{b64encode(buffer.getvalue()).decode()}"
