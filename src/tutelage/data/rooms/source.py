"""Ray-cast images of rooms: the data set that comes with the library and needs no download."""

from collections.abc import Collection, Mapping
from typing import Literal, get_args

import numpy as np
import torch

from tutelage.data.base import DataSource, Split
from tutelage.data.fingerprint import FINGERPRINTED, fingerprint_of_text
from tutelage.data.labels import ClassesLabel, DepthLabel
from tutelage.data.modalities import Modality
from tutelage.data.normals_label import NormalsLabel
from tutelage.data.rooms.render import render
from tutelage.data.rooms.scene import furnish
from tutelage.data.rooms.solids import CLASSES, COARSE, TO_COARSE, Rng
from tutelage.data.samples import Memory, Samples
from tutelage.errors import UserError
from tutelage.images import Size
from tutelage.types import Sample

_VERSION = 1  # raised whenever the same arguments give other images


class Rooms(DataSource):
    """Indoor scenes from random furniture: tasks `segmentation` (NYU-v2's 13 or 4 classes), `depth` and `normals`.

    Each image shows a room with a floor, lamps, furniture along the walls and in the middle, pictures and windows, from
    a camera at the height of a person's chest with the Kinect's field of view. Depth (metres along the optical axis)
    and normals are exact. Image i of a split is a function of (seed, split, i); another size shows the same view.

    Args:
        train: The number of training images.
        test: The number of test images, which show other rooms.
        size: Height and width.
        seed: The seed of all rooms.
        holes: Leave a few patches of each image without a label, as in real recordings: other patches for segmentation
            than for depth and normals.
        classes: 13, or 4: floor, structure (ceiling, wall, window), furniture, props.

    Raises:
        UserError: A number is below 1, the seed is negative, or `classes` is another number.
    """

    name = "rooms"
    size: Size
    trusted = True

    def __init__(
        self,
        train: int = 512,
        test: int = 128,
        size: Size = (96, 128),
        seed: int = 0,
        holes: bool = True,
        classes: Literal[13, 4] = 13,
    ) -> None:
        for name, value in (("train", train), ("test", test), ("size", min(size))):
            if value < 1:
                raise UserError(f"data.{name}: expected at least 1, found {value}")
        if seed < 0:
            raise UserError(f"data.seed: expected a whole number of at least 0, found {seed}")
        self.lengths: dict[Split, int] = {"train": train, "test": test}
        self.size, self.seed, self.holes, self.classes = size, seed, holes, classes
        kinds: dict[str, Modality] = {"segmentation": ClassesLabel(), "depth": DepthLabel(), "normals": NormalsLabel()}
        self.modalities: Mapping[str, Modality] = kinds
        self._splits: dict[Split, Samples] = {}

    def split(self, split: Split) -> Samples:
        """The images of a split, each rendered when it is first read and then kept in memory."""
        if split not in self._splits:
            self._splits[split] = Memory(_Rendered(self, split))
        return self._splits[split]

    def check(self, tasks: Collection[str]) -> None:
        """Raise if a task has no labels."""
        self.check_names(tasks)

    def fingerprint(self) -> str:
        """Depends on the arguments."""
        lengths = {FINGERPRINTED[split]: length for split, length in self.lengths.items()}
        return fingerprint_of_text(repr((_VERSION, lengths, *self._of_images())))

    def origin(self) -> str:
        """The arguments of which a sample is a function, without the number of samples."""
        return repr((_VERSION, *self._of_images()))

    def _of_images(self) -> tuple[object, ...]:
        """The arguments that images and labels depend on; the classes only where they are not the usual ones."""
        arguments = (self.size, self.seed, self.holes)
        return arguments if self.classes == len(CLASSES) else (*arguments, self.classes)


class _Rendered(Samples):
    def __init__(self, rooms: Rooms, split: Split) -> None:
        self.rooms, self.split = rooms, split

    def __len__(self) -> int:
        return self.rooms.lengths[self.split]

    def stamp(self, index: int) -> str:
        """Of the arguments that the image is a function of."""
        return fingerprint_of_text(repr((self.rooms.origin(), self.split, index)))

    def where(self, index: int, task: str | None = None) -> str:
        """The split and the index."""
        return f"data: {self.split} image {index} of Rooms"

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        rooms = self.rooms
        rng = np.random.default_rng([rooms.seed, get_args(Split).index(self.split), index])
        scene = furnish(rng)
        camera, patches = rng.spawn(2)
        image, classes, depth, normals = render(scene, rooms.size, camera)
        label = torch.from_numpy(classes)
        if rooms.classes == len(COARSE):
            label = torch.tensor(TO_COARSE)[label]
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
    """A mask of a few rectangles, drawn relative to the size of the image so that every size has the same ones."""
    mask = torch.zeros(size, dtype=torch.bool)
    for top, left, height, width in rng.random((int(rng.integers(1, most + 1)), 4)):
        rows = slice(int(top * size[0]), int((top + 0.02 + 0.1 * height) * size[0]))
        mask[rows, int(left * size[1]) : int((left + 0.02 + 0.1 * width) * size[1])] = True
    return mask
