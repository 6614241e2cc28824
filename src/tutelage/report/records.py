"""What the tables of a study rest on, without weights, logs and pictures: small enough to publish beside a paper."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tutelage.errors import UserError, one_line
from tutelage.files import DIGEST, write_json, write_record, write_text
from tutelage.layout import COST, DATA, STUDENT, run_folders
from tutelage.reading import RECORD, read_limited
from tutelage.report.public import command_without_folders, system_alone, without_folders
from tutelage.report.run_files import read_mapping
from tutelage.values import dump_yaml, parse

_OF_STUDY: Final = ("study.yaml", "results.json")
_OF_RUN: Final = ("result.json", "spec.json", COST, "config.yaml", "environment.json")
_EXPECTED: Final = "expected a record of a study, found something else"
_REPEAT: Final = "run the study again, which does not repeat finished runs"


def write_records(folder: Path, out: Path) -> list[Path]:
    """Copy the records of a study's finished runs, of which `tutelage report OUT` makes the same tables.

    Of an absolute path only the last part is kept: `/data/nyuv2` becomes `…/nyuv2`. What tables say of predictions that
    hardly vary is left out, since predictions are.

    Args:
        folder: of the study.
        out: the folder of the copies, in the layout of a study; existing files are replaced.

    Returns:
        The files written.

    Raises:
        UserError: `out` is or lies in the study's folder, or holds runs or the records of another
            study, or a file of the study is damaged.
    """
    _check(out, folder)
    written = []
    for file in _records(folder):
        copy = out / file.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        _write(copy, _read(file))
        written.append(copy)
    return written


def _check(out: Path, folder: Path) -> None:
    place = out.resolve()
    if any(x.exists() and x.samefile(folder) for x in (place, *place.parents)):
        raise UserError(f"--records {out}: expected a folder outside that of the study, found one in it; give another")
    if runs := [run for name in ("log.jsonl", STUDENT) for run in run_folders(out, name)]:
        raise UserError(f"--records {out}: expected a folder for records, found runs ({runs[0]}); give another")
    studies = [read_mapping(x / "results.json").get("study") for x in (out, folder)]
    if studies[0] not in (None, studies[1]):
        raise UserError(f"--records {out}: expected no records there, found those of {studies[0]}; give another folder")


def _records(folder: Path) -> Iterator[Path]:
    yield from (folder / name for name in _OF_STUDY)
    yield from (folder / name for name in (DATA,) if (folder / name).is_file())
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
    public = {key: without_folders(value) for key, value in values.items()}
    for key, shorten in (("command", command_without_folders), ("platform", system_alone)):
        if isinstance(values.get(key), str):
            public[key] = shorten(values[key])
    return public


def _write(file: Path, values: dict[str, Any]) -> None:
    if file.suffix == ".yaml":
        write_text(file, dump_yaml(values))
    elif DIGEST in values:
        write_record(file, {key: value for key, value in values.items() if key != DIGEST})
    else:
        write_json(file, values)
