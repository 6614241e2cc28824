"""Properties of networks with first predictions, whose tasks read each other's features (PAD-Net, MTI-Net)."""

from typing import Any

import pytest
import torch
from tests.distill.tiny import NoReduce
from tests.nets.net_tester import WIDTHS, MadeOnceTester, objective
from torch import Tensor, nn
from torch.nn.functional import interpolate

from tutelage.balance import Aggregator, Uniform
from tutelage.tasks import Depth, Normals, Segmentation
from tutelage.train.step import training_step
from tutelage.types import Batch, MaskedTarget, MultiTaskNet, Output, task_loss

TASKS = {"segmentation": Segmentation(5), "depth": Depth(), "normals": Normals()}


class DeepSupervisionTester(MadeOnceTester):
    boundary = False
    firsts: tuple[str, ...]  # the taps that the first predictions read

    def first_head(self, net: MultiTaskNet, scale: int, task: str) -> nn.Module:
        raise NotImplementedError

    @pytest.mark.parametrize("tasks", [None, [], ["normals", "depth"]])
    def test_first_predictions_in_training_of_what_is_asked(
        self, net: MultiTaskNet, images: Tensor, tasks: list[str] | None
    ) -> None:
        output = net(images, tasks)
        assert {t: [tuple(y.shape) for y in ys] for t, ys in output.auxiliary.items()} == {
            t: [(2, WIDTHS[t], *self.size)] * len(self.firsts) for t in (WIDTHS if tasks is None else tasks)
        }
        assert net.eval()(images, tasks).auxiliary == {}

    def test_first_predictions_are_resized_heads_of_the_initial_features(self, net: MultiTaskNet) -> None:
        images = torch.rand(2, 3, 60, 93)  # continued to 64x96
        for module in net.modules():
            if isinstance(module, nn.Dropout):
                module.eval()
        output = net(images)
        for t, actual in output.auxiliary.items():
            for scale, (name, y) in enumerate(zip(self.firsts, actual, strict=True)):
                raw = self.first_head(net, scale, t)(output.taps[name][t])
                assert torch.equal(y, interpolate(raw, (64, 96), mode="bilinear")[..., :60, :93])

    def test_last_predictions_are_resized_heads_of_the_last_features(self, net: MultiTaskNet) -> None:
        images = torch.rand(2, 3, 60, 93)
        output = net.eval()(images)
        for t, y in output.predictions.items():
            raw = net.heads[t](output.taps["last"][t])
            assert torch.equal(y, interpolate(raw, (64, 96), mode="bilinear")[..., :60, :93])

    def test_a_training_step_counts_them(self, net: MultiTaskNet, images: Tensor) -> None:
        batch = labelled(images)
        output = net(images)
        for t, task in TASKS.items():
            made = [output.predictions[t], *output.auxiliary[t]]
            expected = sum(task.loss(y, batch.targets[t]).sum for y in made)
            actual = task_loss(task, t, output, batch.targets[t])
            torch.testing.assert_close(actual.sum, expected)
            assert int(actual.count) == int(batch.targets[t].valid.sum())
            assert len(made) == 1 + len(self.firsts)
        training_step([batch], net, TASKS, None, Uniform(), NoReduce())
        assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())

    def test_aggregator_are_combined_at_the_parameters_and_not_at_a_representation(
        self, net: MultiTaskNet, images: Tensor
    ) -> None:
        def step(where: Any) -> None:
            balancer = Aggregator("MGDA", where=where)
            balancer.setup(TASKS, net)
            balancer.begin_step(0.0)
            training_step([labelled(images)], net, TASKS, None, balancer, NoReduce())
            balancer.finish()

        name = type(net).__name__
        with pytest.raises(ValueError, match=f"expected `parameters` for {name}, which has no tensors") as error:
            step("representation")
        assert "\n" not in str(error.value)
        step("parameters")
        assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())

    def test_every_parameter_of_a_single_task_network_learns(self, images: Tensor) -> None:
        net = self.build({"depth": 1})
        objective(net(images)).backward()
        for name, p in net.named_parameters():
            assert p.grad is not None, name
            assert p.grad.isfinite().all(), name
        # Blocks of the encoder begin with a weight of 0, and of few channels squeezed to one none may be positive.
        named = {
            name: p for name, p in net.named_parameters() if name.split(".")[0] != "encoder" and ".excite." not in name
        }
        assert not [name for name, p in named.items() if not p.grad.any()]

    def test_stages_are_the_encoders(self, net: MultiTaskNet, images: Tensor) -> None:
        taps = net(images).taps
        stages = [tap for name, tap in taps.items() if name.startswith("stage")]
        assert [list(taps)[k] for k in range(len(stages))] == [f"stage{k}" for k in range(1, len(stages) + 1)]
        assert taps["bottleneck"] is stages[-1]


def labelled(images: Tensor) -> Batch:
    """Images with a label of every task, valid at most of their positions."""
    generator = torch.Generator().manual_seed(2)
    shape = (len(images), *images.shape[2:])
    valid = torch.rand(shape, generator=generator) < 0.9
    values = {
        "segmentation": torch.randint(0, 5, shape, generator=generator),
        "depth": torch.rand(len(images), 1, *shape[1:], generator=generator) + 0.5,
        "normals": nn.functional.normalize(torch.randn(len(images), 3, *shape[1:], generator=generator), dim=1),
    }
    targets = {t: MaskedTarget(value, valid) for t, value in values.items()}
    return Batch(images, targets)


def ids(parameters: list[nn.Parameter]) -> set[int]:
    return {id(p) for p in parameters}


def depends(output: Output, tensor: Tensor, module: nn.Module) -> set[bool]:
    """Whether a tensor of an output depends on the parameters of a module, by parameter."""
    actual = torch.autograd.grad(tensor.sum(), list(module.parameters()), retain_graph=True, allow_unused=True)
    return {g is not None for g in actual}
