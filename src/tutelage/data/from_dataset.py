"""A dataset of one's own as a source."""

from torch.utils.data import Dataset, IterableDataset

from tutelage.data.base import Split
from tutelage.data.items import Items, ItemSource
from tutelage.data.modalities import Modality, Size
from tutelage.errors import UserError


class FromDataset(ItemSource):
    """Any map-style dataset that yields {"image": ..., "labels": {task: ...}}.

    Image and labels are tensors, arrays, numbers, lists, pictures of Pillow or `Path`s of files, decoded as docs/own.md
    says. A label that is absent or None is missing. Sample i is always the same: random views are `train.augment`'s.

    Args:
        train: to train on.
        modalities: task -> how its labels are decoded, resized and augmented.
        val: to evaluate on, once; none holds out a part of `train`: sample i by the rank of a hash of (seed, i).
        name: of the source; by default the name of the dataset's class.
        size: height and width of everything; none leaves samples as they are.
        holdout: part of `train` that is held out where there is no `val`.
        holdout_seed: which part.
        cache: keep decoded and resized samples in memory.
        version: what the fingerprint has in place of a look at 16 samples, where they are slow to read; to be changed
            with them.

    Raises:
        ValueError: An argument is out of range, or a dataset has no length or no index.
    """

    def __init__(
        self,
        train: Dataset,  # type: ignore[type-arg]  # jsonargparse builds no class of a parametrised type
        modalities: dict[str, Modality],
        val: Dataset | None = None,  # type: ignore[type-arg]  # as above
        name: str | None = None,
        size: Size | None = None,
        holdout: float = 0.2,
        holdout_seed: int = 0,
        cache: bool = False,
        version: str | None = None,
    ) -> None:
        super().__init__(name or type(train).__name__, modalities, size, holdout, holdout_seed, cache, version)
        for key, dataset in (("train", train), ("val", val)):
            if dataset is not None and not _is_map_style(dataset):
                raise UserError(
                    f"data.{key}: expected a dataset with a length and an index, found {type(dataset).__name__}; make "
                    "it a map-style torch.utils.data.Dataset"
                )
        self.train, self.val = train, val

    def datasets(self) -> dict[Split, Items]:
        """The items of `train` and, where it is given, `val`."""
        found: dict[Split, Items] = {"train": Items(self.train, self.modalities, self.size, "data.train")}
        if self.val is not None:
            found["val"] = Items(self.val, self.modalities, self.size, "data.val")
        return found


def _is_map_style(dataset: object) -> bool:
    indexed = hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")
    return indexed and not isinstance(dataset, IterableDataset)
