import pytest
import torch
from tests.distill.adaptor_tester import SIZES, AdaptorTester
from tests.reference.distill_reference import bilinear, conv1x1, positions
from torch import nn

from tutelage.distill import MLP, Adaptor, Conv1x1, Identity, TokenWise


class TestConv1x1(AdaptorTester):
    def build(self, in_channels: int, out_channels: int) -> Adaptor:
        return Conv1x1(in_channels, out_channels)


class TestIdentity(AdaptorTester):
    channels = (3, 3)

    def build(self, in_channels: int, out_channels: int) -> Adaptor:
        return Identity(in_channels, out_channels)


class TestMLP(AdaptorTester):
    def build(self, in_channels: int, out_channels: int) -> Adaptor:
        return MLP(in_channels, out_channels)


class TestMLPWithNorm(AdaptorTester):
    def build(self, in_channels: int, out_channels: int) -> Adaptor:
        return MLP(in_channels, out_channels, hidden=7, activation="gelu", norm="layer")


class TestTokenWise(AdaptorTester):
    sizes = (*SIZES.values(), ((16,), (9,)), ((6,), (6,)), ((16,), (5, 5)), ((24,), (4, 6)), ((4, 6), (24,)))
    unlike = (((), (9,)), ((9,), ()), ((24,), (8, 12)), ((9,), (6,)), ((4, 6), (96,)), ((4, 6), (25,)))

    def build(self, in_channels: int, out_channels: int) -> Adaptor:
        return TokenWise(in_channels, out_channels)


class TestTokenWiseWithPrefixAndGrid(AdaptorTester):
    sizes = (((2 + 24,), (2 + 96,)),)
    unlike = (((4, 6), (98,)), ((26,), (8, 12)), ((25,), (98,)), ((26,), (97,)), ((2,), (98,)), ((26,), (2,)))

    def build(self, in_channels: int, out_channels: int) -> Adaptor:
        return TokenWise(in_channels, out_channels, 2, 2, grid=(4, 6), teacher_grid=(8, 12))


@pytest.mark.parametrize("size", [(4, 6), (8, 12), (5, 13), (2, 3), (3, 4)])  # equal, larger, smaller
def test_convolves_and_resizes(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    adaptor, feature = Conv1x1(5, 3), torch.randn(2, 5, 4, 6)
    expected = conv1x1(adaptor.conv.weight, bilinear(feature, *size))
    torch.testing.assert_close(adaptor(feature, size), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("size", "convolved"), [((8, 12), (4, 6)), ((2, 3), (2, 3))])
def test_convolves_where_positions_are_fewer(size: tuple[int, int], convolved: tuple[int, int]) -> None:
    adaptor, feature = Conv1x1(5, 3), torch.randn(2, 5, 4, 6)
    seen: list[torch.Size] = []
    adaptor.conv.register_forward_hook(lambda module, args, result: seen.append(result.shape[2:]))
    assert adaptor(feature, size).shape == (2, 3, *size)
    assert seen == [convolved]


@pytest.mark.parametrize("shape", [(2, 5), (2, 5, 7)])
def test_convolution_of_what_is_no_map_is_a_matrix_product(shape: tuple[int, ...]) -> None:
    adaptor, feature = Conv1x1(5, 3), torch.randn(shape)
    matrix = adaptor.conv.weight[:, :, 0, 0]
    expected = torch.stack([matrix @ x for _, x in positions(feature)])  # [B N, C']
    found = torch.stack([x for _, x in positions(adaptor(feature, shape[2:]))])
    torch.testing.assert_close(found, expected)


def test_init() -> None:
    """Xavier normal has variance 2 / (in + out); PyTorch's default is uniform within 1 / sqrt(in)."""
    torch.manual_seed(0)
    mlp = MLP(64, 128)
    for weight in (Conv1x1(256, 64).conv.weight, mlp.first.weight, mlp.second.weight, TokenWise(64, 128).linear.weight):
        expected = (2 / (weight.shape[0] + weight.shape[1])) ** 0.5
        torch.testing.assert_close(weight.std().item(), expected, rtol=0.05, atol=0)
        assert weight.abs().max() > 2.5 * expected  # not uniform
    assert Conv1x1(256, 64, init="default").conv.weight.abs().max() <= 1 / 256**0.5


def test_parameters_are_one_matrix_without_bias() -> None:
    assert {name: tuple(p.shape) for name, p in Conv1x1(5, 3).named_parameters()} == {"conv.weight": (3, 5, 1, 1)}


def test_identity_only_resizes() -> None:
    feature = torch.randn(2, 3, 4, 6)
    assert Identity(3, 3)(feature, (4, 6)) is feature
    torch.testing.assert_close(Identity(3, 3)(feature, (8, 12)), bilinear(feature, 8, 12), rtol=1e-4, atol=1e-5)
    assert not list(Identity(3, 3).parameters())
    with pytest.raises(ValueError, match=r"expected as many channels .* found 3 and 4; use Conv1x1"):
        Identity(3, 4)


def test_mlp_is_two_convolutions_with_a_relu_and_then_resizes() -> None:
    torch.manual_seed(0)
    adaptor, feature = MLP(5, 3), torch.randn(2, 5, 4, 6)
    first, second = (w[:, :, None, None] for w in (adaptor.first.weight, adaptor.second.weight))
    assert {name: tuple(p.shape) for name, p in adaptor.named_parameters()} == {
        "first.weight": (10, 5), "second.weight": (3, 10),
    }  # fmt: skip
    expected = bilinear(conv1x1(second, conv1x1(first, feature).clamp(min=0)), 3, 7)
    torch.testing.assert_close(adaptor(feature, (3, 7)), expected, rtol=1e-4, atol=1e-5)


def test_mlp_with_norm_and_gelu() -> None:
    """At each position: the first matrix, a LayerNorm over the channels, x Phi(x), the second matrix."""
    torch.manual_seed(0)
    adaptor, feature = MLP(5, 3, hidden=7, activation="gelu", norm="layer"), torch.randn(2, 5, 6)
    assert isinstance(adaptor.norm, nn.LayerNorm)
    with torch.no_grad():
        adaptor.norm.weight.uniform_(0.5, 2)
        adaptor.norm.bias.normal_()
    for (_, x), (_, found) in zip(positions(feature), positions(adaptor(feature, (6,))), strict=True):
        h = adaptor.first.weight @ x
        h = (h - h.mean()) / (h.var(correction=0) + 1e-5).sqrt() * adaptor.norm.weight + adaptor.norm.bias
        h = h * 0.5 * (1 + torch.erf(h / 2**0.5))
        torch.testing.assert_close(found, adaptor.second.weight @ h, rtol=1e-4, atol=1e-5)


def test_mlp_without_hidden_channels() -> None:
    with pytest.raises(ValueError, match=r"MLP\.hidden: expected at least 1, found 0; leave it out"):
        MLP(5, 3, hidden=0)


def token_wise(prefix: int = 0, teacher_prefix: int = 0, **grids: tuple[int, int]) -> TokenWise:
    torch.manual_seed(0)
    adaptor = TokenWise(5, 3, prefix, teacher_prefix, **grids)
    with torch.no_grad():
        adaptor.linear.bias.normal_()
    return adaptor


def mapped(adaptor: TokenWise, tokens: torch.Tensor) -> torch.Tensor:
    """W x + b, token by token, [B, C', N]."""
    rows = [torch.stack([adaptor.linear(x) for x in image.T], 1) for image in tokens]
    return torch.stack(rows)


def test_as_many_tokens_are_matched_one_by_one() -> None:
    adaptor, tokens = token_wise(), torch.randn(2, 5, 7)  # 7: no grid at all
    torch.testing.assert_close(adaptor(tokens, (7,)), mapped(adaptor, tokens))
    with_class = token_wise(1, 1)
    torch.testing.assert_close(with_class(tokens, (7,)), mapped(adaptor, tokens))


def test_square_grids_are_resized_and_class_tokens_kept_apart() -> None:
    adaptor, tokens = token_wise(1, 1), torch.randn(2, 5, 1 + 16)
    each = mapped(adaptor, tokens)
    patches = bilinear(each[:, :, 1:].reshape(2, 3, 4, 4), 6, 6).flatten(2)
    torch.testing.assert_close(adaptor(tokens, (1 + 36,)), torch.cat([each[:, :, :1], patches], 2))
    torch.testing.assert_close(token_wise(1)(tokens, (36,)), patches)  # the teacher has none: it is left out


def test_grids_that_are_no_squares() -> None:
    tokens = torch.randn(2, 5, 6)
    adaptor = token_wise(grid=(2, 3), teacher_grid=(4, 6))
    expected = bilinear(mapped(adaptor, tokens).reshape(2, 3, 2, 3), 4, 6).flatten(2)
    torch.testing.assert_close(adaptor(tokens, (24,)), expected)
    turned = token_wise(grid=(2, 3), teacher_grid=(3, 2))  # as many tokens, other places
    expected = bilinear(mapped(adaptor, tokens).reshape(2, 3, 2, 3), 3, 2).flatten(2)
    torch.testing.assert_close(turned(tokens, (6,)), expected)


def test_between_tokens_and_maps() -> None:
    adaptor, tokens = token_wise(), torch.randn(2, 5, 6)
    as_map = tokens.reshape(2, 5, 2, 3)
    each = mapped(adaptor, tokens)
    torch.testing.assert_close(adaptor(tokens, (2, 3)), each.reshape(2, 3, 2, 3))  # as many: the teacher's grid
    torch.testing.assert_close(adaptor(as_map, (6,)), each)
    resized = bilinear(each.reshape(2, 3, 2, 3), 4, 6)
    torch.testing.assert_close(token_wise(grid=(2, 3))(tokens, (4, 6)), resized)
    torch.testing.assert_close(token_wise(teacher_grid=(4, 6))(as_map, (24,)), resized.flatten(2))


@pytest.mark.parametrize(
    ("shape", "size", "message"),
    [
        ((1, 5, 24), (8, 12), r"grid: expected \[rows, columns\] of 24 tokens, .* found none; give it"),
        ((1, 5, 4, 6), (144,), r"teacher_grid: expected \[rows, columns\] of 144 tokens, .* found none"),  # 12 x 12 ?
        ((1, 5, 17), (6, 6), r"grid: expected \[rows, columns\] of 17 tokens, .* `prefix_tokens`"),
    ],
)
def test_a_grid_that_cannot_be_known(shape: tuple[int, ...], size: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=rf"TokenWise\.{message}"):
        TokenWise(5, 3)(torch.rand(shape), size)


def test_a_grid_of_other_tokens() -> None:
    with pytest.raises(ValueError, match=r"TokenWise\.grid: expected rows and columns of 25 tokens, found \[4, 6\]"):
        TokenWise(5, 3, grid=(4, 6))(torch.rand(1, 5, 25), (4, 6))


@pytest.mark.parametrize("prefixes", [(0, 1), (5, 1), (-1, 0)])
def test_prefixes_that_do_not_match(prefixes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"TokenWise\.teacher_prefix_tokens: expected 0 or .* found"):
        TokenWise(5, 3, *prefixes)
