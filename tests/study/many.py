"""Data with any number of tasks, of which one may have no label in most images."""

import os
import signal
from collections.abc import Mapping

from torch.utils.data import get_worker_info

from tutelage.data import DepthLabel, Modality, Rooms, Samples
from tutelage.data.base import Split
from tutelage.types import Sample


class Many(Rooms):
    """Rooms whose depth is the label of every task.

    Args:
        tasks: Their number: `task0`, `task1`, ...
        unlabelled: The number of first images in which `task0` has no label.
        images: For training.
    """

    trusted = True

    def __init__(self, tasks: int, unlabelled: int = 0, images: int = 8) -> None:
        super().__init__(images, 2, (32, 32))
        self.unlabelled = unlabelled
        self.modalities = {f"task{i}": DepthLabel() for i in range(tasks)}

    def split(self, split: Split) -> Samples:
        """The rooms, with the labels of all tasks."""
        return _Many(super().split(split), self.modalities, self.unlabelled if split == "train" else 0)


class _Many(Samples):
    def __init__(self, samples: Samples, tasks: Mapping[str, Modality], unlabelled: int) -> None:
        self.samples, self.names, self.unlabelled = samples, list(tasks), unlabelled

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        sample, names = self.samples[index], self.names[index < self.unlabelled :]
        return Sample(image=sample["image"], labels=dict.fromkeys(names, sample["labels"]["depth"]))

    def tasks(self, index: int) -> set[str]:
        """All, or all but the first."""
        return set(self.names[index < self.unlabelled :])

    def where(self, index: int, task: str | None = None) -> str:
        """As in Rooms."""
        return self.samples.where(index)


class Deadly(Rooms):
    """Rooms of which one ends the process that loads it, as a system does that is out of memory."""

    def split(self, split: Split) -> Samples:
        """The rooms; the last one is deadly where a process beside the main one loads it."""
        return _Deadly(super().split(split))


class _Deadly(Samples):
    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        if index + 1 == len(self) and get_worker_info() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.samples[index]

    def where(self, index: int, task: str | None = None) -> str:
        """As in Rooms."""
        return self.samples.where(index)
