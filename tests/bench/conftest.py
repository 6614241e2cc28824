import pytest

from tutelage.bench.networks import NETWORKS, Network
from tutelage.nets import SegNet


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks so small that only the bench's arithmetic is tested."""

    def build(widths: dict[str, int]) -> SegNet:
        return SegNet(widths, filters=(2, 2, 2, 2, 2))

    for name in NETWORKS:
        monkeypatch.setitem(NETWORKS, name, Network(f"small {name}", build, (32, 48), 2))
