"""What every test has."""

import atexit
import gc
import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator

import matplotlib
import pytest
import torch

if "PYTEST_XDIST_WORKER" in os.environ:  # several processes share the cores; threads of each would wait for the others'
    torch.set_num_threads(1)
# What a shell gives its background jobs, and these their children:
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.pop("TUTELAGE_CACHE", None)  # no test sees the user's cache
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp()  # of fixtures of the session
atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)
os.fsync = lambda handle: None  # a disk takes milliseconds for it, and nobody cuts its power (tests/test_files.py)
COUNT = itertools.count()
os.environ["TUTELAGE_JOBS"] = "1"  # in the process that the test looks into; tests of several say so


@pytest.fixture(autouse=True)
def cache_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache folder of the test's own: nothing is remembered from elsewhere."""
    monkeypatch.setenv("MPLCONFIGDIR", matplotlib.get_cachedir())  # its list of fonts takes seconds to make
    # A name that is counted: `mktemp` makes the folder, and reads the names of those of all tests before it.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / f"cache{next(COUNT)}"))


@pytest.fixture
def collected() -> Iterator[None]:
    """What a test leaves to Python is closed in that test, where its warnings belong."""
    yield
    gc.collect()
