import json
from pathlib import Path

import pytest
from tests.report.folder import TASKS, specify, write
from tests.report.page import page

from tutelage.report.results import Results
from tutelage.report.sections.origin import origin


def test_the_page_says_where_values_come_from_and_what_was_forced(tmp_path: Path) -> None:
    write(tmp_path, methods=("uniform", "probe"))
    for path in tmp_path.glob("**/environment.json"):
        forced = {"precision": "32-true", "deterministic": {"max_unpool2d": "scatter in its <place>"}, "threads": 1}
        path.write_text(json.dumps({**json.loads(path.read_text()), **forced}))
    text = page(tmp_path).text
    assert "probecontrol" in text
    assert "1 thread, 32-true, deterministic mode (max_unpool2d: scatter in its <place>)" in text


@pytest.mark.parametrize("missing", ["command", "versions", "python", "gpu", "threads", "data"])
def test_a_record_without_a_key_leaves_the_rest(tmp_path: Path, missing: str) -> None:
    for path in write(tmp_path).glob("**/environment.json"):
        path.write_text(json.dumps({key: x for key, x in json.loads(path.read_text()).items() if key != missing}))
    text = page(tmp_path).text
    for key, expected in {"command": "tutelage run kd4mtl <b>", "versions": "torch 2.15", "data": "f1ng3r"}.items():
        assert (expected in text) == (key != missing), key


@pytest.mark.parametrize(
    ("kinds", "single", "teacher"),
    [
        (("single", "single"), "one network per task: the teachers, and the baseline of Delta", ""),
        (("single", "teacher"), "the baseline of Delta, and some of the teachers", "an architecture of their own"),
        (("teacher", "features"), "with the architecture of the students: the baseline of Delta", "of their own"),
    ],
)
def test_what_teaches_is_said(tmp_path: Path, kinds: tuple[str, str], single: str, teacher: str) -> None:
    write(tmp_path, methods=("teacher", "kd4mtl"))
    teachers = {t: {"tasks": [t], "kind": kind, "run": None} for t, kind in zip(TASKS, kinds, strict=True)}
    specify(tmp_path, "kd4mtl", teachers)
    about = origin(Results(tmp_path, TASKS)).about
    assert about["single"].endswith(single)
    assert teacher in about["teacher"]
