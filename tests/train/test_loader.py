from dataclasses import replace

import pytest
import torch
from tests.train.fixture import MODALITIES, TASKS, Images, indices, streams_of

from tutelage.data import Augment
from tutelage.train import Stream, TrainConfig, make_batch, training_loader
from tutelage.train.views import PackedBatch, Views
from tutelage.types import Sample


def batches(seed: int = 0, start: int = 0, workers: int = 0, augment: bool = True, **kwargs: int) -> list:
    config = TrainConfig(epochs=3, batch_size=2, workers=workers, augment=Augment() if augment else None, **kwargs)
    streams = streams_of([Stream(Images(), MODALITIES, "images")], config)
    return list(training_loader(streams, TASKS, config, seed, start))


def assert_equal(a: list, b: list) -> None:
    assert len(a) == len(b) > 0
    for x, y in zip(a, b, strict=True):
        assert torch.equal(x.images, y.images)
        assert x.views == y.views
        for t, target in x.targets.items():
            assert torch.equal(target.value, y.targets[t].value)


def test_an_epoch_is_every_image_once_in_an_order_of_its_own() -> None:
    ids = torch.tensor([indices(batch) for batch in batches()]).reshape(3, 12)
    assert (ids.sort(1).values == torch.arange(12)).all()
    assert not torch.equal(ids[0], ids[1])


def test_starting_in_the_middle_gives_the_rest() -> None:
    assert_equal(batches(start=7), batches()[7:])
    assert_equal(batches(start=2, accumulate=3), batches(accumulate=3)[6:])


def test_workers_change_nothing() -> None:
    assert_equal(batches(workers=2), batches())


def test_views_depend_on_seed_and_epoch() -> None:
    def view(seed: int, epoch: int) -> torch.Tensor:
        found = {
            i: x
            for batch in batches(seed)[epoch * 6 : epoch * 6 + 6]
            for i, x in zip(indices(batch), batch.images, strict=True)
        }
        return torch.stack([found[i] for i in range(12)])

    assert torch.equal(view(0, 1), view(0, 1))
    assert not torch.equal(view(0, 1), view(0, 2))
    assert not torch.equal(view(0, 1), view(1, 1))


def test_images_that_fill_no_step_wait_for_the_next_epoch() -> None:
    config = TrainConfig(epochs=40, batch_size=5)
    streams = streams_of([Stream(Images(), MODALITIES)], config)
    ids = [indices(batch) for batch in training_loader(streams, TASKS, config, 0)]
    assert len(ids) == 80
    assert {i for batch in ids for i in batch} == set(range(12))


def test_a_batch_names_its_source() -> None:
    assert batches()[0].source == "images"


def test_an_exact_view_is_the_sample_or_its_mirror_image_bit_for_bit() -> None:
    kinds = set()
    for epoch, batch in ((number // 6, batch) for number, batch in enumerate(batches(seed=3))):
        for view, image, classes in zip(batch.views, batch.images, batch.targets["segmentation"].value, strict=True):
            sample = Images()[view.index]
            shown = sample["image"].flip(-1) if view.flipped else sample["image"]
            assert torch.equal(image, shown) == view.exact
            if view.exact:
                label = sample["labels"]["segmentation"]
                assert torch.equal(classes, label.flip(-1) if view.flipped else label)
            assert (view.epoch, view.seed, view.split) == (epoch, 3, "train")
            kinds.add((view.exact, view.flipped))
    assert len(kinds) == 4  # of either kind there were some


def test_images_without_augmentation_are_exact() -> None:
    assert all(view.exact and not view.flipped for batch in batches(augment=False) for view in batch.views)


def test_an_augmentation_that_says_nothing_of_its_view_is_not_exact() -> None:
    class Silent(Augment):
        def __call__(self, sample, modalities, generator):
            return Sample(image=1 - sample["image"], labels=sample["labels"], view=sample["view"])

    config = TrainConfig(batch_size=2, augment=Silent(), max_steps=1)
    (batch,) = training_loader(streams_of([Stream(Images(), MODALITIES)], config), TASKS, config, 0)
    assert not any(view.exact for view in batch.views)


class Jitter(Augment):
    """Recolours what `Augment` shows, and says nothing of it."""

    def __call__(self, sample, modalities, generator):
        sample = super().__call__(sample, modalities, generator)
        return Sample(**{**sample, "image": sample["image"] * 0.5})


def test_an_augmentation_that_recolours_another_ones_view_is_not_exact() -> None:
    config = TrainConfig(batch_size=2, augment=Jitter(scales=[1.0]), max_steps=6)
    loader = training_loader(streams_of([Stream(Images(), MODALITIES)], config), TASKS, config, 0)
    views = [view for batch in loader for view in batch.views]
    assert len(views) == 12
    assert not any(view.exact for view in views)
    assert len({view.flipped for view in views}) == 2


def fixed_views(seed: int, names: tuple[str, ...] = ("images",), epochs: int = 6) -> dict:
    """Stream, index and number of every view of a run -> its images, and the epochs that showed it."""
    config = TrainConfig(epochs=epochs, batch_size=2 * len(names), augment=Augment(views=3))
    streams = streams_of([Stream(Images(), MODALITIES, name) for name in names], config)
    seen: dict = {}
    for batch in training_loader(streams, TASKS, config, seed):
        for view, image in zip(batch.views, batch.images, strict=True):
            images, shown = seen.setdefault((batch.source, view.index, view.number, view.flipped), ([], []))
            images.append(image)
            shown.append(view.epoch)
            assert view.repeats
    return seen


def test_fixed_views_are_shown_in_turn_and_shared_by_epochs_seeds_and_numbers_of_streams() -> None:
    first, second, several = fixed_views(0), fixed_views(1), fixed_views(0, ("images", "others"))
    assert len(first) == 12 * 3
    for key, (images, epochs) in first.items():
        assert len(epochs) == 2  # in six epochs each of three views twice
        assert epochs[1] == epochs[0] + 3
        for image in (*images, *second[key][0], *several[key][0]):
            assert torch.equal(image, images[0])
    assert any(epochs != second[key][1] for key, (_, epochs) in first.items())  # each seed begins elsewhere
    assert len({float(images[0].sum()) for images, _ in first.values()}) > 24  # they do differ


def test_fixed_views_are_made_on_the_host_and_others_where_they_are_needed() -> None:
    streams = [Stream(Images(), MODALITIES, "images")]
    for augment, left in ((Augment(), True), (None, True), (Augment(views=2), False)):
        batch = Views(streams, TASKS, augment, packed=True)[0, [(0, 1), (0, 2)]]
        assert isinstance(batch, PackedBatch) == left


def test_other_views_have_no_number_and_repeat_only_where_they_are_exact() -> None:
    views = [view for batch in batches() for view in batch.views]
    assert {view.number for view in views} == {None}
    assert all(view.repeats == view.exact for view in views)


class Singly(Augment):
    """What `Augment` shows, of single samples: so is every augmentation that overrides `__call__`."""

    def __call__(self, sample, modalities, generator):
        return super().__call__(sample, modalities, generator)


def test_batches_are_those_of_single_samples_bit_for_bit() -> None:
    config = TrainConfig(epochs=3, batch_size=2, augment=Singly())
    streams = streams_of([Stream(Images(), MODALITIES, "images")], config)
    singly = list(training_loader(streams, TASKS, config, 0))
    for a, b in zip(batches(), singly, strict=True):
        assert a.targets.keys() == b.targets.keys()
        for t in a.targets:
            assert torch.equal(a.labelled[t], b.labelled[t])
            assert torch.equal(a.counts[t], b.counts[t])
            assert torch.equal(a.targets[t].valid, b.targets[t].valid)
        assert [replace(view, exact=False) for view in a.views] == list(b.views)
        assert torch.equal(a.images, b.images)
        for t, target in a.targets.items():
            assert torch.equal(target.value, b.targets[t].value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="the prefetcher is for a GPU")
@pytest.mark.parametrize("augment", [None, Augment(), Singly()])
def test_a_gpu_gets_the_same_batches(augment: Augment | None) -> None:
    config = TrainConfig(epochs=3, batch_size=2, augment=augment)
    streams = streams_of([Stream(Images(), MODALITIES, "images")], config)
    device = torch.device("cuda")
    ahead = training_loader(streams, TASKS, config, 0, device=device)
    for a, b in zip(ahead, training_loader(streams, TASKS, config, 0), strict=True):
        assert a.images.is_cuda
        assert a.views == b.views
        torch.testing.assert_close(a.images.cpu(), b.images)
        for t, target in a.targets.items():
            assert torch.equal(a.counts[t], b.counts[t])
            assert torch.equal(a.labelled[t], b.labelled[t])
            torch.testing.assert_close(target.value.cpu(), b.targets[t].value)


def test_a_batch_of_samples_that_nobody_named_has_no_views() -> None:
    assert make_batch([Images()[0], Images()[1]], TASKS).views == ()


def test_missing_labels_are_all_false() -> None:
    batch = make_batch([Images()[0], Images()[1]], TASKS)  # the first lacks its depth
    assert not batch.targets["depth"].valid[0].any()
    assert batch.targets["depth"].valid[1].any()
    assert batch.targets["depth"].value.shape == (2, 1, 8, 12)
