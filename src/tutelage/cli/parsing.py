"""What can be given on the command line."""

import argparse
import re
from pathlib import Path
from typing import NoReturn

_RUN = """\
Train the single-task networks, then every method, and compare them.

STUDY is a preset (see `tutelage presets`) or a YAML file. Any value of it is overridden by a flag:
  --epochs 2  --seeds 0,1,2  --methods uniform,kd4mtl  --out DIR  --max-steps N  --net.width 0.5  --data.root DIR
  --with ablation (the controls)  --with FILE (an overlay: some keys of the study with other values)
`tutelage run STUDY --help` lists all of them with that study's values. The same command again goes on where it stopped.
"""
_TUNE = """\
Try the same number of values for every method, on a part of the training images, and write the best into a file.

STUDY and its flags are as with `tutelage run`. Trials train on the rest of `train` and are judged on the part; `val` is
not used. `tutelage run STUDY --with FILE` trains the study with the values found, in a folder of its own. The same
command again goes on where it stopped. Needs Optuna: pip install 'tutelage[tune]'
"""
_PREPARE = """\
Turn an official download into the folders that tutelage reads, once. It ends with a summary to check, which is also
OUT/summary.json. The same command again goes on where it stopped. docs/prepare.md says where the files come from.
"""
_PREDICT = """\
Predict every task of images with one trained network: for each IMAGE and task OUT/IMAGE.TASK.png, a picture, and .npy,
the numbers. MODEL is a run's folder, its student.safetensors, or what `tutelage.deploy.save` wrote. A file from anybody
runs no code; networks and tasks that are not tutelage's own are built only where --trust names their module.
"""


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with a command."""

    def error(self, message: str) -> NoReturn:
        """End with status 2 and a line in the house's form."""
        for pattern, replacement in (
            (r"argument (\S+): invalid choice: '?(.*?)'? \(choose from (.*)\)", r"\1: expected one of \3, found `\2`"),
            (r"argument (\S+): invalid (\w+) value: '(.*)'", r"\1: expected a number (\2), found `\3`"),
            (r"the following arguments are required: (.*)", r"\1: expected a value, found none"),
            (r"unrecognized arguments: (.*)", r"expected no more arguments, found `\1`"),
        ):
            message = re.sub(pattern, replacement, message)
        self.exit(2, f"tutelage: {message}; see `{self.prog} --help`\n")


def parser() -> tuple[Parser, dict[str, Parser]]:
    """The parser of all commands, and those of the verbs; flags of `run` and `tune` that it leaves are the study's."""
    top = Parser(prog="tutelage", description="Teach one network many tasks.")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    plain = argparse.RawDescriptionHelpFormatter
    run = verbs.add_parser("run", help="train and compare", description=_RUN, formatter_class=plain, add_help=False)
    run.add_argument("--dry-run", action="store_true", help="validate everything and print the plan")
    tune = verbs.add_parser(
        "tune", help="find values for every method, by as many trials each", description=_TUNE, formatter_class=plain,
        add_help=False, allow_abbrev=False,
    )  # fmt: skip
    tune.add_argument("--trials", type=int, default=8, metavar="N", help="of every method; by default 8")
    tune.add_argument("--part", type=float, default=0.2, metavar="P", help="of train, to judge on; by default 0.2")
    tune.add_argument("--methods", metavar="A,B", help="by default `single` and all methods of the study")
    for verb in (run, tune):
        verb.add_argument("study", metavar="STUDY", nargs="?", help="preset or YAML file")
        verb.add_argument("-h", "--help", action="store_true", help="show this message; after STUDY, all of its keys")
    verbs.add_parser("presets", help="list the studies and methods that come with tutelage")
    report = verbs.add_parser("report", help="write the table and the page of a study again")
    report.add_argument("folder", type=Path, metavar="DIR", help="folder of a study, for example runs/rooms")
    report.add_argument("--seeds", type=_numbers, metavar="A,B", help="tables of these seeds alone; by default of all")
    report.add_argument("--markdown", action="store_true", help="print the tables as Markdown and write nothing")
    bench = verbs.add_parser("bench", help="measure what balancing costs, as ratios to a plain sum of the losses")
    bench.add_argument("--out", type=Path, metavar="FILE", help="write the figures as JSON")
    bench.add_argument("--tasks", type=_numbers, default=[3, 5], metavar="A,B", help="numbers of tasks; by default 3,5")
    bench.add_argument("--rounds", type=int, default=7, metavar="N", help="ratios to take the median of; by default 7")
    prepare = verbs.add_parser("prepare", help="turn an official download into folders", description=_PREPARE)
    downloads = prepare.add_subparsers(dest="download", required=True, metavar="DATA")
    nyuv2 = downloads.add_parser("nyuv2", help="NYU-Depth-v2: classes, depth and normals", description=_PREPARE)
    nyuv2.add_argument("labeled", type=Path, metavar="nyu_depth_v2_labeled.mat", help="the official 1449 frames")
    nyuv2.add_argument("splits", type=Path, metavar="splits.mat", help="the official split of them")
    cityscapes = downloads.add_parser("cityscapes", help="Cityscapes: classes, inverse depth", description=_PREPARE)
    cityscapes.add_argument("folder", type=Path, metavar="DOWNLOAD", help="has leftImg8bit, gtFine and disparity")
    for verb, size in ((nyuv2, [288, 384]), (cityscapes, [128, 256])):
        verb.add_argument("out", type=Path, metavar="OUT", help="folder to write to")
        verb.add_argument(
            "--size", type=int, nargs=2, default=size, metavar=("H", "W"), help=f"by default {size[0]} {size[1]}"
        )
        verb.add_argument("--jobs", type=int, metavar="N", help="frames at the same time; by default one a core")
    predict = verbs.add_parser("predict", help="predict images", description=_PREDICT, formatter_class=plain)
    predict.add_argument("model", type=Path, metavar="MODEL", help="folder of a run, or a .safetensors file")
    predict.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="picture, or .npy [H, W, 3]")
    predict.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    predict.add_argument("--overwrite", action="store_true", help="replace files that are there")
    predict.add_argument("--trust", action="append", default=[], metavar="MODULE", help="of your own; may be repeated")
    sizes = predict.add_mutually_exclusive_group()
    sizes.add_argument("--size", type=int, nargs=2, metavar=("H", "W"), help="of images; by default as in training")
    sizes.add_argument("--keep-size", action="store_true", help="take images in their own size")
    return top, verbs.choices


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]
