"""The order in which runs begin, and what is lost with one that failed."""

from pathlib import Path

from tests.study.conftest import overlaid, tiny

from tutelage.study import RunSpec, plan
from tutelage.study.launch.order import cost, dependents, last_end, longest_chain_first


def specs(tmp_path: Path, *flags: str) -> list[RunSpec]:
    return plan(tiny(tmp_path / "runs", *flags).values)


def makespan(order: list[RunSpec], workers: int) -> float:
    """When the last run ends, if whoever is free takes the first run of `order` that is ready."""
    ends: dict[str, float] = {}
    free, waiting, now = [0.0] * workers, list(order), 0.0
    while waiting:
        ready = [s for s in waiting if all(ends.get(need, float("inf")) <= now for need in s.needs)]
        if ready and min(free) <= now:
            waiting.remove(ready[0])
            ends[ready[0].id] = free[free.index(min(free))] = now + cost(ready[0])
        else:
            now = min(t for t in [*ends.values(), *free] if t > now)
    return max(ends.values())


def test_teachers_come_first_then_what_needs_them_then_the_rest(tmp_path: Path) -> None:
    order = [spec.label for spec in longest_chain_first(specs(tmp_path, "--methods", "uniform,kd4mtl"))]
    singles = [f"single {t}, seed 0" for t in ("segmentation", "depth", "normals")]
    assert order == [*singles, "kd4mtl, seed 0", "uniform, seed 0"]


def test_two_workers_end_earlier_than_in_the_order_of_the_plan(tmp_path: Path) -> None:
    runs = specs(tmp_path, "--methods", "uniform,kd4mtl", "--seeds", "0,1,2")
    ordered, total = makespan(longest_chain_first(runs), 2), sum(map(cost, runs))
    assert ordered < makespan(runs, 2)
    assert ordered <= 1.05 * total / 2  # nobody waits, but for the last run
    assert [last_end(runs, cost, jobs) for jobs in (1, 2)] == [total, ordered]


def test_a_longer_budget_begins_earlier(tmp_path: Path) -> None:
    text = "method: {longer: {budget: 4.0}, control: {budget: with_teachers}, shorter: {budget: 0.5}}"
    study = overlaid(tmp_path / "runs", text, "--methods", "shorter,uniform,longer,control")
    order = [spec.method for spec in longest_chain_first(plan(study.values)) if spec.method != "single"]
    assert order == ["control", "longer", "uniform", "shorter"]


def test_finished_needs_do_not_matter(tmp_path: Path) -> None:
    runs = [spec for spec in specs(tmp_path, "--methods", "uniform,kd4mtl") if spec.method != "single"]
    assert [spec.method for spec in longest_chain_first(runs)] == ["kd4mtl", "uniform"]


def test_only_what_needs_a_failed_run_is_lost(tmp_path: Path) -> None:
    runs = specs(tmp_path, "--methods", "uniform,kd4mtl", "--seeds", "0,1")
    assert [spec.id for spec in dependents("single/depth/seed1", runs)] == ["kd4mtl/seed1"]
    assert dependents("uniform/seed0", runs) == []


def test_teachers_that_are_trained_for_longer_cost_more(tmp_path: Path) -> None:
    text = "teacher_net: {depth: {class_path: tutelage.nets.SegNet, init_args: {width: 0.1}}}\nmethods: [kd4mtl]\n"
    plain, longer = (
        {spec.id: cost(spec) for spec in plan(overlaid(tmp_path / f"{n}", text + more).values)}
        for n, more in enumerate(["", "method: {single: {budget: 2.0}, teacher: {budget: 5.0}}"])
    )
    assert longer["teacher/depth/seed0"] == 5 * plain["teacher/depth/seed0"]
    assert longer["single/normals/seed0"] == 2 * plain["single/normals/seed0"]
    assert longer["kd4mtl/seed0"] == plain["kd4mtl/seed0"]
