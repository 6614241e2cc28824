"""What every adaptor promises."""

from collections.abc import Sequence

import pytest
import torch

from tutelage.distill import Adaptor

MAP = (4, 6)
# the student's positions and the teacher's
SIZES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "equal": (MAP, MAP),
    "larger": (MAP, (8, 12)),
    "smaller": (MAP, (2, 3)),
    "other": (MAP, (5, 3)),
    "tokens": ((9,), (9,)),
    "flat": ((), ()),
}


class AdaptorTester:
    """A new adaptor inherits it, makes itself in `build` and names the positions that it takes in `sizes`."""

    channels = (5, 3)
    sizes = tuple(SIZES.values())
    unlike: Sequence[tuple[tuple[int, ...], tuple[int, ...]]] = (((9,), (16,)), ((), (9,)), (MAP, ()), ((24,), MAP))

    def build(self, in_channels: int, out_channels: int) -> Adaptor:
        raise NotImplementedError

    @pytest.fixture
    def adaptor(self) -> Adaptor:
        torch.manual_seed(0)
        return self.build(*self.channels)

    def feature(self, positions: tuple[int, ...]) -> torch.Tensor:
        return torch.randn(2, self.channels[0], *positions, generator=torch.Generator().manual_seed(1))

    def test_shapes(self, adaptor: Adaptor) -> None:
        for positions, size in self.sizes:
            feature = self.feature(positions)
            assert adaptor(feature, size).shape == (2, self.channels[1], *size)
            torch.testing.assert_close(adaptor(feature, torch.Size(size)), adaptor(feature, list(size)), rtol=0, atol=0)
        assert (adaptor.in_channels, adaptor.out_channels) == self.channels

    def test_an_image_does_not_see_the_others(self, adaptor: Adaptor) -> None:
        for positions, size in self.sizes:
            feature = self.feature(positions)
            alone = torch.cat([adaptor(feature[i : i + 1], size) for i in range(2)])
            torch.testing.assert_close(adaptor(feature, size), alone)

    def test_channels_last(self, adaptor: Adaptor) -> None:
        for positions, size in self.sizes:
            if len(positions) == 2:
                feature = self.feature(positions)
                again = adaptor(feature.contiguous(memory_format=torch.channels_last), size)
                torch.testing.assert_close(again, adaptor(feature, size))

    def test_aggregator_reach_the_feature_and_every_parameter(self, adaptor: Adaptor) -> None:
        for positions, size in self.sizes:
            adaptor.zero_grad()
            feature = self.feature(positions).requires_grad_()
            adaptor(feature, size).square().sum().backward()
            for x in (feature, *adaptor.parameters()):
                assert x.grad is not None
                assert x.grad.isfinite().all()
                assert x.grad.any()

    def test_state_round_trip(self, adaptor: Adaptor) -> None:
        again = self.build(*self.channels)
        again.load_state_dict(adaptor.state_dict(), strict=True)
        for positions, size in self.sizes:
            feature = self.feature(positions)
            assert torch.equal(again(feature, size), adaptor(feature, size))

    def test_the_same_seed_gives_the_same_adaptor(self, adaptor: Adaptor) -> None:
        before = {name: value.clone() for name, value in adaptor.state_dict().items()}
        torch.manual_seed(0)
        again = self.build(*self.channels).state_dict()
        assert all(torch.equal(again[name], value) for name, value in before.items())
        torch.manual_seed(1)
        other = self.build(*self.channels).state_dict()
        assert any(not torch.equal(other[name], value) for name, value in before.items()) == bool(before)

    @torch.no_grad()
    def test_bf16(self, adaptor: Adaptor) -> None:
        for positions, size in self.sizes:
            feature = self.feature(positions)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                found = adaptor(feature.bfloat16(), size)
            expected = adaptor(feature, size)
            assert float((found.float() - expected).norm() / expected.norm()) < 0.02

    def test_positions_that_cannot_be_matched(self, adaptor: Adaptor) -> None:
        for positions, size in self.unlike:
            with pytest.raises(ValueError, match=r"expected .* found") as error:
                adaptor(self.feature(positions), size)
            assert "\n" not in str(error.value)
