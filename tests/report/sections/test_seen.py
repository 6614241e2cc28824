import json
from pathlib import Path

import pytest
from tests.report.folder import write
from tests.report.page import page

from tutelage.types.look import Look

NAME = "<img src=x onerror=alert(1)>"
RECORD = {
    "version": 1,
    "warnings": [{"where": f"data/{NAME}", "text": "expected metres, found 8-bit pictures; set `scale`"}],
    "left_out": [{"folder": "data/train", "reason": "suffix .heic is not read", "count": 6, "examples": ["a.heic"]}],
    "wrong": [],
    "labels": [
        {"source": "", "split": "train", "label": "depth", "kind": "DepthLabel", "reading": "value x 0.001 = metres",
         "unit": "m", "samples": 200, "files": 198, "looked_at": 200, "stored": {"PNG, 16-bit grey": 198},
         "measures": {"count": 198, "empty": 0, "unlabelled": 0.04, "low": 0.4, "middle": 2.125, "high": 9.75,
                      "classes": {}}},
    ],
}  # fmt: skip


def test_what_the_check_warned_of_is_repeated(tmp_path: Path) -> None:
    (write(tmp_path) / "data.json").write_text(json.dumps(RECORD))
    shown = page(tmp_path)
    text = " ".join(shown.text.split())
    assert "1 thing in the data may be wrong, and so may be every number below: see Data" in text
    assert f"data/{NAME}: expected metres, found 8-bit pictures; set `scale`" in text
    assert "data/train: 6 left out (a.heic, ...): suffix .heic is not read" in text
    assert "depthtrain198 of 200PNG, 16-bit greyvalue x 0.001 = metres0.4 .. 2.12 .. 9.75 m4 %" in text
    assert "<img src=x" not in (tmp_path / "report.html").read_text()


def test_nothing_doubtful_is_said_too(tmp_path: Path) -> None:
    (write(tmp_path) / "data.json").write_text(json.dumps(Look().record()))
    text = page(tmp_path).text
    assert "found nothing doubtful" in text
    assert "may be wrong" not in text


@pytest.mark.parametrize(
    "record",
    [
        *(None, "{", "[]", '{"version": 2}', '{"version": 1, "warnings": 3, "left_out": [1], "labels": [{}, "x"]}'),
        json.dumps(RECORD).replace("0.4", '"x"'),
        json.dumps(RECORD).replace("198", "Infinity"),
        json.dumps(RECORD).replace('"classes": {}', '"classes": []'),
    ],
)
def test_any_other_file_hides_nothing(tmp_path: Path, record: str | None) -> None:
    write(tmp_path)
    if record is not None:
        (tmp_path / "data.json").write_text(record)
    assert "42.00" in page(tmp_path).text
