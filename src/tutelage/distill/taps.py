"""The features of a network at its taps."""

from collections.abc import Mapping

import torch
from torch import Tensor

from tutelage.types import MultiTaskNet, Output
from tutelage.types.network import check_network, in_eval_mode

Taps = Mapping[str, Tensor | dict[str, Tensor]]  # a tap is one feature for all tasks, or one per task (MTAN)


@torch.no_grad()
def network_taps(net: MultiTaskNet, images: Tensor) -> Taps:
    """The taps of a student, whose modes and batch-norm statistics stay as they are."""
    check_network(net, "student", "{TASK: CHANNELS}")
    with in_eval_mode(net):
        output: Output = net(images, tasks=())
    return output.taps


def read_tap(taps: Taps, name: str, task: str | None) -> Tensor:
    """The feature at a tap: the shared one, or that of `task`."""
    feature = taps[name]
    if not isinstance(feature, dict):
        return feature
    assert task is not None
    return feature[task]
