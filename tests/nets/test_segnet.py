import pytest
import torch
from tests.nets.net_tester import NetTester
from tests.reference import golden

from tutelage.nets import SegNet
from tutelage.types import MultiTaskNet


class TestSegNet(NetTester):
    def build(self, widths: dict[str, int]) -> MultiTaskNet:
        return SegNet(widths, filters=(4, 6, 8, 8, 12))


class TestDeep(NetTester):
    def build(self, widths: dict[str, int]) -> MultiTaskNet:
        return SegNet(widths, variant="deep", filters=(4, 6, 8, 8, 12))


@pytest.mark.parametrize(
    ("variant", "parameters"), [("standard", 25_055_185), ("wide", 43_934_161), ("deep", 50_807_761)]
)
def test_parameters_are_the_papers(variant: str, parameters: int) -> None:
    with torch.device("meta"):
        net = SegNet({"segmentation": 13, "depth": 1, "normals": 3}, variant=variant)
    assert sum(p.numel() for p in net.parameters()) == parameters


def test_width_multiplies_every_level() -> None:
    assert [level[-2].num_features for level in SegNet({"a": 1}, width=0.125).encoder] == [8, 16, 32, 64, 64]
    assert [level[-2].num_features for level in SegNet({"a": 1}, filters=(8, 8, 8, 8, 16), width=0.5).encoder] == [
        4, 4, 4, 4, 8,
    ]  # fmt: skip


def test_taps() -> None:
    taps = SegNet({"a": 1}, filters=(4, 6, 8, 10, 12))(torch.rand(2, 3, 64, 96)).taps
    assert taps["bottleneck"].shape == (2, 12, 2, 3)
    assert taps["last"].shape == (2, 4, 64, 96)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SegNet({}), "expected one task or more"),
        (lambda: SegNet({"a": 0}), "at least one channel"),
        (lambda: SegNet({"a": 1}, width=0.001), "raise `width`"),
        (
            lambda: SegNet({"a": 1}, filters=(1, 1, 1, 1, 1))(torch.rand(1, 3, 31, 64)),
            r"at least 32x32, found \(31, 64",
        ),
    ],
)
def test_mistakes(build: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_the_authors_segnet() -> None:
    golden.assert_the_authors_outputs(golden.segnet(golden.STUDENT))
