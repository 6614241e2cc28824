from pathlib import Path

from tests.report.folder import write
from tests.report.page import page


def test_paired_differences_are_in_both_protocols_and_all_conventions(tmp_path: Path) -> None:
    shown = page(write(tmp_path, methods=("uniform", "kd4mtl", "probe"), seeds=(0, 1, 2)))
    assert "Paired differences" in shown.text
    text = " ".join(shown.text.split())
    for convention in ("main (% ↑)", "task_mean (% ↑)", "all_metrics (% ↓)"):
        for protocol in ("dataset", "image"):
            assert f"Delta {convention} of the row minus that of the column, {protocol} protocol" in text
    assert "minusprobe" not in shown.text  # a control is compared, and compared with nothing
    assert "Paired differences" not in page(write(tmp_path / "one", methods=["uniform"])).text
