"""Runs of earlier versions, whose fingerprints of data saw less, are kept."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from tutelage.data.fingerprint import _FORMER
from tutelage.errors import UserError
from tutelage.study.config import Builder
from tutelage.study.mixing import refuse_mixing

CONFIG = {"study": "a", "train": {"epochs": 1}}


def test_the_fingerprint_of_an_earlier_version_is_enough(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    (tmp_path / "environment.json").write_text(json.dumps({"data": "old"}))
    refuse_mixing(tmp_path, CONFIG, "new", former=lambda: "old")
    with pytest.raises(UserError, match=r"data = old; found new, since a file of the data has changed, or "):
        refuse_mixing(tmp_path, CONFIG, "new", former=lambda: "another")
    with pytest.raises(UserError, match=r"and train.epochs"):
        refuse_mixing(tmp_path, {**CONFIG, "train": {"epochs": 2}}, "new", former=lambda: "old")


def test_data_are_read_once_for_each_fingerprint() -> None:
    read: list[str] = []

    def fingerprint() -> str:
        read.append("old" if _FORMER.get() else "new")
        return read[-1]

    objects: Any = SimpleNamespace(data=SimpleNamespace(fingerprint=fingerprint))
    build = Builder()
    for _ in range(3):  # runs
        found = build.fingerprint(objects), build.former_fingerprint(objects)
        assert found == ("new", "old")
    assert read == ["new", "old"]
