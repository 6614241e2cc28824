"""The tensors of the authors' SegNet checkpoints in their order, and their network computed from them."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import batch_norm, conv2d, max_pool2d, max_unpool2d

FILTERS = (64, 128, 256, 512, 512)
WIDTHS = (13, 1, 3)  # of their heads: segmentation, depth, normals
FOLLOW_UP = {  # what the follow-up calls the heads
    "pred_task1": "decoders.semantic.pred_task",
    "pred_task2": "decoders.depth.pred_task",
    "pred_task3": "decoders.normal.pred_task",
}


def shapes(filters=FILTERS, widths=WIDTHS, deep: bool = False) -> Iterator[tuple[str, torch.Size]]:
    """Names and shapes of KD4MTL's checkpoint, in its order; `deep`: two convolutions where the others have one."""
    down = [(3, filters[0]), *pairwise(filters)]
    up = [(filters[0], filters[0]), *((o, i) for i, o in pairwise(filters))]
    yield "logsigma_dist", torch.Size([6])
    for name, channels in (("encoder_block", down), ("decoder_block", up)):
        for level, (i, o) in enumerate(channels):
            yield from _layer(f"{name}.{level}", i, o, deep)
    for name, channels in (("conv_block_enc", down), ("conv_block_dec", up)):
        for level, (_, o) in enumerate(channels):
            for place in [f"{level}"] if level < 2 else [f"{level}.0", f"{level}.1"]:
                yield from _layer(f"{name}.{place}", o, o, deep)
    for head, width in enumerate(widths, 1):
        yield from _convolution(f"pred_task{head}.0", filters[0], filters[0], 3)
        yield from _convolution(f"pred_task{head}.1", filters[0], width, 1)


def _layer(name: str, i: int, o: int, deep: bool) -> Iterator[tuple[str, torch.Size]]:
    for n, inputs in ((0, i), (3, o)) if deep else ((0, i),):
        yield from _convolution(f"{name}.{n}", inputs, o, 3)
        for x in ("weight", "bias", "running_mean", "running_var"):
            yield f"{name}.{n + 1}.{x}", torch.Size([o])


def _convolution(name: str, i: int, o: int, kernel: int) -> Iterator[tuple[str, torch.Size]]:
    yield f"{name}.weight", torch.Size([o, i, kernel, kernel])
    yield f"{name}.bias", torch.Size([o])


def follow_up(name: str) -> str:
    """The follow-up's name of KD4MTL's tensor."""
    head, _, rest = name.partition(".")
    return f"{FOLLOW_UP[head]}.{rest}" if head in FOLLOW_UP else f"backbone.{name}"


def forward(state: dict[str, Tensor], x: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
    """Raw predictions of the three heads, bottleneck and last feature, in eval mode."""
    indices = []
    for level in range(5):
        x = _through(state, f"conv_block_enc.{level}", _through(state, f"encoder_block.{level}", x))
        x, index = max_pool2d(x, 2, return_indices=True)
        indices.append(index)
    bottleneck = x
    for level in reversed(range(5)):
        x = max_unpool2d(x, indices[level], 2)
        x = _through(state, f"conv_block_dec.{level}", _through(state, f"decoder_block.{level}", x))
    heads = []
    for head in ("pred_task1", "pred_task2", "pred_task3"):
        y = conv2d(x, state[f"{head}.0.weight"], state[f"{head}.0.bias"], padding=1)
        heads.append(conv2d(y, state[f"{head}.1.weight"], state[f"{head}.1.bias"]))
    return heads, bottleneck, x


def _through(state: dict[str, Tensor], block: str, x: Tensor) -> Tensor:
    """All convolutions of a block, each with batch norm and ReLU, in the order of the checkpoint."""
    for name, w in state.items():
        if name.startswith(f"{block}.") and w.dim() == 4:
            stem, n, _ = name.rsplit(".", 2)
            x = conv2d(x, w, state[f"{stem}.{n}.bias"], padding=1)
            norm = {k: state[f"{stem}.{int(n) + 1}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")}
            x = batch_norm(x, **norm).relu()
    return x
