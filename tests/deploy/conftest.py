"""A study with a distilled student, trained once for all tests here; and a predictor of every network."""

import copy
from functools import cache
from typing import Any

import pytest
import torch
from tests.study.conftest import Notes, tiny
from torch import nn

from tutelage.deploy import Predictor, build
from tutelage.study import Study, run_study

DENSE = {
    "segmentation": {"class_path": "tutelage.tasks.Segmentation", "init_args": {"classes": 4}},
    "depth": {"class_path": "tutelage.tasks.Depth", "init_args": {"range": [0.5, 8.0]}},
    "normals": {"class_path": "tutelage.tasks.Normals"},
}
WHOLE = {
    "digit": {"class_path": "tutelage.tasks.Classification", "init_args": {"classes": 5}},
    "angle": {"class_path": "tutelage.tasks.Regression", "init_args": {"outputs": 2, "unit": "deg"}},
}
# As narrow as the decoders can be: what a file holds does not depend on the width.
FPN = {"decoder": "FPN", "decoder_args": {"decoder_pyramid_channels": 4, "decoder_segmentation_channels": 32}}
DPT = {
    "decoder": "DPT",
    "decoder_args": {"decoder_intermediate_channels": [4, 6, 8, 8], "decoder_fusion_channels": 8},
}
NETS = {
    "SegNet": ({"filters": [4, 4, 4, 4, 4]}, DENSE),
    "MTAN": ({"filters": [4, 4, 4, 4, 4]}, DENSE),
    "CrossStitch": ({"encoder": "test_resnet", **FPN, "pretrained": True}, DENSE),
    "DSelectK": ({"encoder": "test_resnet", **FPN, "experts": 3, "pretrained": True}, DENSE),
    "MMoE": ({"encoder": "test_vit", **DPT, "experts": 2, "pretrained": True}, DENSE),
    "MTINet": ({"encoder": "test_resnet", "channels": [4, 6, 8, 8], "pretrained": True}, DENSE),
    "PADNet": ({"encoder": "test_resnet", **FPN, "pretrained": True}, DENSE),
    "PLE": ({"encoder": "test_resnet", **FPN, "pretrained": True}, DENSE),
    "SAK": ({"encoder": "test_resnet", **FPN, "pretrained": True}, DENSE),
    "EncoderDecoder": ({"encoder": "test_resnet", **FPN, "pretrained": True}, DENSE),
    "ResNet": ({"filters": [4, 8], "blocks": 1}, WHOLE),
}


def config(name: str, size: list[int] | None) -> dict[str, Any]:
    arguments, tasks = NETS[name]
    net = {"class_path": f"tutelage.nets.{name}", "init_args": dict(arguments)}
    return {"net": net, "tasks": dict(tasks), "size": size}


def make(name: str = "SegNet", size: tuple[int, int] | None = (32, 64)) -> Predictor:
    """A predictor whose batch norms have statistics of their own: always the same weights, and no random numbers."""
    return copy.deepcopy(_made(name, size))


@cache
def _made(name: str, size: tuple[int, int] | None) -> Predictor:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        predictor = build(config(name, None if size is None else list(size)))
        for module in predictor.net.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean, -0.1, 0.1)
                nn.init.uniform_(module.running_var, 0.5, 1.5)
                nn.init.uniform_(module.weight, 0.5, 1.5)
    return predictor


@pytest.fixture(scope="session")
def distilled(tmp_path_factory: pytest.TempPathFactory) -> Study:
    study = tiny(tmp_path_factory.mktemp("deploy") / "runs", "--methods", "kd4mtl")
    run_study(study, Notes())
    return study


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(2, 3, 32, 64, generator=torch.Generator().manual_seed(0))
