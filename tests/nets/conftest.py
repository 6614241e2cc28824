"""What building networks of timm costs in tests."""

from collections.abc import Iterator
from typing import Any

import pytest
from torch import Tensor


@pytest.fixture(scope="module", autouse=True)
def no_values_without_memory() -> Iterator[None]:
    """A tensor on the meta device has no values: to draw them in Python takes most of the time of a network."""
    from timm.layers import weight_init

    draw = weight_init._trunc_normal_

    def draw_values(tensor: Tensor, *arguments: Any) -> Tensor:
        return tensor if tensor.is_meta else draw(tensor, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weight_init, "_trunc_normal_", draw_values)
        yield
