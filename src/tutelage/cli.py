"""The command `tutelage`: the only place that parses arguments."""

import argparse
import errno
import logging
import os
import re
import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tutelage.study import Study
    from tutelage.types import Task

_RUN = """\
Train the single-task networks, then every method, and compare them.

STUDY is a preset (see `tutelage presets`) or a YAML file. Any value of it is overridden by a flag:
  --epochs 2  --seeds 0,1,2  --methods uniform,kd4mtl  --out DIR  --max-steps N  --net.width 0.5  --data.root DIR
  --with ablation (the controls)  --with FILE (an overlay: some keys of the study with other values)
`tutelage run STUDY --help` lists all of them with that study's values. The same command again goes on where it stopped.
"""
_TUNE = """\
Try the same number of values for every method, on a part of the training images, and write the best into a file.

STUDY and its flags are as with `tutelage run`. Trials train on the rest of `train` and are judged on the part; `val` is
not used. `tutelage run STUDY --with FILE` trains the study with the values found, in a folder of its own. The same
command again goes on where it stopped. Needs Optuna: pip install 'tutelage[tune]'
"""
_PREPARE = """\
Turn an official download into the folders that tutelage reads, once. It ends with a summary to check, which is also
OUT/summary.json. The same command again goes on where it stopped. docs/prepare.md says where the files come from.
"""
_PREDICT = """\
Predict every task of images with one trained network: for each IMAGE and task OUT/IMAGE.TASK.png, a picture, and .npy,
the numbers. MODEL is a run's folder, its student.safetensors, or what `tutelage.deploy.save` wrote. A file from anybody
runs no code; networks and tasks that are not tutelage's own are built only where --trust names their module.
"""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with a command."""

    def error(self, message: str) -> NoReturn:
        for pattern, replacement in (
            (r"argument (\S+): invalid choice: '?(.*?)'? \(choose from (.*)\)", r"\1: expected one of \3, found `\2`"),
            (r"argument (\S+): invalid (\w+) value: '(.*)'", r"\1: expected a number (\2), found `\3`"),
            (r"the following arguments are required: (.*)", r"\1: expected a value, found none"),
            (r"unrecognized arguments: (.*)", r"expected no more arguments, found `\1`"),
        ):
            message = re.sub(pattern, replacement, message)
        self.exit(2, f"tutelage: {message}; see `{self.prog} --help`\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 0, 1 where something failed, 2 where the user has to change something."""
    parser = _Parser(prog="tutelage", description="Teach one network many tasks.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    plain = argparse.RawDescriptionHelpFormatter
    run = verbs.add_parser("run", help="train and compare", description=_RUN, formatter_class=plain, add_help=False)
    run.add_argument("--dry-run", action="store_true", help="validate everything and print the plan")
    tune = verbs.add_parser(
        "tune", help="find values for every method, by as many trials each", description=_TUNE, formatter_class=plain,
        add_help=False, allow_abbrev=False,
    )  # fmt: skip
    tune.add_argument("--trials", type=int, default=8, metavar="N", help="of every method; by default 8")
    tune.add_argument("--part", type=float, default=0.2, metavar="P", help="of train, to judge on; by default 0.2")
    tune.add_argument("--methods", metavar="A,B", help="by default `single` and all methods of the study")
    for verb in (run, tune):
        verb.add_argument("study", metavar="STUDY", nargs="?", help="preset or YAML file")
        verb.add_argument("-h", "--help", action="store_true", help="show this message; after STUDY, all of its keys")
    verbs.add_parser("presets", help="list the studies and methods that come with tutelage")
    report = verbs.add_parser("report", help="write the table and the page of a study again")
    report.add_argument("folder", type=Path, metavar="DIR", help="folder of a study, for example runs/rooms")
    report.add_argument("--seeds", type=_numbers, metavar="A,B", help="tables of these seeds alone; by default of all")
    report.add_argument("--markdown", action="store_true", help="print the tables as Markdown and write nothing")
    bench = verbs.add_parser("bench", help="measure what balancing costs, as ratios to a plain sum of the losses")
    bench.add_argument("--out", type=Path, metavar="FILE", help="write the figures as JSON")
    bench.add_argument("--tasks", type=_numbers, default=[3, 5], metavar="A,B", help="numbers of tasks; by default 3,5")
    bench.add_argument("--rounds", type=int, default=7, metavar="N", help="ratios to take the median of; by default 7")
    prepare = verbs.add_parser("prepare", help="turn an official download into folders", description=_PREPARE)
    downloads = prepare.add_subparsers(dest="download", required=True, metavar="DATA")
    nyuv2 = downloads.add_parser("nyuv2", help="NYU-Depth-v2: classes, depth and normals", description=_PREPARE)
    nyuv2.add_argument("labeled", type=Path, metavar="nyu_depth_v2_labeled.mat", help="the official 1449 frames")
    nyuv2.add_argument("splits", type=Path, metavar="splits.mat", help="the official split of them")
    cityscapes = downloads.add_parser("cityscapes", help="Cityscapes: classes, inverse depth", description=_PREPARE)
    cityscapes.add_argument("folder", type=Path, metavar="DOWNLOAD", help="has leftImg8bit, gtFine and disparity")
    for verb, size in ((nyuv2, [288, 384]), (cityscapes, [128, 256])):
        verb.add_argument("out", type=Path, metavar="OUT", help="folder to write to")
        verb.add_argument(
            "--size", type=int, nargs=2, default=size, metavar=("H", "W"), help=f"by default {size[0]} {size[1]}"
        )
        verb.add_argument("--jobs", type=int, metavar="N", help="frames at the same time; by default one a core")
    predict = verbs.add_parser("predict", help="predict images", description=_PREDICT, formatter_class=plain)
    predict.add_argument("model", type=Path, metavar="MODEL", help="folder of a run, or a .safetensors file")
    predict.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="picture, or .npy [H, W, 3]")
    predict.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    predict.add_argument("--overwrite", action="store_true", help="replace files that are there")
    predict.add_argument("--trust", action="append", default=[], metavar="MODULE", help="of your own; may be repeated")
    sizes = predict.add_mutually_exclusive_group()
    sizes.add_argument("--size", type=int, nargs=2, metavar=("H", "W"), help="of images; by default as in training")
    sizes.add_argument("--keep-size", action="store_true", help="take images in their own size")
    known, flags = parser.parse_known_args(arguments)
    if flags and known.verb not in ("run", "tune"):
        parser.error(f"unrecognized arguments: {' '.join(flags)}")
    logging.getLogger("lightning_fabric.utilities.rank_zero").setLevel(
        logging.WARNING
    )  # it tells the precision of every run, twice
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
            print((run if known.verb == "run" else tune).format_help())
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
        raise ValueError(f"--rounds: expected 1 or more, found {rounds}")
    with console.status("") as status:
        costs = bench(counts, rounds, note=status.update)
    console.print(table(costs))
    if out is not None:
        write(out, costs, rounds)
        _say(console, f"figures   {out}")
    return 0


def _prepare(console: Console, known: argparse.Namespace) -> int:
    from tutelage.data.prepare import prepare_cityscapes, prepare_nyuv2

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


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _report(console: Console, folder: Path, as_markdown: bool, seeds: list[int] | None) -> int:
    from tutelage.report import markdown, write_report
    from tutelage.study import load_study

    if not (folder / "study.yaml").is_file():
        raise ValueError(f"{folder}: expected the folder of a study, found no study.yaml in it; run the study first")
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
