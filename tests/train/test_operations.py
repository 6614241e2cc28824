"""Operations are those of the arithmetic, whatever the groups of a convolution."""

import pytest
import torch
from torch import nn

from tutelage.train.operations import operations


@pytest.mark.parametrize("groups", [1, 2, 8])
@pytest.mark.parametrize("transposed", [False, True])
def test_a_backward_pass_of_a_convolution_is_twice_its_forward_pass(groups: int, transposed: bool) -> None:
    layer = (nn.ConvTranspose2d if transposed else nn.Conv2d)(8, 16, 3, padding=1, groups=groups, bias=False)
    x = torch.rand(2, 8, 5, 7, requires_grad=True)
    forward = 2 * 2 * (5 * 7) * 16 * (8 // groups) * 9
    assert operations(lambda: layer(x)) == forward
    assert operations(lambda: layer(x).sum().backward()) == 3 * forward
    assert operations(lambda: layer(x.detach()).sum().backward()) == 2 * forward  # the input needs no gradient
    layer.weight.requires_grad_(False)
    assert operations(lambda: layer(x).sum().backward()) == 2 * forward


def test_matrix_products_count() -> None:
    layer = nn.Linear(6, 4)
    x = torch.rand(3, 6, requires_grad=True)
    assert operations(lambda: layer(x).sum().backward()) == 3 * 2 * 3 * 6 * 4
