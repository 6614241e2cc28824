"""Random augmentation of training samples, the same for the image and its labels."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import torch

from tutelage.data.modalities import Modality, Rgb, Window
from tutelage.data.packed import Packed
from tutelage.errors import UserError
from tutelage.images import Size
from tutelage.recorded import Recorded
from tutelage.types import Sample, ViewKey


class Augment(Recorded):
    """Random zoom and horizontal flip, as in the authors' follow-up (arXiv:2204.02744) and MTAN's later code.

    A scale s is drawn uniformly from `scales`; a window of H/s x W/s at a random place is enlarged to H x W, and depth
    is divided by s. With probability `flip` the result is mirrored, and the x of the normals is negated. docs/data.md
    says how each kind of label is enlarged. The view of a subclass is never exact (see `ViewKey`), unless the subclass
    says so in `sample["view"]`.

    Args:
        scales: The values of s.
        flip: The probability of mirroring.
        views: The number K of fixed views of each image, drawn once from the same distribution, whatever the seed: a
            run shows them in turn, and a teacher need see each of them only once. This is another augmentation. None:
            a new view in every epoch.

    Raises:
        UserError: A scale is below 1, `flip` is not in 0..1, or `views` is below 1.
    """

    views: int | None = None

    def __init__(self, scales: Sequence[float] = (1.0, 1.2, 1.5), flip: float = 0.5, views: int | None = None) -> None:
        if not scales or min(scales) < 1:
            raise UserError(f"train.augment.scales: expected one or more numbers of at least 1, found {list(scales)}")
        if not 0 <= flip <= 1:
            raise UserError(f"train.augment.flip: expected a probability, found {flip}")
        if views is not None and views < 1:
            raise UserError(f"train.augment.views: expected a number of views per image or null, found {views}")
        self.scales, self.flip, self.views = tuple(scales), flip, views

    def check(self, size: Size) -> None:
        """Raise a one-line UserError if a scale leaves no window of images of this size."""
        window = _window(size, max(self.scales))
        if min(window) < 1:
            raise UserError(
                f"train.augment.scales: expected windows of at least 1x1 of images of {size[0]}x{size[1]}, found "
                f"{window[0]}x{window[1]} at scale {max(self.scales):g}; lower it"
            )

    def __call__(self, sample: Sample, modalities: Mapping[str, Modality], generator: torch.Generator) -> Sample:
        """The augmented sample; all randomness comes from `generator`."""
        height, width = sample["image"].shape[1:]
        window = self.draw((height, width), generator)
        labels = {task: modalities[task].view(label, window) for task, label in sample["labels"].items()}
        result = Sample(**{**sample, "image": Rgb().view(sample["image"], window), "labels": labels})
        if "view" in sample:
            result["view"] = self.name(sample["view"], window)
        return result

    def draw(self, size: Size, generator: torch.Generator) -> Window:
        """The window that is shown of an image of this size."""
        choice, top, left, mirror = torch.rand(4, generator=generator).tolist()
        scale = self.scales[int(choice * len(self.scales))]
        window = _window(size, scale)
        place = int(top * (size[0] - window[0] + 1)), int(left * (size[1] - window[1] + 1))
        return Window(size, *place, window, scale, mirror < self.flip)

    def name(self, view: ViewKey, window: Window) -> ViewKey:
        """The key of the view that shows `window`."""
        # A subclass may change the colours after this, so that only it can say that a view is exact.
        return replace(view, flipped=window.mirrored, exact=window.scale == 1 and type(self) is Augment)

    def takes_batches(self, kinds: Iterable[Modality]) -> bool:
        """Whether `batch` shows what `__call__` shows, for labels of these kinds: a subclass may show anything."""
        return type(self).__call__ is Augment.__call__ and all(kind.batched for kind in kinds)

    def batch(self, samples: Packed, windows: Sequence[Window], kinds: Mapping[str, Modality]) -> Packed:
        """The augmented samples, decoded, on their device; on a CPU bit for bit those of `__call__`.

        Args:
            samples: of one size.
            windows: what is shown of each.
            kinds: of their labels, by task; each is `batched`.
        """
        labels = {task: x.holding(kinds[task].views(x, windows)) for task, x in samples.labels.items()}
        return Packed(samples.images.holding(Rgb().views(samples.images, windows)), labels)


def _window(size: Size, scale: float) -> Size:
    return round(size[0] / scale), round(size[1] / scale)
