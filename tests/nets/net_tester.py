"""Properties that every network has."""

import copy

import pytest
import torch

from tutelage.types import MultiTaskNet, Output

WIDTHS = {"segmentation": 5, "depth": 1, "normals": 3}


def objective(output: Output) -> torch.Tensor:
    """A loss that depends on every part of an output that a training step reads."""
    made = [*output.predictions.values(), *(y for ys in output.auxiliary.values() for y in ys)]
    return sum((y.square().mean() for y in made), torch.zeros(())) + sum(output.penalties.values())


def features(output: Output) -> dict[str, torch.Tensor]:
    """Every tap by its name, or by tap and task where each task has its own."""
    each = {k: tap if isinstance(tap, dict) else {"": tap} for k, tap in output.taps.items()}
    return {f"{k}/{t}": feature for k, of_tasks in each.items() for t, feature in of_tasks.items()}


class NetTester:
    size = (64, 96)
    sizes = ((32, 32), (33, 47), (70, 50))
    dense = True  # a prediction for every pixel; otherwise one for the whole image
    taps = {"bottleneck", "last"}
    boundary = True  # the heads read one shared tensor

    def build(self, widths: dict[str, int]) -> MultiTaskNet:
        raise NotImplementedError

    @pytest.fixture
    def net(self) -> MultiTaskNet:
        torch.manual_seed(0)
        return self.build(WIDTHS)

    @pytest.fixture
    def images(self) -> torch.Tensor:
        return torch.rand(2, 3, *self.size, generator=torch.Generator().manual_seed(1))

    def test_predictions_have_their_widths(self, net: MultiTaskNet, images: torch.Tensor) -> None:
        output = net(images)
        assert {t: tuple(x.shape) for t, x in output.predictions.items()} == {
            t: (2, width, *(self.size if self.dense else ())) for t, width in WIDTHS.items()
        }

    def test_only_the_tasks_asked_for(self, net: MultiTaskNet, images: torch.Tensor) -> None:
        net.eval()
        every, one, none = net(images), net(images, tasks=["depth"]), net(images, tasks=[])
        assert set(one.predictions) == {"depth"}
        assert torch.equal(one.predictions["depth"], every.predictions["depth"])
        assert none.predictions == one.auxiliary == one.penalties == {}  # in eval mode
        assert set(none.taps) == set(every.taps) == self.taps
        a, b = features(none), features(every)
        assert a.keys() == b.keys()
        assert all(torch.equal(a[k], b[k]) for k in a)
        with pytest.raises(ValueError, match="found `albedo`"):
            net(images, tasks=["albedo"])

    def test_any_size(self, net: MultiTaskNet) -> None:
        for size in self.sizes:
            prediction = net.eval()(torch.rand(1, 3, *size)).predictions["normals"]
            assert prediction.shape == (1, 3, *(size if self.dense else ()))

    def test_every_parameter_learns_and_belongs_to_tasks_or_all(self, net: MultiTaskNet, images: torch.Tensor) -> None:
        groups = [net.shared_parameters(), *(net.task_parameters(t) for t in WIDTHS)]
        listed = [p for group in groups for p in group]
        assert len({id(p) for p in listed}) == len(listed)
        assert {id(p) for p in listed} == {id(p) for p in net.parameters()}
        objective(net(images)).backward()
        for p in net.parameters():
            assert p.grad is not None
            assert p.grad.isfinite().all()

    def test_a_task_touches_its_own_and_the_shared_parameters(self, net: MultiTaskNet, images: torch.Tensor) -> None:
        objective(net(images, tasks=["depth"])).backward()
        touched = {id(p) for p in net.parameters() if p.grad is not None}
        assert touched == {id(p) for p in [*net.shared_parameters(), *net.task_parameters("depth")]}

    def test_a_single_task_network_shares_nothing(self, images: torch.Tensor) -> None:
        net = self.build({"depth": 1})
        assert net.shared_parameters() == []
        assert len(net.task_parameters("depth")) == len(list(net.parameters()))

    def test_shared_is_a_boundary(self, net: MultiTaskNet, images: torch.Tensor) -> None:
        output = net(images)
        assert bool(output.shared) == self.boundary
        if self.boundary:
            gradients = torch.autograd.grad(output.predictions["depth"].sum(), output.shared)
            assert all(g.any() for g in gradients)

    def test_the_order_of_tasks_does_not_matter(self, net: MultiTaskNet, images: torch.Tensor) -> None:
        turned = self.build(dict(reversed(WIDTHS.items())))
        turned.load_state_dict(net.state_dict())
        a, b = net.eval()(images), turned.eval()(images)
        assert all(torch.equal(a.predictions[t], b.predictions[t]) for t in WIDTHS)

    def test_state_dict_round_trip(self, net: MultiTaskNet, images: torch.Tensor) -> None:
        net(images)  # moves the running statistics
        again = self.build(WIDTHS)
        again.load_state_dict(net.state_dict())
        a, b = features(net.eval()(images)), features(again.eval()(images))
        assert a.keys() == b.keys()
        assert all(torch.equal(a[k], b[k]) for k in a)

    @torch.no_grad()
    def test_bf16_and_channels_last(self, net: MultiTaskNet, images: torch.Tensor) -> None:
        # A pooling may keep another position where rounding ties maxima: what is unpooled there is not compared.
        expected = _bottlenecks(net.eval()(images))
        net.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
        torch.testing.assert_close(_bottlenecks(net(images)), expected, rtol=1e-3, atol=1e-4)
        with torch.autocast("cpu", torch.bfloat16):
            output = net(images)
        for k, actual in _bottlenecks(output).items():
            assert float((actual.float() - expected[k]).norm() / expected[k].norm()) < 0.1
        assert all(x.isfinite().all() for x in output.predictions.values())


class MadeOnceTester(NetTester):
    """For networks that take longer to build than to test: each is built once and copied."""

    made: dict[tuple[object, ...], MultiTaskNet] = {}

    def make(self, widths: dict[str, int]) -> MultiTaskNet:
        raise NotImplementedError

    def build(self, widths: dict[str, int]) -> MultiTaskNet:
        key = (type(self), *widths.items())
        if key not in self.made:
            self.made[key] = self.make(widths)
        return copy.deepcopy(self.made[key])


def _bottlenecks(output: Output) -> dict[str, torch.Tensor]:
    return {k: feature for k, feature in features(output).items() if k.startswith("bottleneck/")}
