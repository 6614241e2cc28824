"""Files that lie beside those that are used."""

from collections.abc import Collection, Container, Iterable, Mapping
from pathlib import Path

from tutelage.data.files import SYSTEM_FILES
from tutelage.types.look import LeftOut

_EXAMPLES = 3


def unused_files(
    folders: Iterable[Path], used: Collection[Path], suffixes: Collection[str], excluded: Container[Path] = ()
) -> list[LeftOut]:
    """What lies in folders and is not used: files of other suffixes, files that nothing names, and sub-folders.

    Args:
        folders: Where the used files lie. Hidden files are never counted.
        used: The files that are used.
        suffixes: Those that are read, in small letters.
        excluded: Those that the study leaves out itself, of which nothing need be said.
    """
    names = set(used)
    above = {parent for path in names for parent in path.parents}
    found: dict[tuple[Path, str], list[str]] = {}
    for folder in dict.fromkeys(folders):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path in names or path in above or path.name.startswith(".") or path.name.lower() in SYSTEM_FILES:
                continue
            if path in excluded:
                continue
            if path.is_dir():
                reason = "sub-folders are not read"
            elif path.suffix.lower() not in suffixes:
                reason = f"{path.suffix.lower() or 'no suffix'} is not read"
            else:
                reason = "no image or label of the study"
            found.setdefault((folder, reason), []).append(path.name)
    return [left_out(folder, reason, names) for (folder, reason), names in found.items()]


def without_image(labels: Mapping[str, Path], images: Collection[str]) -> list[LeftOut]:
    """The labels of one folder, by stem, whose image is missing."""
    rest = [path for stem, path in labels.items() if stem not in images]
    return [left_out(rest[0].parent, "no image has this name", [path.name for path in rest])] if rest else []


def left_out(folder: Path, reason: str, names: list[str]) -> LeftOut:
    """Files of a folder that are left out for one reason."""
    return LeftOut(str(folder), reason, len(names), tuple(names[:_EXAMPLES]))
