"""Two data sets from one folder, trained on side by side: each image has a label of one of the two tasks."""

from collections.abc import Collection
from pathlib import Path

from tutelage.data.base import DataSource
from tutelage.data.digits.mnist import Mnist
from tutelage.data.digits.omniglot import Omniglot
from tutelage.data.digits.svhn import Svhn
from tutelage.data.digits.usps import Usps
from tutelage.data.mix import Mix
from tutelage.images import Size


class _Pair(Mix):
    """A mix whose own arguments are those of its sources, so that messages name them without the source."""

    def __init__(self, sources: list[DataSource], weights: dict[str, float] | None) -> None:
        super().__init__({source.name: source for source in sources}, weights)
        self.name = "-".join(self.sources)

    def check(self, tasks: Collection[str]) -> None:
        """Raise unless every task has labels in a source and the files exist."""
        self.check_names(tasks)
        for source in self.sources.values():
            source.check([t for t in tasks if t in source.modalities])


class MnistUsps(_Pair):
    """MNIST and USPS, tasks `mnist` and `usps`: the same ten classes in two domains. See `Mix`, `Mnist` and `Usps`.

    Args:
        root: The folder with the files of both.
        train: The number of training images of each, equally many of each class if possible; None takes all.
        seed: Which training images are taken.
        weights: The shares of `mnist` and `usps` in a step's images; None: in proportion to their numbers of images.
    """

    def __init__(
        self, root: Path, train: int | None = None, seed: int = 0, weights: dict[str, float] | None = None
    ) -> None:
        super().__init__([Mnist(root, train=train, seed=seed), Usps(root, train=train, seed=seed)], weights)


class SvhnOmniglot(_Pair):
    """SVHN and Omniglot, tasks `svhn` and `omniglot`, as in the paper. See `Mix`, `Svhn` and `Omniglot`.

    The paper's code for this pair is not public: sizes, splits and the share of each in a step are ours.

    Args:
        root: The folder with the files of both.
        size: Height and width to which the images of both are resized.
        train: The number of SVHN's training images, equally many of each class if possible; None takes all.
        seed: Which training images are taken.
        weights: The shares of `svhn` and `omniglot` in a step's images; None: in proportion to their numbers of images.
        download: Let torchvision download missing files when the data are checked.
    """

    def __init__(
        self,
        root: Path,
        size: Size = (32, 32),
        train: int | None = None,
        seed: int = 0,
        weights: dict[str, float] | None = None,
        download: bool = False,
    ) -> None:
        svhn = Svhn(root, size=size, train=train, seed=seed, download=download)
        super().__init__([svhn, Omniglot(root, size=size, download=download)], weights)
