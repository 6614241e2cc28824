import json
from functools import partial
from pathlib import Path

import pytest

from tutelage.balance import Uniform
from tutelage.bench import balancing
from tutelage.bench.case import Case, make_tasks, random_batch
from tutelage.bench.networks import Network
from tutelage.cli import main
from tutelage.nets import SegNet


def test_every_method_is_measured_beside_the_plain_sum(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = ("DWA", "FAMO", "PCGrad", "MGDA-UB", "mtl_backward, 1 by 1")
    monkeypatch.setattr(balancing, "METHODS", {name: balancing.METHODS[name] for name in chosen})
    out = tmp_path / "bench.json"
    assert main(["bench", "--tasks", "3", "--rounds", "2", "--out", str(out)]) == 0  # without a PART, as ever
    written = json.loads(out.read_text())
    costs = {(cost["case"], cost["name"]): cost for cost in written["costs"] if cost["unit"] == "x"}
    assert {name for case, name in costs if case == "3 tasks"} == set(chosen)
    assert {name for case, name in costs if case == "3 tasks, distilled"} == set(chosen[:4])  # torchjd's knows none
    for cost in costs.values():
        assert 0 < cost["low"] <= cost["value"] <= cost["high"]
        assert cost["limit"] == balancing.LIMITS[cost["kind"]].get(3)
    memory = {cost["name"] for cost in written["costs"] if cost["unit"] == "MiB"}
    assert memory == {f"{name}, memory over plain" for name in chosen[1:]}
    assert written["rounds"] == 2
    shown = capsys.readouterr().out
    assert all(name in shown for name in chosen)


def test_the_memory_of_exact_gradients_is_a_row_a_task() -> None:
    build = partial(SegNet, filters=(16, 32, 128, 256, 256))  # more parameters than features
    network = Network("", build, (32, 32), 2)
    tasks = make_tasks(3)
    batch = random_batch(tasks, network)
    _, make = balancing.METHODS["PCGrad"]
    exact, plain = (Case(network, tasks, batch, balancer) for balancer in (make(), Uniform()))
    over = exact.peak() - plain.peak()
    assert 2 * exact.shared * 4 < over < 6 * exact.shared * 4  # three rows beside the one that both have
