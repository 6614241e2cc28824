"""What timm and segmentation-models-pytorch (smp) give: encoders, decoders and heads, and what these need."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from inspect import signature
from itertools import chain
from typing import Any, cast

import torch
from torch import Tensor, nn

from tutelage.errors import UserError, one_line

# What an encoder gives and a decoder takes: a list of maps and, for DPT, one of the tokens (class, registers) before
# each, None where there are none.
Features = tuple[list[Tensor | None], ...]

# Arguments of smp's classes that are not the user's.
_OURS = {"self", "encoder_name", "encoder_weights", "encoder_output_stride", "in_channels", "classes", "activation"}
_OURS |= {"upsampling", "aux_params", "kwargs"}


@dataclass
class Parts:
    """smp's network of one task, in parts."""

    encoder: nn.Module
    decoder: nn.Module
    head: nn.Module
    multiple: int  # of which height and width are, so that no feature is rounded
    reads: list[bool]  # which of the encoder's features, one after the other, the decoder reads
    mean: Tensor  # [3, 1, 1], of the images that the encoder was pretrained on
    std: Tensor
    another_encoder: Callable[[], nn.Module]  # of the same kind, with weights of its own or the pretrained ones


def parts(
    of: object,
    encoder: str,
    decoder: str,
    pretrained: bool,
    output_stride: int | None,
    encoder_args: Mapping[str, Any] | None,
    decoder_args: Mapping[str, Any] | None,
) -> Parts:
    """The parts of a network, tried without weights first: on the meta device that costs next to nothing.

    Args:
        of: The network, for messages; the others are those of `EncoderDecoder`.

    Raises:
        ValueError: as `EncoderDecoder` has it.
    """
    name, encoder_args = type(of).__name__, encoder_args or {}
    timm, smp = _libraries(name)
    kind = _decoder_class(name, smp, decoder, decoder_args or {})
    _check_encoder(name, timm, encoder)
    arguments = dict(decoder_args or {})
    if output_stride is not None:
        named = "encoder_output_stride" in signature(kind).parameters
        arguments["encoder_output_stride" if named else "output_stride"] = output_stride
    try:
        with torch.device("meta"):
            arguments = _defaults(timm, kind, encoder, encoder_args) | dict(encoder_args) | arguments
            plan = _build(smp, kind, encoder, arguments, pretrained=False).eval()
            multiple = _multiple(plan.encoder)
            reads = _reads(plan, _size(multiple, arguments.get("img_size")))
    except Exception as error:  # of three libraries, each with its own
        raise UserError(
            f"{name}: expected an encoder and a decoder that fit, found `{encoder}` and `{decoder}` ("
            f"{one_line(error)}); change output_stride, decoder_args or encoder_args (for a network of one size, "
            "{img_size: [H, W]}), or take another decoder (DPT for a plain ViT)"
        ) from error
    try:
        model = _build(smp, kind, encoder, arguments, pretrained)
    except Exception as error:  # of the hub, the network, the file
        raise UserError(
            f"{name}.pretrained: expected weights of `{encoder}` from the Hugging Face hub or a file, found "
            f"none ({one_line(error)}); give a file with encoder_args: {{pretrained_cfg_overlay: {{file: PATH}}}}, or "
            "take `false`"
        ) from error
    config = timm.data.resolve_model_data_config(model.encoder.model)
    mean, std = (torch.tensor(config[name])[:, None, None] for name in ("mean", "std"))

    def another_encoder() -> nn.Module:
        made: nn.Module = _build(smp, kind, encoder, arguments, pretrained).encoder
        return made

    return Parts(model.encoder, model.decoder, model.segmentation_head, multiple, reads, mean, std, another_encoder)


def encode(encoder: nn.Module, images: Tensor) -> Features:
    """An encoder's features."""
    found = encoder(images)
    return found if isinstance(found, tuple) else (found,)


def named_stages(features: Features, images: Tensor) -> dict[str, Tensor]:
    """An encoder's maps of `images` from fine to coarse: `stage1`, `stage2`, ..."""
    # smp's encoders give the image as a feature of stride 1, and a missing one of stride 2 without channels.
    stages = [f for f in features[0] if f is not None and f is not images and f.shape[1]]
    return {f"stage{k}": f for k, f in enumerate(stages, 1)}


def decode(decoder: nn.Module, features: Features) -> Tensor:
    """A decoder's output."""
    z: Tensor = decoder(*(list(part) for part in features))
    return z


def clone_reinitialised(decoder: nn.Module) -> nn.Module:
    """A decoder of the same kind with weights of its own."""
    from segmentation_models_pytorch.base.initialization import initialize_decoder

    decoder = copy.deepcopy(decoder)
    for module in decoder.modules():
        if hasattr(module, "reset_parameters"):
            cast(Any, module).reset_parameters()
    initialize_decoder(decoder)
    return decoder


def head(smps: nn.Module, width: int) -> nn.Module:
    """smp's head of the same kind, for `width` channels."""
    from segmentation_models_pytorch.base.initialization import initialize_head

    conv = next(module for module in smps.modules() if isinstance(module, nn.Conv2d))
    made: nn.Module = cast(Any, type(smps))(conv.in_channels, width, kernel_size=conv.kernel_size[0], upsampling=1)
    initialize_head(made)
    return made


def _libraries(of: str) -> tuple[Any, Any]:
    try:
        import segmentation_models_pytorch
        import timm
    except ImportError as error:
        raise UserError(
            f"{of}: expected the libraries timm and segmentation-models-pytorch, found none "
            f"({one_line(error)}); pip install 'tutelage[nets]'"
        ) from error
    return timm, segmentation_models_pytorch


def _decoder_class(of: str, smp: Any, name: str, arguments: Mapping[str, Any]) -> type[nn.Module]:
    known = {kind.__name__: kind for kind in smp.MODEL_ARCHITECTURES_MAPPING.values()}
    if name not in known:
        raise UserError(f"{of}.decoder: expected one of {', '.join(known)}; found `{name}`")
    kind: type[nn.Module] = known[name]
    given = [x for x in signature(kind).parameters if x not in _OURS]
    for argument in arguments:
        if argument not in given:
            raise UserError(f"{of}.decoder_args: expected arguments of {name} ({', '.join(given)}), found `{argument}`")
    return kind


def _check_encoder(of: str, timm: Any, name: str) -> None:
    if ":" not in name and not timm.is_model(name):  # hf-hub:..., local-dir:...
        near = ", ".join(get_close_matches(name, timm.list_models(), 3, cutoff=0))
        raise UserError(f"{of}.encoder: expected a network of timm, found `{name}`; near it: {near}")


def _defaults(timm: Any, kind: type[nn.Module], encoder: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Images of any size, where an encoder has an argument for it; no readout of tokens that it does not have."""
    net = timm.create_model(encoder, **arguments)
    known = {name for base in type(net).__mro__ for name in signature(cast(Any, base).__init__).parameters}
    found = {k: v for k, v in (("dynamic_img_size", True), ("strict_img_size", False)) if k in known}
    no_tokens = "decoder_readout" in signature(kind).parameters and not getattr(net, "num_prefix_tokens", 0)
    return found | ({"decoder_readout": "ignore"} if no_tokens else {})


def _build(smp: Any, kind: type[nn.Module], encoder: str, arguments: Mapping[str, Any], pretrained: bool) -> Any:
    """smp's model of one task, without the layers of the encoder that come after the last feature."""
    model: Any = kind(encoder_name=f"tu-{encoder}", encoder_weights=True if pretrained else None, **arguments)
    if isinstance(model.encoder, smp.encoders.TimmViTEncoder):  # all of a classifier
        indices = model.encoder.model.prune_intermediate_layers(model.encoder._output_indices, prune_norm=True)
        model.encoder._output_indices = indices
    return model


def _multiple(encoder: Any) -> int:
    """What height and width are multiples of where no feature of encoder and decoder is rounded up."""
    if hasattr(encoder, "output_strides"):  # DPT's decoder resizes feature k to 1/2^(k+1) of the image
        return math.lcm(*encoder.output_strides, 2 ** (len(encoder.output_strides) + 1))
    return math.lcm(*encoder.model.feature_info.reduction())


def _size(multiple: int, fixed: int | Sequence[int] | None) -> tuple[int, int]:
    """Of the images that a network is tried with: its own, where it has one."""
    if fixed is not None:
        return (fixed, fixed) if isinstance(fixed, int) else (fixed[0], fixed[1])
    count = math.ceil(256 / multiple)
    return count * multiple, (count + 1) * multiple


def _reads(model: Any, size: tuple[int, int]) -> list[bool]:
    """Which of the encoder's features, one after the other, a decoder reads."""
    with torch.no_grad():
        found = encode(model.encoder, torch.zeros(2, 3, *size))
    with torch.enable_grad():
        given = [[None if f is None else f.detach().requires_grad_() for f in part] for part in found]
        z = decode(model.decoder, tuple(given))
        tensors = [f for f in chain(*given) if f is not None]
        grads = iter(torch.autograd.grad(z.sum(), tensors, allow_unused=True))
    return [f is not None and next(grads) is not None and f.numel() > 0 for f in chain(*given)]
