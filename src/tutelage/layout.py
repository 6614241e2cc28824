"""The folder of a study: what its runs are called and where they are.

`single/TASK/seedN` holds a single-task network, `teacher/NAME/seedN` a teacher with a run of its own, and
`METHOD/seedN` a multi-task network.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tutelage.errors import UserError, near_path

SINGLE: Final = (
    "single"  # single-task networks of the student's architecture: the baseline of Delta, and by default the teachers
)
TEACHER: Final = "teacher"  # teachers with runs of their own: of another architecture, or of several tasks
TAUGHT_BY: Final = "student"  # the kind of a teacher that is the student of another method
TEACHERS: Final = "teachers"  # stands for those of the study, beside students that teach
PREDICTOR: Final = "predictor.safetensors"  # what `tutelage.deploy.save` writes into a folder
STUDENT: Final = "student.safetensors"  # what a run writes
DATA: Final = "data.json"  # what was seen of a study's data before training; `tutelage.types.look.Look` has the format
COST: Final = "cost.json"  # of a run: what its network costs where it is used
EXTREMES: Final = "extremes.json"  # of a study: the test images on which one of its methods does best and worst
_SHOWN = 6  # of the choices in a message
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


def extreme_file(indices: Sequence[int]) -> str:
    """The file of a run with its predictions for these test images, one of every source.

    >>> extreme_file([12]), extreme_file([12, 3])
    ('test-12.safetensors', 'test-12-3.safetensors')
    """
    return f"test-{'-'.join(map(str, indices))}.safetensors"


def is_study(folder: Path) -> bool:
    """Whether a folder is that of a study, which may lie beside the data."""
    return all((folder / file).is_file() for file in ("study.yaml", DATA))


def holds_studies(folder: Path) -> bool:
    """Whether the folders of studies lie in this one, as in `runs`."""
    return any(is_study(file.parent) for file in folder.glob("*/study.yaml"))


def run_folders(study: Path, file: str) -> list[Path]:
    """The folders of a study's runs that have this file."""
    return sorted(path.parent for pattern in ("*/seed*", "*/*/seed*") for path in study.glob(f"{pattern}/{file}"))


def is_on_hub(path: Path) -> bool:
    """Whether a path that does not exist, nor its first part, can be USER/NAME on the Hugging Face hub.

    >>> is_on_hub(Path("someone/rooms-kd4mtl")), is_on_hub(Path("photo.jpg")), is_on_hub(Path("a/b.safetensors"))
    (True, False, False)
    """
    first, *rest = path.parts or ("",)
    is_name = len(rest) == 1 and all(re.fullmatch(r"\w[\w.-]*", part) for part in path.parts)
    return is_name and path.suffix != ".safetensors" and not Path(first).exists()


def find_model(path: Path) -> Path:
    """What `find_network` finds; a name on the hub as it is."""
    return path if is_on_hub(path) else find_network(path)


def find_network(path: Path) -> Path:
    """The file of a network: `path` itself, or the one in the folder `path`.

    In the folder of a study, or of a method, it is the only student: a network of a run that is neither a single-task
    network nor a teacher, or, where there is none, the only network of all.

    Raises:
        UserError: There is no such file or folder, or the folder holds none, or several.
    """
    if not path.exists():
        raise UserError(
            f"{path}: expected a network saved by tutelage, found No such file{near_path(path)}; give another file"
        )
    if not path.is_dir():
        return path
    files = [path / name for name in (PREDICTOR, STUDENT) if (path / name).is_file()]
    if len(files) > 1:
        raise UserError(f"{path}: expected {PREDICTOR} or {STUDENT} in it, found both; name one of the files")
    files = files or _students(path)
    if len(files) == 1:
        return files[0]
    if files:
        choices = ", ".join(str(file.parent) for file in files[:_SHOWN])
        more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
        raise UserError(f"{path}: expected one trained network in it, found {len(files)}; give one: {choices}{more}")
    expected = f"{path}: expected {PREDICTOR} or {STUDENT} in it"
    for file, unfinished in (("config.yaml", "a run that is not finished"), ("study.yaml", "no finished run of it")):
        if (path / file).is_file():
            raise UserError(f"{expected}, found {unfinished}; finish it with `tutelage run`")
    raise UserError(f"{expected}, found none; give another folder")


def _students(folder: Path) -> list[Path]:
    """The networks of a study or of a method; where there are students, these alone."""
    files = sorted(file for levels in ("*", "*/*", "*/*/*") for file in folder.glob(f"{levels}/{STUDENT}"))
    others = [file for file in files if not {SINGLE, TEACHER} & {*file.relative_to(folder).parts}]
    return others or files
