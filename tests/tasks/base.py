"""What every task promises.

A task's test inherits `DenseTaskTester` or `WholeImageTaskTester` and gives a task, labels, and what is perfect.
"""

import pickle
from collections.abc import Iterator
from copy import deepcopy
from math import prod

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics import Metric

from tutelage.tasks import MaskedTask
from tutelage.types import MaskedTarget, MetricInfo, MetricProtocol, Task, Term

IMAGES, SIZE = 12, (7, 10)


def collate(task: MaskedTask, label: Tensor) -> MaskedTarget:
    """The target of labels [B, ...]."""
    return task.collate([*label], torch.zeros(len(label), 3, 1, 1))


def values(metric: Metric) -> dict[str, float]:
    return {name: value.item() for name, value in metric.compute().items()}


class TaskTester:
    best: dict[str, float]  # every metric of a perfect prediction
    positions: tuple[int, ...]  # of one image's `Target.valid`
    raw_positions: tuple[int, ...]  # of one image's raw output, after its channels

    @pytest.fixture
    def task(self) -> Task:
        raise NotImplementedError

    def label(self, generator: torch.Generator) -> Tensor:
        """Labels of `IMAGES` images, valid everywhere."""
        raise NotImplementedError

    def perfect(self, label: Tensor) -> Tensor:
        """A raw output that could not be better."""
        raise NotImplementedError

    @pytest.fixture
    def images(self) -> Tensor:
        return torch.rand(IMAGES, 3, *SIZE, generator=torch.Generator().manual_seed(0))

    @pytest.fixture
    def target(self, task: Task, images: Tensor) -> MaskedTarget:
        """Four positions of five are valid; in image 2, none."""
        generator = torch.Generator().manual_seed(1)
        label, missing = self.label(generator), task.missing(images[0])
        valid = torch.rand(IMAGES, *self.positions, generator=generator) < 0.8
        valid[2] = False
        target = task.collate([*torch.where(self.spread(valid, label), label, missing)], images)
        assert torch.equal(target.valid, valid)
        return target

    @pytest.fixture
    def raw(self, task: Task) -> Tensor:
        shape = (IMAGES, task.width, *self.raw_positions)
        return torch.randn(shape, generator=torch.Generator().manual_seed(2)).requires_grad_()

    @pytest.fixture(params=["dataset", "image"])
    def protocol(self, request: pytest.FixtureRequest) -> MetricProtocol:
        return request.param

    def differentiate(self, task: Task, raw: Tensor, target: MaskedTarget) -> tuple[Term, Tensor]:
        term = task.loss(raw, target)
        (gradient,) = torch.autograd.grad(term.sum, raw)
        return term, gradient

    def each(self, raw: Tensor, target: MaskedTarget) -> Iterator[tuple[Tensor, MaskedTarget]]:
        for i in range(IMAGES):
            yield raw[i : i + 1], MaskedTarget(target.value[i : i + 1], target.valid[i : i + 1])

    def spread(self, valid: Tensor, value: Tensor) -> Tensor:
        """`valid` in a shape that broadcasts over the channels of `value`."""
        return valid.reshape(IMAGES, *[1] * (value.ndim - valid.ndim), *self.positions)

    def ill(self, target: MaskedTarget, filling: float) -> MaskedTarget:
        """The same target with other values where it is not valid."""
        value = target.value
        if not value.is_floating_point():
            filling = 10**6 if filling > 0 else -(10**6)
        return MaskedTarget(torch.where(self.spread(target.valid, value), value, filling), target.valid)

    # what a task says of itself

    def test_metrics_are_those_of_metric_info(self, task: Task, raw: Tensor, target: MaskedTarget, protocol) -> None:
        metric = task.metrics(protocol)
        metric.update(task.activate(raw), target)
        assert list(metric.compute()) == list(task.metric_info)
        assert all(isinstance(info, MetricInfo) for info in task.metric_info.values())
        assert task.main in task.metric_info

    def test_missing_is_valid_nowhere(self, task: Task, images: Tensor) -> None:
        target, label = task.collate([None] * IMAGES, images), self.label(torch.Generator())
        assert target.value.dtype == label.dtype
        assert target.value.shape == label.shape
        assert target.valid.shape == (IMAGES, *self.positions)
        assert target.valid.dtype == torch.bool
        assert not target.valid.any()

    def test_a_target_counts_what_is_valid(self, target: MaskedTarget) -> None:
        assert target.labelled().tolist() == [bool(valid.any()) for valid in target.valid]
        assert not target.labelled().all()
        assert target.count() == int(target.valid.sum())

    def test_dense_is_what_the_labels_are(self, task: Task) -> None:
        assert task.dense == (self.raw_positions == SIZE)

    def test_a_task_can_be_pickled(self, task: Task, raw: Tensor, target: MaskedTarget) -> None:
        again = pickle.loads(pickle.dumps(task))
        assert torch.equal(again.loss(raw, target).sum, task.loss(raw, target).sum)

    def mirror(self, label: Tensor) -> Tensor:
        """The labels of the mirrored images."""
        return label.flip(-1) if self.raw_positions else label

    def test_the_raw_output_of_mirrored_images_is_mirrored_back(self, task: Task, raw: Tensor) -> None:
        label = self.label(torch.Generator().manual_seed(3))
        said = task.mirrored(self.perfect(self.mirror(label)))
        torch.testing.assert_close(task.activate(said), task.activate(self.perfect(label)))
        assert torch.equal(task.mirrored(task.mirrored(raw)), raw)

    # loss

    def test_loss_and_gradient_are_finite(self, task: Task, raw: Tensor, target: MaskedTarget) -> None:
        term, gradient = self.differentiate(task, raw, target)
        assert term.sum.shape == term.count.shape == ()
        assert term.sum.isfinite()
        assert term.sum > 0
        assert gradient.isfinite().all()
        assert term.count == target.valid.sum()
        assert not term.count.is_floating_point()

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_fp32_under_autocast(self, task: Task, raw: Tensor, target: MaskedTarget, dtype: torch.dtype) -> None:
        raw = raw.detach().to(dtype)
        expected = task.loss(raw.float(), target).sum
        with torch.autocast("cpu", dtype):
            term = task.loss(raw, target)
            activated = task.activate(raw)
        assert term.sum.dtype == torch.float32
        assert torch.equal(term.sum, expected)
        assert activated.dtype in (torch.float32, torch.int64)
        assert torch.equal(activated, task.activate(raw.float()))

    def test_loss_of_a_batch_is_the_sum_over_its_images(self, task: Task, raw: Tensor, target: MaskedTarget) -> None:
        whole = task.loss(raw, target)
        parts = [task.loss(*part) for part in self.each(raw, target)]
        torch.testing.assert_close(sum(p.sum for p in parts), whole.sum)
        assert sum(p.count for p in parts) == whole.count

    @pytest.mark.parametrize("filling", [torch.nan, torch.inf, -torch.inf, 1e30])
    def test_what_is_not_valid_changes_nothing(
        self, task: Task, raw: Tensor, target: MaskedTarget, filling: float
    ) -> None:
        term, gradient = self.differentiate(task, raw, target)
        ill = self.ill(target, filling)
        again, gradient_again = self.differentiate(task, raw, ill)
        assert torch.equal(again.sum, term.sum)
        assert torch.equal(gradient_again, gradient)
        assert not gradient.movedim(1, -1)[~target.valid].any()
        for protocol in ("dataset", "image"):
            metric, metric_again = task.metrics(protocol), task.metrics(protocol)
            metric.update(task.activate(raw), target)
            metric_again.update(task.activate(raw), ill)
            assert values(metric_again) == values(metric)

    @pytest.mark.parametrize("scale", [1.0, 0.0])
    def test_nothing_valid_is_nothing_lost(self, task: Task, raw: Tensor, images: Tensor, scale: float) -> None:
        raw = (raw * scale).detach().requires_grad_()
        term, gradient = self.differentiate(task, raw, task.collate([None] * IMAGES, images))
        assert term.sum == 0
        assert term.count == 0
        assert term.mean() == 0
        assert not gradient.any()

    def test_a_dead_output_has_a_sound_gradient(self, task: Task, raw: Tensor, target: MaskedTarget) -> None:
        term, gradient = self.differentiate(task, torch.zeros_like(raw, requires_grad=True), target)
        assert term.sum.isfinite()
        assert gradient.abs().max() <= 1

    @pytest.fixture
    def perfectible(self, target: MaskedTarget) -> MaskedTarget:
        """A target that a prediction can meet in both protocols."""
        return target

    def test_perfect_is_best(self, task: Task, perfectible: MaskedTarget, protocol) -> None:
        target = perfectible
        raw = self.perfect(target.value)
        assert task.loss(raw, target).mean() == pytest.approx(0, abs=1e-6)
        metric = task.metrics(protocol)
        metric.update(task.activate(raw), target)
        assert values(metric) == pytest.approx(self.best, abs=1e-4)

    def test_descending_approaches_the_target(self, task: Task, raw: Tensor, target: MaskedTarget) -> None:
        before = task.loss(raw, target).mean().item()
        raw = raw.detach().requires_grad_()
        optimiser = torch.optim.Adam([raw], lr=0.1)
        for _ in range(30):
            optimiser.zero_grad()
            task.loss(raw, target).mean().backward()
            optimiser.step()
        assert task.loss(raw, target).mean().item() < 0.5 * before

    def test_imitating_oneself_costs_nothing(self, task: Task, raw: Tensor) -> None:
        term = task.distillation_loss(raw, raw)
        assert int(term.count) == IMAGES * prod(self.positions)
        torch.testing.assert_close(term.mean(), torch.tensor(0.0), rtol=0, atol=1e-5)

    def test_imitating_another_moves_towards_it(self, task: Task, raw: Tensor) -> None:
        taught = raw.flip(0) + 0.5
        raw = raw.clone().requires_grad_()
        term = task.distillation_loss(raw, taught, temperature=2.0)
        (grad,) = torch.autograd.grad(term.mean(), raw)
        assert grad.isfinite().all()
        step = 0.05 * grad / grad.abs().max()
        assert bool(task.distillation_loss((raw - step).detach(), taught, temperature=2.0).sum < term.sum)

    def test_sound_labels_have_no_problem(self, task: Task, images: Tensor) -> None:
        for label in (*self.label(torch.Generator().manual_seed(1)), task.missing(images[0])):
            assert task.validate(label, images[0]) is None

    def test_a_label_of_another_shape_or_type_is_a_problem(self, task: Task, images: Tensor) -> None:
        label = self.label(torch.Generator().manual_seed(1))[0]
        other = label.long() if label.is_floating_point() else label.float()
        for wrong in (label[None], other):
            problem = task.validate(wrong, images[0])
            assert problem is not None
            dtype = str(label.dtype).removeprefix("torch.")
            assert problem.startswith(
                f"expected {dtype} {list(label.shape)} for the task {type(task).__name__}, found "
            )
            assert "\n" not in problem

    # metrics

    def test_an_image_without_a_valid_pixel_changes_nothing(self, task, raw, images, target, protocol) -> None:
        with_it, without = task.metrics(protocol), task.metrics(protocol)
        prediction = task.activate(raw)
        keep = torch.tensor([i for i in range(IMAGES) if i != 2])  # image 2 has none
        with_it.update(prediction, target)
        with_it.update(prediction, task.collate([None] * IMAGES, images))
        without.update(prediction[keep], MaskedTarget(target.value[keep], target.valid[keep]))
        assert values(with_it) == pytest.approx(values(without), rel=1e-6)
        whole, rest = task.loss(raw, target), task.loss(raw[keep], MaskedTarget(target.value[keep], target.valid[keep]))
        torch.testing.assert_close(tuple(whole), tuple(rest))

    def test_batches_do_not_matter(self, task: Task, raw: Tensor, target: MaskedTarget, protocol) -> None:
        whole, parts = task.metrics(protocol), task.metrics(protocol)
        whole.update(task.activate(raw), target)
        for part, part_target in self.each(raw, target):
            parts.update(task.activate(part), part_target)
        assert values(parts) == pytest.approx(values(whole), rel=1e-6)

    def test_reset_pickle_and_copy(self, task: Task, raw: Tensor, target: MaskedTarget, protocol) -> None:
        metric = task.metrics(protocol)
        metric.update(task.activate(raw), target)
        expected = values(metric)
        copies = [pickle.loads(pickle.dumps(metric)), deepcopy(metric)]
        metric.reset()
        metric.update(task.activate(raw), target)
        for each in (metric, *copies):
            assert values(each) == expected
            each.update(task.activate(self.perfect(target.value)), target)
            assert values(each) != expected

    # pictures

    @pytest.mark.parametrize("filling", [torch.nan, torch.inf, -torch.inf, 1e30])
    def test_draw_whatever_is_not_valid(self, task: Task, target: MaskedTarget, filling: float) -> None:
        ill = self.ill(target, filling)
        assert np.array_equal(task.draw(ill.value[0], ill.valid[0]), task.draw(target.value[0], target.valid[0]))


class DenseTaskTester(TaskTester):
    """A task with a value for every pixel."""

    positions = raw_positions = SIZE
    label_colours = 5  # of the picture of a label, at least

    def test_draw(self, task: Task, raw: Tensor, target: MaskedTarget) -> None:
        activated, label = task.activate(raw)[0], target.value[0]
        for value, valid, colours in ((activated, None, 5), (label, target.valid[0], self.label_colours)):
            picture = task.draw(value.detach(), valid)
            assert picture.shape == (*SIZE, 3)
            assert picture.dtype == np.uint8
            assert len(np.unique(picture.reshape(-1, 3), axis=0)) >= colours
        black = (picture == 0).all(-1)
        assert np.array_equal(black, ~target.valid[0].numpy())

    def test_legend(self, task: Task) -> None:
        legend = task.legend()
        assert len({colour for _, colour in legend}) == len(legend) > 1
        for name, colour in legend:
            assert name
            assert len(colour) == 3
            assert all(type(c) is int and 0 <= c <= 255 for c in colour)


class WholeImageTaskTester(TaskTester):
    """A task with one value, or one of each of several quantities, for the whole image."""

    positions: tuple[int, ...] = ()
    raw_positions = ()

    def test_a_dense_output_is_averaged_over_its_positions(self, task: Task, raw: Tensor, target: MaskedTarget) -> None:
        raw = raw.detach()
        dense = torch.stack([raw + 3, raw - 2, raw, raw - 1, raw, raw], -1).unflatten(-1, (2, 3)).bfloat16()
        mean = dense.float().mean((2, 3))  # in fp32: of bf16 numbers it would have 8 bits
        assert torch.equal(task.activate(dense), task.activate(mean))
        assert torch.equal(task.loss(dense, target).sum, task.loss(mean, target).sum)
        found, expected = (task.distillation_loss(x, x.flip(0), temperature=2.0) for x in (dense, mean))
        assert torch.equal(found.sum, expected.sum)
        assert torch.equal(found.count, expected.count)

    def test_draw(self, task: Task, raw: Tensor, target: MaskedTarget) -> None:
        pictures = {task.draw(value).tobytes() for value in task.activate(raw).detach()}
        assert len(pictures) > 1
        picture = task.draw(target.value[2], target.valid[2])  # has no label
        assert picture.dtype == np.uint8
        assert not picture.any()
        for i in (0, 1):
            picture = task.draw(target.value[i], target.valid[i] | True)
            assert picture.ndim == 3
            assert picture.shape[2] == 3
            assert picture.any()
