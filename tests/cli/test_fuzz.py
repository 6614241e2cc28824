"""Mutated studies and data folders: whatever they are, the answer is a plan, or one line that names a key or a file."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from tests.cli.answers import answering
from tests.cli.mutant_folders import mutant_folder
from tests.cli.mutants import mutant, studies

Mutate = Callable[[int, Path], tuple[list[str], set[str]]]  # number, folder -> command, names that its line may have
MUTATE: dict[str, Callable[[], Mutate]] = {
    "studies": lambda: partial(mutant, valid=studies()),
    "folders": lambda: mutant_folder,
}


def answer(kind: str, folder: Path, count: int) -> None:
    """Run the command of every mutant, and look at its answer."""
    mutate, faults, statuses = MUTATE[kind](), [], list[int | None]()
    with answering(folder) as answers:
        for number in range(count):
            words, names = mutate(number, folder)
            found = answers.of(words)
            statuses.append(found.status)
            if (fault := found.fault(names)) is not None:
                faults.append(f"{kind} {number}, {' '.join(words)}: {fault}")
    print(f"{count} {kind}: {statuses.count(0)} are valid, {statuses.count(2)} answered by what is wrong")
    assert statuses.count(0) >= count // 20  # the mutants are near what is valid
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("kind", MUTATE)
def test_twenty(kind: str, tmp_path: Path) -> None:
    answer(kind, tmp_path, 20)


@pytest.mark.slow  # minutes
@pytest.mark.parametrize(("kind", "count"), [("studies", 500), ("folders", 300)])
def test_hundreds(kind: str, count: int, tmp_path: Path) -> None:
    answer(kind, tmp_path, count)
