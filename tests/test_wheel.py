"""What is installed from the wheel is what is in the source tree."""

from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]


def test_the_wheel_has_every_file_of_the_package(tmp_path: Path) -> None:
    wheel = pytest.importorskip("hatchling.builders.wheel", reason="needs hatchling, which the dev group installs")
    (file,) = wheel.WheelBuilder(str(ROOT)).build(directory=str(tmp_path))
    with ZipFile(file) as archive:
        names = set(archive.namelist())
        (metadata,) = (archive.read(name).decode() for name in names if name.endswith("/METADATA"))
    package = ROOT / "src/tutelage"
    files = {path.relative_to(ROOT / "src").as_posix() for path in package.rglob("*") if path.is_file()}
    files = {name for name in files if "__pycache__" not in name}
    assert {"tutelage/py.typed", "tutelage/values/presets/rooms.yaml"} <= files
    assert files <= names
    assert not [name for name in names - files if ".dist-info/" not in name]
    assert "Classifier: Typing :: Typed" in metadata
