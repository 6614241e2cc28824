import pytest
from tests.tasks.binary import BinaryTester

from tutelage.tasks import Saliency


class TestSaliency(BinaryTester):
    best = {"max_f": 100, "miou": 100, "mae": 0}
    weights = (1.0, 1.0)

    @pytest.fixture
    def task(self) -> Saliency:
        return Saliency()


class TestWeighted(TestSaliency):
    weights = (0.7, 1.0)

    @pytest.fixture
    def task(self) -> Saliency:
        return Saliency(positive_weight=0.7)


def test_an_impossible_weight() -> None:
    with pytest.raises(ValueError, match=r"^Saliency: expected `positive_weight` to be positive\. Found 0"):
        Saliency(positive_weight=0.0)
