from pathlib import Path

from tests.report.folder import write
from tests.report.page import page


def test_paired_differences_are_in_both_protocols_and_all_conventions(tmp_path: Path) -> None:
    shown = page(write(tmp_path, methods=("uniform", "kd4mtl", "probe"), seeds=(0, 1, 2)))
    assert "Paired differences" in shown.text
    assert sum(of.get("class") == "numbers plain" for _, of in shown.tags) == 6 + 1  # and health
    for convention in ("main", "task_mean", "all_metrics"):
        for protocol in ("dataset", "image"):
            first = (convention, protocol) == ("main", "dataset")
            assert first or f"Delta {convention}, {protocol} protocol" in shown.text
    assert "minusprobe" not in shown.text  # a control is compared, and compared with nothing
    assert "Paired differences" not in page(write(tmp_path / "one", methods=["uniform"])).text
