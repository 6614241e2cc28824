"""Folders of runs at a URL: whole files only, the checkpoint after what belongs to it."""

from pathlib import Path

import pytest

from tutelage.errors import UserError
from tutelage.study.launch.mirror import HEAVY, Mirror, Mirrored
from tutelage.study.observers import Sender

RUN = "single/depth/seed0"


def write(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        path = folder / RUN / name.replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def read(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (folder / RUN).rglob("*")}


@pytest.fixture(params=["memory", "file"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"memory://{tmp_path.name}" if request.param == "memory" else f"file://{tmp_path}/store"


def test_a_folder_that_is_pushed_is_pulled_elsewhere(url: str, tmp_path: Path) -> None:
    here = write(tmp_path / "here", log__jsonl="1\n", checkpoint__pt="step 1", student__safetensors="weights")
    write(here, **{".lock": "", ".log.jsonl.part-12": "half"})
    Mirror(url).push(RUN, here)
    assert not Mirror(url).has_result(RUN)
    Mirror(url).pull(RUN, tmp_path / "there")
    assert read(tmp_path / "there") == {"log.jsonl": "1\n", "checkpoint.pt": "step 1", "student.safetensors": "weights"}
    write(here, result__json="{}")
    Mirror(url).push(RUN, here)
    assert Mirror(url).has_result(RUN)
    Mirror(url).pull(RUN, tmp_path / "teaches", but=HEAVY)
    assert "checkpoint.pt" not in read(tmp_path / "teaches")


def test_nothing_there_is_nothing_here(url: str, tmp_path: Path) -> None:
    Mirror(url).pull(RUN, tmp_path / "there")
    assert not (tmp_path / "there").exists()


def test_files_come_in_order_whole_and_only_when_they_are_new(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = write(tmp_path, log__jsonl="1\n", checkpoint__pt="1", result__json="{}", zebra="")
    mirror, moved = Mirror(url), list[str]()
    move = mirror.files.mv

    def watched(part: str, there: str) -> None:
        moved.append(Path(there).name)
        move(part, there)

    monkeypatch.setattr(mirror.files, "mv", watched)
    known = mirror.push(RUN, here)
    assert moved == ["log.jsonl", "zebra", "checkpoint.pt", "result.json"]
    write(here, log__jsonl="1\n2\n")
    mirror.push(RUN, here, known)
    assert moved[4:] == ["log.jsonl"]


def test_an_observed_run_is_copied_after_every_checkpoint(url: str, tmp_path: Path) -> None:
    here, said = write(tmp_path / "here", log__jsonl=""), []
    mirrored = Mirrored(Sender(lambda *message: said.append(message)), Mirror(url), RUN, here)
    mirrored.begin(0)
    mirrored.step(1, 9)
    Mirror(url).pull(RUN, tmp_path / "early")
    assert not (tmp_path / "early").exists()
    write(here, checkpoint__pt="step 1")
    mirrored.step(2, 9)
    Mirror(url).pull(RUN, tmp_path / "there")
    assert read(tmp_path / "there") == {"log.jsonl": "", "checkpoint.pt": "step 1"}
    assert said == [("begin", 0), ("step", 1, 9)]  # the second step came within a fifth of a second


def test_a_url_that_nobody_opens_is_one_line() -> None:
    with pytest.raises(UserError, match=r"^--store: expected a URL that fsspec opens, found nowhere://x: .*nowhere"):
        Mirror("nowhere://x")
