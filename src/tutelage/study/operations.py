"""What a forward costs, to compare networks of different kinds."""

from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from tutelage.study.load import Study
from tutelage.train import select
from tutelage.types import MultiTaskNet


def operations(
    study: Study, net: Callable[[dict[str, int]], MultiTaskNet], widths: dict[str, int] | None = None
) -> int:
    """Floating-point operations of matrix products and convolutions in a forward of one image of the study.

    Args:
        study: whose tasks and images.
        net: makes the network.
        widths: of its heads; None: all tasks of the study.
    """
    tasks = study.config.tasks
    with torch.random.fork_rng(devices=[]):  # weights are drawn, and forgotten
        made = net({t: task.width for t, task in tasks.items()} if widths is None else widths).eval()
    stream = select(study.config.data, tasks)[0]
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        made(stream.samples[stream.index(0)]["image"][None])
    return int(counter.get_total_flops())
