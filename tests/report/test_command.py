from pathlib import Path

import pytest
import yaml
from tests.report.folder import TASKS, write

from tutelage.cli import main
from tutelage.files import write_shared

STUDY = {
    "study": "kitchen",
    "data": {"class_path": "tutelage.data.Rooms"},
    "tasks": {
        "segmentation": {"class_path": "tutelage.tasks.Segmentation", "init_args": {"classes": 4}},
        "depth": {"class_path": "tutelage.tasks.Depth"},
    },
    "net": {"class_path": "tutelage.nets.SegNet"},
}


def test_the_page_is_written_under_the_lock_of_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, another process that cleans the folder would remove the page's temporary file."""
    write(tmp_path)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY))
    calls: list[tuple[object, ...]] = []

    def write_report(*arguments: object) -> Path:
        calls.append(arguments)
        return tmp_path / "report.html"

    monkeypatch.setattr("tutelage.report.write_report", write_report)
    assert main(["report", str(tmp_path)]) == 0
    [(folder, tasks, writer)] = calls
    assert folder == tmp_path
    assert set(tasks) == set(TASKS)
    assert writer is write_shared
