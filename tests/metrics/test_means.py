import pytest
import torch
from tests.metrics import inputs as given
from tests.metrics.inputs import CLASSES

from tutelage.metrics import (
    ClassificationMetric,
    DepthMetric,
    EdgesMetric,
    Means,
    MultiLabelMetric,
    NormalsMetric,
    RegressionMetric,
    SaliencyMetric,
    SegmentationMetric,
)
from tutelage.types import MaskedTarget, MetricProtocol

EVERY = [
    pytest.param(lambda protocol: SegmentationMetric(CLASSES, protocol), given.classes, id="segmentation"),
    pytest.param(DepthMetric, given.depths, id="depth"),
    pytest.param(NormalsMetric, given.directions, id="normals"),
    pytest.param(lambda protocol: ClassificationMetric(CLASSES, protocol), given.image_classes, id="classification"),
    pytest.param(lambda protocol: RegressionMetric(3, protocol), given.numbers, id="regression"),
    pytest.param(lambda protocol: MultiLabelMetric(CLASSES, protocol), given.several_classes, id="multilabel"),
    pytest.param(SaliencyMetric, given.probabilities, id="saliency"),
    pytest.param(lambda protocol: EdgesMetric(2, protocol), given.probabilities, id="edges"),
]


@pytest.fixture(params=["dataset", "image"])
def protocol(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize(("build", "inputs"), EVERY)
class TestEvery:
    def test_update_never_waits_for_the_device(self, build, inputs, protocol) -> None:
        # a tensor on `meta` has no values, so whatever needs one on the host raises
        prediction, target = inputs()
        metric = build(protocol).to("meta")
        metric.update(prediction.to("meta"), MaskedTarget(target.value.to("meta"), target.valid.to("meta")))

    def test_states_of_processes_add_up(self, build, inputs, protocol) -> None:
        whole, first, second = build(protocol), build(protocol), build(protocol)
        for part, seed in ((first, 0), (second, 1)):
            part.update(*inputs(seed))
            whole.update(*inputs(seed))
        first.merge_state(second)
        torch.testing.assert_close(first.compute(), whole.compute(), rtol=1e-12, atol=0)

    def test_states_are_exact_beyond_the_integers_of_fp32(self, build, inputs, protocol) -> None:
        states = build(protocol)._defaults.values()
        added = [state for state in states if not isinstance(state, list)]  # a list keeps what it is given
        assert {state.dtype for state in added} == {torch.float64, torch.int64}

    def test_nothing_valid_is_nan(self, build, inputs, protocol) -> None:
        prediction, target = inputs()
        metric = build(protocol)
        metric.update(prediction, MaskedTarget(target.value, torch.zeros_like(target.valid)))
        assert all(value.isnan() for value in metric.compute().values())

    def test_values_are_scalars_in_a_fixed_order(self, build, inputs, protocol) -> None:
        metric = build(protocol)
        metric.update(*inputs())
        names = list(metric.compute())
        assert all(value.shape == () for value in metric.compute().values())
        metric.update(*inputs(1))
        assert list(metric.compute()) == names

    def test_an_unknown_protocol(self, build, inputs, protocol) -> None:
        with pytest.raises(ValueError, match=r"expected protocol `dataset` or `image`\. Found `batch`"):
            build("batch")


class Mean(Means):
    def __init__(self, protocol: MetricProtocol) -> None:
        super().__init__(protocol, quantities=1)

    def update(self, sums: torch.Tensor, counts: torch.Tensor) -> None:
        self.add(sums, counts)

    def compute(self) -> torch.Tensor:
        return self.means()[0]


def test_means_of_sets_of_many_pixels() -> None:
    metric = Mean("dataset")
    for _ in range(3):
        metric.update(torch.full((1, 1), 2.0**25 + 1, dtype=torch.float64), torch.tensor([2**25]))
    assert metric.compute().item() == 1 + 2**-25


@pytest.mark.parametrize(("protocol", "mean"), [("dataset", 11 / 6), ("image", 1.5)])
def test_the_two_protocols_weigh_differently(protocol, mean) -> None:
    metric = Mean(protocol)
    metric.update(torch.tensor([[10.0], [0.0], [1.0]]), torch.tensor([5, 0, 1]))
    assert metric.compute().item() == pytest.approx(mean)
