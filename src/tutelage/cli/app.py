"""`tutelage app`: one trained network as a page on this machine."""

import argparse
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console

from tutelage.cli.output import say
from tutelage.cli.parsing import add_device_option, add_model_options, positive, size_of
from tutelage.errors import UserError
from tutelage.files import expand_home
from tutelage.layout import find_model

_ABOUT = """\
Serve a page on this machine: drop an image, see every task, and move a slider between the image and the tasks. Only
this machine can open it, unless --host says otherwise; there is no password. It loads nothing from elsewhere and keeps
no image for longer than two hours. Ctrl-C ends it. Needs pip install 'tutelage[app]'
"""
_LOOPBACK = "127.0.0.1"


def add_parser(verbs: Any) -> None:
    """Add the verb to the command."""
    parser = verbs.add_parser(
        "app", help="serve a page that predicts images", description=_ABOUT, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("model", type=expand_home, metavar="MODEL", help="folder of a run, or a .safetensors file")
    parser.add_argument("--port", type=positive, metavar="N", help="by default the first that is free from 7860 on")
    parser.add_argument(
        "--host", default=_LOOPBACK, metavar="ADDRESS", help="address to serve at; by default 127.0.0.1"
    )
    add_device_option(parser)
    add_model_options(parser)
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace, console: Console) -> int:
    """Serve the page until it is stopped."""
    model = find_model(args.model)  # mistakes in names are found before PyTorch is loaded
    if find_spec("gradio") is None:
        raise UserError("app: expected Gradio, found none; pip install 'tutelage[app]'")
    from tutelage.deploy import find_device, load
    from tutelage.deploy.app import build_app

    predictor = load(model, args.trust, size_of(args)).to(find_device(args.device))
    page = build_app(predictor, "/".join(Path(args.model).resolve().parts[-3:]))
    try:
        _, address, _ = page.launch(
            server_name=args.host, server_port=args.port, share=False, quiet=True, prevent_thread_lock=True,
            ssr_mode=False, run_history=False, footer_links=["api", "gradio"],
        )  # fmt: skip
    except OSError as error:  # Gradio's, which names its own arguments
        wanted = f"{args.host}:{args.port or 7860}"
        raise UserError(f"--port: expected a free port, found {wanted}, which cannot be had; give another") from error
    if args.host != _LOOPBACK:
        say(console, f"warning   everybody who reaches {args.host} can use this page; there is no password")
    say(console, f"page      {address}  (Ctrl-C ends it)")
    page.block_thread()
    return 0
