"""The page's pictures: a few images of the split with labels and predictions."""

import io
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.numpy
import torch
from PIL import Image
from torch import Tensor

from tutelage.report.charts import Swatch
from tutelage.report.results import Results
from tutelage.types import Picture, Task

_WIDEST = 320  # pixels


@dataclass(frozen=True)
class Scene:
    """One image: its address (a data URI), and for each task the pictures of the label and of every method."""

    image: str
    tasks: Mapping[str, Sequence[str | None]]


@dataclass(frozen=True)
class Pictures:
    """The scenes of every source, under its name, and the legends of the tasks."""

    seed: int
    split: str
    columns: Sequence[str]
    legends: Mapping[str, Sequence[Swatch]]
    sources: Mapping[str, Sequence[Scene]]


def pictures(results: Results) -> Pictures | None:
    """Labels and predictions of the first seed's networks; None where no run left predictions."""
    if not results.seeds:
        return None
    folders = {(m, t): results.run(m, t) for m in results.methods for t in results.tasks}
    files = {folder: Predictions(folder) for folder in folders.values()}  # one for all tasks of a run
    runs = {key: files[folder] for key, folder in folders.items()}
    sources = dict.fromkeys(source for run in runs.values() for source in run.sources)
    if not sources:
        return None
    legends = {t: task.legend() for t, task in results.tasks.items()}
    parts = ((source, {key: run.of(source) for key, run in runs.items()}) for source in sources)
    return Pictures(
        results.seeds[0],
        results.split,
        ("truth", *results.methods),
        {t: [Swatch(name, _hex(colour)) for name, colour in legend] for t, legend in legends.items() if legend},
        {source.removesuffix("/"): _scenes(results, part) for source, part in parts},
    )


Runs = Mapping[tuple[str, str], "Predictions"]  # of one source, by method and task


def _scenes(results: Results, runs: Runs) -> list[Scene]:
    images = next(run for run in runs.values() if len(run))
    # No run has predictions of a task that this source has no labels of.
    tasks = {t: task for t, task in results.tasks.items() if any(run.predicts(t) for run in runs.values())}
    if not tasks:
        return []
    return [
        Scene(images.image(i), {t: _row(results, t, task, i, runs) for t, task in tasks.items()})
        for i in range(len(images))
    ]


def _row(results: Results, name: str, task: Task, index: int, runs: Runs) -> list[str | None]:
    """The label, then the prediction of every method."""
    # The file of a single-task network holds its own task's labels alone.
    truth = next((run.target(name, task, index) for (_, t), run in runs.items() if t == name and len(run)), None)
    return [truth, *(runs[m, name].prediction(name, task, index) for m in results.methods)]


def _hex(colour: Iterable[int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


class Predictions:
    """The predictions.safetensors of one run; with several sources, each name begins with its source.

    Args:
        run: the folder of the run, or None. A missing or damaged file holds no predictions.
    """

    def __init__(self, run: Path | None) -> None:
        self.tensors: dict[str, Tensor] = {}
        if run is None:
            return
        try:
            arrays = safetensors.numpy.load_file(run / "predictions.safetensors")
        except (OSError, safetensors.SafetensorError):
            return
        self.tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}

    @property
    def sources(self) -> list[str]:
        """The names of the sources; the empty name where there is one source."""
        tasks = ("prediction/", "target/", "valid/")  # a task may be called `image`
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
        """The label of a task, or None where the image has none."""
        values, valid = self._entry("target", name, index), self._entry("valid", name, index)
        if values is None or valid is None or not valid.any():
            return None
        return uri(task.draw(_value(values), valid))

    def prediction(self, name: str, task: Task, index: int) -> str | None:
        """The network's prediction, or None where there is none."""
        values = self._entry("prediction", name, index)
        return None if values is None else uri(task.draw(_value(values)))

    def _entry(self, kind: str, name: str, index: int) -> Tensor | None:
        """The entry of one image; None where there is none."""
        values = self.tensors.get(f"{kind}/{name}")
        return None if values is None or index >= len(values) else values[index]


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
