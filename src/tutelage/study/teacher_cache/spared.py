"""What the cache spares a run, in operations: counted where its step would read it."""

from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from tutelage.distill.teachers import Passes, resize, teachers_of
from tutelage.study.teacher_cache.record import FILE, ReadOutput, read_outputs
from tutelage.train import Training
from tutelage.train.operations import operations
from tutelage.types import Batch, MultiTaskNet, Output


class Spared:
    """Counts the images for which a run's step would read its teachers, while they compute.

    Args:
        run: built anew, its teachers not cached.
        folder: of the finished run, where it says what it has read.
    """

    def __init__(self, run: Training, folder: Path) -> None:
        self._counts: list[tuple[Passes, MultiTaskNet, _Count]] = []
        read = read_outputs(folder / FILE)
        for teachers in () if run.distiller is None else teachers_of(run.distiller):
            for network in dict.fromkeys(teachers.networks.values()):
                names = {name for name, of_name in teachers.networks.items() if of_name is network}
                found = {x.source: _Count(x) for x in read if names & {*x.teachers}}
                if found and network not in teachers.passes.cached:
                    teachers.passes.cached = {**teachers.passes.cached, network: found}
                    self._counts += [(teachers.passes, network, count) for count in found.values()]

    def operations(self, images: Mapping[str, Tensor]) -> dict[str, dict[str, dict[str, int]]]:
        """What was counted since, as plain values for a file; {} where the run reads nothing.

        Args:
            images: source -> [1, 3, H, W], on the device of the networks.

        Returns:
            `cached`: digest of an output -> `step`: operations of the images that were counted; `fill`: of all its
            views, once.
        """
        found: dict[str, dict[str, int]] = {}
        for passes, network, count in self._counts:
            image, tasks = resize(images[count.output.source], passes.size(network)), list(passes.needs[network][1])
            with torch.no_grad():
                one = operations(partial(passes.compute, network, image, tasks))
            # Teachers of one file are one network in the run, and two where nobody has loaded it: both are spared.
            counted = found.get(count.output.digest, {"step": 0})["step"]
            found[count.output.digest] = {"step": counted + count.images * one, "fill": count.output.views * one}
        return {"cached": found} if found else {}


class _Count:
    """In place of an output: counts the images that it is asked for, and has none."""

    def __init__(self, output: ReadOutput) -> None:
        self.output, self.images = output, 0

    def read(
        self, batch: Batch, indices: Tensor | None, taps: Collection[str], tasks: Collection[str]
    ) -> Output | None:
        self.images += len(batch.images if indices is None else indices)
        return None
