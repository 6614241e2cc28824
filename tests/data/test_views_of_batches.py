import pytest
import torch
from torch import Tensor

from tutelage.data import (
    Augment,
    ClassesLabel,
    ClassLabel,
    DepthLabel,
    InverseDepthLabel,
    MaskLabel,
    Modality,
    NormalsLabel,
    NumbersLabel,
)
from tutelage.data.coding import Bytes, Same, Scaled, Whole
from tutelage.data.packed import Column, Packed
from tutelage.types import Sample

DENSE = {
    "classes": ClassesLabel(),
    "mask": MaskLabel(),
    "depth": DepthLabel(scale=0.001),
    "inverse": InverseDepthLabel(),
    "normals": NormalsLabel(),
}
WHOLE = {"class": ClassLabel(), "numbers": NumbersLabel()}
KINDS = {**DENSE, **WHOLE}


def sample(seed: int, height: int = 31, width: int = 45) -> Sample:
    """Every kind of label, with holes; picture-like values, so that they can be stored in small types."""
    g = torch.Generator().manual_seed(seed)

    def whole(high: int, *shape: int) -> Tensor:
        return torch.randint(0, high, shape, generator=g)

    normals = torch.randn(3, height, width, generator=g)
    normals = normals / normals.norm(dim=0)
    normals[:, :4] = 0
    labels = {
        "classes": whole(14, height, width) - 1,
        "mask": whole(3, height, width) - 1,
        "depth": (whole(9000, 1, height, width).double() * 0.001).float(),
        "inverse": (whole(65536, 1, height, width).double() / 65535).float(),
        "normals": normals,
        "class": whole(5)[()],
        "numbers": torch.tensor([1.5, torch.nan]),
    }
    if seed % 3 == 0:
        del labels["depth"]
    return Sample(image=whole(256, 3, height, width).float() / 255, labels=labels)


def alone(augment: Augment, samples: list[Sample]) -> list[Sample]:
    return [augment(x, KINDS, torch.Generator().manual_seed(i)) for i, x in enumerate(samples)]


def together(augment: Augment, samples: list[Sample], packed: Packed) -> Packed:
    size = samples[0]["image"].shape[1:]
    windows = [augment.draw(size, torch.Generator().manual_seed(i)) for i in range(len(samples))]
    return augment.batch(packed, windows, KINDS)


def bits(x: Tensor) -> Tensor:
    return x.contiguous().view(torch.int32) if x.is_floating_point() else x


def assert_same(found: Packed, expected: list[Sample]) -> None:
    assert torch.equal(bits(found.images.values), bits(torch.stack([x["image"] for x in expected])))
    for task in KINDS:
        column = found.labels[task]
        for i, x in enumerate(expected):
            assert column.present[i] == (task in x["labels"])
            if column.present[i]:
                assert column.values[i].dtype == x["labels"][task].dtype
                assert torch.equal(bits(column.values[i]), bits(x["labels"][task])), task


@pytest.mark.parametrize("scales", [(1.0,), (1.0, 1.2, 1.5), (1.7,)])
@pytest.mark.parametrize("flip", [0.0, 0.5, 1.0])
def test_a_batch_of_views_is_bit_for_bit_its_single_views(scales: tuple[float, ...], flip: float) -> None:
    augment, samples = Augment(scales, flip), [sample(i) for i in range(9)]
    assert augment.takes_batches(KINDS.values())
    assert_same(together(augment, samples, Packed.of(samples, KINDS)), alone(augment, samples))


def test_views_of_stored_values_are_those_of_the_values() -> None:
    augment, samples = Augment(), [sample(i) for i in range(1, 3)]
    codings = {
        "classes": Whole(torch.uint8),
        "mask": Whole(torch.uint8),
        "depth": Scaled(torch.int16, 0.001),
        "inverse": Scaled(torch.int16, 1 / 65535),
        "class": Whole(torch.uint8),
    }
    packed = Packed.of(samples, KINDS)
    for task, coding in codings.items():
        codes = [coding.encode(x["labels"][task]) for x in samples]
        packed.labels[task] = Column(torch.stack(codes), coding, (True, True))
    images = torch.stack([Bytes().encode(x["image"]) for x in samples])
    packed = Packed(Column(images, Bytes(), (True, True)), packed.labels)
    assert_same(together(augment, samples, packed), alone(augment, samples))


def test_a_batch_is_not_changed_by_its_views() -> None:
    samples = [sample(i) for i in range(4)]
    packed = Packed.of(samples, KINDS)
    before = packed.map(Tensor.clone)
    together(Augment(flip=1.0), samples, packed)
    for task, column in before.labels.items():
        assert torch.equal(bits(column.values), bits(packed.labels[task].values))


class Sharper(Augment):
    def __call__(self, sample, modalities, generator):
        return super().__call__(sample, modalities, generator)


class Metres(DepthLabel):
    def zoom(self, x: Tensor, scale: float) -> Tensor:
        return x / scale**2


class OfBatches(Metres):
    batched = True


class Plain(DepthLabel):
    """Changes nothing that a view depends on."""


@pytest.mark.parametrize(("kind", "expected"), [(Metres(), False), (OfBatches(), True), (Plain(), True)])
def test_a_kind_of_the_users_works_on_single_samples_unless_it_says_otherwise(kind: Modality, expected: bool) -> None:
    assert Augment().takes_batches([kind]) == expected


def test_an_augmentation_of_the_users_sees_single_samples() -> None:
    assert not Sharper().takes_batches([DepthLabel()])


@pytest.mark.parametrize(
    ("coding", "values"),
    [
        (Bytes(), torch.tensor([0.5])),
        (Bytes(), torch.tensor([-0.0])),
        (Bytes(), torch.tensor([2.0])),
        (Whole(torch.uint8), torch.tensor([255])),
        (Whole(torch.uint8), torch.tensor([-2])),
        (Whole(torch.int16), torch.tensor([1 << 40])),
        (Scaled(torch.uint8, 0.1), torch.tensor([0.15])),
        (Scaled(torch.uint8, 0.1), torch.tensor([torch.nan])),
        (Scaled(torch.int16, 0.001), torch.tensor([70.0])),
    ],
)
def test_what_would_not_come_back_is_not_stored(coding: Bytes | Whole | Scaled, values: Tensor) -> None:
    assert coding.encode(values) is None


@pytest.mark.parametrize(
    ("coding", "values"),
    [
        (Bytes(), torch.arange(256) / 255),
        (Whole(torch.uint8), torch.arange(-1, 255)),
        (Whole(torch.int16), torch.tensor([-1, 65534])),
        (Scaled(torch.uint8, 1 / 25.5), (torch.arange(256).double() * (1 / 25.5)).float()),
        (Scaled(torch.int16, 0.001), (torch.arange(65536).double() * 0.001).float()),
        (Same(torch.float32), torch.tensor([torch.nan, -0.0, torch.inf])),
    ],
)
def test_what_is_stored_comes_back_bit_for_bit(coding: Bytes | Whole | Scaled | Same, values: Tensor) -> None:
    codes = coding.encode(values)
    assert codes is not None
    assert codes.dtype == coding.stored
    assert torch.equal(bits(coding.decode(codes)), bits(values))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="of a GPU")
def test_a_gpu_decodes_bytes_to_the_same_bits() -> None:
    codes = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(Bytes().decode(codes.cuda()).cpu(), Bytes().decode(codes))


@pytest.mark.parametrize("kind", [ClassesLabel(), DepthLabel(), NormalsLabel()])
def test_the_nearest_pixel_and_the_unit_length_are_what_torch_says(kind: Modality) -> None:
    x = sample(1)["labels"][{"ClassesLabel": "classes", "DepthLabel": "depth"}.get(type(kind).__name__, "normals")]
    x = x if x.ndim == 3 else x[None]
    found = kind.resize(x, (31, 45), (50, 47))
    if isinstance(kind, NormalsLabel):
        mean = torch.nn.functional.interpolate(x[None], (50, 47), mode="bilinear", antialias=True)[0]
        length = mean.norm(dim=0, keepdim=True)
        expected = torch.where(length > 1e-3, mean / length.clamp(min=1e-3), 0.0)
    else:
        expected = torch.nn.functional.interpolate(x[None].double(), (50, 47), mode="nearest-exact")[0].to(x.dtype)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-7 if isinstance(kind, NormalsLabel) else 0)
