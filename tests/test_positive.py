"""A number that has to be positive is neither nan nor infinite: both pass `x <= 0`."""

from collections.abc import Callable
from math import inf, nan

import pytest
import torch
from tests.distill.tiny import Tiny

from tutelage.balance import DBMTL, DTOKD, OnlineWeighting, ScaleInvariant
from tutelage.data import DepthLabel
from tutelage.distill import KL, RBFCKA, CauchySchwarz, LogitDistiller, NormalisedL2, SmoothL1
from tutelage.errors import UserError


def logits(temperature: float) -> LogitDistiller:
    net = Tiny({"depth": 1})
    return LogitDistiller(net, {"depth": Tiny({"depth": 1})}, torch.rand(1, 3, 8, 8), temperature=temperature)


BUILDERS: dict[str, Callable[[float], object]] = {
    "ScaleInvariant.epsilon": lambda x: ScaleInvariant(epsilon=x),
    "DBMTL.epsilon": lambda x: DBMTL(epsilon=x),
    "DTOKD.epsilon": lambda x: DTOKD(epsilon=x),
    "OnlineWeighting.temperature": lambda x: OnlineWeighting(temperature=x),
    "NormalisedL2.epsilon": lambda x: NormalisedL2(epsilon=x),
    "RBFCKA.bandwidth": lambda x: RBFCKA(bandwidth=x),
    "KL.temperature": lambda x: KL(temperature=x),
    "CauchySchwarz.temperature": lambda x: CauchySchwarz(temperature=x),
    "SmoothL1.beta": lambda x: SmoothL1(beta=x),
    "LogitDistiller.temperature": logits,
    "DepthLabel.scale": lambda x: DepthLabel(scale=x),
}


@pytest.mark.parametrize("key", BUILDERS)
@pytest.mark.parametrize("value", [nan, inf, -inf, 0.0, -1.0])
def test_it_is_positive_and_finite(key: str, value: float) -> None:
    BUILDERS[key](1.0)
    with pytest.raises(UserError, match=rf"^{key}: expected a positive number.* found {value}"):
        BUILDERS[key](value)
