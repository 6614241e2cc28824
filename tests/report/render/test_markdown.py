from pathlib import Path

import pytest
from tests.report.folder import TASKS, write

from tutelage.report import markdown


def test_markdown_has_both_protocols_all_deltas_and_every_seed(tmp_path: Path) -> None:
    text = markdown(write(tmp_path, seeds=(0, 1, 2)), TASKS)
    for expected in ("*dataset* protocol", "*image* protocol", "Delta main % ↑", "Delta task_mean % ↑",
                     "Delta all_metrics % ↓", "| `kd4mtl` | paper | 3 | **+4.16 ± ", "**42.25 ± 0.62**", "seed 2",
                     "minus `uniform`", "rel_err"):  # fmt: skip
        assert expected in text, expected
    tables = [block for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 6
    for lines in map(str.splitlines, tables):
        assert len({line.count("|") for line in lines}) == 1


def test_some_of_the_seeds(tmp_path: Path) -> None:
    write(tmp_path, seeds=(0, 1, 2))
    assert markdown(tmp_path, TASKS, seeds=[0, 2]).startswith("Split `val`, seeds 0, 2; mean ±")
    with pytest.raises(ValueError, match=r"--seeds: expected seeds with results in .*, found none of \[7\]"):
        markdown(tmp_path, TASKS, seeds=[7])
