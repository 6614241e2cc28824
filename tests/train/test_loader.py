import torch
from tests.train.fixture import MODALITIES, TASKS, Images

from tutelage.data import Augment
from tutelage.train import Stream, Streams, TrainConfig, make_batch, training_loader


def batches(seed: int = 0, start: int = 0, workers: int = 0, augment: bool = True, **kwargs: int) -> list:
    config = TrainConfig(epochs=3, batch_size=2, workers=workers, augment=Augment() if augment else None, **kwargs)
    return list(training_loader(Streams([Stream(Images(), MODALITIES, "images")], config), TASKS, seed, start))


def assert_equal(a: list, b: list) -> None:
    assert len(a) == len(b) > 0
    for x, y in zip(a, b, strict=True):
        assert torch.equal(x.images, y.images)
        assert torch.equal(x.ids, y.ids)
        for t, target in x.targets.items():
            assert torch.equal(target.value, y.targets[t].value)


def test_an_epoch_is_every_image_once_in_an_order_of_its_own() -> None:
    ids = torch.cat([batch.ids for batch in batches()]).reshape(3, 12)
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
            int(i): x
            for batch in batches(seed)[epoch * 6 : epoch * 6 + 6]
            for i, x in zip(batch.ids, batch.images, strict=True)
        }
        return torch.stack([found[i] for i in range(12)])

    assert torch.equal(view(0, 1), view(0, 1))
    assert not torch.equal(view(0, 1), view(0, 2))
    assert not torch.equal(view(0, 1), view(1, 1))


def test_images_that_fill_no_step_wait_for_the_next_epoch() -> None:
    config = TrainConfig(epochs=40, batch_size=5)
    ids = [batch.ids for batch in training_loader(Streams([Stream(Images(), MODALITIES)], config), TASKS, 0)]
    assert len(ids) == 80
    assert len(torch.cat(ids).unique()) == 12


def test_a_batch_names_its_source_and_view() -> None:
    assert (batches()[0].source, batches()[0].view) == ("images", "random")
    assert batches(augment=False)[0].view == "id"


def test_missing_labels_are_all_false() -> None:
    batch = make_batch([Images()[0], Images()[1]], TASKS)  # the first lacks its depth
    assert not batch.targets["depth"].valid[0].any()
    assert batch.targets["depth"].valid[1].any()
    assert batch.targets["depth"].value.shape == (2, 1, 8, 12)
