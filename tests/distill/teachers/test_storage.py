"""What a network computes is stored and read as it was, or rounded as is said."""

import pytest
import torch

from tutelage.distill.teachers.storage import Packing, Part, bytes_per_image, join_output, split_output
from tutelage.types import Output

CPU = torch.device("cpu")


def feature(shape: tuple[int, ...], seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return (3 * torch.randn(shape, generator=torch.Generator().manual_seed(seed)) - 1).to(dtype)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_auto_keeps_every_bit_and_the_memory_layout(dtype: torch.dtype, layout: torch.memory_format) -> None:
    x = feature((4, 5, 3, 2), dtype=dtype).to(memory_format=layout)
    packing = Packing.of(x, "auto")
    again = packing.unpack(packing.pack(x), CPU)
    assert torch.equal(again, x)
    assert (again.dtype, again.stride()) == (x.dtype, x.stride())


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 7), (4, 5, 3, 2)])
@pytest.mark.parametrize(("storage", "error"), [("fp32", 0.0), ("bf16", 2**-8), ("int8", 0.5 / 127)])
def test_the_error_is_that_of_the_storage(shape: tuple[int, ...], storage: str, error: float) -> None:
    x = feature(shape)
    packing = Packing.of(x, storage)
    again = packing.unpack(packing.pack(x), CPU)
    assert again.dtype == x.dtype
    largest = x.abs() if storage == "bf16" else x.abs().flatten(2).amax(2) if x.ndim > 2 else x.abs()
    bound = error * largest.view(*largest.shape, *[1] * (x.ndim - largest.ndim)) * (1 + 1e-5)
    assert ((again - x).abs() <= bound).all()


def test_each_image_and_channel_has_a_scale_of_its_own() -> None:
    x = torch.stack([feature((2, 3, 3)), 1e4 * feature((2, 3, 3))])
    x[0, 1] = 0
    packing = Packing.of(x, "int8")
    again = packing.unpack(packing.pack(x), CPU)
    assert torch.equal(again[0, 1], x[0, 1])
    assert ((again - x).abs().amax((2, 3)) <= x.abs().amax((2, 3)) / 254 * 1.001).all()


def test_a_packing_survives_json_and_counts_its_bytes() -> None:
    last = feature((1, 5, 3, 2)).to(memory_format=torch.channels_last)
    packings = [Packing.of(feature((1, 5, 3, 2)), "int8"), Packing.of(last, "bf16")]
    assert [Packing.from_record(x.record()) for x in packings] == packings
    assert packings[1].channels_last
    assert bytes_per_image(packings) == (30 + 5 * 4 + 16) + (60 + 16)


def test_an_output_is_split_and_joined() -> None:
    taps = {"last": {"a": feature((1, 2)), "b": feature((1, 3))}, "deep": feature((1, 4)), "unread": feature((1, 4))}
    output = Output({"a": feature((1, 6)), "b": feature((1, 7))}, taps)
    parts = split_output(output, ("last", "deep"), ("b",))
    assert [*parts] == [
        Part("tap", "deep"),
        Part("tap", "last", "a"),
        Part("tap", "last", "b"),
        Part("prediction", "b"),
    ]
    joined = join_output(parts)
    assert joined.predictions == {"b": output.predictions["b"]}
    assert joined.taps == {"last": taps["last"], "deep": taps["deep"]}
