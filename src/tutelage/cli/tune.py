"""`tutelage tune`: find values for every method."""

import argparse
import shlex
from typing import Any

from rich.console import Console

from tutelage.cli.output import say
from tutelage.cli.parsing import number, whole
from tutelage.cli.studies import add_study, describe, read_study
from tutelage.errors import writing_to

_ABOUT = """\
Try the same number of values for every method, judge them on a part of the training images, and write the best ones
into a file.

STUDY and its flags are as with `tutelage run`. Trials train on the rest of `train` and are judged on the part; `test`
is not used. `tutelage run STUDY --with FILE` trains the study with these values, in a folder of its own. To continue a
search that was stopped, give the same command again. Needs Optuna: pip install 'tutelage[tune]'
"""


def add_parser(verbs: Any) -> None:
    """Add the verb to the command."""
    parser = verbs.add_parser(
        "tune", help="find values for every method, by as many trials each", description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter, add_help=False, takes_flags=True,
    )  # fmt: skip
    parser.add_argument("--trials", type=whole, default=8, metavar="N", help="trials of every method; by default 8")
    parser.add_argument("--part", type=number, default=0.2, metavar="P", help="part of train to judge on; default 0.2")
    parser.add_argument("--methods", metavar="A,B", help="by default `single` and all methods of the study")
    add_study(parser)
    parser.set_defaults(execute=execute, parser=parser, again="from the last checkpoint")


def execute(args: argparse.Namespace, console: Console) -> int:
    """Run the trials and print what they found."""
    if args.study is None or args.help:
        return describe(args)
    flags = [*args.flags, *(["--methods", args.methods] if args.methods else [])]
    draft = read_study(args, console, flags)
    from tutelage.report import tuning_table
    from tutelage.study import ConsoleDisplay, Tuner, check_data, complete
    from tutelage.train import check_alone

    check_alone()
    study = complete(draft)
    for note in study.notes:
        say(console, note)
    with writing_to(study.folder):
        tuner = Tuner(study, study.methods if args.methods else None, args.trials, args.part)
        study.objects.data.check(study.objects.tasks)  # under the user's own keys
        tuner.study.objects.data.check(tuner.study.objects.tasks)
        check_data(tuner.study, console, level=args.check)
        with ConsoleDisplay(console) as display:
            rows = tuner.run(display)
    title = f"{study.name}: {args.trials} trials each, judged on {args.part:g} of train"
    console.print(tuning_table(title, rows))
    # Flags of a method would win over the values that were found; a teacher is not tuned.
    rest = _without(flags, "--out", "--study", "--method", "--method.", but="--method.teacher.")
    again = shlex.join(["tutelage", "run", args.study, *rest, "--with", str(tuner.file)])
    say(console, f"values    {tuner.file}\nnext      {again}")
    return 0


def _without(flags: list[str], *names: str, but: str) -> list[str]:
    """The flags and their values without those of some names.

    Args:
        flags: words of the command line.
        names: flags to leave out; one that ends in a dot stands for all flags that begin with it.
        but: flags that begin with this are kept.
    """
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
