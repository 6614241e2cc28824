"""`tutelage bench`: measure what parts of training cost."""

import argparse
from typing import Any

from rich.console import Console

from tutelage.cli.output import say
from tutelage.cli.parsing import whole, whole_numbers
from tutelage.files import expand_home

# Here, since importing the bench takes as long as importing torch.
PARTS = {
    "balancing": "every balancing method, as a ratio to a plain sum of the losses",
    "distillation": "a distilled step beside a plain one and the teachers' forward passes",
    "precision": "bf16 and fp32 in both memory layouts, beside a loop written by hand",
    "data": "reading images, and an epoch with data and log beside its steps",
    "evaluation": "evaluation beside its forward passes",
    "startup": "CPU seconds of verbs that compute nothing",
    "memory": "the peak memory of a plain and of a distilled step",
    "shares": "where the time of a distilled step goes",
    "jobs": "steps of several runs side by side, beside one run after the other",
}
_DEFAULT = "balancing"


def add_parser(verbs: Any) -> None:
    """Add the verb to the command."""
    lines = [f"  {name:13} {about}" for name, about in PARTS.items()]
    parser = verbs.add_parser(
        "bench",
        help="measure what parts of training cost, beside what they could cost at best",
        description="Measure what parts of training cost, in turns.",
        epilog="\n".join(["parts:", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "parts",
        nargs="*",
        default=_DEFAULT,
        choices=[*PARTS, "all"],
        metavar="PART",
        help=f"what is measured, see below; `all`: everything; by default {_DEFAULT}",
    )
    parser.add_argument("--rounds", type=whole, default=7, metavar="N", help="rounds per median; by default 7")
    parser.add_argument(
        "--tasks", type=whole_numbers, default=[3, 5], metavar="A,B", help="numbers of tasks to balance; by default 3,5"
    )
    parser.add_argument("--networks", metavar="A,B", help="of the parts that train one; by default all")
    parser.add_argument(
        "--accelerator",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="where networks are trained; by default auto: a GPU where there is one",
    )
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    parser.add_argument("--out", type=expand_home, metavar="FILE", help="write the figures as JSON")
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace, console: Console) -> int:
    """Measure, print the table and write the figures."""
    from tutelage.bench import Settings, markdown, measure, table, write

    named = [args.parts] if isinstance(args.parts, str) else args.parts  # argparse takes a default as it is
    parts = list(PARTS) if "all" in named else list(dict.fromkeys(named))
    networks = [] if args.networks is None else args.networks.split(",")
    with console.status("") as status:
        settings = Settings(args.rounds, args.tasks, networks, args.accelerator, note=status.update)
        costs = measure(parts, settings)
    if args.markdown:
        say(console, markdown(costs))
    else:
        console.print(table(costs))
    if args.out is not None:
        write(args.out, costs, settings)
        say(console, f"figures   {args.out}")
    return 0
