"""The images that a run drew: labels and predictions."""

from copy import copy
from pathlib import Path

import safetensors.numpy
import torch
from torch import Tensor

from tutelage.reading import check_limited
from tutelage.report.statistics import summarise
from tutelage.types import Picture, Task

_LARGEST = 2**32  # bytes of the images that a page shows


class Predictions:
    """A file of predictions of one run; with several sources, each name in it begins with its source.

    Args:
        file: the file, or None. A missing or damaged file holds no predictions.
    """

    def __init__(self, file: Path | None) -> None:
        self.tensors: dict[str, Tensor] = {}
        if file is None:
            return
        try:
            check_limited(file, _LARGEST)
            arrays = safetensors.numpy.load_file(file)
            self.tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        except Exception:  # whatever a damaged file, or one from elsewhere, raises in safetensors and numpy
            self.tensors = {}

    @property
    def sources(self) -> list[str]:
        """The names of the sources; the empty name where there is one source."""
        tasks = ("prediction/", "target/", "valid/", "score/")  # a task may be called `image`
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

    def values(self, name: str) -> tuple[Tensor, Tensor, Tensor] | None:
        """Predictions, targets and where these are valid, of all images; None where one of the three is missing."""
        found = [self.tensors.get(f"{kind}/{name}") for kind in ("prediction", "target", "valid")]
        predicted, target, valid = (x if x is None or not x.is_floating_point() else x.float() for x in found)
        return None if predicted is None or target is None or valid is None else (predicted, target, valid.bool())

    def image(self, index: int) -> Picture:
        """The input."""
        picture: Picture = self.tensors["image"][index].permute(1, 2, 0).numpy()
        return picture

    def target(self, name: str, task: Task, index: int) -> Picture | None:
        """The label of a task, or None where the image has none."""
        values, valid = self._entry("target", name, index), self._entry("valid", name, index)
        if values is None or valid is None or not valid.any():
            return None
        return task.draw(values, valid)

    def prediction(self, name: str, task: Task, index: int) -> Picture | None:
        """The network's prediction, or None where there is none."""
        values = self._entry("prediction", name, index)
        return None if values is None else task.draw(values)

    def score(self, name: str, task: Task, index: int) -> str:
        """The main metric of one image, `miou 43.37 %`; empty where the file has none."""
        entry = self._entry("score", name, index)
        if entry is None or entry.ndim or entry.isnan():
            return ""
        unit = task.metric_info[task.main].unit
        return f"{task.main} {summarise([float(entry)]).text(unit)} {unit}".strip()

    def _entry(self, kind: str, name: str, index: int) -> Tensor | None:
        """The entry of one image; None where there is none."""
        values = self.tensors.get(f"{kind}/{name}")
        if values is None or index >= len(values):
            return None
        entry = values[index]
        return entry if entry.dtype == torch.bool else entry.float() if entry.is_floating_point() else entry.long()
