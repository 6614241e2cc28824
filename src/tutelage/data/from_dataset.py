"""A source of a user's own dataset."""

from torch.utils.data import Dataset, IterableDataset

from tutelage.data.base import Split
from tutelage.data.items import Items, ItemSource
from tutelage.data.modalities import Modality
from tutelage.errors import UserError
from tutelage.images import Size


class FromDataset(ItemSource):
    """Any map-style dataset that yields {"image": ..., "labels": {task: ...}}.

    Image and labels are tensors, arrays, numbers, lists, pictures of Pillow or `Path`s of files, decoded as docs/own.md
    says. A label that is absent or None is missing. Sample i must be the same whenever it is read: `train.augment`
    makes what is random.

    Args:
        train: The dataset to train on.
        modalities: Task -> the kind of its labels: how they are decoded, resized and augmented.
        test: The dataset to evaluate on, once, after training; None holds out a part of `train`: sample i by the rank
            of a hash of (seed, i).
        name: The name of the source; by default that of the dataset's class.
        size: Height and width to which images and labels are resized; None keeps their own.
        holdout: The part of `train` that is held out where `test` is None.
        holdout_seed: Which part is held out.
        cache: Keep decoded and resized samples in memory.
        version: Stands for the data in the fingerprint, in place of 16 samples that are read for it: for data that are
            slow to read. Change it with the data.

    Raises:
        UserError: An argument is out of range, or a dataset has no length or no index.
    """

    def __init__(
        self,
        train: Dataset,  # type: ignore[type-arg]  # jsonargparse builds no class of a parametrised type
        modalities: dict[str, Modality],
        test: Dataset | None = None,  # type: ignore[type-arg]  # as above
        name: str | None = None,
        size: Size | None = None,
        holdout: float = 0.2,
        holdout_seed: int = 0,
        cache: bool = False,
        version: str | None = None,
    ) -> None:
        super().__init__(name or type(train).__name__, modalities, size, holdout, holdout_seed, cache, version)
        for key, dataset in (("train", train), ("test", test)):
            if dataset is not None and not _is_map_style(dataset):
                raise UserError(
                    f"data.{key}: expected a dataset with a length and an index, found {type(dataset).__name__}; make "
                    "it a map-style torch.utils.data.Dataset"
                )
        self.train, self.test = train, test

    def datasets(self) -> dict[Split, Items]:
        """The items of `train` and, unless it is None, `test`."""
        datasets: dict[Split, Items] = {"train": Items(self.train, self.modalities, self.size, "data.train")}
        if self.test is not None:
            datasets["test"] = Items(self.test, self.modalities, self.size, "data.test")
        return datasets


def _is_map_style(dataset: object) -> bool:
    indexed = hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")
    return indexed and not isinstance(dataset, IterableDataset)
