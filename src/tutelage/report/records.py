"""What the tables of a study rest on, without weights, logs and pictures: small enough to publish beside a paper."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tutelage.errors import UserError, one_line
from tutelage.files import DIGEST, write_json, write_record, write_text
from tutelage.layout import COST, run_folders
from tutelage.reading import RECORD, read_limited
from tutelage.values import dump_yaml, parse

_OF_STUDY: Final = ("study.yaml", "results.json")
_OF_RUN: Final = ("result.json", "spec.json", COST, "config.yaml", "environment.json")
_EXPECTED: Final = "expected a record of a study, found something else"
_REPEAT: Final = "run the study again, which does not repeat finished runs"
_ABSOLUTE = re.compile(r"(?<![\w./:~-])/(?:[^\s/'\",:;{}\[\]]+/)*([^\s/'\",:;{}\[\]]+)")


def write_records(folder: Path, out: Path) -> list[Path]:
    """Copy the records of a study's finished runs, of which `tutelage report OUT` makes the same tables.

    Of an absolute path only the last part is kept: `/data/nyuv2` becomes `nyuv2`.

    Args:
        folder: of the study.
        out: the folder of the copies, in the layout of a study; existing files are replaced.

    Returns:
        The files written.

    Raises:
        UserError: `out` is the study's folder, or a file of it is damaged.
    """
    if out.resolve() == folder.resolve():
        raise UserError(
            f"--records {out}: expected another folder than that of the study, found the same; give another"
        )
    written = []
    for file in _records(folder):
        copy = out / file.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        _write(copy, _read(file))
        written.append(copy)
    return written


def _records(folder: Path) -> Iterator[Path]:
    yield from (folder / name for name in _OF_STUDY)
    for run in run_folders(folder, "result.json"):
        yield from (run / name for name in _OF_RUN if (run / name).is_file())


def _read(file: Path) -> dict[str, Any]:
    try:
        values = parse(read_limited(file, RECORD).decode(), file.suffix)
    except FileNotFoundError:
        raise UserError(f"{file}: expected a record of a study, found no file; run the study first") from None
    except ValueError as error:  # bytes that are not UTF-8, too
        raise UserError(f"{file}: {_EXPECTED} ({one_line(error)}); {_REPEAT}") from None
    if not isinstance(values, dict):
        raise UserError(f"{file}: {_EXPECTED} ({type(values).__name__}); {_REPEAT}")
    return {key: _without_folders(value) for key, value in values.items()}


def _write(file: Path, values: dict[str, Any]) -> None:
    if file.suffix == ".yaml":
        write_text(file, dump_yaml(values))
    elif DIGEST in values:
        write_record(file, {key: value for key, value in values.items() if key != DIGEST})
    else:
        write_json(file, values)


def _without_folders(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_folders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_folders(item) for item in value]
    if not isinstance(value, str):
        return value
    path = Path(value)
    return path.name if path.is_absolute() else _ABSOLUTE.sub(r"\1", value)
