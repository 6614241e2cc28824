"""PHI standardisation and teacher dropping, against their definitions."""

import math

import pytest
import torch
from tests.distill import tiny
from tests.reference.distill_reference import phi_s_by_definition

from tutelage.distill import L2, Cosine, FeatureDistiller, PhiS, SmoothL1, WeightedSum
from tutelage.distill.dropping import keep_teachers
from tutelage.distill.teachers.phi_s import spread
from tutelage.errors import UserError

EXAMPLE = torch.zeros(1, 3, 4, 6)


def estimated(*features: torch.Tensor) -> PhiS:
    statistics = PhiS(features[0].shape[1])
    for feature in features:
        statistics.add(feature)
    statistics.finish()
    return statistics


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_phi_s_makes_all_channels_alike_and_keeps_lengths_and_angles(channels: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(3, channels, 2, 4) * torch.logspace(-2, 1, channels)[:, None, None] + 5
    statistics = estimated(x[:1], x[1:])
    y = statistics(x)
    mean, scale = phi_s_by_definition(x)
    flat = y.movedim(1, -1).reshape(-1, channels)
    torch.testing.assert_close(flat.mean(0), torch.zeros(channels), atol=1e-5, rtol=0)
    torch.testing.assert_close(flat.var(0, correction=0), torch.ones(channels), rtol=1e-4, atol=0)
    centred = (x.double().movedim(1, -1).reshape(-1, channels) - mean) / scale
    torch.testing.assert_close(flat @ flat.T, (centred @ centred.T).float(), rtol=1e-3, atol=1e-4)


def test_phi_s_of_what_hardly_varies() -> None:
    flat = torch.full((2, 3, 2, 2), 4.0)
    torch.testing.assert_close(estimated(flat)(flat), torch.zeros(2, 3, 2, 2))
    line = torch.randn(4, 1, 5) * torch.tensor([1.0, 2.0, 0.0])[:, None]  # rank 1 of 3
    y = estimated(line)(line)
    torch.testing.assert_close(y.movedim(1, -1).reshape(-1, 3).var(0, correction=0), torch.ones(3), rtol=1e-4, atol=0)
    state = estimated(line).state_dict()
    again = PhiS(3)
    again.load_state_dict(state)
    assert torch.equal(again(line), y)


@pytest.mark.parametrize("channels", [3, 4, 5, 12])
def test_the_rotation_spreads_any_variances(channels: int) -> None:
    values = torch.rand(channels, dtype=torch.float64, generator=torch.Generator().manual_seed(channels)).square()
    q = spread(values)
    torch.testing.assert_close(q @ q.T, torch.eye(channels, dtype=torch.float64))
    diagonal = (q @ values.diag() @ q.T).diagonal()
    torch.testing.assert_close(diagonal, values.mean().expand(channels))


def test_the_furthest_teacher_of_an_image_always_stays() -> None:
    torch.manual_seed(0)
    d = torch.rand(3, 4000)
    d[2, :1000] = -math.inf  # not seen
    factors = keep_teachers(d, 0.25)
    kept = factors > 0
    assert kept.gather(0, d.argmax(0, keepdim=True)).all()
    assert not kept[2, :1000].any()
    torch.testing.assert_close(factors.sum(0), d.isfinite().sum(0).float())  # an image weighs as without dropping
    others = torch.ones_like(kept).scatter_(0, d.argmax(0, keepdim=True), False) & d.isfinite()
    assert float(kept[others].float().mean()) == pytest.approx(0.75, abs=0.02)
    assert torch.equal(keep_teachers(d, 0.0), d.isfinite().float())


def test_dropping_every_other_teacher_leaves_the_largest_term_of_each_image() -> None:
    student, teachers, batch = tiny.student().eval(), tiny.teachers(), tiny.batch(size=3)

    def build(drop: float) -> FeatureDistiller:
        torch.manual_seed(3)
        return FeatureDistiller(student, teachers, EXAMPLE, {"last": "last"}, {"height": 2.0}, distance=L2(), drop=drop)

    output, plain, one = student(batch.images), build(0.0), build(1.0)
    d = {}
    for t, weight in (("colour", 1.0), ("height", 2.0)):
        feature = plain.teachers(batch.images, t)["last"]
        d[t] = weight * L2()(plain.adaptors[t]["last"](output.taps["last"], feature.shape[2:]), feature)
    terms, whole = one(batch, output), plain(batch, output)
    first = d["colour"] > d["height"]
    torch.testing.assert_close(terms["colour"].sum, 2 * (d["colour"] * first).sum())
    torch.testing.assert_close(terms["height"].sum, 2 * (d["height"] * ~first).sum())
    for t in d:
        torch.testing.assert_close(whole[t].sum, d[t].sum())
        assert int(terms[t].count) == 3


def test_phi_s_in_a_distiller() -> None:
    batch = tiny.batch()
    distiller = FeatureDistiller(
        tiny.student(), tiny.teachers(), EXAMPLE, {"last": "last"}, standardise="phi-s", distance=L2()
    )
    distiller.calibrate(lambda tasks: [batch.images])
    feature = distiller.teachers(batch.images, "colour")["last"]
    statistics = distiller.standardise["colour"]["last"]
    assert isinstance(statistics, PhiS)
    assert torch.equal(statistics(feature), estimated(feature)(feature))
    assert "standardise.colour.last.rotation" in distiller.state_dict()


def test_a_weighted_sum_of_distances() -> None:
    a, b = torch.randn(3, 4, 5), torch.randn(3, 4, 5)
    both = WeightedSum([Cosine(), SmoothL1(1.0)], [0.5, 2.0])
    torch.testing.assert_close(both(a, b), 0.5 * Cosine()(a, b) + 2 * SmoothL1(1.0)(a, b))
    torch.testing.assert_close(WeightedSum([L2()])(a, b), L2()(a, b))


def test_what_is_refused() -> None:
    with pytest.raises(UserError, match=r"FeatureDistiller.drop: expected a probability, from 0 to 1, found 2"):
        FeatureDistiller(tiny.student(), tiny.teachers(), EXAMPLE, {"last": "last"}, drop=2)
    with pytest.raises(UserError, match=r"WeightedSum.weights: expected one for each of .*, found 1 for 2"):
        WeightedSum([Cosine(), L2()], [1.0])
    with pytest.raises(UserError, match=r"WeightedSum.weights: expected numbers of at least 0, found -1.0"):
        WeightedSum([L2()], [-1.0])
