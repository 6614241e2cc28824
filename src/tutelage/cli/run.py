"""`tutelage run`: train the networks of a study and compare them."""

import argparse
import shlex
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from tutelage.cli.launchers import add_launcher, launcher_of
from tutelage.cli.output import print_tables, say
from tutelage.cli.studies import add_study, describe, read_study
from tutelage.errors import writing_to
from tutelage.files import write_shared

if TYPE_CHECKING:
    from tutelage.study import Launcher, Study
    from tutelage.train import Processes
    from tutelage.values import Draft

_ABOUT = """\
Train the single-task networks, then every method, and compare them.

STUDY is a preset (see `tutelage presets`) or a YAML file. Any value of it can be overridden by a flag:
  --epochs 2  --seeds 0,1,2  --methods uniform,kd4mtl  --out DIR  --max-steps N  --net.width 0.5  --data.root DIR
  --with ablation (adds the controls)  --with FILE (an overlay: some keys of the study with other values)
`tutelage run STUDY --help` lists all of them with the values of that study. To continue a run that was stopped, give
the same command again.
"""


def add_parser(verbs: Any) -> None:
    """Add the verb to the command."""
    parser = verbs.add_parser(
        "run", help="train and compare", description=_ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False, takes_flags=True,
    )  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="validate everything and print the plan")
    add_launcher(parser)
    add_study(parser)
    parser.set_defaults(execute=execute, parser=parser, again="from the last checkpoint")


def execute(args: argparse.Namespace, console: Console) -> int:
    """Train the study, write its page and print its tables; where torchrun or SLURM started several, together."""
    if args.study is None or args.help:
        return describe(args)
    draft = read_study(args, console, args.flags)
    from tutelage.train import launched

    with launched() as world:
        return _run(draft, args, console) if world is None or world.main else _take_part(world)


def _take_part(world: "Processes") -> int:
    from tutelage.study import take_part
    from tutelage.train import Interrupted, NonFiniteError

    try:
        take_part(world)
    except Interrupted as stopped:  # as all of them are: the main process says so
        return 128 + stopped.signal
    except NonFiniteError:  # which the main process has found, too
        return 2
    return 0


def _run(draft: "Draft", args: argparse.Namespace, console: Console) -> int:
    from tutelage.report import write_report
    from tutelage.study import ConsoleDisplay, check_data, complete, run_study, save_showing

    study = complete(draft)
    launcher = launcher_of(args, study)
    for note in study.notes:
        say(console, note)
    with writing_to(study.folder):
        study.objects.data.check(study.objects.tasks)
        check_data(study, console, level=args.check, write=not args.dry_run)
        if args.dry_run:
            return _plan(study, launcher, console)
        with ConsoleDisplay(console) as display:
            run_study(study, display, launcher)
            save_showing(study, display.note)
        page = write_report(study.folder, study.objects.tasks, write_shared)
        print_tables(console, study.folder, study.objects.tasks)
    say(console, f"page      {page}  (open it in a browser)\nresults   {study.folder / 'results.json'}")
    say(console, "next      " + "\n          ".join(map(shlex.join, _next(study, args))))
    return 0


def _next(study: "Study", args: argparse.Namespace) -> list[list[str]]:
    """What a user may want now, as words of commands: predictions and a file of the student, more seeds."""
    from tutelage.study import main_method, plan

    specs = plan(study.values)
    model = str(study.folder / (main_method(specs) or specs[-1]).id)
    commands = [["predict", model, "IMAGES", "--out", "predictions"], ["export", model, "--out", "student.onnx"]]
    if len(study.seeds) == 1:
        commands.append(["run", args.study, *args.flags, "--seeds", "0,1,2"])
    return [["tutelage", *words] for words in commands]


def _plan(study: "Study", launcher: "Launcher", console: Console) -> int:
    """Print what is left to train; a folder that the run would refuse is refused here, too."""
    from tutelage.study import Pool, Ready, cache_line, estimate, plan_lines, total_seconds

    ready = Ready(study)
    ready.check_all()
    finished, left = len(ready.specs) - len(ready.unfinished), ready.unfinished
    if finished:
        say(console, f"{finished} of {len(ready.specs)} runs are finished in {study.folder}; they are kept")
    if not left:
        say(console, "Nothing is left to train: without --dry-run the table and the page are written again.")
        return 0
    with console.status("a few steps of every kind of run") as status:
        shown = (lambda text: status.update(Text(text))) if console.is_terminal else partial(say, console)
        parts = launcher.shares if isinstance(launcher, Pool) else []
        kinds = estimate(study, left, parts[0].threads if parts else None, shown)
    seconds = total_seconds(left, kinds, max(1, len(parts)))
    threads = parts and f"{parts[0].threads} thread{'s' if parts[0].threads > 1 else ''} each"
    how = f"{len(parts)} runs side by side, {threads}" if parts else ""
    say(console, "\n".join(plan_lines(study.name, study.seeds, kinds, seconds, console.width, how)))
    if (line := cache_line(study.seeds, kinds)) is not None:
        say(console, line)
    if begun := sum((study.folder / spec.id / "checkpoint.pt").exists() for spec in left):
        say(console, f"{begun} of these runs {'has' if begun == 1 else 'have'} begun, and will need less time.")
    precision = str(study.values["train"]["precision"])
    mixed = ": fp32, but for matrix products and convolutions" if precision.endswith("-mixed") else ""
    say(console, f"All runs train in {precision} (train.precision{mixed}).")
    say(console, f"The study is valid. Nothing was written; without --dry-run it goes to {study.folder}.")
    return 0
