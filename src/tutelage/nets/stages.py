"""timm's encoders taken apart, for networks that put something in place of a feature before the next stage reads it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, nn

from tutelage.errors import UserError
from tutelage.nets.smp import Features


@dataclass
class Stage:
    """A part of an encoder that ends in one of its features; timm's modules, which it does not own."""

    modules: list[nn.Module]
    reads_last: bool  # its modules read channels as the last dimension, as Swin's do
    gives_last: bool  # they give them there

    def __call__(self, x: Tensor) -> Tensor:
        """The feature [B, C, h, w] that comes after the feature `x` or, in the first stage, after the image.

        Raises:
            ValueError: There are several.
        """
        x = x.permute(0, 2, 3, 1) if self.reads_last else x
        for module in self.modules:
            x = module(x)
        if not isinstance(x, Tensor):  # of a block that hands on more than its feature: timm's SelecSLS
            raise UserError(
                f"encoder: expected stages that hand on one feature, found {type(self.modules[-1]).__name__}, which "
                "hands on several; take another encoder"
            )
        return x.permute(0, 3, 1, 2) if self.gives_last else x

    def parameters(self) -> list[nn.Parameter]:
        """Those of its modules."""
        return [p for module in self.modules for p in module.parameters()]


def check_stages(of: object, encoder: nn.Module) -> None:
    """Refuse an encoder that `stages` cannot take apart.

    Raises:
        ValueError: It is none of timm's that are a chain of modules.
    """
    from timm.models import FeatureListNet

    made: Any = encoder
    if not isinstance(made.model, FeatureListNet):
        raise UserError(
            f"{type(of).__name__}.encoder: expected one that runs stage by stage (ResNet, ConvNeXt, Swin and most "
            f"others, with any decoder but DPT), found `{made.name}` as {type(made.model).__name__}; take another "
            "encoder or decoder, or a network whose experts are whole encoders (MMoE, PLE with levels: 1)"
        )


def stages(encoder: nn.Module) -> list[Stage]:
    """An encoder's stages from fine to coarse, where `check_stages` passes.

    With x = the image, `for stage in stages(encoder): x = stage(x)` gives all of its features, and whatever is put in
    place of one is read by the next. `gathered` makes of them what `encode` returns.
    """
    net = cast(Any, encoder).model
    last = net.output_fmt == "NHWC"
    found: list[Stage] = []
    modules: list[nn.Module] = []
    for name, module in net.items():
        modules.append(module)
        if name in net.return_layers:
            found.append(Stage(modules, last and bool(found), last))
            modules = []
    return found


def stage_channels(encoder: nn.Module) -> list[int]:
    """The channels of the feature of each of an encoder's stages."""
    every: list[int] = cast(Any, encoder).out_channels
    return every[-len(stages(encoder)) :]


def gathered(encoder: nn.Module, maps: Sequence[Tensor], images: Tensor) -> Features:
    """What `encode` gives of `images` where the stages have given `maps`."""
    found: list[Tensor | None] = [f.contiguous() if cast(Any, encoder).model.output_fmt == "NHWC" else f for f in maps]
    # smp has the image before them, and nothing at 1/2 of its size where there is no such feature.
    before = len(cast(Any, encoder).out_channels) - len(found)
    height, width = images.shape[2:]
    nothing = images.new_empty(len(images), 0, height // 2, width // 2)
    return ([images, nothing][:before] + found,)
