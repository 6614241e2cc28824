"""The arguments that say where and when the runs of a study are executed, and the launcher that they mean."""

import argparse
import os
from typing import TYPE_CHECKING

from tutelage.cli.parsing import number, positive, whole
from tutelage.errors import UserError

if TYPE_CHECKING:
    from tutelage.study import Launcher, Study


def add_launcher(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--launcher", choices=["local", "ray"], default="local",
        help="who executes the runs: processes of this machine, or Ray (its cluster is that of RAY_ADDRESS)",
    )  # fmt: skip
    parser.add_argument(
        "--jobs", type=whole, metavar="N",
        help="runs side by side, each with its share of the cores; 1 trains them one after the other on all cores; by "
        "default $TUTELAGE_JOBS, else one run per GPU, and without a GPU one per core (with --devices, per so many)",
    )  # fmt: skip
    parser.add_argument("--cpus-per-run", type=whole, metavar="N", help="of --launcher ray; by default 1 per device")
    parser.add_argument(
        "--gpus-per-run", type=number, metavar="N", help="of --launcher ray; by default 1 per device with CUDA"
    )
    parser.add_argument(
        "--store", metavar="URL",
        help="of --launcher ray: where the folders of runs are kept if its machines share no disk, for example "
        "s3://bucket/folder",
    )  # fmt: skip


def launcher_of(args: argparse.Namespace, study: "Study") -> "Launcher":
    """The launcher that the arguments mean.

    Raises:
        UserError: an argument does not fit the launcher.
    """
    from tutelage.study import InProcess, Pool, shares
    from tutelage.train import this_world

    for name in ("cpus_per_run", "gpus_per_run", "store"):
        if args.launcher != "ray" and getattr(args, name) is not None:
            raise UserError(f"--{name.replace('_', '-')}: expected --launcher ray beside it, found --launcher local")
    if (count := this_world().size) > 1:  # all of them train each run
        if args.launcher != "local" or args.jobs not in (None, 1):
            found = f"--launcher {args.launcher}" if args.launcher != "local" else f"{args.jobs} jobs"
            raise UserError(
                f"--jobs: expected one run at a time in the {count} processes that torchrun or SLURM started, found "
                f"{found}; leave it out, or start one process"
            )
        return InProcess()
    if args.launcher == "ray":
        if args.jobs is not None:
            raise UserError(
                "--jobs: expected --launcher local beside it, found --launcher ray, which runs as many as its cluster "
                "can hold; leave it out, or give --cpus-per-run"
            )
        from tutelage.study.launch.ray import Ray

        return Ray(args.cpus_per_run, args.gpus_per_run, args.store)
    parts = shares(study.objects.train, args.jobs if args.jobs is not None else _usual_jobs())
    return InProcess() if len(parts) == 1 else Pool(parts)


def _usual_jobs() -> int | None:
    text = os.environ.get("TUTELAGE_JOBS")
    if not text:
        return None
    try:
        return positive(text)
    except argparse.ArgumentTypeError as error:
        raise UserError(f"TUTELAGE_JOBS: {error}") from None
