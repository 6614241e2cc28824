"""Every part, on networks so small that only its arithmetic is tested."""

import json
import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch

from tutelage.bench import PARTS, Cost, Settings
from tutelage.bench.cached import read_from_cache
from tutelage.bench.case import Case, _silent, make_tasks, random_batch
from tutelage.bench.harness import in_turns
from tutelage.bench.jobs import _run
from tutelage.bench.networks import NETWORKS, Network
from tutelage.bench.plain_loop import PlainLoop
from tutelage.bench.shares import SHARES, Stopwatch
from tutelage.cli import main
from tutelage.cli.bench import PARTS as DESCRIBED
from tutelage.errors import UserError
from tutelage.train.operations import operations

NETWORK = "segnet-quarter"


def measured(part: str) -> dict[str, Cost]:
    costs = PARTS[part](Settings(rounds=1, networks=[NETWORK], note=lambda line: None))
    assert {cost.part for cost in costs} == {part}
    assert all(cost.value > 0 or cost.name == "rest" for cost in costs)
    return {f"{cost.case}: {cost.name}": cost for cost in costs}


def of_network(costs: dict[str, Cost]) -> dict[str, Cost]:
    head = f"{NETWORKS[NETWORK].label}: "
    return {name.removeprefix(head): cost for name, cost in costs.items() if name.startswith(head)}


def test_the_command_knows_every_part() -> None:
    assert list(DESCRIBED) == list(PARTS)


def test_distillation_is_compared_with_what_it_is_made_of() -> None:
    costs = of_network(measured("distillation"))
    ratio = costs["distilled, computed / (plain + 3 forward passes)"]
    assert ratio.limit == 1.15
    assert costs["distilled, cached / plain"].limit == 1.25
    assert ratio.value < costs["distilled, computed / plain"].value
    assert all(cost.floor is not None and cost.floor > 0 for cost in costs.values() if cost.unit == "ms")


def test_a_case_reads_its_teachers_from_the_cache(tmp_path: Path) -> None:
    network, tasks = NETWORKS[NETWORK], make_tasks()
    batch = random_batch(tasks, network)
    computed, cached = (Case(network, tasks, batch, distilled=True) for _ in range(2))
    read_from_cache(cached, tmp_path)
    for teacher in cached.teachers:
        teacher.forward = None  # is not called any more
    for case in (computed, cached):
        case.steps(2)
    for a, b in zip(computed.run.student.parameters(), cached.run.student.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_precision_has_every_layout_beside_a_loop_by_hand() -> None:
    costs = of_network(measured("precision"))
    for kind in ("fp32 contiguous", "fp32 channels_last", "bf16 channels_last"):
        assert costs[kind].unit == "ms"
        assert costs[f"ours / by hand, {kind}"].limit == 1.03
    assert costs["bf16 channels_last / fp32 contiguous"].limit == 0.60


def test_the_loop_by_hand_does_what_the_step_does() -> None:
    network, tasks = NETWORKS[NETWORK], make_tasks()
    batch = random_batch(tasks, network)
    ours, by_hand = Case(network, tasks, batch), PlainLoop(network, tasks, batch, "32-true", channels_last=True)
    assert operations(ours.steps) == operations(by_hand.steps)
    for a, b in zip(ours.run.student.parameters(), by_hand.net.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_data_are_read_and_trained_on() -> None:
    costs = measured("data")
    for source in ("from JPEG and PNG", "from shards"):
        assert costs[f"32x48, one process: three labels, {source}"].unit == "images/s"
    assert costs["32x48, one process: one label, from shards, as a GPU is given them"].limit == 10_000
    augmented = costs["32x48, one process: three labels, from shards, augmented"]
    assert (augmented.limit, augmented.least) == (400, True)
    assert of_network(costs)["epoch with data and log / steps alone, from JPEG and PNG"].limit == 1.10
    assert of_network(costs)["epoch with data and log / steps alone, from shards"].limit == 1.10


def test_evaluation_is_compared_with_its_forward_passes() -> None:
    assert of_network(measured("evaluation"))["evaluation / forward passes"].floor == 1.0


def test_a_distilled_step_takes_more_memory_than_a_plain_one() -> None:
    costs = of_network(measured("memory"))
    assert 1 < costs["distilled, cached / plain"].value < costs["distilled, computed / plain"].value
    assert all(cost.value > cost.floor for cost in costs.values() if cost.unit == "MiB")


def test_the_shares_of_a_step_add_up() -> None:
    costs = PARTS["shares"](Settings(rounds=1, networks=[NETWORK], note=lambda line: None))
    assert tuple(cost.name for cost in costs) == SHARES
    assert sum(cost.value for cost in costs) == pytest.approx(100)


def test_runs_side_by_side_are_compared_with_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    started, threads = cache(_run), dict[int, int]()  # one process for the runs of one thread: each imports everything
    ask = torch.get_num_threads

    @contextmanager
    def asked(network: Network, count: int) -> Iterator[ProcessPoolExecutor]:
        run = started(network, count)
        yield run
        if count not in threads:
            with run, monkeypatch.context() as patch:
                patch.setattr("torch.get_num_threads", ask)
                threads[count] = run.submit(ask).result()

    monkeypatch.setattr("tutelage.bench.jobs._run", asked)
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    costs = of_network(measured("jobs"))
    assert threads == {1: 1, 2: 2}  # a run has the threads that it is given
    ratio = costs.pop("2 runs side by side / one after the other")
    one, alone, together = costs.values()
    assert ratio.limit == 0.65
    assert ratio.value == pytest.approx(together.value / one.value)  # of one round
    assert ratio.floor == pytest.approx(alone.value / one.value / 2)


def test_at_most_four_runs_are_measured_and_the_limit_is_for_two(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, int]] = []

    class Run(ExitStack):
        """Notes what it is told."""

        def __init__(self, network: Network, threads: int) -> None:
            super().__init__()
            self.threads = threads

        def submit(self, function: Callable[[int], None], count: int) -> "Run":
            told.append(("begins", self.threads))
            return self

        def result(self) -> None:
            told.append(("ended", self.threads))

    monkeypatch.setattr("tutelage.bench.jobs._run", Run)
    monkeypatch.setattr("torch.get_num_threads", lambda: 64)
    costs = of_network(measured("jobs"))
    assert costs["4 runs side by side / one after the other"].limit is None
    side_by_side = [("begins", 1)] * 4 + [("ended", 1)] * 4  # all begin before any is waited for
    assert any(told[i : i + 8] == side_by_side for i in range(len(told)))


def test_one_thread_leaves_nothing_to_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)
    notes: list[str] = []
    assert PARTS["jobs"](Settings(networks=[NETWORK], note=notes.append)) == []
    assert "there is one" in notes[0]


def test_a_run_that_dies_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    monkeypatch.setattr("tutelage.bench.jobs._run", lambda *_: ProcessPoolExecutor(1, get_context("spawn")))
    monkeypatch.setattr("tutelage.bench.jobs._train", os._exit)
    with pytest.raises(UserError, match="bench jobs: expected processes to go on, found one ended"):
        measured("jobs")


def test_a_watched_call_counts_without_those_within_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nested:
        def outer(self) -> None:
            self.inner()

        def inner(self) -> None:
            pass

    ticks = iter([0.0, 1.0, 4.0, 9.0])  # outer begins, inner begins and ends, outer ends
    monkeypatch.setattr("tutelage.bench.shares.clock", lambda: next(ticks))
    nested, watch = Nested(), Stopwatch()
    watch.watch(nested, "outer", "outer")
    watch.watch(nested, "inner", "inner")
    nested.outer()
    assert watch.seconds == {"inner": 3.0, "outer": 6.0}


def test_an_action_that_repeats_itself_gives_the_seconds_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 5.0, 10.0, 30.0])  # two rounds
    monkeypatch.setattr("tutelage.bench.harness.clock", lambda: next(ticks))
    settings = Settings(rounds=2, note=lambda line: None)
    assert in_turns({"it": lambda: None}, settings, "it", repeats=10) == {"it": [0.5, 2.0]}


def test_startup_counts_the_seconds_of_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tutelage.bench.startup.VERBS", {"tutelage --help": ("--help",)})
    (cost,) = measured("startup").values()
    assert cost.value > cost.floor > 0


def test_parts_are_chosen_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bench.json"
    words = ["bench", "shares", "evaluation", "--rounds", "1", "--networks", NETWORK, "--markdown", "--out", str(out)]
    assert main(words) == 0
    written = json.loads(out.read_text())
    assert {cost["part"] for cost in written["costs"]} == {"shares", "evaluation"}
    assert {"vectors", "bf16", "threads", "versions", "rates"} <= written["machine"].keys()
    shown = capsys.readouterr().out
    assert "### shares" in shown
    assert "### evaluation" in shown


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--tasks", "9"], "--tasks: expected numbers from 2 to 5, found 9"),
        (["--rounds", "0"], "--rounds: expected 1 or more, found 0"),
        (["--accelerator", "cuda"], "--accelerator: expected a GPU for cuda, found none; use cpu or auto"),
        (["shares", "--networks", "vgg"], "--networks: expected names among segnet, segnet-quarter"),
        (["speed"], "expected one of balancing, distillation"),
    ],
)
def test_what_is_refused(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    try:
        status = main(["bench", *words])
    except SystemExit as error:  # of the parser
        status = error.code
    assert status == 2
    assert line in capsys.readouterr().err


def test_the_warning_of_torchs_profiler_is_silenced_and_no_other() -> None:
    with warnings.catch_warnings(record=True, action="always") as found, _silent():
        warnings.warn("Warning: Profiler clears events at the end of each cycle.", UserWarning, stacklevel=1)
        warnings.warn("another", UserWarning, stacklevel=1)
    assert [str(one.message) for one in found] == ["another"]
