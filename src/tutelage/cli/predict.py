"""`tutelage predict`: predict every task of pictures and videos with one trained network."""

import argparse
import glob
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tutelage.cli.output import say
from tutelage.cli.parsing import add_device_option, add_model_options, positive, size_of
from tutelage.errors import UserError, printable
from tutelage.files import check_folder, expand_home
from tutelage.layout import find_model

if TYPE_CHECKING:
    from tutelage.deploy import Predicted

KINDS = ("picture", "overlay", "label", "array", "sheet")
_USUAL = ("picture", "sheet")
_ABOUT = """\
Predict every task of pictures and videos with one trained network. For each IMAGE and task it can write

  picture  OUT/IMAGE.TASK.png          in the colours of the report
  overlay  OUT/IMAGE.TASK.overlay.jpg  the same over the image
  label    OUT/IMAGE.TASK.label.png    as data read labels: class numbers, depth in millimetres (16 bits), normals
  array    OUT/IMAGE.TASK.npy          the numbers

and, for all of them, the sheet OUT/contact-sheet.jpg. Without --write: picture and sheet.

MODEL is the folder of a run, that of a study with one student, a student.safetensors, or a file of
`tutelage.deploy.save`. A file of weights never runs code: networks and tasks that are not tutelage's own are built only
where --trust names their module. An IMAGE that cannot be read is named at the end, and the exit status is 2; the others
are predicted all the same.
"""


def add_parser(verbs: Any) -> None:
    """Add the verb to the command."""
    parser = verbs.add_parser(
        "predict", help="predict pictures and videos", description=_ABOUT, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("model", type=expand_home, metavar="MODEL", help="folder of a run, or a .safetensors file")
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE", help="picture, .npy [H, W, 3], video, folder, or a pattern in quotes"
    )
    parser.add_argument("--out", type=expand_home, required=True, metavar="DIR", help="folder to write to")
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    parser.add_argument(
        "--write", type=_kinds, default=_USUAL, metavar="KIND,KIND", help="what to write; by default picture,sheet"
    )
    parser.add_argument("--every", type=positive, default=1, metavar="N", help="of a video, take every Nth frame")
    parser.add_argument(
        "--batch-size", type=positive, metavar="N", help="images at once; by default 8 on a GPU, 1 on the CPU"
    )
    add_device_option(parser)
    add_model_options(parser)
    parser.set_defaults(execute=execute, again="with --overwrite")


def execute(args: argparse.Namespace, console: Console) -> int:
    """Predict every image, and say what could not be predicted."""
    model = find_model(args.model)  # mistakes in names are found before PyTorch is loaded
    for image in args.images:
        if not Path(image).exists() and not glob.glob(image, recursive=True):
            raise UserError(f"{image}: expected a picture, video or folder, or a pattern, found none; give another")
    check_folder("--out", args.out)
    from tutelage.deploy import find_device, find_images, load, predict_files

    device = find_device(args.device)
    images = find_images(args.images, leave_out=args.out)
    predictor = load(model, args.trust, size_of(args)).to(device)
    batch_size = args.batch_size or (1 if device.type == "cpu" else 8)
    started = time.monotonic()
    with _progress(console) as progress:
        bar = progress.add_task("predicting", total=len(images))
        seen: set[Path] = set()

        def note(predicted: "Predicted") -> None:
            seen.add(predicted.path)
            progress.update(bar, completed=len(seen) - 1, description=printable(predicted.name))
            for task, value in predicted.values.items():
                say(progress.console, f"{printable(str(predicted.path))}  {task}: {value}")

        done, sheets = predict_files(
            predictor, images, args.out, args.write, batch_size, args.every, args.overwrite, note
        )
    return _summary(console, done, sheets, args.out, time.monotonic() - started)


def _summary(console: Console, done: "list[Predicted]", sheets: list[Path], out: Path, seconds: float) -> int:
    """What was predicted and what was not; the exit status."""
    failed = [predicted for predicted in done if predicted.problem]
    count, files = len(done) - len(failed), sum(len(predicted.files) for predicted in done)
    rate = f"{seconds:.1f} s, {count / max(seconds, 1e-9):.1f} images/s"
    say(console, f"predicted {count} of {len(done)} images: {files} files in {out} ({rate})")
    if turned := [predicted.path for predicted in done if predicted.turned]:
        names = ", ".join(map(str, turned[:3])) + (", ..." if len(turned) > 3 else "")
        text = "of them, as their EXIF orientation says, and so their predictions"
        say(console, f"turned    {len(turned)} {text}: {names}")
    for sheet in sheets:
        say(console, f"sheet     {sheet}")
    for predicted in failed:
        print(f"tutelage: {printable(predicted.problem)}", file=sys.stderr)
    return 2 if failed else 0


def _progress(console: Console) -> Progress:
    """A bar, on a terminal."""
    columns = (
        BarColumn(24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _kinds(text: str) -> list[str]:
    """Some of `KINDS`, with commas between them."""
    kinds = text.split(",")
    for kind in kinds:
        if kind not in KINDS:
            raise argparse.ArgumentTypeError(f"expected some of {','.join(KINDS)}, found `{kind}`")
    return kinds
