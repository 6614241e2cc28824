"""A validated study: plain values, and the objects that are built of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tutelage.study.config.build import Builder
from tutelage.study.config.schema import StudyConfig


@dataclass
class Study:
    """A validated study.

    Attributes:
        values: the study as plain values, as YAML holds them, with every default filled in: the one truth.
        build: builds objects of plain values; shared by all runs of the study.
        notes: lines for the user about what was read: old names, for example.
    """

    values: Mapping[str, Any]
    build: Builder = field(default_factory=Builder)
    notes: list[str] = field(default_factory=list)

    @cached_property
    def objects(self) -> StudyConfig:
        """The objects of `values`."""
        return self.build(self.values)

    @property
    def name(self) -> str:
        """The name of the study."""
        return str(self.values["study"])

    @property
    def seeds(self) -> list[int]:
        """Every method is run once for each."""
        return list(self.values["seeds"])

    @property
    def methods(self) -> list[str]:
        """What is compared, in the order of the table."""
        return list(self.values["methods"])

    @property
    def folder(self) -> Path:
        """Where its runs and results are."""
        return study_folder(self.values)


def study_folder(values: Mapping[str, Any]) -> Path:
    """Where the runs and results of a study with these values are."""
    return Path(values.get("out") or f"runs/{values['study']}")
