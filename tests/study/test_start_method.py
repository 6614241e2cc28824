"""Processes that are forked from one with everything imported: what they have of the one that starts them."""

import os
import signal
import subprocess
import sys
from multiprocessing.connection import Connection

import pytest

from tutelage.study import start_method
from tutelage.study.start_method import process_context, start, take_environment, take_signals


def tell(connection: Connection, environ: dict[str, str]) -> None:
    """What a process finds when it begins, before and after it takes what it is given."""
    torch_is_there = "torch" in sys.modules
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    take_environment(environ)
    take_signals()
    after = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    connection.send((dict(os.environ), os.getcwd(), torch_is_there, before, after))


@pytest.mark.parametrize("number", [1, 2])
def test_it_has_the_environment_of_now_and_no_signal_before_it_takes_them(
    number: int, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    context = process_context()
    monkeypatch.setenv("TUTELAGE_NEW", str(number))  # the other processes were started before
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.chdir(str(tmp_path))
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=tell, args=(theirs, dict(os.environ)))
    start(process)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()
    environ, folder, torch_is_there, before, after = mine.recv()
    process.join()
    assert environ == dict(os.environ)
    assert "HOME" not in environ
    assert folder == str(tmp_path)
    assert torch_is_there
    assert before == {signal.SIGINT, signal.SIGTERM}
    assert after == set()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each process imports for itself")
def test_what_is_imported_before_has_looked_at_no_gpu() -> None:
    """Which GPUs a process sees is said after the fork, and a context of CUDA does not survive one."""
    script = (
        f"import importlib, sys, threading\nfor name in {start_method._PRELOADED!r}: importlib.import_module(name)\n"
        "import torch\nprint(torch.cuda.is_initialized(), torch.cuda._cached_device_count, threading.active_count())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "None", "1"]
