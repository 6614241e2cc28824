"""What saliency, edges and several labels per image share: a yes or no at every position."""

from abc import ABC

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from tutelage.errors import UserError
from tutelage.tasks.categorical import UNLABELLED
from tutelage.tasks.masked import MaskedTask
from tutelage.types import Colour, Encoded, MaskedTarget, Picture, Term


def logit_distillation_loss(raw: Tensor, taught: Tensor, temperature: float) -> Term:
    """T^2 sum KL(Bernoulli(sigmoid(taught / T)) || Bernoulli(sigmoid(raw / T))) over all entries, and their number.

    It has the gradient of the binary cross-entropy with the teacher's probabilities as labels, and is 0 where student
    and teacher agree. T^2 keeps the gradient's size (Hinton et al., arXiv:1503.02531). Takes fp32 logits, outside
    autocast.
    """
    student, teacher = raw / temperature, taught.detach() / temperature
    cross, entropy = (
        binary_cross_entropy_with_logits(logit, teacher.sigmoid(), reduction="sum") for logit in (student, teacher)
    )
    return Term(temperature**2 * (cross - entropy), torch.full((), raw.numel(), device=raw.device))


class Binary(MaskedTask, ABC):
    """Yes or no for every pixel.

    Label: int64 [B, H, W], 1 for yes, 0 for no, -1 where unlabelled. Head: one logit. Activated: the probability
    q = sigmoid(logit) of yes, fp32 [B, H, W].

    loss = - sum_p a y_p log q_p + b (1 - y_p) log(1 - q_p), over the labelled pixels p

    Args:
        positive_weight: a.
        negative_weight: b.

    Raises:
        UserError: A weight is not positive; in `collate`, a label in host memory is not 0, 1 or -1. (On a GPU, where
            reading it would stall, such a pixel counts as unlabelled.)
    """

    contents = frozenset({"classes", "mask"})
    meaning = "probability"
    width = 1
    dense = True
    regression = False
    requirement = "a pixel that is 1"

    def __init__(self, positive_weight: float, negative_weight: float) -> None:
        for key, weight in (("positive_weight", positive_weight), ("negative_weight", negative_weight)):
            if not 0 < weight < float("inf"):
                raise UserError(f"{type(self).__name__}: expected `{key}` to be positive. Found {weight}.")
        self.positive_weight, self.negative_weight = positive_weight, negative_weight

    def missing(self, image: Tensor) -> Tensor:
        """-1 everywhere, [H, W]."""
        return torch.full(image.shape[1:], UNLABELLED, dtype=torch.int64, device=image.device)

    def valid(self, label: Tensor) -> Tensor:
        """Where labels [B, H, W] are 0 or 1."""
        if label.device.type == "cpu" and (problem := self.validate_values(label)) is not None:
            raise UserError(f"{type(self).__name__}: {problem}.")
        return (label == 0) | (label == 1)

    def is_sufficient(self, target: MaskedTarget) -> bool:
        """Whether there is a positive pixel."""
        return bool((target.valid & (target.value == 1)).any())

    def validate_values(self, label: Tensor) -> str | None:
        """A value that is not 0, 1 or -1."""
        if not label.numel():
            return None
        least, most = (int(x) for x in label.aminmax())
        if least >= UNLABELLED and most <= 1:
            return None
        return (
            f"expected labels 0 or 1, or {UNLABELLED} where unlabelled, found {most if most > 1 else least}; write the "
            "masks as 0 and 1, or name the values that mean no label in `ignore`"
        )

    def activate(self, raw: Tensor) -> Tensor:
        """The probability, [B, H, W]."""
        return raw.float().squeeze(1).sigmoid()

    def loss(self, raw: Tensor, target: MaskedTarget) -> Term:
        """Weighted binary cross-entropy summed over the labelled pixels, and their number."""
        with torch.autocast(raw.device.type, enabled=False):
            positive = target.valid & (target.value == 1)
            weight = torch.where(positive, self.positive_weight, self.negative_weight)
            loss = binary_cross_entropy_with_logits(
                raw.float().squeeze(1), positive.float(), weight.float(), reduction="none"
            )
            total = torch.where(target.valid, loss, 0).sum()
        return Term(total, target.count())

    def distillation_loss(self, raw: Tensor, taught: Tensor, temperature: float = 1.0) -> Term:
        """`logit_distillation_loss` over all pixels, without the weights of the loss."""
        with torch.autocast(raw.device.type, enabled=False):
            return logit_distillation_loss(raw.float(), taught.float(), temperature)

    def draw(self, value: Tensor, valid: Tensor | None = None) -> Picture:
        """Probabilities, or labels, [H, W] from dark blue (0) to yellow (1)."""
        shown = value.isfinite() & (value >= 0)
        if valid is not None:
            shown &= valid
        picture: Picture = _colours(torch.where(shown, value, 0).float()) * shown.unsqueeze(2).cpu().numpy()
        return picture

    def encode(self, value: Tensor) -> Encoded:
        """Probabilities [H, W] times 255, in 8 bits: a mask's threshold of 128 stands for one half."""
        return (value.float().clamp(0, 1) * 255).round().byte().cpu().numpy()

    def legend(self) -> list[tuple[str, Colour]]:
        """The colours of five probabilities."""
        shares = torch.linspace(0, 1, 5)
        return [
            (f"{p:g}", (int(r), int(g), int(b))) for p, (r, g, b) in zip(shares.tolist(), _colours(shares), strict=True)
        ]


def _colours(probability: Tensor) -> Picture:
    from matplotlib import colormaps  # slow to import, and only pictures need it

    picture: Picture = colormaps["cividis"](probability.cpu().numpy().astype(np.float64), bytes=True)[..., :3]
    return picture
