"""`tutelage predict`: predict every task of images with one trained network."""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from tutelage.cli.output import say
from tutelage.cli.parsing import add_model_options
from tutelage.errors import UserError
from tutelage.layout import find_network

_ABOUT = """\
Predict every task of images with one trained network. For each IMAGE and task it writes OUT/IMAGE.TASK.png, a picture,
and OUT/IMAGE.TASK.npy, the numbers. MODEL is the folder of a run, its student.safetensors, or a file of
`tutelage.deploy.save`. A file of weights never runs code: networks and tasks that are not tutelage's own are built only
where --trust names their module.
"""


def add_parser(verbs: Any) -> None:
    """Add the verb to the command."""
    parser = verbs.add_parser(
        "predict", help="predict images", description=_ABOUT, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("model", type=Path, metavar="MODEL", help="folder of a run, or a .safetensors file")
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="picture, or .npy [H, W, 3]")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    add_model_options(parser)
    parser.set_defaults(execute=execute, again="with --overwrite")


def execute(args: argparse.Namespace, console: Console) -> int:
    """Predict every image."""
    model = find_network(args.model)  # a mistake in a name is found before PyTorch is loaded
    for image in args.images:
        if not image.is_file():
            raise UserError(f"{image}: expected a picture or .npy file, found none; give another name")
    from torch.cuda import is_available

    from tutelage.deploy import load, predict_files

    size = None if args.size is None else (args.size[0], args.size[1])
    predictor = load(model, args.trust, "keep" if args.keep_size else size or "trained")
    predictor.to("cuda" if is_available() else "cpu")
    predict_files(predictor, args.images, args.out, args.overwrite, partial(say, console))
    return 0
