"""Each network runs once per batch, whatever is distilled from it."""

import gc
import weakref
from collections import Counter
from typing import Any

import pytest
import torch
from tests.distill import tiny
from torch import Tensor, nn

from tutelage.distill import FeatureDistiller, LogitDistiller, SumDistiller, Teacher
from tutelage.distill.teachers import passes
from tutelage.nets import EncoderDecoder
from tutelage.tasks import Depth, Normals, Segmentation
from tutelage.types import Batch, Distiller, Task

TASKS: dict[str, Task] = {"colour": Segmentation(classes=3), "height": Depth()}
EXAMPLE = torch.zeros(1, 3, 4, 6)


def both(
    student: nn.Module, teachers: Any, example: Tensor = EXAMPLE, match: Any = None, **kwargs: Any
) -> SumDistiller:
    match = match or {"bottleneck": "bottleneck", "last": "last"}
    torch.manual_seed(3)
    parts = [
        lambda *given: FeatureDistiller(*given, match, **kwargs),
        lambda *given: LogitDistiller(*given, **kwargs),
    ]
    return SumDistiller(student, teachers, example, parts)


def counted(**nets: nn.Module) -> Counter[str]:
    """Counts the forward passes of some networks."""
    counts: Counter[str] = Counter()
    for name, net in nets.items():
        net.register_forward_pre_hook(lambda *args, name=name: counts.update([name]))
    return counts


def distil(distiller: Distiller, student: nn.Module, batch: Batch, tasks: dict[str, Task] = TASKS) -> dict[str, Tensor]:
    distiller.setup(tasks)
    distiller.begin_step(0.0, observed=False)
    return {key: term.mean() for key, term in distiller(batch, student(batch.images)).items()}


@pytest.mark.parametrize("teach", ["all", "own"])
def test_features_and_predictions_take_one_pass_per_network(teach: Any) -> None:
    student, nets, batch = tiny.student().eval(), tiny.teachers(), tiny.batch()
    batch.labelled = {"colour": torch.tensor([True, False]), "height": torch.tensor([True, True])}
    distiller = both(student, nets, teach=teach)
    apart = [part(batch, student(batch.images)) for part in distiller.parts if part.setup(TASKS) is None]
    counts = counted(**nets)
    values = distil(distiller, student, batch)
    assert counts == {"colour": 1, "height": 1}
    for t in TASKS:
        torch.testing.assert_close(values[t], apart[0][t].mean() + apart[1][t].mean())
    distil(distiller, student, batch)
    assert counts == {"colour": 2, "height": 2}  # the next batch is another one, even if it is the same


def test_sums_of_sums_share_too() -> None:
    student, nets = tiny.student().eval(), tiny.teachers()
    torch.manual_seed(3)
    parts = [
        lambda *given: both(*given),
        lambda *given: FeatureDistiller(*given, {"last": "bottleneck"}),
    ]
    distiller = SumDistiller(student, nets, EXAMPLE, parts)
    counts = counted(**nets)
    distil(distiller, student, tiny.batch())
    assert counts == {"colour": 1, "height": 1}


def test_teachers_of_one_network_take_one_pass_for_the_same_images() -> None:
    student, net, batch = tiny.student().eval(), tiny.student(seed=5), tiny.batch()
    teachers = {t: Teacher(t, net, (t,)) for t in TASKS}
    distiller = both(student, teachers)
    counts = counted(net=net)
    values = distil(distiller, student, batch)
    assert counts == {"net": 1}
    separate = both(student, {t: Teacher(t, tiny.student(seed=5), (t,)) for t in TASKS})
    separate.load_state_dict(distiller.state_dict())
    for t, value in distil(separate, student, batch).items():
        torch.testing.assert_close(values[t], value)

    batch.labelled = {"colour": torch.tensor([True, False]), "height": torch.tensor([False, True])}
    own = both(student, teachers, teach="own")
    counts.clear()
    distil(own, student, batch)
    assert counts == {"net": 2}  # they see different images


def test_nothing_is_remembered_after_the_batch() -> None:
    student, nets = tiny.student().eval(), tiny.teachers()
    distiller = both(student, nets)
    kept: list[weakref.ref[Tensor]] = []
    for net in nets.values():
        net.register_forward_hook(
            lambda net, args, output: kept.extend(
                weakref.ref(x) for x in (*output.taps.values(), *output.predictions.values())
            )
        )
    with torch.no_grad():
        distil(distiller, student, tiny.batch())
    gc.collect()
    assert len(kept) == 6
    assert not any(reference() is not None for reference in kept)


def test_alone_a_distiller_holds_one_teachers_features_at_a_time() -> None:
    student, nets = tiny.student().eval(), tiny.teachers()
    distiller = FeatureDistiller(student, nets, EXAMPLE, {"last": "last"})
    first: list[weakref.ref[Tensor]] = []
    nets["colour"].register_forward_hook(lambda net, args, output: first.append(weakref.ref(output.taps["bottleneck"])))
    alive = []
    nets["height"].register_forward_pre_hook(lambda *args: alive.append(first[0]() is not None))
    distil(distiller, student, tiny.batch())
    assert alive == [False]


def test_an_output_is_read_within_its_batch_alone() -> None:
    """Otherwise a forgotten block would give the features of the batch before."""
    distiller = FeatureDistiller(tiny.student(), tiny.teachers(), EXAMPLE, {"last": "last"})
    with pytest.raises(AssertionError, match=r"with passes\.batch"):
        distiller.teachers.read(tiny.batch(), "colour")
    with distiller.teachers.passes.batch():
        distiller.teachers.read(tiny.batch(), "colour")


def test_the_indices_of_a_teachers_images_are_copied_to_the_device_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through pinned memory: from pageable memory the host would wait for the GPU, in every tap."""
    student, nets, batch = tiny.student().eval(), tiny.teachers(), tiny.batch()
    batch.labelled = {"colour": torch.tensor([True, False]), "height": torch.tensor([False, True])}
    copies: list[tuple[list[int], bool]] = []

    def transfer(x: Tensor, device: torch.device, non_blocking: bool) -> Tensor:
        copies.append((x.tolist(), non_blocking))
        return x.to(device)

    monkeypatch.setattr(passes, "transfer", transfer)
    distil(both(student, nets, teach="own"), student, batch)  # two taps and a prediction of each teacher
    assert copies == [([0], True), ([1], True)]
    copies.clear()
    distil(both(student, nets, teach="all"), student, batch)
    assert not copies


def test_a_failed_batch_leaves_nothing() -> None:
    student, nets = tiny.student().eval(), tiny.teachers()
    distiller = both(student, nets)
    distiller.setup(TASKS)
    output = student(tiny.batch().images)
    del output.predictions["colour"]
    with pytest.raises(KeyError):
        distiller(tiny.batch(), output)
    counts = counted(**nets)
    distil(distiller, student, tiny.batch(seed=4))
    assert counts == {"colour": 1, "height": 1}


def test_an_encoder_that_three_tasks_share_takes_one_pass() -> None:
    tasks: dict[str, Task] = {"segmentation": Segmentation(classes=4), "depth": Depth(), "normals": Normals()}
    widths = {t: task.width for t, task in tasks.items()}
    torch.manual_seed(0)
    small = {"decoder_pyramid_channels": 32, "decoder_segmentation_channels": 32}
    net = EncoderDecoder(widths, encoder="resnet18", decoder="FPN", decoder_args=small)
    student = EncoderDecoder(widths, encoder="resnet18", decoder="FPN", decoder_args=small).eval()
    counts = counted(encoder=net.encoder, net=net)
    batch = Batch(torch.rand(2, 3, 64, 64), {})
    distiller = both(
        student,
        {"multi": Teacher("multi", net, tuple(tasks))},
        batch.images[:1],
        {"bottleneck": "bottleneck", "decoder": "decoder"},
    )
    counts.clear()
    values = distil(distiller, student, batch, tasks)
    assert counts == {"encoder": 1, "net": 1}
    per_task = [f"multi/{t}" for t in tasks]
    shared = [] if isinstance(net.eval()(batch.images).taps["decoder"], dict) else ["multi"]
    assert set(values) == {"multi", *per_task, *shared}
    assert distiller.teaches() == {"multi": tuple(tasks)} | {f"multi/{t}": (t,) for t in tasks}
