"""The tensors of the authors' MTAN checkpoints in their order, their network computed from them, and its figures.

The figures are what `model/mtan.py` and `model/mtan_single.py` of the public KD4MTL (commit 0ecfa9c) give in eval mode
on the CPU in fp32, for the weights, inputs and adaptors of `golden`'s rule: tensors in the order of `shapes`, offset 0
for three tasks and `golden.TEACHERS` for the single-task networks.
"""

from collections.abc import Iterator
from itertools import pairwise

import torch
from tests.reference import authors_reference, golden
from tests.reference.authors_reference import FILTERS, WIDTHS
from torch import Tensor
from torch.nn.functional import batch_norm, conv2d, interpolate, max_pool2d, max_unpool2d

from tutelage.types import Output

LOG_PROBABILITY = [
    -3.340541, -2.561278, -1.951822, -3.287416, -2.972692, -1.986992, -3.151337, -3.294601, -2.031996, -2.829293,
    -3.403827, -2.063481, -2.413789,
]  # fmt: skip
DEPTH = [
    -0.72143, -0.716684, -0.717069, -0.716958, -0.719636, -0.715862, -0.715515, -0.716083, -0.71954, -0.715891,
    -0.71546, -0.715687, -0.721166, -0.719275, -0.71909, -0.719241, -0.721461, -0.717241, -0.717426, -0.717337,
    -0.719596, -0.715967, -0.716104, -0.715642, -0.719485, -0.715898, -0.715462, -0.715374, -0.720877, -0.719101,
    -0.719223, -0.719409,
]  # fmt: skip
NORMALS = [-0.739208, 0.030947, 0.672766]
BOTTLENECK = {  # [0, :8, 1, 2]
    "segmentation": [0.102106, 0.170147, 0.171973, 0.185516, 0.128113, 0.084353, 0.0, 0.0],
    "depth": [0.102449, 0.169196, 0.172514, 0.184588, 0.128696, 0.083416, 0.0, 0.0],
    "normals": [0.1026, 0.168525, 0.172858, 0.183918, 0.129156, 0.082662, 0.0, 0.0],
}
LAST = {  # [0, :8, 10, 20]
    "segmentation": [0.075437, 0.060061, 0.101326, 0.046992, 0.008834, 0.0, 0.0, 0.0],
    "depth": [0.07566, 0.061845, 0.105184, 0.048595, 0.009143, 0.0, 0.0, 0.0],
    "normals": [0.073187, 0.068899, 0.109447, 0.047699, 0.009619, 0.0, 0.0, 0.0],
}
MEAN_STD = {  # of bottleneck and last
    "segmentation": [0.06084919, 0.07200681, 0.02981533, 0.03596214],
    "depth": [0.0607141, 0.07188213, 0.03049439, 0.036542],
    "normals": [0.06062564, 0.07180299, 0.03144998, 0.03727113],
}
DISTANCES = {  # kd4mtl, at the bottleneck and the last block
    "segmentation": [2.002253293991089, 1.7341203689575195],
    "depth": [1.999699592590332, 2.2437500953674316],
    "normals": [1.9985445737838745, 1.834241271018982],
}


def shapes(filters=FILTERS, widths=WIDTHS) -> Iterator[tuple[str, torch.Size]]:
    """Names and shapes of a checkpoint in its order; one width: that of a single-task network."""
    several, numbers = len(widths) > 1, range(len(widths))
    outputs = [filters[0], *filters[:4]]  # of the decoder's levels
    if several:
        yield "logsigma", torch.Size([len(widths)])
    for name, shape in authors_reference.shapes(filters):
        if not name.startswith(("logsigma", "pred_task")):
            yield name, shape
    for part, channels in (("encoder", filters), ("decoder", outputs)):
        for number in numbers:
            for level, (f, o) in enumerate(zip(filters, channels, strict=True)):
                joined = f if (part, level) == ("encoder", 0) else f + o
                yield from _convolution(f"{part}_att.{number}.{level}.0", joined, o, 1, norm=1)
                yield from _convolution(f"{part}_att.{number}.{level}.3", o, o, 1, norm=4)
    for part, channels in (
        ("encoder", [*pairwise(filters), (filters[4], filters[4])]),
        ("decoder", [*zip(filters, outputs, strict=True)]),
    ):
        for level, (i, o) in enumerate(channels):
            yield from _convolution(f"{part}_block_att.{level}.0", i, o, 3, norm=1)
    for number, width in enumerate(widths, 1):
        head = f"pred_task{number}" if several else "pred_task"
        yield from _convolution(f"{head}.0", filters[0], filters[0], 3)
        yield from _convolution(f"{head}.1", filters[0], width, 1)


def _convolution(name: str, i: int, o: int, kernel: int, norm: int | None = None) -> Iterator[tuple[str, torch.Size]]:
    yield f"{name}.weight", torch.Size([o, i, kernel, kernel])
    yield f"{name}.bias", torch.Size([o])
    if norm is not None:
        stem = name.rsplit(".", 1)[0]
        for x in ("weight", "bias", "running_mean", "running_var"):
            yield f"{stem}.{norm}.{x}", torch.Size([o])


def state(offset: int, widths=WIDTHS) -> dict[str, Tensor]:
    """The checkpoint of `golden`'s rule."""
    listed = [(name, shape) for name, shape in shapes(widths=widths) if name != "logsigma"]
    return {name: golden.weight(name, shape, offset + i) for i, (name, shape) in enumerate(listed)}


def assert_the_authors_outputs(output: Output) -> None:
    """The figures of predictions and taps, of a student in eval mode."""
    normals = golden.TASKS["normals"].activate(output.predictions["normals"])
    golden.close(output.predictions["segmentation"].log_softmax(1)[0, :, 10, 20], LOG_PROBABILITY)
    golden.close(output.predictions["depth"][:, 0, ::21, ::31].flatten(), DEPTH)
    golden.close(normals[1, :, 33, 44], NORMALS)
    for t in golden.TASKS:
        bottleneck, last = output.taps["bottleneck"][t], output.taps["last"][t]
        golden.close(bottleneck[0, :8, 1, 2], BOTTLENECK[t])
        golden.close(last[0, :8, 10, 20], LAST[t])
        golden.close(torch.stack([bottleneck.mean(), bottleneck.std(), last.mean(), last.std()]), MEAN_STD[t])


def forward(state: dict[str, Tensor], x: Tensor) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Raw predictions, bottlenecks and last features of every task, in eval mode."""
    encoded, indices, decoded = [], [], {}
    for level in range(5):
        first = _layer(state, f"encoder_block.{level}", x)
        p = _others(state, f"conv_block_enc.{level}", first)
        x, index = max_pool2d(p, 2, return_indices=True)
        encoded.append((first, p))
        indices.append(index)
    for level in reversed(range(5)):
        unpooled = max_unpool2d(x, indices[level], 2)
        x = _others(state, f"conv_block_dec.{level}", _layer(state, f"decoder_block.{level}", unpooled))
        decoded[level] = (unpooled, x)
    heads = sorted({name.split(".")[0] for name in state if name.startswith("pred_task")})
    predictions, bottlenecks, lasts = [], [], []
    for number, head in enumerate(heads):
        brought = []
        for level, (u, p) in enumerate(encoded):
            y = _mask(state, f"encoder_att.{number}.{level}", torch.cat([u, *brought], 1)) * p
            brought = [max_pool2d(_layer(state, f"encoder_block_att.{level}", y), 2)]
        (y,) = brought
        bottlenecks.append(y)
        for level, (u, p) in decoded.items():
            y = interpolate(y, scale_factor=2, mode="bilinear", align_corners=True)
            y = _layer(state, f"decoder_block_att.{level}", y)
            y = _mask(state, f"decoder_att.{number}.{level}", torch.cat([u, y], 1)) * p
        lasts.append(y)
        y = conv2d(y, state[f"{head}.0.weight"], state[f"{head}.0.bias"], padding=1)
        predictions.append(conv2d(y, state[f"{head}.1.weight"], state[f"{head}.1.bias"]))
    return predictions, bottlenecks, lasts


def _layer(state: dict[str, Tensor], name: str, x: Tensor, n: int = 0) -> Tensor:
    """The n-th convolution of a block, normalised, and ReLU."""
    return _normalised(state, name, x, n).relu()


def _others(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    """The one or two further layers of a level."""
    for stem in [name] if f"{name}.0.weight" in state else [f"{name}.0", f"{name}.1"]:
        x = _layer(state, stem, x)
    return x


def _mask(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return _normalised(state, name, _normalised(state, name, x, 0).relu(), 3).sigmoid()


def _normalised(state: dict[str, Tensor], name: str, x: Tensor, n: int) -> Tensor:
    weight = state[f"{name}.{n}.weight"]
    x = conv2d(x, weight, state[f"{name}.{n}.bias"], padding=weight.shape[-1] // 2)
    return batch_norm(x, *(state[f"{name}.{n + 1}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")))
