"""`tutelage push`: one trained network to the Hugging Face hub, with a card."""

import argparse
from typing import Any

from rich.console import Console

from tutelage.cli.output import say
from tutelage.cli.parsing import add_trust
from tutelage.errors import UserError
from tutelage.files import expand_home, write_text
from tutelage.layout import find_network

_ABOUT = """\
Upload one trained network to the Hugging Face hub, as one file without code and a card (README.md) that says what it
predicts, how well (with intervals, where the study has several seeds), on which data and by which command it was made,
and what it is for. `tutelage.load("USER/NAME")` loads it anywhere. --save DIR writes both files to a folder and uploads
nothing: look at the card first. Log in with `hf auth login`, or set HF_TOKEN. Needs pip install 'tutelage[hub]'
"""


def add_parser(verbs: Any) -> None:
    """Add the verb to the command."""
    parser = verbs.add_parser(
        "push", help="upload one trained network to the Hugging Face hub", description=_ABOUT, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("model", type=expand_home, metavar="MODEL", help="folder of a run, or a .safetensors file")
    parser.add_argument("repo", metavar="USER/NAME", help="where to upload it; the place is made if there is none")
    parser.add_argument(
        "--license", required=True, metavar="NAME", help="that you choose, by the hub's name: mit, apache-2.0, ..."
    )
    parser.add_argument("--private", action="store_true", help="make a new place private")
    parser.add_argument(
        "--save", type=expand_home, metavar="DIR", help="write the files to a folder, and upload nothing"
    )
    add_trust(parser)
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace, console: Console) -> int:
    """Write the card, and upload or save."""
    model = find_network(args.model)  # mistakes in names are found before PyTorch is loaded
    if args.save is not None and args.save.exists():
        raise UserError(f"{args.save}: expected no such folder yet, found one; give another --save")
    from tutelage.deploy import load, model_card, save
    from tutelage.report import evidence

    predictor = load(model, args.trust)
    card = model_card(predictor, args.repo, args.license, evidence(model, predictor.tasks))
    if args.save is not None:
        save(predictor, args.save)
        write_text(args.save / "README.md", card)
        say(console, f"saved     {args.save}")
        return 0
    with console.status("uploading"):
        url = predictor.push_to_hub(args.repo, card, private=True if args.private else None)
    say(console, f"uploaded  {url}")
    return 0
