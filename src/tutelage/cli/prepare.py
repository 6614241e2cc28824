"""`tutelage prepare`: turn an official download into the folders that tutelage reads."""

import argparse
from typing import Any

from rich.console import Console

from tutelage.cli.parsing import whole
from tutelage.errors import writing_to
from tutelage.files import expand_home

_ABOUT = """\
Turn an official download into the folders that tutelage reads. It ends with a summary to check, which is also in
OUT/summary.json. To continue where it was stopped, give the same command again. docs/prepare.md says where the files
come from.
"""


def add_parser(verbs: Any) -> None:
    """Add the verb to the command."""
    parser = verbs.add_parser(
        "prepare", help="turn an official download into folders", description=_ABOUT, allow_abbrev=False
    )
    downloads = parser.add_subparsers(dest="download", required=True, metavar="DATA")
    nyuv2 = downloads.add_parser(
        "nyuv2", help="NYU-Depth-v2: classes, depth and normals", description=_ABOUT, allow_abbrev=False
    )
    nyuv2.add_argument("labeled", type=expand_home, metavar="nyu_depth_v2_labeled.mat", help="the official 1449 frames")
    nyuv2.add_argument("splits", type=expand_home, metavar="splits.mat", help="their official split")
    cityscapes = downloads.add_parser(
        "cityscapes", help="Cityscapes: classes, inverse depth", description=_ABOUT, allow_abbrev=False
    )
    cityscapes.add_argument(
        "folder", type=expand_home, metavar="DOWNLOAD", help="has leftImg8bit, gtFine and disparity"
    )
    for download, (height, width) in ((nyuv2, (288, 384)), (cityscapes, (128, 256))):
        download.add_argument("out", type=expand_home, metavar="OUT", help="folder to write to")
        download.add_argument(
            "--size", type=whole, nargs=2, default=[height, width], metavar=("H", "W"),
            help=f"height and width in pixels; by default {height} {width}",
        )  # fmt: skip
        download.add_argument(
            "--jobs", type=whole, metavar="N", help="frames at the same time; by default one per core"
        )
        download.set_defaults(execute=execute, again="from the last frame")


def execute(args: argparse.Namespace, console: Console) -> int:
    """Write the folders of one download."""
    from tutelage.prepare import prepare_cityscapes, prepare_nyuv2

    size = (args.size[0], args.size[1])
    with writing_to(args.out):
        if args.download == "nyuv2":
            prepare_nyuv2(args.labeled, args.splits, args.out, size, args.jobs, console)
        else:
            prepare_cityscapes(args.folder, args.out, size, args.jobs, console)
    return 0
