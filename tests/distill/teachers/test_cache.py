"""A distiller that reads its teachers from the cache computes what one that runs them does."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from tests.distill import tiny
from tests.distill.teachers.test_passes import TASKS, both, counted, distil
from torch import Tensor

from tutelage.cache import Entry, Field, Key
from tutelage.distill import SumDistiller
from tutelage.distill.teachers import (
    CachedOutput,
    Packing,
    RowNumbers,
    Storage,
    fill_rows,
    image_digests,
    network_facts,
    split_output,
    teachers_of,
)
from tutelage.types import Batch, MultiTaskNet, ViewKey

SIZE = 4


def batch(seed: int = 2, **view: Any) -> Batch:
    images = tiny.batch(seed, size=SIZE, height=8, width=8).images
    return Batch(images, {}, tuple(ViewKey(i, **view) for i in range(SIZE)), "rooms")


def cached(
    distiller: SumDistiller, images: Tensor, storage: Storage, rows: RowNumbers, chosen: Sequence[int] = range(SIZE)
) -> list[str]:
    """Let a distiller read what its networks compute for some images; what the user is told."""
    notes: list[str] = []
    passes = teachers_of(distiller)[0].passes
    outputs: dict[MultiTaskNet, dict[str, CachedOutput]] = {}
    for network, (taps, tasks) in passes.needs.items():
        with torch.no_grad():
            parts = split_output(passes.compute(network, images, tasks), taps, tasks)
        packings = {part: Packing.of(values, storage) for part, values in parts.items()}
        entries = {}
        for part, packing in packings.items():
            facts = {"part": list(part), "packing": packing.record(), **network_facts(network)}
            fields = {**packing.fields, "image": Field((), torch.int64)}
            entries[part] = packing, Entry(Key("teachers", facts, len(rows), fields))
        fill_rows(entries, torch.tensor(chosen), parts, image_digests(images))
        outputs[network] = {"rooms": CachedOutput(entries, rows, notes.append)}
    passes.cached = outputs
    return notes


def relative(value: Tensor, truth: Tensor) -> float:
    return float(((value - truth).abs() / truth.abs()).detach())


@pytest.mark.parametrize(("storage", "error"), [("auto", 0.0), ("fp32", 1e-6), ("bf16", 1e-3), ("int8", 1e-2)])
@pytest.mark.parametrize("per_task", [False, True])
def test_the_loss_and_its_gradient_are_those_of_computing(storage: Storage, error: float, per_task: bool) -> None:
    nets = tiny.teachers(channels=16, last=8, per_task=per_task)
    student, given = tiny.student(per_task=per_task).eval(), batch()
    student.requires_grad_(True)
    losses, gradients = [], []
    for reads in (False, True):
        distiller = both(student, nets)
        if reads:
            cached(distiller, given.images, storage, RowNumbers(range(SIZE)))
        counts = counted(**nets)
        student.zero_grad()
        losses.append(torch.stack([*distil(distiller, student, given).values()]).sum())
        losses[-1].backward()
        gradients.append(torch.cat([p.grad.flatten() for p in student.parameters() if p.grad is not None]))
        assert bool(counts) != reads
    assert losses[0] > 0
    assert relative(losses[1], losses[0]) <= error
    cosine = torch.cosine_similarity(*gradients, dim=0)
    assert cosine > (0.9999 if storage != "int8" else 0.999)


def test_in_any_order_and_for_some_images_alone() -> None:
    student, nets, given = tiny.student().eval(), tiny.teachers(), batch()
    order = torch.tensor([2, 0, 3])
    some = Batch(given.images[order], {}, tuple(given.views[i] for i in order), "rooms")
    some.labelled = {"colour": torch.tensor([True, False, True]), "height": torch.tensor([False, False, True])}
    distiller = both(student, nets, teach="own")
    computed = distil(distiller, student, some)
    cached(distiller, given.images, "auto", RowNumbers(range(SIZE)))
    counts = counted(**nets)
    read = distil(distiller, student, some)
    assert not counts
    for t in TASKS:
        torch.testing.assert_close(read[t], computed[t])


def test_mirrored_and_numbered_views_have_rows_of_their_own() -> None:
    flips = RowNumbers([7, 5], flips=(False, True))
    assert [flips.rows(flips.keys([row])).tolist() for row in range(4)] == [[0], [1], [2], [3]]
    assert [(key.index, key.flipped) for key in flips.keys(range(4))] == [(7, False), (7, True), (5, False), (5, True)]
    fixed = RowNumbers([7, 5], numbers=3)
    assert len(fixed) == 6
    assert fixed.rows([ViewKey(5, number=1, exact=False, flipped=True, seed=4, epoch=9)]).tolist() == [4]


@pytest.mark.parametrize(
    "view",
    [
        {"exact": False},
        {"flipped": True},
        {"number": 0, "exact": False},
        {"split": "test"},
        {"epoch": 1, "exact": False},
    ],
)
def test_a_view_without_a_row_is_computed(view: dict[str, Any]) -> None:
    student, nets, given = tiny.student().eval(), tiny.teachers(), batch(**view)
    distiller = both(student, nets)
    notes = cached(distiller, given.images, "auto", RowNumbers(range(SIZE)))
    counts = counted(**nets)
    distil(distiller, student, given)
    assert counts == {"colour": 1, "height": 1}
    assert notes == []


def test_a_batch_without_views_and_rows_that_are_missing_are_computed() -> None:
    student, nets, given = tiny.student().eval(), tiny.teachers(), batch()
    distiller = both(student, nets)
    cached(distiller, given.images[:2], "auto", RowNumbers(range(SIZE)), [0, 1])
    counts = counted(**nets)
    distil(distiller, student, given)
    distil(distiller, student, Batch(given.images, {}, (), "rooms"))
    distil(distiller, student, Batch(given.images[:2], {}, given.views[:2], "other"))
    assert counts == {"colour": 3, "height": 3}
    distil(distiller, student, Batch(given.images[:2], {}, given.views[:2], "rooms"))
    assert counts == {"colour": 3, "height": 3}


def test_an_image_that_has_changed_is_computed_and_said_once() -> None:
    student, nets, given = tiny.student().eval(), tiny.teachers(), batch()
    distiller = both(student, nets)
    given.images[1, 0, 3, 3] += 1 / 255
    truth = distil(distiller, student, given)
    given.images[1, 0, 3, 3] -= 1 / 255
    notes = cached(distiller, given.images, "auto", RowNumbers(range(SIZE)))
    given.images[1, 0, 3, 3] += 1 / 255
    for _ in range(2):
        values = distil(distiller, student, given)
        for t in TASKS:
            assert torch.equal(values[t], truth[t])
    assert len(notes) == len(nets)
    assert "is not the one" in notes[0]


def test_other_weights_architectures_and_modes_are_other_facts() -> None:
    def net(**kwargs: Any) -> tiny.Tiny:
        torch.manual_seed(0)
        return tiny.Tiny(tiny.WIDTHS, **kwargs).eval()

    nets = [net(), net(), net(per_task=True), net(), net(), net()]
    with torch.no_grad():
        nets[3].heads["height"].bias[0] += 1e-6
    nets[4].train()
    nets[5].encoder[3].p = 0.2
    nets += [net(), net()]
    nets[6].encoder[1].train()
    nets[7].encoder[3].train()
    facts = [network_facts(one) for one in nets]
    assert facts[0] == facts[1]
    assert all(facts.count(one) == 1 for one in facts[2:])


def test_whatever_a_module_holds_is_one_of_its_facts() -> None:
    def net(**kept: Any) -> tiny.Tiny:
        torch.manual_seed(0)
        made = tiny.Tiny(tiny.WIDTHS).eval()
        for name, value in kept.items():
            if name == "buffer":
                made.register_buffer("scale", value, persistent=False)
            else:
                setattr(made, name, value)
        return made

    one, two = torch.ones(2), torch.tensor([1.0, 2.0])
    kinds: list[dict[str, Any]] = [
        {"buffer": one}, {"buffer": two}, {"scale": one}, {"scale": two}, {"gains": {"a": 1.0}}, {"gains": {"a": 2.0}},
        {"gains": {"a": one}}, {"gains": [two]}, {"names": {"a", "b"}}, {"names": {"a", "c"}},
    ]  # fmt: skip
    facts = [network_facts(net(**kept)) for kept in kinds]
    assert all(facts.count(x) == 1 for x in facts)
    assert facts == [network_facts(net(**kept)) for kept in kinds]
    assert network_facts(net(names={0, 8})) == network_facts(net(names={8, 0}))  # which are iterated in two orders
