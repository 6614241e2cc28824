"""What a step frees is there for the next one, and is given back at the end."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc"),
    reason="glibc alone gives memory back that it could keep",
)
# Pages that the system fills with zeros, by step, and MiB of the process more than before the block.
SCRIPT = """
import json, resource, sys, torch
from tutelage.train import freed_memory_kept
def step():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    kept = [torch.ones(12_000_000) for _ in range(3)]
    del kept
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() // 2**20
faults = {"before": [step(), step()]}
start = resident()
with freed_memory_kept(torch.device(sys.argv[1])):
    faults["in it"] = [step() for _ in range(6)]
    faults["held"] = resident() - start
faults["after"] = resident() - start
print(json.dumps(faults))
"""


def run(device: str, **environ: str) -> dict[str, list[int]]:
    kept = {name: value for name, value in os.environ.items() if "malloc" not in f"{name}={value}".lower()}
    command = [sys.executable, "-c", SCRIPT, device]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**kept, **environ})
    found: dict[str, list[int]] = json.loads(done.stdout)
    return found


def test_a_step_asks_for_no_memory_that_the_last_one_freed() -> None:
    found = run("cpu")
    assert min(found["before"]) > 50  # as without it: 36,000 pages in every step, or 72 large ones
    assert max(found["in it"][3:]) < 0.01 * min(found["before"])  # by then the heap has room for all three
    assert found["held"] > 100
    assert found["after"] < 10


@pytest.mark.parametrize(
    ("device", "environ"),
    [
        ("cuda", {}),
        ("cpu", {"MALLOC_ARENA_MAX": "2"}),
        ("cpu", {"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=131072"}),
    ],
    ids=["a GPU computes", "the user chose", "by tunables"],
)
def test_nothing_changes(device: str, environ: dict[str, str]) -> None:
    found = run(device, **environ)
    assert min(found["in it"]) > 0.9 * min(found["before"])
    assert found["held"] < 10
