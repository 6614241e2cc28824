"""Any encoder of timm with decoders of segmentation-models-pytorch: one per task, or one for all tasks."""

from collections.abc import Collection
from itertools import chain
from typing import Any, Literal

from torch import Tensor, nn

from tutelage.nets.decoders import Decoders
from tutelage.nets.smp import Features, build_parts, clone_reinitialised, encode, named_stages
from tutelage.nets.widths import resolve_tasks
from tutelage.types import Output


class EncoderDecoder(Decoders):
    """An encoder of timm, decoders of segmentation-models-pytorch (smp), and one head per task.

    There is one decoder per task, or one for all tasks. `resnet50` with one `DeepLabV3` per task is the network of
    LibMTL and of the many papers that compare with it. Images in 0..1 are normalised with the mean and standard
    deviation of the encoder's pretraining; these are buffers, saved with the weights, so that later versions of timm
    cannot change a trained network. A head is smp's: one convolution (DPT: two), resized bilinearly to the image.
    Decoders are initialised by smp's `initialize_decoder`, convolutions He uniform and linear layers Xavier uniform;
    heads are Xavier uniform.

    Taps: `stage1`, `stage2`, ...: the encoder's features [B, C_k, h_k, w_k] from fine to coarse, as many as the decoder
    is built for (`resnet50`: at 1/2, 1/4, 1/8, 1/16 and 1/32 of the image, none coarser than 1/`output_stride`; a plain
    ViT: four, all at 1/16); `bottleneck`, the last of these; `decoder`, the decoder's output [B, C, h, w], one per task
    or one for all; `last`, what the heads read: the same. The taps are those of all tasks, whichever predictions are
    requested. Predictions are [B, width, H, W]. The shared boundary for representation gradients is what the decoders
    read of the encoder or, if the decoder is shared, its output.

    Images of any size fit: they are padded at the lower and right edge, by repetition, to the next multiple of the
    coarsest feature's stride (`multiple`). Predictions are cropped back; taps are not. Encoders with position
    embeddings take any size if timm can resize these; others are built for one size, with `encoder_args:
    {img_size: [H, W]}`.

    Source: timm (Wightman), smp (Iakubovskii), and DeepLabV3 (arXiv:1706.05587), DeepLabV3Plus (1802.02611), Unet
    (1505.04597), UnetPlusPlus (1807.10165), MAnet (Fan et al., IEEE Access 2020), Linknet (1707.03718), FPN
    (1612.03144), PSPNet (1612.01105), PAN (1805.10180), UPerNet (1807.10221), Segformer (2105.15203), DPT (2103.13413).
    Differs from smp: several tasks; any size; predictions are resized with corners not aligned; DeepLab's decoders
    are initialised as all others; layers of an encoder after its last feature are removed.

    Args:
        widths: Channels of each task's head.
        encoder: Name in timm, with or without the tag of its weights: `resnet50`, `resnet50.tv_in1k`, `convnext_tiny`,
            `swin_tiny_patch4_window7_224`, `vit_small_patch16_224` (DPT alone), ...
        decoder: Name of smp's class.
        shared_decoder: One decoder for all tasks.
        pretrained: Start from timm's weights, from the Hugging Face hub or a file, as `encoder_args:
            {pretrained_cfg_overlay: {file: PATH}}`.
        output_stride: The stride of the encoder's last feature; larger strides become dilations. None: smp's default
            for the decoder (DeepLabV3 8, DeepLabV3Plus and PAN 16, else the encoder's own).
        encoder_args: More arguments of `timm.create_model`.
        decoder_args: More arguments of smp's class, under its names: `decoder_channels`, `encoder_depth`, ...

    Raises:
        ValueError: timm or smp is not installed; there is no task, or a width is not positive; a name or argument is
            unknown; encoder and decoder do not fit; pretrained weights cannot be loaded or lack tensors of the encoder.
            In `forward`: images are too small for the decoder, or a batch norm of the decoder in training reads one
            number per channel, since the batch is one image.
    """

    def __init__(
        self,
        widths: dict[str, int],
        encoder: str = "resnet50",
        decoder: str = "DeepLabV3Plus",
        shared_decoder: bool = False,
        pretrained: bool = False,
        output_stride: Literal[8, 16, 32] | None = None,
        encoder_args: dict[str, Any] | None = None,
        decoder_args: dict[str, Any] | None = None,
    ) -> None:
        parts = build_parts(self, encoder, decoder, pretrained, output_stride, encoder_args, decoder_args)
        super().__init__(widths, parts, () if shared_decoder else widths)
        self.encoder = parts.encoder
        self.decoder = clone_reinitialised(parts.decoder) if shared_decoder else None
        self._reads = parts.reads

    def forward(self, images: Tensor, tasks: Collection[str] | None = None) -> Output:
        """Predictions of `tasks` (None: all) and the taps of all tasks, for images [B, 3, H, W]."""
        names = resolve_tasks(self, tasks, self.heads)
        x = self._enter(images)
        features = encode(self.encoder, x)
        stages = named_stages(features, x)
        read: Features = tuple([None if f is None else f.view_as(f) for f in part] for part in features)
        last: dict[str, Tensor]
        shared: tuple[Tensor, ...]
        if self.decoder is not None:
            z = self._decode(self.decoder, read)
            last, shared = dict.fromkeys(self.heads, z), (z,)
        else:
            last = {task: self._decode(decoder, read) for task, decoder in self.decoders.items()}
            used = zip(chain(*read), self._reads, strict=True)
            shared = tuple(f for f, is_read in used if is_read and f is not None)
        tap = last if self.decoder is None else shared[0]
        taps = {**stages, "bottleneck": list(stages.values())[-1], "decoder": tap, "last": tap}
        return Output({t: self._predict(t, last[t], x, images) for t in names}, taps, shared)

    def shared_parameters(self) -> list[nn.Parameter]:
        """The parameters of the encoder and of a shared decoder; in a single-task network, none."""
        if len(self.heads) == 1:
            return []
        shared = [self.encoder] if self.decoder is None else [self.encoder, self.decoder]
        return [p for module in shared for p in module.parameters()]
