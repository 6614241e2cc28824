"""`tutelage init`: write a study for a folder of images and labels."""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from tutelage.cli.output import say
from tutelage.errors import UserError
from tutelage.files import expand_home

_ABOUT = """\
Look into a folder of images and labels, say what is in it, and write a commented study that trains on it as it is.

Images and labels may lie in folders of any names, with or without folders for training and test images, in scenes,
or beside each other (img_1.jpg, img_1_mask.png). Images without some of the labels are used, too. What cannot be seen
for sure is guessed, and said. Nothing is changed in FOLDER.
"""


def add_parser(verbs: Any) -> None:
    """Add the verb to the command."""
    parser = verbs.add_parser(
        "init", help="look into a folder and write a study for it", description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("folder", type=expand_home, metavar="FOLDER", help="folder of images and labels")
    parser.add_argument(
        "--out", type=expand_home, metavar="FILE", help="YAML file to write; by default NAME.yaml of the folder"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace, console: Console) -> int:
    """Look, say what was found, and write the study."""
    folder = args.folder
    if not folder.is_dir():
        what = "a file" if folder.exists() else "none"
        raise UserError(f"{folder}: expected a folder of images and labels, found {what}; give another one")
    if args.out is not None:
        _check_absent(args.out, args.overwrite)
        if args.out.suffix not in (".yaml", ".yml"):
            raise UserError(f"--out: expected a file that ends with .yaml, found {args.out}; rename it")
    from tutelage.files import write_text
    from tutelage.propose import propose
    from tutelage.study import complete
    from tutelage.values import read_draft

    proposal = propose(folder, console)
    for line in proposal.found:
        say(console, line)
    for line in proposal.left_out:
        say(console, f"left out: {line}")
    file = args.out or Path(f"{proposal.name}.yaml")
    _check_absent(file, args.overwrite)
    write_text(file, proposal.text(file))
    study = complete(read_draft(file))
    study.objects.data.check(study.objects.tasks)
    say(console, f"wrote {file}; train and compare: tutelage run {file}")
    return 0


def _check_absent(file: Path, overwrite: bool) -> None:
    if file.exists() and not overwrite:
        raise UserError(f"{file}: expected no such file yet, found one; give another --out, or --overwrite")
