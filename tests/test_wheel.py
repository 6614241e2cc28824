"""The wheel has what the source tree has, and every pinned version installs on every Python that is supported."""

import re
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.specifiers import SpecifierSet

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


def test_pinned_versions_install_on_the_oldest_python() -> None:
    # pymdown-extensions 13 needs Python 3.11.5 and stopped `make` on Debian's 3.11.2
    (oldest,) = re.findall(r'^requires-python = ">=([\d.]+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    needs = {}
    for name in pinned:
        try:
            needs[name] = metadata(name)["Requires-Python"]
        except PackageNotFoundError:  # of an extra that is not installed here
            continue
    assert len(needs) > 20
    assert {name: need for name, need in needs.items() if need and f"{oldest}.0" not in SpecifierSet(need)} == {}
