"""Counts of what a prepared data set holds, to be checked against the published numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from tutelage.data.base import Split
from tutelage.data.labels import ClassesLabel, DepthLabel
from tutelage.data.modalities import Modality, Rgb
from tutelage.errors import UserError


@dataclass(frozen=True)
class Folder:
    """A sub-folder of every split.

    Args:
        name: Its name.
        kind: The kind as which its files are read back.
        suffix: The suffix of its files: .png or .npy.
        classes: The names of the classes, if its values are classes.
        unit: The unit of its values, if they are distances.
    """

    name: str
    kind: Modality
    suffix: str = ".png"
    classes: tuple[str, ...] = ()
    unit: str = ""

    def path(self, out: Path, split: Split, stem: str) -> Path:
        """The path of a frame's file."""
        return out / split / self.name / f"{stem}{self.suffix}"


@dataclass
class Counts:
    """Counts of the pixels of the files in a folder."""

    pixels: int
    unlabelled: int = 0
    classes: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))  # pixels of each class
    ends: tuple[float, float] | None = None  # the least and the greatest distance

    @staticmethod
    def of(folder: Folder, value: Tensor) -> "Counts":
        """The counts of one decoded file [C, H, W].

        Raises:
            UserError: A value is no class of the folder.
        """
        if isinstance(folder.kind, ClassesLabel):
            labels = value[value >= 0]
            if labels.numel() and int(labels.max()) >= len(folder.classes):
                raise UserError(f"expected classes 0..{len(folder.classes) - 1}, found {int(labels.max())}")
            counts = torch.bincount(labels, minlength=len(folder.classes))
            return Counts(value.numel(), value.numel() - labels.numel(), counts)
        if isinstance(folder.kind, Rgb):
            return Counts(value[0].numel())
        unlabelled = int((value == 0).all(0).sum())
        ends = None
        if isinstance(folder.kind, DepthLabel) and bool((value > 0).any()):
            distances = value[value > 0]
            ends = float(distances.min()), float(distances.max())
        return Counts(value[0].numel(), unlabelled, ends=ends)

    def __add__(self, other: "Counts") -> "Counts":
        values = (*(self.ends or ()), *(other.ends or ()))
        ends = (min(values), max(values)) if values else None
        return Counts(
            self.pixels + other.pixels, self.unlabelled + other.unlabelled, self.classes + other.classes, ends
        )


@dataclass
class Summary:
    """Counts of a data set, by split and folder.

    Args:
        dataset: The name of the data set.
        size: Height and width of its files.
        folders: The sub-folders of every split.
    """

    dataset: str
    size: tuple[int, int]
    folders: tuple[Folder, ...]
    frames: dict[Split, int] = field(default_factory=dict)
    counts: dict[tuple[Split, str], Counts] = field(default_factory=dict)

    def add(self, split: Split, counts: Mapping[str, Counts]) -> None:
        """Add the counts of one frame, by folder."""
        self.frames[split] = self.frames.get(split, 0) + 1
        for name, added in counts.items():
            before = self.counts.get((split, name))
            self.counts[split, name] = added if before is None else before + added

    def values(self) -> dict[str, Any]:
        """The content of summary.json. Shares are in percent; those of classes are of the labelled pixels."""
        splits = {split: {"frames": number, **self._split(split)} for split, number in self.frames.items()}
        return {"dataset": self.dataset, "size": list(self.size), "splits": splits}

    def _split(self, split: Split) -> dict[str, Any]:
        summary: dict[str, Any] = {}
        for folder in self.folders:
            if isinstance(folder.kind, Rgb):
                continue
            counts = self.counts[split, folder.name]
            values: dict[str, Any] = {"without_label": _percent(counts.unlabelled, counts.pixels)}
            if folder.classes:
                labelled = counts.pixels - counts.unlabelled
                shares = (_percent(int(number), labelled) for number in counts.classes)
                values["classes"] = dict(zip(folder.classes, shares, strict=True))
            if counts.ends is not None:
                values |= {"range": [float(f"{x:.6g}") for x in counts.ends], "unit": folder.unit}
            summary[folder.name] = values
        return summary

    def show(self, console: Console) -> None:
        """Print a table; of several folders of classes, the classes of the first."""
        splits = self.values()["splits"]
        table = Table(title=f"{self.dataset}, {self.size[0]}x{self.size[1]}", title_justify="left")
        table.add_column("")
        for split in splits:
            table.add_column(split, justify="right")
        table.add_row("images", *(str(values["frames"]) for values in splits.values()))
        for folder in self.folders:
            rows = [values[folder.name] for values in splits.values() if folder.name in values]
            if rows:
                table.add_row(f"{folder.name}: none, %", *(f"{values['without_label']:.2f}" for values in rows))
            if folder.unit:
                ranges = (values.get("range") for values in rows)
                table.add_row(
                    f"{folder.name}: {folder.unit}", *(f"{r[0]:.4g} to {r[1]:.4g}" if r else "none" for r in ranges)
                )
        first = next((folder for folder in self.folders if folder.classes), None)
        if first is not None:
            table.add_section()
            for name in first.classes:
                shares = (values[first.name]["classes"][name] for values in splits.values())
                table.add_row(f"{first.name}: {name}, %", *(f"{share:.2f}" for share in shares))
        console.print(table)


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 3) if whole else 0.0
