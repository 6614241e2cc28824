"""What the log says about adaptors and teachers."""

import math

import pytest
import torch
from tests.distill import tiny

from tutelage.distill import MLP, FeatureDistiller
from tutelage.distill.health import similarity
from tutelage.types import Batch, MaskedTarget

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
    assert not any(name.startswith(("dead", "cka")) for name in observe(build(), observed=False))


def test_what_a_step_does_not_show_is_not_taken_from_the_last_one() -> None:
    distiller, batch = build(teach="own"), tiny.batch()
    seen = {t: MaskedTarget(torch.zeros(2), torch.ones(2, dtype=torch.bool)) for t in tiny.WIDTHS}
    names = []
    for targets in (seen, {"colour": seen["colour"]}):
        distiller.begin_step(0.0, True)
        distiller(Batch(batch.images, targets), tiny.student().eval()(batch.images))
        names.append({name for name in distiller.health() if name.startswith("cka")})
    assert names == [{"cka/colour/bottleneck", "cka/height/bottleneck"}, {"cka/colour/bottleneck"}]


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


def maps(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("shape", [(4, 3, 6, 8), (2, 40, 3, 4), (16, 5), (3, 6, 9)])
def test_similarity_does_not_see_rotation_scale_and_shift(shape: tuple[int, ...]) -> None:
    """With more positions than channels and with fewer; of maps, whole images and tokens."""
    feature = maps(*shape)
    rotation = torch.linalg.qr(maps(shape[1], shape[1])).Q
    turned = 3 * torch.einsum("bc...,dc->bd...", feature, rotation) + 7
    assert similarity(feature, turned).item() == pytest.approx(1.0, abs=1e-5)


def test_similarity_is_the_formula_either_way() -> None:
    x, y = maps(2, 3, 2, 2), maps(2, 5, 2, 2)
    rows = [(z - z.mean((0, 2, 3), keepdim=True)).movedim(1, -1).reshape(8, -1).double() for z in (x, y)]
    k, l_ = (r @ r.T for r in rows)
    expected = float((k * l_).sum() / (k.norm() * l_.norm()))
    assert similarity(x, y).item() == pytest.approx(expected, rel=1e-5)
    wide = torch.cat([y, torch.zeros(2, 9, 2, 2)], 1)  # 14 channels, 8 positions
    assert similarity(x, wide).item() == pytest.approx(expected, rel=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert similarity(x, y).item() == pytest.approx(expected, rel=1e-5)


def test_similarity_of_other_sizes_and_kinds() -> None:
    x = maps(4, 3, 4, 6)
    assert similarity(torch.nn.functional.interpolate(x, scale_factor=2), x).item() > 0.9
    assert similarity(x, x.flatten(2).mean(2)).item() == pytest.approx(1.0, abs=1e-5)
    assert math.isnan(similarity(maps(1, 3), maps(1, 3)))


def test_a_student_that_equals_its_teacher_is_as_alike_as_can_be() -> None:
    teachers = tiny.teachers()
    distiller = FeatureDistiller(teachers["colour"], teachers, EXAMPLE, {"bottleneck": "bottleneck"})
    batch = tiny.batch()
    distiller.begin_step(0.0, True)
    distiller(batch, teachers["colour"](batch.images))
    health = distiller.health()
    assert health["cka/colour/bottleneck"].item() == pytest.approx(1.0, abs=1e-5)
    assert health["cka/height/bottleneck"] < 0.99
