"""The samples of images and labels that are files of equal stems."""

from collections.abc import Collection, Mapping
from pathlib import Path

from torch import Tensor

from tutelage.data.fingerprint import stamp_of_files
from tutelage.data.look import Stored, stored_in_file
from tutelage.data.modalities import Modality
from tutelage.data.samples import Samples
from tutelage.images import Size, read_rgb, resize_image
from tutelage.types import Sample


class FolderDataset(Samples):
    """The samples of some stems.

    Args:
        image: Stem -> image file.
        labels: Task -> kind and (stem -> label file).
        stems: The stems in their order.
        size: Height and width to which images and labels are resized; None keeps those of the files.
        root: The folder of the data set.
    """

    def __init__(
        self,
        image: Mapping[str, Path],
        labels: Mapping[str, tuple[Modality, Mapping[str, Path]]],
        stems: list[str],
        size: Size | None,
        root: Path,
    ) -> None:
        self.image, self.labels, self.stems, self.size, self.root = image, labels, stems, size, root

    def __len__(self) -> int:
        return len(self.stems)

    def __getitem__(self, index: int) -> Sample:
        stem = self.stems[index]
        image = read_rgb(self.image[stem])
        shape = (image.shape[1], image.shape[2])
        labels: dict[str, Tensor] = {}
        for task, (kind, files) in self.labels.items():
            if stem not in files:
                continue
            labels[task] = kind.label(kind.decode(files[stem]), shape, self.size, str(files[stem]))
        return Sample(image=image if self.size is None else resize_image(image, self.size), labels=labels)

    def tasks(self, index: int) -> Collection[str]:
        """The tasks with a label file."""
        return [t for t, (_, files) in self.labels.items() if self.stems[index] in files]

    def stamp(self, index: int) -> str | None:
        """Of the image and all labels."""
        stem = self.stems[index]
        paths = [self.image[stem], *(files[stem] for _, files in self.labels.values() if stem in files)]
        return stamp_of_files((path.relative_to(self.root).as_posix(), path) for path in paths)

    def stored(self, index: int) -> Mapping[str, Stored]:
        """What the heads of the files say."""
        stem = self.stems[index]
        files = {"": self.image[stem], **{t: files[stem] for t, (_, files) in self.labels.items() if stem in files}}
        return {name: x for name, path in files.items() if (x := stored_in_file(path)) is not None}

    def where(self, index: int, task: str | None = None) -> str:
        """The path of the image, or of the label."""
        files = self.image if task is None else self.labels[task][1]
        return str(files[self.stems[index]])
