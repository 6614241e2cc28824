"""Two sets of one folder, trained on side by side: each image has a label of one of the two tasks."""

from collections.abc import Collection
from pathlib import Path

from tutelage.data.base import DataSource
from tutelage.data.digits.mnist import Mnist
from tutelage.data.digits.omniglot import Omniglot
from tutelage.data.digits.svhn import Svhn
from tutelage.data.digits.usps import Usps
from tutelage.data.mix import Mix
from tutelage.data.modalities import Size


class _Pair(Mix):
    """Sources whose arguments are this one's own, which messages name."""

    def __init__(self, sources: list[DataSource], weights: dict[str, float] | None) -> None:
        super().__init__({source.name: source for source in sources}, weights)
        self.name = "-".join(self.sources)

    def check(self, tasks: Collection[str]) -> None:
        """Every task has labels in a source, and the files are there."""
        self.check_names(tasks)
        for source in self.sources.values():
            source.check([t for t in tasks if t in source.modalities])


class MnistUsps(_Pair):
    """MNIST and USPS, tasks `mnist` and `usps`: the same ten classes in two domains. See `Mix`, `Mnist` and `Usps`.

    Args:
        root: folder with the files of both.
        train: number of training images of each, as many of each class as can be; None takes all.
        seed: which of them.
        weights: how much of a step's images are `mnist` and `usps`; None: as many as there are of each.
    """

    def __init__(
        self, root: Path, train: int | None = None, seed: int = 0, weights: dict[str, float] | None = None
    ) -> None:
        super().__init__([Mnist(root, train=train, seed=seed), Usps(root, train=train, seed=seed)], weights)


class SvhnOmniglot(_Pair):
    """SVHN and Omniglot, tasks `svhn` and `omniglot`, as in the paper. See `Mix`, `Svhn` and `Omniglot`.

    The paper's code for this pair is not public: sizes, splits and the share of each in a step are ours.

    Args:
        root: folder with the files of both.
        size: height and width of both.
        train: number of SVHN's training images, as many of each class as can be; None takes all.
        seed: which of them.
        weights: how much of a step's images are `svhn` and `omniglot`; None: as many as there are of each.
        download: have torchvision fetch what is missing, when the data are checked.
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
