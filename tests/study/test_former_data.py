"""Runs of earlier versions, whose fingerprints of data saw less, are kept."""

import json
from pathlib import Path

import pytest
import yaml

from tutelage.errors import UserError
from tutelage.study.mixing import refuse_mixing

CONFIG = {"study": "a", "train": {"epochs": 1}}


def test_the_fingerprint_of_an_earlier_version_is_enough(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    (tmp_path / "environment.json").write_text(json.dumps({"data": "old"}))
    refuse_mixing(tmp_path, CONFIG, "new", former=lambda: "old")
    with pytest.raises(UserError, match=r"data = old; found new"):
        refuse_mixing(tmp_path, CONFIG, "new", former=lambda: "another")
    with pytest.raises(UserError, match=r"and train.epochs"):
        refuse_mixing(tmp_path, {**CONFIG, "train": {"epochs": 2}}, "new", former=lambda: "old")
