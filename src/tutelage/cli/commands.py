"""What the command `tutelage` does."""

import argparse
import errno
import logging
import os
import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from tutelage.cli.arguments import parser
from tutelage.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tutelage.study import Study
    from tutelage.types import Task

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 0, 1 where something failed, 2 where the user has to change something."""
    top, verbs = parser()
    known, flags = top.parse_known_args(arguments)
    if flags and known.verb not in ("run", "tune"):
        top.error(f"unrecognized arguments: {' '.join(flags)}")
    # It tells the precision of every run, twice.
    logging.getLogger("lightning_fabric.utilities.rank_zero").setLevel(logging.WARNING)
    console = Console()
    try:
        if known.verb == "presets":
            return _presets(console)
        if known.verb == "report":
            return _report(console, known.folder, known.markdown, known.seeds)
        if known.verb == "bench":
            return _bench(console, known.out, known.tasks, known.rounds)
        if known.verb == "prepare":
            return _prepare(console, known)
        if known.verb == "predict":
            return _predict(console, known)
        if known.study is None:
            print(verbs[known.verb].format_help())
            return 0 if known.help else 2
        if known.help:
            return _help(known.study)
        if known.verb == "tune":
            return _tune(console, known.study, flags, known.methods, known.trials, known.part)
        return _run(console, known.study, flags, known.dry_run)
    except OSError as error:
        if isinstance(error, BrokenPipeError) and known.verb in ("presets", "report"):  # `head` has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        room = "; make room and give the same command again" if error.errno in _FULL else ""
        print(f"tutelage: {_message(error)}{room}", file=sys.stderr)
        return 2
    except ValueError as error:
        print(f"tutelage: {_message(error)}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        print(f"tutelage: {type(error).__name__}: {_message(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        last = {"prepare": "from the last frame", "predict": "with --overwrite"}.get(
            known.verb, "from the last checkpoint"
        )
        print(f"\ntutelage: stopped; the same command goes on {last}", file=sys.stderr)
        return 130


def _run(console: Console, source: str, flags: list[str], dry: bool) -> int:
    from tutelage.report import write_report
    from tutelage.study import ConsoleDisplay, check_data, load_study, run_study

    study = load_study(source, flags)
    study.config.data.check(study.config.tasks)
    check_data(study, console)
    if dry:
        return _plan(console, study)
    with ConsoleDisplay(console) as display:
        run_study(study, display)
    page = write_report(study.folder, study.config.tasks)
    _tables(console, study.folder, study.config.tasks)
    _say(console, f"page      {page}\nresults   {study.folder / 'results.json'}")
    again = shlex.join(["tutelage", "run", source, *flags, *([] if "--seeds" in flags else ["--seeds", "0,1,2"])])
    _say(console, f"next      open the page in a browser; more seeds: {again}; other studies: tutelage presets")
    return 0


def _tune(console: Console, source: str, flags: list[str], methods: str | None, trials: int, part: float) -> int:
    from tutelage.report import tuning_table
    from tutelage.study import ConsoleDisplay, Tuner, check_data, load_study

    flags = [*flags, *(["--methods", methods] if methods else [])]
    study = load_study(source, flags)
    tuner = Tuner(study, study.config.methods if methods else None, trials, part)
    tuner.study.config.data.check(study.config.tasks)
    check_data(tuner.study, console)
    with ConsoleDisplay(console) as display:
        rows = tuner.run(display)
    console.print(tuning_table(f"{study.config.study}: {trials} trials each, judged on {part:g} of train", rows))
    # A method's own flags would win over what was found.
    rest = _without(flags, "--out", "--study", "--method", "--method.", but="--method.teacher.")  # which is not tuned
    again = shlex.join(["tutelage", "run", source, *rest, "--with", str(tuner.file)])
    _say(console, f"values    {tuner.file}\nnext      {again}")
    return 0


def _without(flags: list[str], *names: str, but: str) -> list[str]:
    """The flags but for some, or those that begin so where a name ends in a dot, and their values; `but` begins what
    stays."""
    kept, words = [], iter(flags)
    for word in words:
        name, equals, _ = word.partition("=")
        if name.startswith(but) or (
            name not in names and not any(n.endswith(".") and name.startswith(n) for n in names)
        ):
            kept.append(word)
        elif not equals:
            next(words, None)
    return kept


def _plan(console: Console, study: "Study") -> int:
    from tutelage.study import estimate, plan_table

    with console.status("a few steps of every kind of run"):
        kinds = estimate(study)
    console.print(plan_table(study.config.study, study.config.seeds, kinds))
    console.print(
        f"The study is valid. Nothing was written; without --dry-run it goes to {study.folder}.", markup=False
    )
    return 0


def _presets(console: Console) -> int:
    from tutelage.study import methods, overlays, presets

    listed = {"studies": presets(), "methods": methods(), "overlays, for any study: --with NAME": overlays()}
    for title, lines in listed.items():
        shown = Table(title=title, title_justify="left", box=None, show_header=False, padding=(0, 2, 0, 0))
        shown.add_column(no_wrap=True, style="bold")
        shown.add_column()
        for name, line in lines.items():
            shown.add_row(name, line)
        console.print(shown)
    return 0


def _bench(console: Console, out: Path | None, counts: list[int], rounds: int) -> int:
    from tutelage.bench import bench, table, write

    if rounds < 1:
        raise UserError(f"--rounds: expected 1 or more, found {rounds}")
    with console.status("") as status:
        costs = bench(counts, rounds, note=status.update)
    console.print(table(costs))
    if out is not None:
        write(out, costs, rounds)
        _say(console, f"figures   {out}")
    return 0


def _prepare(console: Console, known: argparse.Namespace) -> int:
    from tutelage.prepare import prepare_cityscapes, prepare_nyuv2

    size = (known.size[0], known.size[1])
    if known.download == "nyuv2":
        prepare_nyuv2(known.labeled, known.splits, known.out, size, known.jobs, console)
    else:
        prepare_cityscapes(known.folder, known.out, size, known.jobs, console)
    return 0


def _predict(console: Console, known: argparse.Namespace) -> int:
    from torch.cuda import is_available

    from tutelage.deploy import load, predict_files

    size = None if known.size is None else (known.size[0], known.size[1])
    predictor = load(known.model, known.trust, "keep" if known.keep_size else size or "trained")
    predictor.to("cuda" if is_available() else "cpu")
    predict_files(predictor, known.images, known.out, known.overwrite, partial(_say, console))
    return 0


def _report(console: Console, folder: Path, as_markdown: bool, seeds: list[int] | None) -> int:
    from tutelage.report import markdown, write_report
    from tutelage.study import load_study

    if not (folder / "study.yaml").is_file():
        raise UserError(f"{folder}: expected the folder of a study, found no study.yaml in it; run the study first")
    study = load_study(folder / "study.yaml")
    if as_markdown:
        print(markdown(folder, study.config.tasks, seeds))
        return 0
    page = write_report(folder, study.config.tasks)
    _tables(console, folder, study.config.tasks, seeds)
    _say(console, f"page      {page}")
    return 0


def _tables(console: Console, folder: Path, tasks: "Mapping[str, Task]", seeds: list[int] | None = None) -> None:
    from tutelage.report import differences, table

    console.print(table(folder, tasks, console.width, seeds))
    compared = differences(folder, tasks, console.width, seeds)
    if compared is not None:
        console.print(compared)


def _say(console: Console, text: str) -> None:
    """Lines as they are, however long: a path can be copied."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _help(source: str) -> int:
    from tutelage.study import describe

    print(describe(source))
    return 0


def _message(error: Exception) -> str:
    """The error's line; from a process that loads images, the line under the traceback that comes with it."""
    text = str(error).strip()
    if text.startswith("Caught "):
        text = text.splitlines()[-1].split(": ", 1)[-1]
    return " ".join(text.split())
