"""What the authors' SegNet, losses, metrics and distances give for weights and inputs made by a rule.

Figures of the public code of Li and Bilen (KD4MTL), run on the CPU in fp32. Nothing is random: a network with offset o
fills the i-th tensor of its checkpoint from wave(size, o + i).
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import normalize

from tutelage.nets import SegNet
from tutelage.tasks import Depth, Normals, Segmentation
from tutelage.types import MaskedTarget, Task

TASKS: dict[str, Task] = {"segmentation": Segmentation(13), "depth": Depth(), "normals": Normals()}
STUDENT, TEACHERS = 0, {"segmentation": 1000, "depth": 2000, "normals": 3000}  # offsets

LOG_PROBABILITY = [
    -3.575137, -2.745601, -2.058858, -3.328197, -2.928498, -1.861691, -2.998734, -3.138272, -1.887602, -2.752052,
    -3.413529, -2.141075, -2.569913,
]  # fmt: skip
DEPTH = [
    -0.840498, -0.833259, -0.834314, -0.834361, -0.835351, -0.828267, -0.827484, -0.828917, -0.835162, -0.828309,
    -0.827534, -0.82784, -0.834949, -0.829823, -0.828974, -0.829361, -0.840792, -0.834707, -0.834954, -0.835121,
    -0.83528, -0.828673, -0.829055, -0.827453, -0.83532, -0.82846, -0.827048, -0.827127, -0.834512, -0.828912,
    -0.82924, -0.829656,
]  # fmt: skip
NORMALS = [-0.716928, 0.072784, 0.693338]
BOTTLENECK = [0.020025, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
LAST = [0.188165, 0.198757, 0.157624, 0.090595, 0.026258, 0.0, 0.0, 0.0]
BOTTLENECK_MEAN_STD = [0.058239102363586426, 0.07072240114212036]
LAST_MEAN_STD = [0.06453041732311249, 0.07301952689886093]
LOSSES = {"segmentation": 2.715210199356079, "depth": 2.828578472137451, "normals": 1.0000519752502441}
MIOU, PIXEL_ACCURACY = 0.0035118688829243183, 0.055151380598545074  # shares
ABS_ERR, REL_ERR = 2.828578472137451, 1.4781829118728638
ANGLES = [90.0024185180664, 89.99341583251953]  # mean and median, degrees
WITHIN = [0.015561911170928668, 0.03347913862718708, 0.04651749663526245]  # shares under 11.25, 22.5, 30 degrees
DISTANCES = {  # kd4mtl, at the bottleneck and the last block
    "segmentation": [1.996423602104187, 1.993605613708496],
    "depth": [2.0060527324676514, 2.01764178276062],
    "normals": [1.9979486465454102, 2.0039048194885254],
}


def close(found: Tensor, figures: object) -> None:
    """Within what another order of fp32 sums can change."""
    torch.testing.assert_close(found.detach().float(), torch.as_tensor(figures), rtol=1e-3, atol=1e-4)


def wave(*shape: int, phase: float) -> Tensor:
    j = torch.arange(1, 1 + torch.Size(shape).numel(), dtype=torch.float64)
    return torch.sin(12.9898 * j + 78.233 * phase).reshape(shape)


def _keys() -> Iterator[str]:
    """Our name of every tensor, in the order of the authors' checkpoint.

    Theirs: encoder_block and decoder_block hold the first convolution of each level, conv_block_enc and conv_block_dec
    the others; then pred_task1, 2, 3.
    """
    convolutions = {0: 2, 1: 2, 2: 3, 3: 3, 4: 3}
    places = [(part, level, [0]) for part in ("encoder", "decoder") for level in range(5)]
    places += [(part, level, range(1, n)) for part in ("encoder", "decoder") for level, n in convolutions.items()]
    for part, level, which in places:
        for n in which:
            yield from (f"{part}.{level}.{3 * n}.{name}" for name in ("weight", "bias"))
            yield from (f"{part}.{level}.{3 * n + 1}.{x}" for x in ("weight", "bias", "running_mean", "running_var"))
    for task in TASKS:
        yield from (f"heads.{task}.{n}.{name}" for n in (0, 1) for name in ("weight", "bias"))


def weight(name: str, shape: torch.Size, phase: float) -> Tensor:
    """What the rule puts into the tensor of that name, theirs or ours."""
    w = wave(*shape, phase=phase)
    if name.endswith("running_mean"):
        w = torch.zeros(shape)
    elif name.endswith("running_var"):
        w = torch.ones(shape)
    elif len(shape) == 4:
        w = w * (4 / shape[1:].numel()) ** 0.5
    else:
        w = 1 + 0.1 * w if name.endswith("weight") else 0.1 * w
    return w.float()


def segnet(offset: int, *tasks: str) -> SegNet:
    """The authors' network in eval mode, or as much of it as does `tasks`."""
    net = SegNet({t: TASKS[t].width for t in tasks or TASKS}).eval()
    state = net.state_dict()
    for i, key in enumerate(_keys()):
        if key not in state:
            continue
        state[key] = weight(key, state[key].shape, offset + i)
    net.load_state_dict(state)
    return net


def assert_the_authors_outputs(net: SegNet) -> None:
    """The figures of predictions and taps; `net` is the student in eval mode."""
    with torch.no_grad():
        output = net(images())
    normals = TASKS["normals"].activate(output.predictions["normals"])
    close(output.predictions["segmentation"].log_softmax(1)[0, :, 10, 20], LOG_PROBABILITY)
    close(output.predictions["depth"][:, 0, ::21, ::31].flatten(), DEPTH)
    close(normals[1, :, 33, 44], NORMALS)
    bottleneck, last = output.taps["bottleneck"], output.taps["last"]
    close(bottleneck[0, :8, 1, 2], BOTTLENECK)
    close(last[0, :8, 10, 20], LAST)
    close(torch.stack([bottleneck.mean(), bottleneck.std()]), BOTTLENECK_MEAN_STD)
    close(torch.stack([last.mean(), last.std()]), LAST_MEAN_STD)


def images() -> Tensor:
    return (0.5 + 0.5 * wave(2, 3, 64, 96, phase=0.5)).float()


def targets() -> dict[str, MaskedTarget]:
    u = wave(2, 64, 96, phase=0.25)
    label = (((u + 1) / 2 * 13.999).floor() - 1).clamp(-1, 12).long()
    depth = 2 + wave(2, 1, 64, 96, phase=0.75)
    depth[:, :, ::7, ::5] = 0
    normals = normalize(wave(2, 3, 64, 96, phase=0.125), dim=1) * (depth != 0)
    labels = {"segmentation": label, "depth": depth.float(), "normals": normals.float()}
    return {t: TASKS[t].collate([*label], images()) for t, label in labels.items()}


def adaptor(channels: int, phase: float) -> Tensor:
    """The weight [channels, channels, 1, 1] of a 1x1 convolution."""
    return (wave(channels, channels, 1, 1, phase=phase) * (2 / channels) ** 0.5).float()
