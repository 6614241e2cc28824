"""The folder of a study: what its runs are called and where they are.

`single/TASK/seedN` holds a single-task network, `teacher/NAME/seedN` a teacher with a run of its own, and
`METHOD/seedN` a multi-task network.
"""

from pathlib import Path
from typing import Final

from tutelage.errors import UserError

SINGLE: Final = (
    "single"  # single-task networks of the student's architecture: the baseline of Delta, and by default the teachers
)
TEACHER: Final = "teacher"  # teachers with runs of their own: of another architecture, or of several tasks
PREDICTOR: Final = "predictor.safetensors"  # what `tutelage.deploy.save` writes into a folder
STUDENT: Final = "student.safetensors"  # what a run writes
DATA: Final = "data.json"  # what was seen of a study's data before training; `tutelage.types.look.Look` has the format
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


def find_network(path: Path) -> Path:
    """The file of a network: `path` itself, or the only one in the folder `path`.

    Raises:
        UserError: there is no such file or folder, or the folder holds none or two.
    """
    if not path.exists():
        raise UserError(f"{path}: expected a network saved by tutelage, found No such file; give another file")
    if not path.is_dir():
        return path
    files = [path / name for name in (PREDICTOR, STUDENT) if (path / name).is_file()]
    if len(files) == 1:
        return files[0]
    expected = f"{path}: expected {PREDICTOR} or {STUDENT} in it"
    if files:
        raise UserError(f"{expected}, found both; name one of the files")
    for levels in ("*", "*/*", "*/*/*"):  # the folder of a study, or of a method
        for student in sorted(path.glob(f"{levels}/{STUDENT}"))[:1]:
            raise UserError(f"{expected}, found none; give the folder of one run, such as {student.parent}")
    if (path / "config.yaml").is_file():
        raise UserError(f"{expected}, found a run that is not finished; finish it with `tutelage run`")
    raise UserError(f"{expected}, found none; give another folder")
