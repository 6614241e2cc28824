"""What comes with tutelage, studies, overlays and methods, and how the YAML of a study is read."""

from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from tutelage.errors import UserError, did_you_mean, near_path, one_line
from tutelage.layout import SINGLE
from tutelage.reading import TEXT, check_regular, read_limited
from tutelage.values.plain import merge, parse
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
    return about | {name: read_method(name)["about"] for name in method_names() if name != SINGLE}


@cache
def method_names() -> tuple[str, ...]:
    """The names in `methods`, without reading the files."""
    return (SINGLE, *sorted(file.name.removesuffix(".yaml") for file in (_PRESETS / "methods").iterdir()))


def _headlines(folder: Any, headline: Any) -> dict[str, str]:
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".yaml")), key=lambda file: file.name)
    return {file.name.removesuffix(".yaml"): headline(file.read_text()) for file in files}


def read_values(source: str | Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The plain values of a preset study or a YAML file, laid over those of the study that it names as `base`.

    Args:
        source: the name of a preset, or a YAML file.
        above: the files of the studies that have it as their base.

    Raises:
        UserError: there is none of that name, it does not hold keys and values, or it is the base of itself.
    """
    values = _read(source)
    base = values.pop("base", None)
    if base is None:
        return values
    if not isinstance(base, str):
        raise UserError(f"{source}: base: expected the name of a preset or a YAML file, found {base!r}; correct it")
    path, above = Path(source).parent / Path(base).expanduser(), (*above, Path(source).resolve())
    if path.resolve() in above:
        raise UserError(f"{source}: base: expected another study, found `{base}`, whose base is this one; change it")
    try:
        below = read_values(path if _is_file(path) else base, above)
    except UserError as error:
        raise UserError(f"{source}: base: {error}") from error
    merged: dict[str, Any] = merge(below, values)
    return merged


def _read(source: str | Path) -> dict[str, Any]:
    path = Path(source)
    preset = _PRESETS / f"{source}.yaml"
    if _is_file(path):
        check_regular(path)
        if not path.is_file():
            near = near_path(path) or did_you_mean(path.stem, presets()) or "; see `tutelage presets`"
            raise UserError(f"{source}: expected a YAML file of a study, found none{near}")
        try:
            text = read_limited(path, TEXT).decode("utf-8-sig")
        except UnicodeDecodeError as error:
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


def _is_file(path: Path) -> bool:
    """Whether a source is a file, or would be one, and no preset."""
    return path.suffix in (".yaml", ".yml") or path.is_file()


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
