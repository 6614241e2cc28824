"""Killed at any place of any file, a study goes on from its last checkpoint and ends with the same bits."""

import random
import shutil
from pathlib import Path

import pytest
from tests.study.killed import STEPS, Killed, Place
from tests.study.test_interrupted import assert_equal

CASES = {"a balancer on gradients": ("pcgrad", 1), "bam": ("bam", 1), "two processes": ("pcgrad", 2)}


def whole(folder: Path, case: str) -> tuple[Killed, list[Place]]:
    """A study that nobody disturbs, and the places that it passes."""
    study = Killed(folder / "whole", *CASES[case])
    assert not study.run()
    assert study.saved() == dict.fromkeys(study.saved(), STEPS)
    return study, study.places()


def kill(study: Killed, whole: Killed, places: list[Place]) -> list[str]:
    """Kill a study at one place after the other, and let it end; the places where it was killed."""
    killed, saved = [], dict.fromkeys(study.saved(), 0)

    def trains_the_rest() -> None:
        """No step that a checkpoint has is trained again, and none is left out."""
        for run, steps in study.trained().items():
            assert steps == list(range(saved[run] + 1, saved[run] + len(steps) + 1)), (run, killed)

    for n, (place, times) in enumerate(places):
        was_killed = study.run((place, times), watching=bool(n % 2))
        trains_the_rest()
        if not was_killed:
            break
        now = study.saved()
        assert all(now[run] >= saved[run] for run in now), (now, saved, killed)
        last = {run: steps[-1] for run, steps in study.trained().items()}
        assert all(now[run] >= step - 2 for run, step in last.items()), "a checkpoint was lost"
        saved = now
        killed.append(f"{place}, {times}")
    if killed:
        assert not study.run()
        trains_the_rest()
        trained = study.trained()
        assert {run: saved[run] + len(trained.get(run, [])) for run in saved} == dict.fromkeys(saved, STEPS)
    for file in study.out.glob("**/tutelage-traceback-*"):  # of the process that watched the one that was killed
        file.unlink()
    assert_equal(study, whole)
    assert not list(study.out.glob("**/.*.part-*"))
    shutil.rmtree(study.folder)
    return killed


def chain(places: list[Place], indices: list[int]) -> list[Place]:
    """Some of the places, for processes of which each begins where the last was killed and counts from there."""
    found, begin = list[Place](), 0
    for i in sorted(indices):
        name = places[i][0]
        found.append((name, sum(name == other for other, _ in places[begin : i + 1])))
        begin = i
    return found


@pytest.mark.parametrize(("case", "fractions"), [("bam", (0.15, 0.3, 0.55, 0.9)), ("two processes", (0.5,))])
def test_killed_at_some_places(case: str, fractions: tuple[float, ...], tmp_path: Path) -> None:
    undisturbed, places = whole(tmp_path, case)
    killed = kill(
        Killed(tmp_path / "killed", *CASES[case]), undisturbed, chain(places, [int(x * len(places)) for x in fractions])
    )
    assert len(killed) == len(fractions), killed


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_killed_at_every_kind_of_place(case: str, tmp_path: Path) -> None:
    """67 kills each; at every flush, renaming, removal and line of the log of a file at least once."""
    (undisturbed, places), dice = whole(tmp_path, case), random.Random(case)
    mixed = dice.sample(range(len(places)), len(places))
    first = {places[i][0]: i for i in mixed}
    order = [*first.values(), *(i for i in mixed if i not in first.values())]
    killed: list[str] = []
    while True:
        missing = [i for name, i in first.items() if not any(x.startswith(f"{name}, ") for x in killed)]
        indices, order = order[:4] if len(killed) < 67 else missing[:1], order[4:]
        if not indices:
            break
        more = kill(Killed(tmp_path / f"killed{len(killed)}", *CASES[case]), undisturbed, chain(places, indices))
        assert more, "it was killed nowhere"
        killed += more
    print(f"{case}: {len(killed)} kills at {len(first)} kinds of places, of {len(places)} places")
    assert len(killed) >= 67
    assert {x.rpartition(", ")[0] for x in killed} == {*first}
