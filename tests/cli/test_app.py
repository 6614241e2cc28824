from pathlib import Path
from typing import Any

import pytest
from tests.deploy.study import write_study

from tutelage.cli import app, main


class Page:
    """What Gradio's page is to the command."""

    def __init__(self, fails: bool = False) -> None:
        self.fails, self.options, self.blocked = fails, {}, False

    def launch(self, **options: Any) -> tuple[None, str, None]:
        self.options = options
        if self.fails:
            raise OSError("Cannot find empty port in range: 80-80. You can specify a different port\nby ...")
        return None, "http://127.0.0.1:7860/", None

    def block_thread(self) -> None:
        self.blocked = True


def serve(monkeypatch: pytest.MonkeyPatch, page: Page, *words: object) -> int:
    monkeypatch.setattr(app, "find_spec", lambda name: object())
    monkeypatch.setattr("tutelage.deploy.app.build_app", lambda predictor, title: page)
    return main(["app", *map(str, words), "--device", "cpu"])


def test_it_serves_to_this_machine_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = Page()
    assert serve(monkeypatch, page, write_study(tmp_path, "kd4mtl/seed0")) == 0
    assert (page.options["server_name"], page.options["share"], page.blocked) == ("127.0.0.1", False, True)
    assert capsys.readouterr().out == "page      http://127.0.0.1:7860/  (Ctrl-C ends it)\n"


def test_it_warns_where_others_can_reach_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert serve(monkeypatch, Page(), write_study(tmp_path, "kd4mtl/seed0"), "--host", "0.0.0.0", "--port", "8000") == 0
    assert "warning   everybody who reaches 0.0.0.0 can use this page" in capsys.readouterr().out


def test_a_port_that_is_taken_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # this class is code of a user, whose traceback is kept
    page = Page(fails=True)
    assert serve(monkeypatch, page, write_study(tmp_path, "kd4mtl/seed0"), "--port", "80") == 2
    expected = "tutelage: --port: expected a free port, found 127.0.0.1:80, which cannot be had; give another"
    assert capsys.readouterr().err.startswith(expected)
    assert not page.blocked


def test_without_gradio_a_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(app, "find_spec", lambda name: None)
    assert main(["app", str(write_study(tmp_path, "kd4mtl/seed0"))]) == 2
    assert capsys.readouterr().err == "tutelage: app: expected Gradio, found none; pip install 'tutelage[app]'\n"
