"""Sources of small images with one class each, which are read from a few files and kept in memory."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Collection, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from tutelage.data.base import DataSource, Split
from tutelage.data.digits.arrays import ImagesAndClasses, at_least, require_library, resized
from tutelage.data.fingerprint import fingerprint_of_files, ranked
from tutelage.data.modalities import Modality
from tutelage.data.samples import Samples
from tutelage.data.whole_labels import ClassLabel
from tutelage.errors import UserError
from tutelage.files import expand_home
from tutelage.images import Size, in_unit_range
from tutelage.types import Sample


class ClassImages(Samples):
    """Images in memory, with one class per image for every task.

    Args:
        images: [N, C, H, W] with C = 1 (grey, which is repeated) or C = 3; bytes, or float32 in 0..1.
        labels: Task -> classes [N], int64.
        origin: The name of the images in messages.
        numbers: The index of each image in its origin; by default its index here.
    """

    def __init__(
        self, images: Tensor, labels: Mapping[str, Tensor], origin: str, numbers: list[int] | None = None
    ) -> None:
        self.images, self.labels, self.origin, self.numbers = images, labels, origin, numbers

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        image = in_unit_range(self.images[index], self.where(index))
        labels = {t: x[index].clone() for t, x in self.labels.items()}
        return Sample(image=image.repeat(3 // len(image), 1, 1), labels=labels)

    def tasks(self, index: int) -> Collection[str]:
        """All tasks."""
        return list(self.labels)

    def stamp(self, index: int) -> str:
        """Of the bytes of the image and its labels, which are in memory: their file holds all other samples, too."""
        digest = blake2b(repr((tuple(self.images.shape[1:]), list(self.labels))).encode(), digest_size=16)
        digest.update(self.images[index].contiguous().numpy().tobytes())
        for classes in self.labels.values():
            digest.update(classes[index].numpy().tobytes())
        return digest.hexdigest()

    def where(self, index: int, task: str | None = None) -> str:
        """The origin and the number of the image."""
        return f"{self.origin} image {index if self.numbers is None else self.numbers[index]}"


class ImageFiles(DataSource):
    """A data set in a few files whose official training and test images are the splits `train` and `test`.

    `test` is read once, after training, and nothing is selected on it. To select on a part of the training images, wrap
    the source in `tutelage.data.HoldOut`, as `tutelage tune` does.

    Args:
        root: The folder with the files.
        task: The name of the task.
        size: Height and width to which images are resized; None keeps those of the files.
        train: The number of training images; None takes all. There are equal numbers of each class, as far as possible,
            by the rank of a hash of (seed, index): the same on every machine, and a larger number contains a smaller
            one.
        seed: Which training images are taken.

    Raises:
        UserError: A number is below 1.
    """

    size: Size
    in_memory = True
    file_size: ClassVar[Size]  # of the images in the files
    library: ClassVar[str | None] = None  # the module that reads the files
    remedy: ClassVar[str]  # what to do about a missing file

    def __init__(self, root: Path, task: str, size: Size | None, train: int | None, seed: int) -> None:
        at_least(1, {"size": 1 if size is None else min(size), "train": 1 if train is None else train})
        self.root, self.task, self.train, self.seed = expand_home(root), task, train, seed
        self.size, self._resize_to = size or self.file_size, size  # a fingerprint has the argument as it was passed
        self.modalities: Mapping[str, Modality] = {task: ClassLabel()}
        self._splits: dict[Split, Samples] = {}  # kept, so that all runs of a study share them

    @abstractmethod
    def files(self, split: Split) -> list[Path]:
        """The files of a split, whether they exist or not."""

    @abstractmethod
    def read(self, split: Split) -> ImagesAndClasses:
        """All images and classes of a split; a one-line UserError names a file that is damaged or another one."""

    def split(self, split: Split) -> Samples:
        """The images of a split in the order of the files, read once and then kept in memory."""
        if split not in self._splits:
            require_library(self.library)
            images, classes = self.read(split)
            numbers = None
            if split == "train" and self.train is not None:
                if self.train > len(images):
                    raise UserError(
                        f"data.train: expected at most {len(images)}, the training images there are, found {self.train}"
                    )
                numbers = balanced(classes.tolist(), self.train, self.seed)
                images, classes = images[numbers], classes[numbers]
            images = resized(images, self.size)
            origin = f"{self.files(split)[0]}: {split}"
            self._splits[split] = ClassImages(images, {self.task: classes}, origin, numbers)
        return self._splits[split]

    def check(self, tasks: Collection[str]) -> None:
        """Raise unless the task has this name, the files exist, and the library that reads them is installed."""
        self.check_names(tasks)
        require_library(self.library)
        self.check_files()

    def check_files(self) -> None:
        """Raise for the first missing file."""
        for path in self._files():
            if not path.is_file():
                raise UserError(
                    f"data.root: expected {path.relative_to(self.root)} in {self.root}, found no such file; "
                    f"{self.remedy}"
                )

    def fingerprint(self) -> str:
        """Depends on the files' names and contents, and on the arguments."""
        arguments = repr((self.task, self._resize_to, self.train, self.seed))
        return fingerprint_of_files(arguments, ((x.relative_to(self.root).as_posix(), x) for x in self._files()))

    def _files(self) -> list[Path]:
        return list(dict.fromkeys([*self.files("train"), *self.files("test")]))


def balanced(classes: list[int], count: int, seed: int) -> list[int]:
    """`count` sorted indices: the first of every class by the rank of a hash, then the second of every class, ..."""
    seen: Counter[int] = Counter()
    turns = []
    for rank, index in enumerate(ranked(range(len(classes)), seed)):
        turns.append((seen[classes[index]], rank, index))
        seen[classes[index]] += 1
    return sorted(index for _, _, index in sorted(turns)[:count])
