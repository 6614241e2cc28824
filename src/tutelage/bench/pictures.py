"""Folders of pictures to read: smooth ones, since a picture of noise takes longer to decode than any photograph."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from tutelage.data import ClassesLabel, DepthLabel, Folders, Label, NormalsLabel

_COARSE = 16  # pixels between two random values


def write_pictures(folder: Path, size: tuple[int, int], count: int) -> Folders:
    """Write a JPEG and three PNGs per image, and return the source that reads them.

    Args:
        folder: where `train` and `test` are made.
        size: height and width.
        count: of images to train on; there is one to test on.
    """
    generator = torch.Generator().manual_seed(0)

    def smooth(channels: int) -> Tensor:
        coarse = torch.rand(1, channels, size[0] // _COARSE, size[1] // _COARSE, generator=generator)
        return interpolate(coarse, size, mode="bicubic").clamp(0, 1)[0].movedim(0, -1)

    for index in range(count + 1):
        split = "test" if index == count else "train"
        for kind, array in (
            ("image", smooth(3).mul(255).byte().numpy()),
            ("segmentation", smooth(1).mul(12.99).byte().numpy()[..., 0]),
            ("depth", smooth(1).mul(9000).add(500).numpy()[..., 0].astype(np.uint16)),
            ("normals", smooth(3).mul(255).byte().numpy()),
        ):
            path = folder / split / kind / f"{index:04}.{'jpg' if kind == 'image' else 'png'}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(path)
    labels = {
        "segmentation": Label("segmentation", ClassesLabel()),
        "depth": Label("depth", DepthLabel(scale=0.001)),
        "normals": Label("normals", NormalsLabel()),
    }
    return Folders(folder, labels)
