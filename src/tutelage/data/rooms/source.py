"""Ray-cast rooms as a data source: the embedded default, which needs no download."""

from collections.abc import Collection, Mapping
from hashlib import blake2b

import numpy as np
import torch

from tutelage.data.base import DataSource, Memory, Samples, Split
from tutelage.data.modalities import ClassesLabel, DepthLabel, Modality, NormalsLabel, Size
from tutelage.data.rooms.render import render
from tutelage.data.rooms.scene import furnish
from tutelage.data.rooms.solids import Rng
from tutelage.errors import UserError
from tutelage.types import Sample

_VERSION = 1  # raised whenever the same seed gives other scenes


class Rooms(DataSource):
    """Indoor scenes from random furniture: tasks `segmentation` (NYU-v2's 13 classes), `depth` and `normals`.

    A room with a floor, lamps, furniture along its walls and in its middle, pictures and windows, seen by a camera at
    the height of a person's chest with the Kinect's field of view. Depth (metres along the optical axis) and normals
    are exact. Image i of a split is a function of (seed, split, i); another size shows the same view.

    Args:
        train: number of training images.
        val: number of validation images, of other rooms.
        size: height and width.
        seed: of all rooms.
        holes: leave a few patches of each image without a label, each task its own, as in real recordings.
    """

    name = "rooms"
    trusted = True

    def __init__(
        self, train: int = 512, val: int = 128, size: Size = (96, 128), seed: int = 0, holes: bool = True
    ) -> None:
        for name, value in (("train", train), ("val", val), ("size", min(size))):
            if value < 1:
                raise UserError(f"data.{name}: expected at least 1, found {value}")
        self.lengths: dict[Split, int] = {"train": train, "val": val}
        self.size, self.seed, self.holes = size, seed, holes
        kinds: dict[str, Modality] = {"segmentation": ClassesLabel(), "depth": DepthLabel(), "normals": NormalsLabel()}
        self.modalities: Mapping[str, Modality] = kinds
        self._splits: dict[Split, Samples] = {}

    def split(self, split: Split) -> Samples:
        """Its images, rendered when first asked for and then kept."""
        if split not in self._splits:
            self._splits[split] = Memory(_Rendered(self, split))
        return self._splits[split]

    def check(self, tasks: Collection[str]) -> None:
        """Every task has labels."""
        self.check_names(tasks)

    def fingerprint(self) -> str:
        """Of the arguments."""
        arguments = (_VERSION, self.lengths, self.size, self.seed, self.holes)
        return blake2b(repr(arguments).encode(), digest_size=8).hexdigest()


class _Rendered(Samples):
    def __init__(self, rooms: Rooms, split: Split) -> None:
        self.rooms, self.split = rooms, split

    def __len__(self) -> int:
        return self.rooms.lengths[self.split]

    def where(self, index: int, task: str | None = None) -> str:
        """What Rooms calls it."""
        return f"data: {self.split} image {index} of Rooms"

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        rooms = self.rooms
        rng = np.random.default_rng([rooms.seed, ("train", "val").index(self.split), index])
        scene = furnish(rng)
        camera, patches = rng.spawn(2)
        image, classes, depth, normals = render(scene, rooms.size, camera)
        label = torch.from_numpy(classes)
        z = torch.from_numpy(depth)[None]
        n = torch.from_numpy(normals).permute(2, 0, 1).contiguous()
        if rooms.holes:
            label[_patches(patches, rooms.size, 6)] = -1
            unknown = _patches(patches, rooms.size, 3)
            z[:, unknown], n[:, unknown] = 0, 0
        labels = {"segmentation": label, "depth": z, "normals": n}
        rgb = (torch.from_numpy(image).permute(2, 0, 1) * 255).round() / 255  # what a picture's bytes can hold
        return Sample(image=rgb.contiguous(), labels=labels)


def _patches(rng: Rng, size: Size, most: int) -> torch.Tensor:
    """A few rectangles, in parts of the image, so that they do not depend on its size."""
    mask = torch.zeros(size, dtype=torch.bool)
    for top, left, height, width in rng.random((int(rng.integers(1, most + 1)), 4)):
        rows = slice(int(top * size[0]), int((top + 0.02 + 0.1 * height) * size[0]))
        mask[rows, int(left * size[1]) : int((left + 0.02 + 0.1 * width) * size[1])] = True
    return mask
