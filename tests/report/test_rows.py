import json
import math
from pathlib import Path

import pytest
from tests.report.folder import write

from tutelage.errors import UserError
from tutelage.report.rows import read_rows


@pytest.mark.parametrize("text", [None, "{", "[]", '{"rows": 3}', '{"study": "x"}', '{"study": "x", "rows": [3]}'])
def test_a_folder_without_results_is_one_line(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "results.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=r"results\.json: expected the results of a study, found") as error:
        read_rows(path)
    assert "\n" not in str(error.value)


def test_bytes_that_are_no_text_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"results\.json: expected the results of a study, found something else"):
        read_rows(tmp_path / "results.json")


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("seed", None, "row 3: .*NoneType"),
        ("delta", {"main": 1.0}, "row 3: no 'task_mean'"),
        ("delta", 3, "row 3: .*int"),
        ("metrics", {"depth": 3}, "row 3: .*int"),
        ("metrics", {"depth": {"abs_err": "low"}}, "row 3: .*str"),
        ("parameters", "many", "row 3: .*many"),
        ("seconds", [], "row 3: .*list"),
    ],
)
def test_a_damaged_row_is_named(tmp_path: Path, key: str, value: object, reason: str) -> None:
    path = write(tmp_path) / "results.json"
    results = json.loads(path.read_text())
    results["rows"][2][key] = value
    path.write_text(json.dumps(results))
    with pytest.raises(UserError, match=reason) as error:
        read_rows(path)
    assert "run the study again" in str(error.value)
    del results["rows"][2][key]
    path.write_text(json.dumps(results))
    with pytest.raises(UserError, match=f"row 3: no '{key}'"):
        read_rows(path)


@pytest.mark.parametrize("undefined", [None, math.nan, math.inf])
def test_an_undefined_value_is_none_however_it_is_written(tmp_path: Path, undefined: float | None) -> None:
    path = write(tmp_path) / "results.json"
    results = json.loads(path.read_text())
    results["rows"][0]["metrics"]["depth"]["abs_err"] = results["rows"][0]["delta"]["main"] = undefined
    path.write_text(json.dumps(results))
    _, [row, *_] = read_rows(path)
    assert row.metrics["depth"]["abs_err"] is None
    assert row.delta["main"] is None
    assert row.metrics["depth"]["rel_err"] == pytest.approx(0.3)


@pytest.mark.parametrize(("written", "split"), [(None, "val"), ("test", "test")])
def test_a_row_without_a_split_is_of_val(tmp_path: Path, written: str | None, split: str) -> None:
    path = write(tmp_path) / "results.json"
    results = json.loads(path.read_text())
    for row in results["rows"]:
        row.pop("split")
        row |= {"split": written} if written else {}
    path.write_text(json.dumps(results))
    _, rows = read_rows(path)
    assert {row.split for row in rows} == {split}
