import pytest
from tests.tasks.binary import BinaryTester

from tutelage.tasks import Edges


class TestEdges(BinaryTester):
    best = {"ods_f": 100}
    weights = (0.95, 0.05)

    @pytest.fixture
    def task(self) -> Edges:
        return Edges(tolerance=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"negative_weight": -1.0}, "^Edges: expected `negative_weight` to be positive"),
        ({"tolerance": -1}, "^Edges: expected `tolerance` as a number of pixels"),
    ],
)
def test_wrong_arguments(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        Edges(**arguments)
