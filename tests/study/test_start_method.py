"""Processes that are forked from one with everything imported: what they have of the one that starts them."""

import os
import signal
import sys
from multiprocessing import forkserver
from multiprocessing.connection import Connection

import pytest
import torch

from tutelage.study.start_method import process_context, start, take_environment, take_signals

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each process imports for itself")


def tell(connection: Connection, environ: dict[str, str]) -> None:
    """What a process finds when it begins, before and after it takes what it is given."""
    imported = "torchmetrics" in sys.modules  # which nothing here has imported
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    take_environment(environ)
    take_signals()
    after = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    connection.send((dict(os.environ), os.getcwd(), imported, before, after))


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
    environ, folder, imported, before, after = mine.recv()
    process.join()
    assert environ == dict(os.environ)
    assert "HOME" not in environ
    assert folder == str(tmp_path)
    assert imported
    assert before == {signal.SIGINT, signal.SIGTERM}
    assert after == set()


def look(connection: Connection) -> None:
    """What a process sees of the GPUs before it uses one, and the threads of the one that it was forked from."""
    threads = len(os.listdir(f"/proc/{os.getppid()}/task"))
    connection.send((torch.cuda.is_initialized(), torch.cuda._cached_device_count, threads))


@pytest.mark.parametrize("threads", ["4", None])
def test_the_variable_of_threads_is_that_of_before(threads: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if threads:
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
    monkeypatch.setattr(forkserver, "ensure_running", lambda: found.append(os.environ["OMP_NUM_THREADS"]))
    process_context()
    assert found == ["1"]
    assert os.environ.get("OMP_NUM_THREADS") == threads


def test_what_it_is_forked_from_has_looked_at_no_gpu_and_has_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which GPUs a process sees is said after the fork; neither a context of CUDA nor other threads survive one."""
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    monkeypatch.setattr(forkserver, "ensure_running", (own := forkserver.ForkServer()).ensure_running)
    monkeypatch.setattr(forkserver, "connect_to_new_process", own.connect_to_new_process)
    monkeypatch.setattr(forkserver, "set_forkserver_preload", own.set_forkserver_preload)
    context = process_context()
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=look, args=(theirs,))
    start(process)
    assert mine.recv() == (False, None, 1)
    process.join()
    own._stop()
