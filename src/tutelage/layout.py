"""The folder of a study: what its runs are called and where they are.

`single/TASK/seedN` holds a single-task network, `teacher/NAME/seedN` a teacher with a run of its own, and
`METHOD/seedN` a multi-task network.
"""

from pathlib import Path
from typing import Final

SINGLE: Final = (
    "single"  # single-task networks of the student's architecture: the baseline of Delta, and by default the teachers
)
TEACHER: Final = "teacher"  # teachers with runs of their own: of another architecture, or of several tasks
FEATURES: Final = "features"  # a teacher that is used as it is built: no run trains it, and it predicts nothing


def run_id(method: str, seed: int, name: str | None = None) -> str:
    """The folder of a run under that of its study; `name`: of a task, for `single`, or of a teacher.

    >>> run_id("kd4mtl", 0), run_id("single", 1, "depth")
    ('kd4mtl/seed0', 'single/depth/seed1')
    """
    return "/".join((method, *([] if name is None else [name]), f"seed{seed}"))


def parse_run_id(run: str) -> tuple[str, str | None]:
    """Method and name of a run.

    >>> parse_run_id("kd4mtl/seed0"), parse_run_id("single/depth/seed1")
    (('kd4mtl', None), ('single', 'depth'))
    """
    method, *name = run.split("/")[:-1]
    return method, name[0] if name else None


def run_folders(study: Path, file: str) -> list[Path]:
    """The folders of a study's runs that have this file."""
    return sorted(path.parent for pattern in ("*/seed*", "*/*/seed*") for path in study.glob(f"{pattern}/{file}"))
