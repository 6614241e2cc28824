"""What every data source holds."""

from collections.abc import Mapping

import pytest
import torch

from tutelage.data import Augment, ClassesLabel, DataSource, DepthLabel, NormalsLabel
from tutelage.data.whole_labels import ClassLabel, Whole
from tutelage.tasks import Depth as DepthTask
from tutelage.tasks import Normals as NormalsTask
from tutelage.tasks import Segmentation
from tutelage.types import Sample, Task

TASKS: dict[str, Task] = {"segmentation": Segmentation(13), "depth": DepthTask(), "normals": NormalsTask()}


def check_labels(sample: Sample, kinds: Mapping[str, object], size: tuple[int, int]) -> None:
    """The numeric contract of docs/data.md."""
    image = sample["image"]
    assert image.dtype == torch.float32
    assert image.shape == (3, *size)
    assert 0 <= float(image.min()) <= float(image.max()) <= 1
    for t, label in sample["labels"].items():
        kind = kinds[t]
        if isinstance(kind, ClassesLabel):
            assert label.dtype == torch.int64
            assert label.shape == size
            assert int(label.min()) >= -1
        elif isinstance(kind, DepthLabel):
            assert label.dtype == torch.float32
            assert label.shape == (1, *size)
            assert float(label.min()) >= 0
        elif isinstance(kind, ClassLabel):
            assert label.dtype == torch.int64
            assert label.shape == ()
            assert int(label) >= -1
        else:
            assert isinstance(kind, NormalsLabel)
            assert label.dtype == torch.float32
            assert label.shape == (3, *size)
            length = label.norm(dim=0)
            assert bool((((length - 1).abs() < 1e-5) | (length == 0)).all())


class SourceTester:
    """`source` gives a source of two images or more in each split whose images all have `size`."""

    size = (48, 64)
    tasks: Mapping[str, Task] = TASKS

    @pytest.fixture
    def source(self) -> DataSource:
        raise NotImplementedError

    def test_both_splits_keep_the_contract(self, source: DataSource) -> None:
        source.check(source.modalities)
        for split in ("train", "test"):
            dataset = source.split(split)
            assert len(dataset) >= 2
            for i in range(len(dataset)):
                check_labels(dataset[i], source.modalities, self.size)

    def test_a_sample_is_always_the_same_and_nobody_can_spoil_it(self, source: DataSource) -> None:
        dataset = source.split("train")
        first = dataset[1]
        image, labels = first["image"].clone(), {t: x.clone() for t, x in first["labels"].items()}
        first["labels"].clear()
        again = dataset[1]
        assert torch.equal(again["image"], image)
        assert all(torch.equal(again["labels"][t], x) for t, x in labels.items())

    def test_samples_say_where_they_come_from(self, source: DataSource) -> None:
        names = [source.split(split).where(i) for split in ("train", "test") for i in range(2)]
        assert len(set(names)) == 4
        for task in source.split("train")[1]["labels"]:
            assert source.split("train").where(1, task)

    def test_views_keep_the_contract(self, source: DataSource) -> None:
        augment = Augment()
        for number in range(8):
            view = augment(source.split("train")[0], source.modalities, torch.Generator().manual_seed(number))
            check_labels(view, source.modalities, self.size)

    def test_tasks_take_the_labels(self, source: DataSource) -> None:
        sample = source.split("train")[0]
        for t, label in sample["labels"].items():
            target = self.tasks[t].collate([label], sample["image"][None])
            whole = isinstance(source.modalities[t], Whole)
            assert target.valid.shape == ((1,) if whole else (1, *self.size))
            assert target.valid.any()

    def test_a_task_without_labels_is_one_line(self, source: DataSource) -> None:
        with pytest.raises(ValueError, match=r"tasks.albedo: expected the name of a label of the data \(") as error:
            source.check(["albedo"])
        assert "\n" not in str(error.value)

    def test_the_fingerprint_is_stable(self, source: DataSource) -> None:
        assert source.fingerprint() == source.fingerprint()
        assert len(source.fingerprint()) == 16
