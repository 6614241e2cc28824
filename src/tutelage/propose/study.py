"""A study for a folder: what was found in it, and the YAML that trains on it."""

import re
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress

from tutelage.propose.dataset import DataSet, explore
from tutelage.propose.held_out import choose_held_out
from tutelage.propose.text import lines, write_study
from tutelage.propose.training import choose_training


@dataclass(frozen=True)
class Proposal:
    """A study for a folder.

    Attributes:
        name: Of the study.
        found: What is in the folder, one line each.
        left_out: What of it is not read, and why, one line each.
        data: The same, as values.
    """

    name: str
    found: list[str]
    left_out: list[str]
    data: DataSet

    def text(self, file: Path) -> str:
        """The YAML for a file of this name, with comments."""
        data = self.data
        sizes = [data.sizes[path] for path in data.images.files.values()]
        train = data.count(data.train) - data.held_out
        dense = any(label.dense for label in data.labels.values())
        gpu = torch.cuda.is_available()
        training = choose_training(sizes, train, max(1, len(data.labels)), dense, gpu)
        return write_study(data, training, self.name, str(file))


def propose(folder: Path, console: Console) -> Proposal:
    """Look into a folder and propose a study.

    Args:
        folder: With images and labels.
        console: Shows the progress, where it is a terminal.

    Raises:
        UserError: The folder is no data set.
    """
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        bar = bars.add_task("looking at the pictures")
        data = explore(folder, lambda: bars.advance(bar), lambda total: bars.update(bar, total=total))
    choose_held_out(data)
    name = re.sub(r"[^\w.-]+", "-", folder.resolve().name).strip("-.") or "study"
    return Proposal(name, lines(data), data.left_out, data)
