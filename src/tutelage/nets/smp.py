"""Encoders of timm, and decoders and heads of segmentation-models-pytorch (smp): how to build and run them."""

import copy
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from inspect import signature
from itertools import chain
from typing import Any, cast

import torch
from torch import Tensor, nn

from tutelage.errors import UserError, one_line
from tutelage.nets.quiet import quiet

# What an encoder returns and a decoder takes: a list of maps and, for DPT, one of the tokens (class, registers) that
# precede each map; None where there are none.
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
    multiple: int  # height and width of images have to be multiples of it, so that no feature's size is rounded
    reads: list[bool]  # for each of the encoder's features in order: whether the decoder reads it
    mean: Tensor  # [3, 1, 1], of the images that the encoder was pretrained on
    std: Tensor
    build_encoder: Callable[[], nn.Module]  # one more of the same kind, with new random or the pretrained weights


def build_parts(
    of: object,
    encoder: str,
    decoder: str,
    pretrained: bool,
    output_stride: int | None,
    encoder_args: Mapping[str, Any] | None,
    decoder_args: Mapping[str, Any] | None,
) -> Parts:
    """The parts of a network. They are first tried on the meta device, without memory for weights.

    Args:
        of: The network, for messages; the other arguments are those of `EncoderDecoder`.

    Raises:
        ValueError: As in `EncoderDecoder`.
    """
    name, encoder_args = type(of).__name__, encoder_args or {}
    timm, smp = _libraries(name)
    kind = _decoder_class(name, smp, decoder, decoder_args or {})
    _check_encoder(name, timm, encoder)
    arguments = dict(decoder_args or {})
    if output_stride is not None:
        has_own_name = "encoder_output_stride" in signature(kind).parameters
        arguments["encoder_output_stride" if has_own_name else "output_stride"] = output_stride
    try:
        with torch.device("meta"):
            arguments = _defaults(timm, kind, encoder, encoder_args) | dict(encoder_args) | arguments
            trial = _build_model(smp, kind, encoder, arguments, pretrained=False).eval()
            multiple = _multiple(trial.encoder)
            reads = _reads(trial, _size(multiple, arguments.get("img_size")))
    except Exception as error:  # of three libraries, each with its own kinds
        raise UserError(
            f"{name}: expected an encoder and a decoder that fit, found `{encoder}` and `{decoder}` ("
            f"{one_line(error)}); change output_stride, decoder_args or encoder_args (for a network of one size, "
            "{img_size: [H, W]}), or take another decoder (DPT for a plain ViT)"
        ) from error
    try:
        model = _build_model(smp, kind, encoder, arguments, pretrained)
    except Exception as error:  # of the hub, the connection, the file
        raise UserError(
            f"{name}.pretrained: expected weights of `{encoder}` from the Hugging Face hub or a file, found "
            f"none that fit ({one_line(error)}); give a file with encoder_args: {{pretrained_cfg_overlay: {{file: "
            "PATH}}, or set `pretrained: false`"
        ) from error
    config = timm.data.resolve_model_data_config(model.encoder.model)
    mean, std = (torch.tensor(config[name])[:, None, None] for name in ("mean", "std"))

    def build_encoder() -> nn.Module:
        one_more: nn.Module = _build_model(smp, kind, encoder, arguments, pretrained).encoder
        return one_more

    return Parts(model.encoder, model.decoder, model.segmentation_head, multiple, reads, mean, std, build_encoder)


def encode(encoder: nn.Module, images: Tensor) -> Features:
    """The features that an encoder has of images."""
    features = encoder(images)
    return features if isinstance(features, tuple) else (features,)


def named_stages(features: Features, images: Tensor) -> dict[str, Tensor]:
    """An encoder's maps of `images` from fine to coarse: `stage1`, `stage2`, ..."""
    # smp's encoders return the image as the feature of stride 1, and a missing feature of stride 2 without channels.
    stages = [f for f in features[0] if f is not None and f is not images and f.shape[1]]
    return {f"stage{k}": f for k, f in enumerate(stages, 1)}


def decode(decoder: nn.Module, features: Features) -> Tensor:
    """The output [B, C, h, w] of a decoder."""
    z: Tensor = decoder(*(list(part) for part in features))
    return z


def clone_reinitialised(decoder: nn.Module) -> nn.Module:
    """A decoder of the same kind with new random weights."""
    from segmentation_models_pytorch.base.initialization import initialize_decoder

    decoder = copy.deepcopy(decoder)
    for module in decoder.modules():
        if hasattr(module, "reset_parameters"):
            cast(Any, module).reset_parameters()
    initialize_decoder(decoder)
    return decoder


def build_head(like: nn.Module, width: int) -> nn.Module:
    """A head of smp of the same kind, for `width` channels, with new random weights."""
    from segmentation_models_pytorch.base.initialization import initialize_head

    conv = next(module for module in like.modules() if isinstance(module, nn.Conv2d))
    head: nn.Module = cast(Any, type(like))(conv.in_channels, width, kernel_size=conv.kernel_size[0], upsampling=1)
    initialize_head(head)
    return head


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
    kinds = {kind.__name__: kind for kind in smp.MODEL_ARCHITECTURES_MAPPING.values()}
    if name not in kinds:
        raise UserError(f"{of}.decoder: expected one of {', '.join(kinds)}; found `{name}`")
    kind: type[nn.Module] = kinds[name]
    allowed = [x for x in signature(kind).parameters if x not in _OURS]
    for argument in arguments:
        if argument not in allowed:
            raise UserError(
                f"{of}.decoder_args: expected arguments of {name} ({', '.join(allowed)}), found `{argument}`"
            )
    return kind


def _check_encoder(of: str, timm: Any, name: str) -> None:
    if ":" not in name and not timm.is_model(name):  # hf-hub:..., local-dir:...
        near = ", ".join(get_close_matches(name, timm.list_models(), 3, cutoff=0))
        raise UserError(f"{of}.encoder: expected a network of timm, found `{name}`; near it: {near}")


def _defaults(timm: Any, kind: type[nn.Module], encoder: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments that let an encoder take images of any size, and a decoder ignore tokens that the encoder lacks."""
    net = timm.create_model(encoder, **arguments)
    parameters = {name for base in type(net).__mro__ for name in signature(cast(Any, base).__init__).parameters}
    defaults = {k: v for k, v in (("dynamic_img_size", True), ("strict_img_size", False)) if k in parameters}
    no_tokens = "decoder_readout" in signature(kind).parameters and not getattr(net, "num_prefix_tokens", 0)
    return defaults | ({"decoder_readout": "ignore"} if no_tokens else {})


def _build_model(smp: Any, kind: type[nn.Module], encoder: str, arguments: Mapping[str, Any], pretrained: bool) -> Any:
    """smp's model of one task, without the layers of the encoder that come after the last feature.

    timm only logs where a file lacks tensors of an encoder, and leaves these random: that is an error here. Tensors
    that the file has beyond the encoder, those of a classifier, are ignored.
    """
    with quiet() as lines:
        model: Any = kind(encoder_name=f"tu-{encoder}", encoder_weights=True if pretrained else None, **arguments)
    if isinstance(model.encoder, smp.encoders.TimmViTEncoder):  # which has all layers of a classifier
        indices = model.encoder.model.prune_intermediate_layers(model.encoder._output_indices, prune_norm=True)
        model.encoder._output_indices = indices
    if missing := _missing(lines, model.encoder.model):
        raise ValueError(f"they lack {len(missing)} tensors of the encoder, such as `{missing[0]}`")
    return model


def _missing(lines: Sequence[str], net: nn.Module) -> list[str]:
    """The tensors of timm's network that a file lacks, by what timm has logged. Those of a classifier are not in it."""
    own = {name.replace(".", "_") for name in net.state_dict()}  # timm joins some names with `_` for features
    matches = [match for match in map(re.compile(r"Missing keys \((.+?)\)").match, lines) if match]
    return [name for match in matches for name in match[1].split(", ") if name.replace(".", "_") in own]


def _multiple(encoder: Any) -> int:
    """The number of which height and width have to be multiples, so that no feature's size is rounded."""
    if hasattr(encoder, "output_strides"):  # DPT's decoder resizes feature k to 1/2^(k+1) of the image
        return math.lcm(*encoder.output_strides, 2 ** (len(encoder.output_strides) + 1))
    return math.lcm(*encoder.model.feature_info.reduction())


def _size(multiple: int, fixed: int | Sequence[int] | None) -> tuple[int, int]:
    """Height and width of the images that a network is tried with: `fixed`, where it takes one size only."""
    if fixed is not None:
        return (fixed, fixed) if isinstance(fixed, int) else (fixed[0], fixed[1])
    count = math.ceil(256 / multiple)
    return count * multiple, (count + 1) * multiple


def _reads(model: Any, size: tuple[int, int]) -> list[bool]:
    """For each of the encoder's features in order, whether the decoder reads it."""
    with torch.no_grad():
        features = encode(model.encoder, torch.zeros(2, 3, *size))
    with torch.enable_grad():
        leaves = [[None if f is None else f.detach().requires_grad_() for f in part] for part in features]
        z = decode(model.decoder, tuple(leaves))
        tensors = [f for f in chain(*leaves) if f is not None]
        grads = iter(torch.autograd.grad(z.sum(), tensors, allow_unused=True))
    return [f is not None and next(grads) is not None and f.numel() > 0 for f in chain(*leaves)]
