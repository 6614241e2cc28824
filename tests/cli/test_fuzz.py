"""Mutated studies and data folders: whatever they are, the answer is a plan, or one line that names a key or a file."""

from pathlib import Path

import pytest
from tests.cli.answers import answering
from tests.cli.mutant_folders import mutant_folder
from tests.cli.mutants import mutant, studies


def answer_studies(folder: Path, numbers: range) -> None:
    valid, faults, statuses = studies(), [], list[int | None]()
    with answering(folder) as answers:
        for number in numbers:
            words, names = mutant(number, folder, valid)
            answer = answers.of(words)
            statuses.append(answer.status)
            if (fault := answer.fault(names)) is not None:
                faults.append(f"study {number}: {fault}")
    print(f"{len(statuses)} studies: {statuses.count(0)} are valid, {statuses.count(2)} answered in one line")
    assert statuses.count(0) > len(statuses) // 20  # the mutants are near what is valid
    assert not faults, "\n".join(faults)


def test_forty_mutated_studies(tmp_path: Path) -> None:
    answer_studies(tmp_path, range(40))


@pytest.mark.slow
def test_five_hundred_mutated_studies(tmp_path: Path) -> None:
    answer_studies(tmp_path, range(500))


def answer_folders(folder: Path, numbers: range) -> None:
    faults, statuses = [], list[int | None]()
    with answering(folder) as answers:
        for number in numbers:
            words, names = mutant_folder(number, folder)
            answer = answers.of(words)
            statuses.append(answer.status)
            if (fault := answer.fault(names)) is not None:
                faults.append(f"folder {number}, {' '.join(words)}: {fault}")
    print(f"{len(statuses)} folders: {statuses.count(0)} are valid, {statuses.count(2)} answered by what is wrong")
    assert statuses.count(0) > len(statuses) // 20
    assert not faults, "\n".join(faults)


def test_forty_mutated_folders(tmp_path: Path) -> None:
    answer_folders(tmp_path, range(40))


@pytest.mark.slow
def test_three_hundred_mutated_folders(tmp_path: Path) -> None:
    answer_folders(tmp_path, range(300))
