from functools import partial

import pytest

from tutelage.bench.networks import NETWORKS, Network
from tutelage.nets import SegNet


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks so small that only the bench's arithmetic is tested."""
    build = partial(SegNet, filters=(2, 2, 2, 2, 2))  # other processes can be given it
    for name in NETWORKS:
        monkeypatch.setitem(NETWORKS, name, Network(f"small {name}", build, (32, 48), 2))
