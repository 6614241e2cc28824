"""What the log says about adaptors and teachers."""

import math

import pytest
import torch
from tests.distill import tiny

from tutelage.distill import MLP, FeatureDistiller

EXAMPLE = torch.zeros(1, 3, 4, 6)


def build(**kwargs: object) -> FeatureDistiller:
    torch.manual_seed(0)
    return FeatureDistiller(tiny.student(), tiny.teachers(), EXAMPLE, {"bottleneck": "bottleneck"}, **kwargs)


def observe(distiller: FeatureDistiller, observed: bool = True) -> dict[str, float]:
    batch = tiny.batch()
    distiller.begin_step(0.0, observed)
    distiller(batch, tiny.student().eval()(batch.images))
    return {name: float(value) for name, value in distiller.health().items()}


def test_dead_positions_are_counted() -> None:
    teachers = tiny.teachers()
    with torch.no_grad():  # batch norm in eval mode leaves only the left half of the image alive
        teachers["height"].encoder[1].bias.fill_(-100.0)
    distiller = FeatureDistiller(tiny.student(), teachers, EXAMPLE, {"bottleneck": "bottleneck"})
    health = observe(distiller)
    assert health["dead/height/bottleneck"] == 1.0
    phi = distiller.teachers(tiny.batch().images, "colour")["bottleneck"]
    expected = sum(bool((phi[i, :, y, x] == 0).all()) for i in range(2) for y in range(2) for x in range(3)) / 12
    assert health["dead/colour/bottleneck"] == pytest.approx(expected)


def test_only_observed_steps_are_looked_at() -> None:
    assert not any(name.startswith("dead") for name in observe(build(), observed=False))


@pytest.mark.parametrize(
    ("values", "rank"),
    [([1.0, 1.0, 1.0, 1.0], 4.0), ([1.0, 0.0, 0.0, 0.0], 1.0), ([3.0, 3.0, 0.0, 0.0], 2.0)],
)
def test_norm_and_effective_rank_of_an_adaptor(values: list[float], rank: float) -> None:
    distiller = build()
    with torch.no_grad():
        distiller.adaptors["colour"]["bottleneck"].conv.weight.copy_(torch.diag(torch.tensor(values))[..., None, None])
    health = observe(distiller)
    assert health["rank/colour/bottleneck"] == pytest.approx(rank, rel=1e-5)
    assert health["norm/colour/bottleneck"] == pytest.approx(sum(v * v for v in values) ** 0.5)


def test_every_matrix_of_an_adaptor_is_looked_at() -> None:
    distiller = build(adaptor=lambda i, o: MLP(i, o, hidden=4, norm="layer"))
    adaptor = distiller.adaptors["colour"]["bottleneck"]
    with torch.no_grad():
        adaptor.first.weight.copy_(torch.diag(torch.tensor([2.0, 0.0, 0.0, 0.0])))
        adaptor.second.weight.copy_(torch.diag(torch.tensor([3.0, 3.0, 3.0, 3.0])))
    health = observe(distiller)
    assert health["norm/colour/bottleneck/0"] == pytest.approx(2.0)
    assert health["rank/colour/bottleneck/0"] == pytest.approx(1.0)
    assert health["norm/colour/bottleneck/1"] == pytest.approx(6.0)
    assert health["rank/colour/bottleneck/1"] == pytest.approx(4.0)
    assert "norm/colour/bottleneck" not in health


def test_scale_is_one_factor_for_all_lambdas() -> None:
    batch = tiny.batch()
    output = tiny.student().eval()(batch.images)
    plain, scaled = (build(weights={"height": 2.0}, **kwargs)(batch, output) for kwargs in ({}, {"scale": 0.1}))
    for t, term in plain.items():
        torch.testing.assert_close(scaled[t].sum, 0.1 * term.sum)


def test_an_adaptor_that_is_not_finite_has_no_rank() -> None:
    distiller = build()
    with torch.no_grad():
        distiller.adaptors["colour"]["bottleneck"].conv.weight[0] = torch.inf
    health = observe(distiller)
    assert math.isnan(health["rank/colour/bottleneck"])
    assert math.isfinite(health["rank/height/bottleneck"])


def test_some_of_the_taps() -> None:
    match = {"bottleneck": "bottleneck", "last": "last"}
    one = FeatureDistiller(tiny.student(), tiny.teachers(), EXAMPLE, match, taps=["last"])
    assert list(one.adaptors["colour"]) == ["last"]
    with pytest.raises(ValueError, match=r"taps: expected taps of `match` \(bottleneck, last\), found `first`"):
        FeatureDistiller(tiny.student(), tiny.teachers(), EXAMPLE, match, taps=["first"])
