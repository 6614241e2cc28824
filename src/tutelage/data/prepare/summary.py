"""What a prepared data set holds, in numbers that can be checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from tutelage.data.base import Split
from tutelage.data.modalities import ClassesLabel, DepthLabel, Modality, Rgb
from tutelage.errors import UserError


@dataclass(frozen=True)
class Folder:
    """A sub-folder of every split.

    Args:
        name: of the folder.
        kind: how its files are read back.
        suffix: of its files: .png or .npy.
        classes: their names, where its values are classes.
        unit: of its values, where they are distances.
    """

    name: str
    kind: Modality
    suffix: str = ".png"
    classes: tuple[str, ...] = ()
    unit: str = ""

    def path(self, out: Path, split: Split, stem: str) -> Path:
        """Where a frame's file is."""
        return out / split / self.name / f"{stem}{self.suffix}"


@dataclass
class Counts:
    """The pixels of the files of a folder."""

    pixels: int
    none: int = 0  # without a label
    classes: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))  # pixels of each
    ends: tuple[float, float] | None = None  # the least and the greatest value, where values are distances

    @staticmethod
    def of(folder: Folder, value: Tensor) -> "Counts":
        """Of one decoded file [C, H, W].

        Raises:
            ValueError: a value is no class of the folder.
        """
        if isinstance(folder.kind, ClassesLabel):
            known = value[value >= 0]
            if known.numel() and int(known.max()) >= len(folder.classes):
                raise UserError(f"expected classes 0..{len(folder.classes) - 1}, found {int(known.max())}")
            counts = torch.bincount(known, minlength=len(folder.classes))
            return Counts(value.numel(), value.numel() - known.numel(), counts)
        if isinstance(folder.kind, Rgb):
            return Counts(value[0].numel())
        none = int((value == 0).all(0).sum())
        known = value[value > 0]
        ranged = isinstance(folder.kind, DepthLabel) and known.numel() > 0
        return Counts(value[0].numel(), none, ends=(float(known.min()), float(known.max())) if ranged else None)

    def __add__(self, other: "Counts") -> "Counts":
        every = (*(self.ends or ()), *(other.ends or ()))
        ends = (min(every), max(every)) if every else None
        return Counts(self.pixels + other.pixels, self.none + other.none, self.classes + other.classes, ends)


@dataclass
class Summary:
    """Counts of a data set, by split and folder.

    Args:
        dataset: its name.
        size: height and width of its files.
        folders: of every split.
    """

    dataset: str
    size: tuple[int, int]
    folders: tuple[Folder, ...]
    frames: dict[Split, int] = field(default_factory=dict)
    counts: dict[tuple[Split, str], Counts] = field(default_factory=dict)

    def add(self, split: Split, counts: Mapping[str, Counts]) -> None:
        """One frame more."""
        self.frames[split] = self.frames.get(split, 0) + 1
        for name, found in counts.items():
            before = self.counts.get((split, name))
            self.counts[split, name] = found if before is None else before + found

    def values(self) -> dict[str, Any]:
        """As summary.json holds them: shares in percent; those of classes among the pixels with a label."""
        splits = {split: {"frames": number, **self._split(split)} for split, number in self.frames.items()}
        return {"dataset": self.dataset, "size": list(self.size), "splits": splits}

    def _split(self, split: Split) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for folder in self.folders:
            if isinstance(folder.kind, Rgb):
                continue
            counts = self.counts[split, folder.name]
            values: dict[str, Any] = {"without_label": _percent(counts.none, counts.pixels)}
            if folder.classes:
                known = counts.pixels - counts.none
                shares = (_percent(int(number), known) for number in counts.classes)
                values["classes"] = dict(zip(folder.classes, shares, strict=True))
            if counts.ends is not None:
                values |= {"range": [float(f"{x:.6g}") for x in counts.ends], "unit": folder.unit}
            found[folder.name] = values
        return found

    def show(self, console: Console) -> None:
        """For people: all but the classes of a second folder of them."""
        splits = self.values()["splits"]
        shown = Table(title=f"{self.dataset}, {self.size[0]}x{self.size[1]}", title_justify="left")
        shown.add_column("")
        for split in splits:
            shown.add_column(split, justify="right")
        shown.add_row("images", *(str(values["frames"]) for values in splits.values()))
        for folder in self.folders:
            found = [values[folder.name] for values in splits.values() if folder.name in values]
            if found:
                shown.add_row(f"{folder.name}: none, %", *(f"{values['without_label']:.2f}" for values in found))
            if folder.unit:
                ranges = (values.get("range") for values in found)
                shown.add_row(
                    f"{folder.name}: {folder.unit}", *(f"{r[0]:.4g} to {r[1]:.4g}" if r else "none" for r in ranges)
                )
        first = next((folder for folder in self.folders if folder.classes), None)
        if first is not None:
            shown.add_section()
            for name in first.classes:
                shares = (values[first.name]["classes"][name] for values in splits.values())
                shown.add_row(f"{first.name}: {name}, %", *(f"{share:.2f}" for share in shares))
        console.print(shown)


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 3) if whole else 0.0
