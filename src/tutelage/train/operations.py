"""Floating-point operations of what is computed."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count


def operations(action: Callable[[], object]) -> int:
    """The operations of all matrix products and convolutions in a call, forward and backward; a multiply-add is two."""
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.aten.convolution_backward: _of_backward})
    with counter:
        action()
    return int(counter.get_total_flops())


def _of_backward(
    output: Sequence[int], x: Sequence[int], weight: Sequence[int], *others: Any, out_shape: Any = None
) -> int:
    """The gradients of a convolution's input and weight: each takes the operations of the convolution itself.

    torch counts that of the weight as if there were no groups: of a depthwise convolution it finds far too many.

    Args:
        output: the shape of the gradient of the output.
        x: of the input.
        weight: of the weight, [out, in / groups, ...].
        others: bias, stride, padding, dilation, transposed, output_padding, groups, and which gradients are computed.
        out_shape: of these.
    """
    transposed, wanted = others[4], others[7]
    one: int = conv_flop_count(list(x), list(weight), list(output), transposed)
    return one * int(sum(wanted[:2]))
