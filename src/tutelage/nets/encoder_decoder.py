"""Any encoder of timm with decoders of segmentation-models-pytorch, one a task or one for all."""

from collections.abc import Collection
from itertools import chain
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from tutelage.nets.libraries import Features, another, decode, encode, head, parts
from tutelage.types import MultiTaskNet, Output

_PROBLEMS = {  # of torch with a batch, and what is to be done
    "more than 1 value per channel": "two images or more in a batch to train a decoder whose batch norm reads one "
    "number an image and channel, found one; raise train.batch_size or take another decoder",
    "Output size is too small": "larger images for a decoder that pools the encoder's last feature, found some of "
    "which nothing is left; enlarge them, lower output_stride or take another decoder",
}


class EncoderDecoder(MultiTaskNet):
    """An encoder of timm, a decoder of segmentation-models-pytorch (smp) a task or one for all, and a head a task.

    `resnet50` with `DeepLabV3` a task is the network of LibMTL and of the many papers that compare there. Images in
    0..1 are normalised with the mean and deviation of those that the encoder was pretrained on; they are buffers, saved
    with the weights, so that a trained network keeps them whatever a later timm says. A head is smp's, one convolution
    (DPT: two), resized bilinearly to the image. Decoders start as smp's `initialize` has it, convolutions He uniform
    and linear layers Xavier uniform, heads Xavier uniform.

    Taps: `stage1`, `stage2`, ...: the encoder's features [B, C_k, h_k, w_k] from fine to coarse, as many as the decoder
    is built for (`resnet50`: at 1/2, 1/4, 1/8, 1/16 and 1/32 of the image, none coarser than 1/`output_stride`; a plain
    ViT: four, all at 1/16); `bottleneck`, the last of these; `decoder`, the decoder's output [B, C, h, w], one a task
    or for all; `last`, what the heads read: the same. They are those of all tasks, whatever predictions are
    asked for. Predictions are [B, width, H, W]. The shared boundary of representation gradients is what the tasks'
    decoders read of the encoder or, where the decoder is shared, its output.

    Images of any size fit: what is missing to the next multiple of the coarsest feature's stride (`multiple`) is
    repeated from the lower and right edge, and cut off the predictions; taps show it. Encoders with position embeddings
    take any size where timm can resize these; others are built for one size, with `encoder_args: {img_size: [H, W]}`.

    Source: timm (Wightman), smp (Iakubovskii), and DeepLabV3 (arXiv:1706.05587), DeepLabV3Plus (1802.02611), Unet
    (1505.04597), UnetPlusPlus (1807.10165), MAnet (Fan et al., IEEE Access 2020), Linknet (1707.03718), FPN
    (1612.03144), PSPNet (1612.01105), PAN (1805.10180), UPerNet (1807.10221), Segformer (2105.15203), DPT (2103.13413).
    Differs from smp: several tasks; any size; predictions are resized with corners not aligned; DeepLab's decoders
    start as all others; what an encoder has after its last feature is left out.

    Args:
        widths: Channels of each task's head.
        encoder: Name in timm, with or without the tag of its weights: `resnet50`, `resnet50.tv_in1k`, `convnext_tiny`,
            `swin_tiny_patch4_window7_224`, `vit_small_patch16_224` (DPT alone), ...
        decoder: Name of smp's class.
        shared_decoder: One decoder for all tasks.
        pretrained: Begin with timm's weights, from the Hugging Face hub or a file, as `encoder_args:
            {pretrained_cfg_overlay: {file: PATH}}`.
        output_stride: Of the encoder's last feature: strides beyond it become dilations. None: smp's for the decoder
            (DeepLabV3 8, DeepLabV3Plus and PAN 16, else the encoder's own).
        encoder_args: More arguments of `timm.create_model`.
        decoder_args: More arguments of smp's class, by its names: `decoder_channels`, `encoder_depth`, ...

    Raises:
        ValueError: Where timm or smp is not installed, there is no task, a width is not positive, a name or argument is
            unknown, encoder and decoder do not fit, or pretrained weights cannot be had; in training, where a batch
            norm of the decoder reads one number a channel, since it is one image; where images are too small for it.
    """

    mean: Tensor  # [3, 1, 1]
    std: Tensor

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
        super().__init__()
        if not widths or min(widths.values()) < 1:
            raise ValueError(
                f"EncoderDecoder: expected one task or more with at least one channel each, found {widths}"
            )
        made = parts(encoder, decoder, pretrained, output_stride, encoder_args or {}, decoder_args or {})
        self.encoder = made.encoder
        self.decoder = another(made.decoder) if shared_decoder else None
        self.decoders = nn.ModuleDict({} if shared_decoder else {task: another(made.decoder) for task in widths})
        self.heads = nn.ModuleDict({task: head(made.head, width) for task, width in widths.items()})
        self.multiple, self._reads = made.multiple, made.reads
        self.register_buffer("mean", made.mean)
        self.register_buffer("std", made.std)

    def forward(self, images: Tensor, tasks: Collection[str] | None = None) -> Output:
        """Predictions of `tasks` (None: all) and the taps of all tasks, for images [B, 3, H, W]."""
        names = self._known(list(self.heads) if tasks is None else tasks)
        height, width = images.shape[2:]
        missing = (0, -width % self.multiple, 0, -height % self.multiple)
        x = pad((images - self.mean) / self.std, missing, mode="replicate")
        features = encode(self.encoder, x)
        # smp's encoders give the image as a feature of stride 1, and a missing one of stride 2 without channels.
        stages = [f for f in features[0] if f is not None and f is not x and f.shape[1]]
        taps: dict[str, Tensor | dict[str, Tensor]] = {f"stage{k}": f for k, f in enumerate(stages, 1)}
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
        resized = {task: interpolate(self.heads[task](last[task]), x.shape[2:], mode="bilinear") for task in names}
        predictions = {task: y[..., :height, :width] for task, y in resized.items()}
        tap = last if self.decoder is None else shared[0]
        return Output(predictions, {**taps, "bottleneck": stages[-1], "decoder": tap, "last": tap}, shared)

    def _decode(self, decoder: nn.Module, features: Features) -> Tensor:
        try:
            return decode(decoder, features)
        except (RuntimeError, ValueError) as error:
            found = next((problem for text, problem in _PROBLEMS.items() if text in str(error)), None)
            if found is None:
                raise
            raise ValueError(f"EncoderDecoder: expected {found}") from error

    def _known(self, tasks: Collection[str]) -> Collection[str]:
        for task in tasks:
            if task not in self.heads:
                raise ValueError(f"EncoderDecoder: expected tasks among {', '.join(self.heads)}; found `{task}`")
        return tasks

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """Those of the task's head and its own decoder; all, where the network has one task."""
        (task,) = self._known([task])
        if len(self.heads) == 1:
            return list(self.parameters())
        own = [self.heads[task]] if self.decoder is not None else [self.decoders[task], self.heads[task]]
        return [p for module in own for p in module.parameters()]

    def shared_parameters(self) -> list[nn.Parameter]:
        """The encoder's and those of a shared decoder; none, where the network has one task."""
        if len(self.heads) == 1:
            return []
        shared = [self.encoder] if self.decoder is None else [self.encoder, self.decoder]
        return [p for module in shared for p in module.parameters()]
