"""What comes with tutelage, studies, overlays and methods, and how the YAML of a study is read."""

from importlib import resources
from pathlib import Path
from typing import Any

from tutelage.errors import UserError, did_you_mean, near_path, one_line
from tutelage.layout import SINGLE
from tutelage.values.plain import parse
from tutelage.values.yaml_text import load_yaml

_PRESETS = resources.files("tutelage.values") / "presets"


def presets() -> dict[str, str]:
    """Name and one line of every preset study."""
    return _headlines(_PRESETS, lambda text: text.splitlines()[0].lstrip("# "))


def overlays() -> dict[str, str]:
    """Name and one line of every preset overlay, which `--with` lays over any study."""
    return _headlines(_PRESETS / "overlays", lambda text: text.splitlines()[0].lstrip("# "))


def methods() -> dict[str, str]:
    """Name and one line of every preset method."""
    about = {SINGLE: "The single-task networks: the teachers, and what Delta compares with"}
    return about | _headlines(_PRESETS / "methods", lambda text: load_yaml(text)["about"])


def _headlines(folder: Any, headline: Any) -> dict[str, str]:
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".yaml")), key=lambda file: file.name)
    return {file.name.removesuffix(".yaml"): headline(file.read_text()) for file in files}


def read_values(source: str | Path) -> dict[str, Any]:
    """The plain values of a preset study or a YAML file.

    Raises:
        UserError: there is none of that name, or it does not hold keys and values.
    """
    path = Path(source)
    preset = _PRESETS / f"{source}.yaml"
    if path.suffix in (".yaml", ".yml") or path.is_file():
        if not path.is_file():
            near = near_path(path) or did_you_mean(path.stem, presets()) or "; see `tutelage presets`"
            raise UserError(f"{source}: expected a YAML file of a study, found none{near}")
        try:
            text = path.read_text(encoding="utf-8-sig")
        except ValueError as error:
            raise UserError(
                f"{source}: expected the YAML file of a study, in UTF-8, found other bytes ({error}); give another "
                "file, or save it as UTF-8"
            ) from error
    elif preset.is_file():
        text = preset.read_text()
    else:
        names = presets()
        raise UserError(
            f"{source}: expected a YAML file or one of the presets {', '.join(names)}; found neither"
            f"{did_you_mean(source, names)}"
        )
    try:
        values = parse(text, ".yaml")
    except ValueError as error:
        raise UserError(f"{source}: expected YAML, found {one_line(error)}; correct the file") from error
    if not isinstance(values, dict):
        raise UserError(f"{source}: expected keys and values of a study, found {type(values).__name__}; correct it")
    return values


def read_overlay(source: str) -> dict[str, Any]:
    """The plain values of a preset overlay or a YAML file with some keys of a study.

    Raises:
        UserError: there is none of that name, or it does not hold keys and values.
    """
    preset = _PRESETS / "overlays" / f"{source}.yaml"
    if preset.is_file():
        values: dict[str, Any] = load_yaml(preset.read_text())
        return values
    if not Path(source).is_file():
        names = overlays()
        raise UserError(
            f"--with {source}: expected a YAML file or one of {', '.join(names)}; found neither"
            f"{did_you_mean(source, names)}"
        )
    return read_values(source)


def is_preset_overlay(source: str) -> bool:
    """Whether `read_overlay` takes a preset of that name."""
    return (_PRESETS / "overlays" / f"{source}.yaml").is_file()


def read_method(name: str) -> dict[str, Any]:
    """The plain values of a preset method."""
    values: dict[str, Any] = load_yaml((_PRESETS / "methods" / f"{name}.yaml").read_text())
    return values
