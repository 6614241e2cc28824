"""The folder of a study as far as its trained networks go, without training anything."""

from pathlib import Path

from tests.deploy.conftest import make

from tutelage.deploy import save


def write_study(folder: Path, *runs: str) -> Path:
    """Networks of runs, as `kd4mtl/seed0`."""
    for run in runs:
        save(make(), folder / run / "student.safetensors")
        (folder / run / "config.yaml").write_text("method: kd4mtl\n")
    (folder / "study.yaml").write_text("study: kitchen\n")
    return folder
