"""What a step frees is there for the next one, and is given back at the end."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc"),
    reason="glibc alone gives memory back that it could keep",
)
# Of each block: pages that the system fills with zeros, by step, and MiB of the process more than before the block.
SCRIPT = """
import json, os, resource, torch
from tutelage.train import freed_memory_kept
def step():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    kept = [torch.ones(12_000_000) for _ in range(3)]
    del kept
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() // 2**20
def block(device="cpu", **environ):
    os.environ |= environ
    found = {"before": [step(), step()]}
    start = resident()
    with freed_memory_kept(torch.device(device)):
        found["in it"] = [step() for _ in range(6)]
        found["held"] = resident() - start
    found["after"] = resident() - start
    for name in environ:
        del os.environ[name]
    return found
found = {
    "a GPU computes": block("cuda"),
    "the user chose": block(MALLOC_ARENA_MAX="2"),
    "by tunables": block(GLIBC_TUNABLES="glibc.malloc.trim_threshold=131072"),
    "the CPU computes": block(),  # last: its choice stays
}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def blocks() -> dict[str, dict[str, Any]]:
    """What a process of its own finds in several blocks, one after the other."""
    kept = {name: value for name, value in os.environ.items() if "malloc" not in f"{name}={value}".lower()}
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, env=kept)
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


def test_a_step_asks_for_no_memory_that_the_last_one_freed(blocks: dict[str, dict[str, Any]]) -> None:
    found = blocks["the CPU computes"]
    assert min(found["before"]) > 50  # as without it: 36,000 pages in every step, or 72 large ones
    assert max(found["in it"][3:]) < 0.01 * min(found["before"])  # by then the heap has room for all three
    assert found["held"] > 100
    assert found["after"] < 10


@pytest.mark.parametrize("name", ["a GPU computes", "the user chose", "by tunables"])
def test_nothing_changes(name: str, blocks: dict[str, dict[str, Any]]) -> None:
    found = blocks[name]
    assert min(found["in it"]) > 0.9 * min(found["before"])
    assert found["held"] < 10
