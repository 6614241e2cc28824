"""`tutelage export`: one trained network as a file for other programs."""

import argparse
from typing import TYPE_CHECKING, Any

from rich.console import Console

from tutelage.cli.output import say
from tutelage.cli.parsing import add_model_options, size_of, whole
from tutelage.errors import UserError
from tutelage.files import expand_home
from tutelage.layout import find_model

if TYPE_CHECKING:
    from tutelage.deploy import Exported

_FORMATS = ("onnx", "torch.export", "safetensors")
_ABOUT = """\
Write one trained network for other programs. The file takes images float32 [B, 3, H, W] in 0..1 and gives the
prediction of every task: normalisation, resizing and activations are inside. It is run beside the network first, and
written only if both agree. MODEL is the folder of a run, its student.safetensors, or a file of `tutelage.deploy.save`.
"""


def add_parser(verbs: Any) -> None:
    """Add the verb to the command."""
    parser = verbs.add_parser(
        "export", help="write one trained network as ONNX, torch.export or safetensors", description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("model", type=expand_home, metavar="MODEL", help="folder of a run, or a .safetensors file")
    parser.add_argument(
        "--out", type=expand_home, required=True, metavar="FILE", help="file to write: .onnx, .pt2, .safetensors"
    )
    parser.add_argument("--format", choices=_FORMATS, help="by default what the suffix of FILE says")
    parser.add_argument("--opset", type=whole, metavar="N", help="version of ONNX's operators; by default torch's")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    add_model_options(parser)
    parser.set_defaults(execute=execute, again="with --overwrite")


def execute(args: argparse.Namespace, console: Console) -> int:
    """Export, and say what was written."""
    if args.out.exists() and not args.overwrite:
        raise UserError(f"{args.out}: expected no such file yet, found one; give another --out, or --overwrite")
    model = find_model(args.model)  # a mistake in a name is found before PyTorch is loaded
    from tutelage.deploy import export, load

    predictor = load(model, args.trust, size_of(args))
    with console.status("exporting, and comparing with the network"):
        exported = export(predictor, args.out, args.format, args.opset)
    say(console, "\n".join(_lines(exported)))
    return 0


def _lines(exported: "Exported") -> list[str]:
    opset = "" if exported.opset is None else f", opset {exported.opset}"
    lines = [f"input     {exported.inputs}"]
    lines += [f"output    {task}: {text}" for task, text in exported.outputs.items()]
    lines += [f"parity    {task}: {parity}" for task, parity in exported.parity.items()]
    lines += [f"note      {exported.fixed}"] if exported.fixed else []
    return [
        *lines,
        f"file      {exported.file} ({exported.file.stat().st_size / 1e6:.1f} MB, {exported.format}{opset})",
    ]
