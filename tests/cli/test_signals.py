"""SIGTERM outside of training: the command ends as with Ctrl-C, with one line and its own status."""

import os
import signal

import pytest

from tutelage.cli import main
from tutelage.cli import presets as verb


def test_sigterm_is_one_line_and_the_handler_is_restored(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    former = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(verb, "execute", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    assert main(["presets"]) == 143
    assert capsys.readouterr().err.strip() == "tutelage: stopped by SIGTERM"
    assert signal.getsignal(signal.SIGTERM) is former
