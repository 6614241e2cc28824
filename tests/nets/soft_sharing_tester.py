"""Properties of networks in which every task has its own features, mixed from those of several encoders."""

import pytest
import torch
from tests.nets.net_tester import WIDTHS, MadeOnceTester, features
from torch import Tensor

from tutelage.balance import Aggregator
from tutelage.tasks import Depth, Normals, Segmentation
from tutelage.types import MultiTaskNet

TASKS = {"segmentation": Segmentation(5), "depth": Depth(), "normals": Normals()}
STAGES = {"stage1", "stage2", "stage3", "stage4"}
RESNET = {"encoder": "test_resnet", "decoder_args": {"decoder_channels": 8}}
CONVNEXT = {"encoder": "test_convnext", "decoder": "UPerNet", "decoder_args": {"decoder_channels": 8}}
DPT = {"decoder_intermediate_channels": [4, 6, 8, 8], "decoder_fusion_channels": 8}
VIT = {"encoder": "test_vit", "decoder": "DPT", "decoder_args": DPT}
SWIN_ARGS = {"embed_dim": 16, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2]}
SWIN = {**CONVNEXT, "encoder": "swin_tiny_patch4_window7_224", "encoder_args": SWIN_ARGS}


class SoftSharingTester(MadeOnceTester):
    taps = {*STAGES, "stage5", "bottleneck", "decoder", "last"}
    boundary = False

    def test_taps_by_name(self, net: MultiTaskNet, images: Tensor) -> None:
        taps = net(images, tasks=["depth"]).taps
        names = [name for name in taps if name.startswith("stage")]
        assert names == [f"stage{k}" for k in range(1, len(names) + 1)]
        assert all(list(tap) == list(WIDTHS) for tap in taps.values())
        sizes = [tuple(taps[name]["depth"].shape[2:]) for name in names]
        assert sizes == sorted(sizes, reverse=True)
        assert all(taps["bottleneck"][t] is taps[names[-1]][t] for t in WIDTHS)
        assert all(taps["last"][t] is taps["decoder"][t] for t in WIDTHS)

    def test_a_tap_is_of_its_task(self, net: MultiTaskNet, images: Tensor) -> None:
        taps = features(net(images))
        assert not any(torch.equal(taps[f"bottleneck/{t}"], taps["bottleneck/depth"]) for t in WIDTHS if t != "depth")
        (taps["last/depth"].sum() + taps["bottleneck/depth"].sum()).backward()
        others = [p for t in WIDTHS if t != "depth" for p in net.task_parameters(t)]
        assert all(p.grad is None for p in others)
        assert any(p.grad is not None for p in net.shared_parameters())

    def test_aggregator_are_refused_at_a_representation(self, net: MultiTaskNet, images: Tensor) -> None:
        balancer = Aggregator("MGDA", where="representation")
        balancer.setup(TASKS, net)
        balancer.begin_step(0.0)
        name = type(net).__name__
        with pytest.raises(ValueError, match=f"expected `parameters` for {name}, which has no tensors") as error:
            balancer.boundary(net(images))
        assert "\n" not in str(error.value)

    def test_any_name_of_a_task(self, images: Tensor) -> None:
        net = self.build({"a-b": 1, "7": 2}).eval()
        again = self.build({"7": 2, "a-b": 1}).eval()
        again.load_state_dict(net.state_dict())
        a, b = net(images), again(images)
        assert all(torch.equal(a.predictions[t], b.predictions[t]) for t in ("a-b", "7"))
        assert len(net.task_parameters("a-b")) == len(net.task_parameters("7")) > 0
        with pytest.raises(ValueError, match="expected tasks among a-b, 7; found `b`") as error:
            net.task_parameters("b")
        assert "\n" not in str(error.value)
