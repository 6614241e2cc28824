import itertools
import random
from collections.abc import Sequence

import pytest
import torch
from tests.data.plain import Plain
from tests.train.fixture import MODALITIES, TASKS, Images, indices, streams_of

from tutelage.data import Augment
from tutelage.train import Stream, Streams, TrainConfig, training_loader
from tutelage.train.loader import Order
from tutelage.train.views import Views
from tutelage.types import Sample


def stream(name: str, images: int, weight: float | None = None, seed: int = 0) -> Stream:
    source = Plain(images, seed=seed, name=name)
    return Stream(source.split("train"), source.modalities, name, weight)


def streams(found: Sequence[Stream], batch_size: int = 8, draws: int = 1, **config: int) -> Streams:
    return streams_of(found, TrainConfig(batch_size=batch_size, **config), draws)


def steps(of: Streams, seed: int = 0, start: int = 0) -> list[list[tuple[str, int, list[int]]]]:
    """By step its batches: name of the stream, pass, images."""
    keys = [(of.streams[n].name, chosen[0][0], [i for _, i in chosen]) for n, chosen in Order(of, seed, start)]
    size = of.length.parts * of.length.sources
    assert len(keys) == len(Order(of, seed, start)) == (of.length.steps - start) * size
    return [keys[i : i + size] for i in range(0, len(keys), size)]


def visited(of: Streams, name: str, seed: int = 0) -> list[list[int]]:
    """The images of a stream in their order, by pass."""
    found: dict[int, list[int]] = {}
    for turn, images in ((turn, images) for step in steps(of, seed) for n, turn, images in step if n == name):
        found.setdefault(turn, []).extend(images)
    assert list(found) == list(range(len(found)))
    return list(found.values())


def cases(number: int) -> list[tuple[list[float], int]]:
    """Weights and batch sizes at random."""
    dice = random.Random(number)
    found = []
    for _ in range(number):
        weights = [dice.choice([1, 10, 1000]) * dice.uniform(0.01, 1) for _ in range(dice.randint(1, 6))]
        found.append((weights, dice.randint(len(weights), dice.choice([8, 300]))))
    return found


def test_a_steps_images_are_divided_in_the_proportion_of_the_weights() -> None:
    assert streams([stream("a", 30, 3.0), stream("b", 30, 1.0)]).batch_sizes == [6, 2]
    assert streams([stream("a", 30), stream("b", 10)]).batch_sizes == [6, 2]
    assert streams([stream("a", 900, 1000.0), stream("b", 9, 1.0), stream("c", 9, 1.0)]).batch_sizes == [6, 1, 1]
    for weights, total in cases(500):
        sizes = streams([stream("", 300, w) for w in weights], total).batch_sizes
        assert sum(sizes) == total
        assert min(sizes) >= 1
        shares = [total * w / sum(weights) for w in weights]
        missing = sum(max(1 - share, 0) for share in shares)  # what those below one image take from the others
        assert all(size == 1 or -1 - missing < size - share < 1 for size, share in zip(sizes, shares, strict=True))
        order = sorted(range(len(weights)), key=lambda i: weights[i])
        assert [sizes[i] for i in order] == sorted(sizes)  # never less for a larger weight


def test_no_division_is_nearer_where_each_has_an_image_by_its_weight() -> None:
    for weights, total in ((w, t) for w, t in cases(400) if t <= 12 and t * min(w) / sum(w) >= 1):
        shares = [total * w / sum(weights) for w in weights]

        def off(sizes: Sequence[int], shares: Sequence[float] = shares) -> float:
            return sum((size - share) ** 2 for size, share in zip(sizes, shares, strict=True))

        every = (x for x in itertools.product(range(1, total + 1), repeat=len(weights)) if sum(x) == total)
        found = streams([stream("", 300, w) for w in weights], total).batch_sizes
        assert off(found) <= min(map(off, every)) + 1e-9


def test_an_epoch_is_the_pass_that_takes_longest() -> None:
    equal = streams([stream("a", 30, 1.0), stream("b", 11, 1.0)], epochs=3)
    assert (equal.batch_sizes, equal.length.per_epoch, equal.length.steps) == ([4, 4], 7, 21)
    assert streams([stream("a", 30, 1.0), stream("b", 11, 1.0)], accumulate=2).length.per_epoch == 3
    assert streams([stream("a", 30, 1.0), stream("b", 61, 1.0)]).length.per_epoch == 15
    assert streams([stream("a", 30), stream("b", 10)]).length.per_epoch == 5  # by their images: each about once
    assert streams([stream("a", 30, 1.0), stream("b", 11, 1.0)], draws=2).length.per_epoch == 7
    limited = streams([stream("a", 30, 1.0), stream("b", 11, 1.0)], epochs=3, max_steps=5)
    assert (limited.length.steps, limited.length.scheduled) == (5, 21)


@pytest.mark.parametrize(("accumulate", "draws"), [(1, 1), (2, 1), (1, 2), (2, 3)])
def test_a_step_has_no_image_twice_and_a_pass_has_each_image_at_most_once(accumulate: int, draws: int) -> None:
    found = streams([stream("a", 50), stream("b", 31), stream("c", 9)], 6, draws, accumulate=accumulate, epochs=4)
    for step in steps(found):
        assert [name for name, _, _ in step] == ["a", "b", "c"] * (accumulate * draws)
        for name, size in zip("abc", found.batch_sizes, strict=True):
            images = [i for n, _, images in step if n == name for i in images]
            assert len(set(images)) == len(images) == size * accumulate * draws
            assert len({turn for n, turn, _ in step if n == name}) == 1
    for name, count in (("a", 50), ("b", 31), ("c", 9)):
        passes = visited(found, name)
        assert all(len(set(images)) == len(images) for images in passes)
        assert all(len(images) > 0.4 * count for images in passes[:-1])
        assert {i for images in passes for i in images} == set(range(count))  # those left out wait for another pass
        assert passes[0] != passes[1]


def test_the_order_of_a_stream_depends_on_seed_name_and_pass_alone() -> None:
    plain = visited(streams([stream("a", 40), stream("b", 20)], epochs=9), "a")
    others = [
        streams([stream("b", 20), stream("a", 40)], epochs=9),
        streams([stream("a", 40, 5.0), stream("b", 20, 1.0)], epochs=9),
        streams([stream("a", 40), stream("c", 90), stream("d", 7)], 16, epochs=9),
        streams([stream("a", 40), stream("b", 20)], accumulate=2, epochs=9),
    ]
    for other in others:
        for one, same in zip(plain, visited(other, "a"), strict=False):
            shorter = min(len(one), len(same))  # what fills no step is left out
            assert one[:shorter] == same[:shorter]
            assert shorter > 20
    assert visited(streams([stream("a", 40), stream("b", 40)]), "b")[0] != plain[0]
    assert visited(streams([stream("a", 40), stream("b", 20)]), "a", seed=1)[0] != plain[0]


@pytest.mark.parametrize("accumulate", [1, 3])
def test_resuming_gives_the_remaining_batches(accumulate: int) -> None:
    found = streams([stream("a", 20), stream("b", 13)], 3, accumulate=accumulate, epochs=5)
    whole = steps(found)
    for start in range(found.length.steps + 1):
        assert steps(found, start=start) == whole[start:]


def view(of: Sequence[Stream], name: str, turn: int = 1, seed: int = 0) -> torch.Tensor:
    """The view of image 2 of a stream in a pass."""
    chosen = next(s for s in of if s.name == name)
    return Views(of, TASKS, Augment(), seed).view(chosen, (turn, 2))["image"]


def test_a_view_depends_on_seed_name_and_pass_alone() -> None:
    alike = [stream("a", 4), stream("b", 4), stream("c", 4)]
    one = view(alike, "a")
    assert torch.equal(one, view([stream("d", 9, 3.0), stream("a", 4, 2.0)], "a"))
    others = [view(alike, "b"), view(alike, "c"), view(alike, "a", turn=2), view(alike, "a", seed=1)]
    assert all(not torch.equal(one, other) for other in others)


class Ramp(Images):
    """Pixel n, row by row, is n / 255, and everything 6 m away."""

    def __getitem__(self, index: int) -> Sample:
        image = torch.arange(96.0).view(1, 8, 12).expand(3, 8, 12) / 255
        return Sample(image=image.contiguous(), labels={"depth": torch.full((1, 8, 12), 6.0)})


def test_order_and_views_of_one_source_are_what_they_were_before_there_could_be_several() -> None:
    """Literals of commit bae4645, the last one before there were streams."""
    order = [3, 7, 1, 0, 4, 6, 5, 8, 9, 10, 2, 11, 10, 8, 2, 5, 3, 6, 11, 0, 1, 7, 9, 4]
    scales = [1.2, 1, 1.2, 1.5, 1, 1.5, 1.5, 1, 1.5, 1.2, 1.5, 1, 1.5, 1.2, 1.2, 1, 1.2, 1.2, 1, 1.5, 1.5, 1.2, 1.5,
              1.2]  # fmt: skip
    corners = [13, 0, 13, 37, 0, 15, 35, 11, 38, 22, 3, 11, 19, 0, 23, 11, 1, 12, 11, 45, 32, 14, 34, 14]
    mirrored = [0, 0, 0, 0, 0, 0, 1, 1, 0, 1, 0, 1, 1, 0, 1, 1, 0, 0, 1, 1, 1, 0, 1, 0]
    for name in ("", "plain"):
        for batch_size, accumulate in ((4, 1), (2, 2), (6, 1)):
            config = TrainConfig(epochs=2, batch_size=batch_size, accumulate=accumulate, augment=Augment())
            found = streams_of([Stream(Ramp(), MODALITIES, name)], config)
            batches = list(training_loader(found, TASKS, config, seed=3))
            assert [i for batch in batches for i in indices(batch)] == order
            pixels = torch.cat([batch.images for batch in batches])[:, 0] * 255
            assert pixels[:, 0, 0].round().tolist() == corners
            assert (pixels[:, 0, 0] > pixels[:, 0, -1]).tolist() == [bool(m) for m in mirrored]
            metres = torch.cat([batch.targets["depth"].value for batch in batches])[:, 0, 0, 0]
            torch.testing.assert_close(6 / metres, torch.tensor(scales))


def test_a_batch_has_an_image_of_each_source() -> None:
    with pytest.raises(
        ValueError, match=r"^train.batch_size: expected one image or more of each of the 3 .*, found 2;"
    ):
        streams([stream("a", 9), stream("b", 9), stream("c", 9)], 2)


@pytest.mark.parametrize(("accumulate", "draws", "found"), [(1, 1, "6 x 1"), (2, 1, "6 x 2"), (2, 2, "6 x 4")])
def test_a_source_has_the_images_of_a_step(accumulate: int, draws: int, found: str) -> None:
    message = rf"^train.batch_size: expected at most the 5 training images of `small`, found {found} per step; lower"
    with pytest.raises(ValueError, match=message) as error:
        streams([stream("large", 90, 1.0), stream("small", 5, 3.0)], 8, draws, accumulate=accumulate)
    assert "\n" not in str(error.value)
