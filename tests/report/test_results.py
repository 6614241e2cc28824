from pathlib import Path

import pytest
from tests.report.folder import TASKS, write

from tutelage.report.results import Results


@pytest.mark.parametrize("text", [None, "{", "[]", '{"rows": 3}', '{"study": "x"}', '{"study": "x", "rows": [3]}'])
def test_a_folder_without_results_is_one_line(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "results.json").write_text(text)
    with pytest.raises(ValueError, match=r"results\.json: expected the results of a study, found") as error:
        Results(tmp_path, TASKS)
    assert "\n" not in str(error.value)


def test_methods_and_seeds(tmp_path: Path) -> None:
    found = Results(write(tmp_path, seeds=(2, 0)), TASKS)
    assert found.methods == ["single", "uniform", "kd4mtl"]
    assert found.seeds == [0, 2]
    assert [row["seed"] for row in found.of("kd4mtl", "image")] == [2, 0]
    assert found.run("single", "depth") == tmp_path / "single/depth/seed0"
    assert found.run("kd4mtl", "depth") == tmp_path / "kd4mtl/seed0"
