"""A step over several sources, of other sizes and with other labels, is the formula over single images."""

import copy
from collections.abc import Callable, Sequence
from typing import cast

import pytest
import torch
from lightning_fabric import Fabric
from tests.data.plain import Plain
from tests.reference.distill_reference import conv1x1, distance
from tests.reference.sources_reference import absolute_error, cross_entropy, imitated_classes, imitated_depth, objective
from tests.train.fixture import Net, indices, streams_of
from torch import Tensor, nn

from tutelage.balance import Uniform
from tutelage.data import DataSource, Mix
from tutelage.distill import FeatureDistiller, LogitDistiller
from tutelage.tasks import Depth, Segmentation
from tutelage.train import (
    Optim,
    Optimisers,
    PartialStep,
    TrainConfig,
    Training,
    fit,
    make_batch,
    select,
    training_loader,
    training_step,
)
from tutelage.types import Batch, Distiller, Output, Sample, Task, Teach, Terms

TASKS: dict[str, Task] = {"segmentation": Segmentation(4), "depth": Depth()}
LOSSES = {"segmentation": cross_entropy, "depth": absolute_error}
IMITATED = {"segmentation": imitated_classes, "depth": imitated_depth}
LAMBDA = {"segmentation": 0.5, "depth": 2.0}
Gradients = dict[str, Tensor | None]


class Nets:
    """Student, teachers and distiller of one seed, and the same in fp64 for the formula."""

    def __init__(self, teach: Teach, logits: bool = False) -> None:
        torch.manual_seed(0)
        self.student = Net({t: task.width for t, task in TASKS.items()})
        self.teachers = {t: Net({t: task.width}) for t, task in TASKS.items()}
        self.teach, example = teach, torch.zeros(1, 3, 4, 6)
        self.distiller: Distiller
        if logits:
            self.distiller = LogitDistiller(self.student, self.teachers, example, LAMBDA, teach=teach)
        else:
            match = {"last": "last"}
            self.distiller = FeatureDistiller(self.student, self.teachers, example, match, LAMBDA, teach=teach)
        self.distiller.setup(TASKS)

    @property
    def trained(self) -> nn.ModuleDict:
        return nn.ModuleDict({"student": self.student, "distiller": self.distiller})

    def found(self) -> Gradients:
        return {name: p.grad for name, p in self.trained.named_parameters()}

    def formula(self, samples: Sequence[Sample]) -> Gradients:
        exact = copy.deepcopy(self).double()
        total = objective(samples, exact.student, LOSSES, {t: exact.distance(t) for t in TASKS}, LAMBDA, self.teach)
        named = dict(exact.trained.named_parameters())
        if not total.requires_grad:  # no image says anything
            return dict.fromkeys(named)
        gradients = torch.autograd.grad(total, list(named.values()), allow_unused=True)
        return dict(zip(named, gradients, strict=True))

    def double(self) -> "Nets":
        for module in (self.trained, *self.teachers.values()):
            module.double()
        return self

    def distance(self, t: str) -> Callable[[Tensor, Output], Tensor]:
        """d_t of one image."""

        def measured(image: Tensor, output: Output) -> Tensor:
            taught = self.teachers[t](image)
            if isinstance(self.distiller, LogitDistiller):
                return IMITATED[t](output.predictions[t][0], taught.predictions[t][0])
            kernel = cast(Tensor, self.distiller.get_parameter(f"adaptors.{t}.last.conv.weight"))
            return distance(conv1x1(kernel, cast(Tensor, output.taps["last"])), cast(Tensor, taught.taps["last"]))

        return measured


def assert_close(found: Gradients, expected: Gradients) -> None:
    assert found.keys() == expected.keys()
    assert any(x is not None for x in expected.values())
    for name, reference in expected.items():
        if reference is None:
            assert found[name] is None or not found[name].any(), name
        else:
            value = torch.zeros_like(reference) if found[name] is None else found[name].double()
            torch.testing.assert_close(value, reference, rtol=1e-3, atol=2e-6, msg=lambda text, n=name: f"{n}: {text}")


def partial() -> Mix:
    """Two sources of other sizes; both have depth, some images no label at all, and one a label that says nothing."""
    wide = Plain(8, size=(2, 4), classes=4, lacks={"depth": [0, 3, 5], "segmentation": [3, 6]}, blank={"depth": [1]})
    high = Plain(7, size=(4, 2), tasks=["depth"], seed=1, lacks={"depth": [2, 4]})
    return Mix({"wide": wide, "high": high})


def disjoint() -> Mix:
    high = Plain(7, size=(4, 2), tasks=["depth"], seed=1)
    return Mix({"wide": Plain(8, size=(2, 4), tasks=["segmentation"], classes=4), "high": high})


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("logits", [False, True], ids=["features", "logits"])
@pytest.mark.parametrize("teach", ["all", "own"])
@pytest.mark.parametrize("data", [partial, disjoint])
def test_the_gradient_of_a_step_is_that_of_a_loop_over_single_images(
    data: Callable[[], Mix], teach: Teach, logits: bool, accumulate: int
) -> None:
    mix, nets = data(), Nets(teach, logits)
    config = TrainConfig(epochs=1, batch_size=6 // accumulate, accumulate=accumulate, max_steps=1, channels_last=False)
    streams = streams_of(select(mix, TASKS, everything=teach == "all"), config)
    balancer = Uniform()
    balancer.setup(TASKS, nets.student, nets.distiller)
    parts = {
        "student": (list(nets.student.parameters()), Optim()),
        "adaptors": ([*nets.distiller.parameters()], Optim()),
    }
    expected = nets.formula([s for batch in training_loader(streams, TASKS, config, 5) for s in singles(mix, batch)])
    run = Training(nets.student, nets.distiller, balancer, Optimisers(parts, 1, 1))
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
    fit(fabric, run, TASKS, training_loader(streams, TASKS, config, 5), config, streams.length, 5)
    assert_close(nets.found(), expected)  # the next step would forget them, this one has not


def singles(mix: Mix, batch: Batch) -> list[Sample]:
    samples = mix.sources[batch.source].split("train")
    return [samples[i] for i in indices(batch)]


def step(nets: Nets, groups: Sequence[Sequence[tuple[DataSource, list[int]]]]) -> Gradients:
    """The gradient of a step, and of the formula: of every part of it some images of every source."""
    chosen = [[[s.split("train")[i] for i in indices] for s, indices in part] for part in groups]
    parts = [[make_batch(samples, TASKS) for samples in part] for part in chosen]
    for part, reduce in zip(parts, PartialStep.split(parts, nets.distiller), strict=True):
        training_step(part, nets.student, TASKS, nets.distiller, Uniform(), reduce)
    return nets.formula([sample for part in chosen for samples in part for sample in samples])


@pytest.mark.parametrize("teach", ["all", "own"])
@pytest.mark.parametrize("logits", [False, True], ids=["features", "logits"])
def test_a_task_without_a_label_in_the_step_is_taught_by_its_teacher_or_not_at_all(teach: Teach, logits: bool) -> None:
    nets = Nets(teach, logits)
    wide, high = partial().sources.values()
    expected = step(nets, [[(wide, [0, 5, 1]), (high, [2, 4])]])  # image 1 has a label that says nothing
    assert_close(nets.found(), expected)
    head = [p.grad for p in nets.student.task_parameters("depth")]
    assert any(grad is not None and bool(grad.any()) for grad in head) == (teach == "all" and logits)
    if not logits:
        kernel = nets.distiller.get_parameter("adaptors.depth.last.conv.weight")
        assert (kernel.grad is None) == (teach == "own")


@pytest.mark.parametrize("logits", [False, True], ids=["features", "logits"])
def test_images_without_any_label_teach_through_all_teachers_or_not_at_all(logits: bool) -> None:
    wide, high = partial().sources.values()
    nets = Nets("all", logits)
    expected = step(nets, [[(wide, [3]), (high, [2, 4])]])
    assert_close(nets.found(), expected)
    nets = Nets("own", logits)
    expected = step(nets, [[(wide, [3]), (high, [2, 4])], [(wide, [3]), (high, [2])]])
    assert all(grad is None for grad in (*nets.found().values(), *expected.values()))


@pytest.mark.parametrize("teach", ["all", "own"])
def test_parts_of_a_step_may_differ_in_images_and_labels(teach: Teach) -> None:
    wide, high = partial().sources.values()
    nets = Nets(teach)
    expected = step(nets, [[(wide, [0, 1, 2, 3]), (high, [2])], [(wide, [3]), (high, [4])], [(high, [0, 1, 5])]])
    assert_close(nets.found(), expected)


@pytest.mark.parametrize(("teach", "taught"), [("all", (6, 6)), ("own", (3, 2))])
def test_counts_are_those_of_the_whole_step(teach: Teach, taught: tuple[int, int]) -> None:
    wide, high = (x.split("train") for x in partial().sources.values())
    groups = [[[wide[0], wide[1]], [high[0]]], [[wide[3], wide[4]], [high[2]]]]
    parts = [[make_batch(samples, TASKS) for samples in part] for part in groups]
    nets = Nets(teach)
    for reduce in PartialStep.split(parts, nets.distiller):
        assert reduce.share == 0.5
        assert (int(reduce.taught["segmentation"]), int(reduce.taught["depth"])) == taught
        assert int(reduce.counts["depth"]) == sum(int((x["labels"]["depth"] > 0).sum()) for x in (wide[4], high[0]))
    for batch in (batch for part in parts for batch in part):
        terms = nets.distiller(batch, nets.student(batch.images))
        assert {t: int(term.count) for t, term in terms.items()} == {
            t: n for t, n in nets.distiller.counts(batch).items() if n
        }
    nothing = PartialStep.split([[make_batch([wide[1], wide[3]], TASKS)]], nets.distiller)[0](
        Terms()
    )  # no depth anywhere
    assert [float(term.mean()) for part in (nothing.task, nothing.distill) for term in part.values()] == [0] * 4
