"""timm's encoders stage by stage, for networks that replace a feature before the next stage reads it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, nn

from tutelage.errors import UserError
from tutelage.nets.smp import Features


@dataclass
class Stage:
    """A part of an encoder that ends with one of its features. It refers to the modules of timm's encoder."""

    modules: list[nn.Module]
    reads_last: bool  # its modules read [B, h, w, C], as Swin's do
    returns_last: bool  # its modules return [B, h, w, C]

    def __call__(self, x: Tensor) -> Tensor:
        """The feature [B, C, h, w] of this stage, from that of the stage before or, in the first, from the image.

        Raises:
            ValueError: The modules return more than one tensor.
        """
        x = x.permute(0, 2, 3, 1) if self.reads_last else x
        for module in self.modules:
            x = module(x)
        if not isinstance(x, Tensor):  # timm's SelecSLS passes more than its feature to the next stage
            raise UserError(
                f"encoder: expected stages that pass one feature on, found {type(self.modules[-1]).__name__}, which "
                "passes several; take another encoder"
            )
        return x.permute(0, 3, 1, 2) if self.returns_last else x

    def parameters(self) -> list[nn.Parameter]:
        """The parameters of the modules."""
        return [p for module in self.modules for p in module.parameters()]


def check_stages(of: object, encoder: nn.Module) -> None:
    """Raise a UserError for an encoder that `split_stages` cannot split: timm's is no chain of modules."""
    from timm.models import FeatureListNet

    net: Any = encoder
    if not isinstance(net.model, FeatureListNet):
        raise UserError(
            f"{type(of).__name__}.encoder: expected one that runs stage by stage (ResNet, ConvNeXt, Swin and most "
            f"others, with any decoder but DPT), found `{net.name}` as {type(net.model).__name__}; take another "
            "encoder or decoder, or a network whose experts are whole encoders (MMoE, PLE with levels: 1)"
        )


def split_stages(encoder: nn.Module) -> list[Stage]:
    """The stages of an encoder from fine to coarse; `check_stages` says whether it has any.

    With x = the image, `for stage in split_stages(encoder): x = stage(x)` computes all of its features. If a feature is
    replaced, the next stage reads the replacement. `gather_features` turns the features into what `encode` returns.
    """
    net = cast(Any, encoder).model
    channels_last = net.output_fmt == "NHWC"
    stages: list[Stage] = []
    modules: list[nn.Module] = []
    for name, module in net.items():
        modules.append(module)
        if name in net.return_layers:
            stages.append(Stage(modules, channels_last and bool(stages), channels_last))
            modules = []
    return stages


def stage_channels(encoder: nn.Module) -> list[int]:
    """The channels of the feature of each stage."""
    channels: list[int] = cast(Any, encoder).out_channels
    return channels[-len(split_stages(encoder)) :]


def gather_features(encoder: nn.Module, maps: Sequence[Tensor], images: Tensor) -> Features:
    """What `encode` returns for `images`, if the features of the stages are `maps`."""
    net = cast(Any, encoder)
    features: list[Tensor | None] = [f.contiguous() if net.model.output_fmt == "NHWC" else f for f in maps]
    # smp puts the image before them, and an empty tensor at 1/2 of its size if the encoder has no such feature.
    before = len(net.out_channels) - len(features)
    height, width = images.shape[2:]
    empty = images.new_empty(len(images), 0, height // 2, width // 2)
    return ([images, empty][:before] + features,)
