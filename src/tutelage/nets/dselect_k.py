"""DSelect-k: a mixture of experts whose gates learn by gradient descent to select at most k of them."""

import math
from collections.abc import Collection, Iterable
from math import inf
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tutelage.errors import UserError
from tutelage.nets.smp import build_parts, encode
from tutelage.nets.soft_sharing import SoftSharing, check_positive, mix_all, pool_to_grid
from tutelage.nets.widths import resolve_tasks
from tutelage.types import Output

_EPSILON = 1e-6


class DSelectK(SoftSharing):
    """DSelect-k (Hazimeh et al., NeurIPS 2021): `MMoE` with gates that select at most k of the n experts.

    The gate of a task has k selectors. Selector i selects an expert by the m = ceil(log2 n) bits of its number; bit
    j is the smooth step S of a number z_ij. Each selector has a weight w_i:

        S(z) = 0 for z <= -gamma / 2,  1 for z >= gamma / 2,  else -2 (z / gamma)^3 + 3/2 (z / gamma) + 1/2
        r_ie = prod_j (S(z_ij) if bit j of e is 1 else 1 - S(z_ij))
        g_e  = sum_i softmax(w)_i r_ie

    z and w are linear in p(x), the image averaged over the cells of a grid as in `MMoE`; if `static`, they are
    parameters. Once the bits are 0 or 1, which S reaches exactly, r_i has a single 1, and at most k experts have a
    weight. In training a penalty (`Output.penalties`), averaged over the images, is added to the loss of a task:

        sum_i [ entropy_weight * sum_e -r_ie log r_ie  +  1 / sum_e r_ie - 1 ]

    Its first part drives the bits to 0 or 1. The second drives selectors away from the numbers that no expert has; it
    is 0 if n is a power of two. All experts are computed, including those that no gate selects. With `pretrained` all
    experts start from the same weights, and only the gates make them differ.

    Taps and the owners of parameters are those of `MMoE`.

    Source: arXiv:2106.03760 and the authors' code (google-research/dselect_k_moe), from which the defaults of `gamma`,
    `entropy_weight` and the initial values are taken: z, or its weights and bias, uniform in +-gamma / 100, those of w
    in +-0.05. Differs: experts are encoders; the gates read a grid of the image; the penalty is averaged over the
    images, while theirs is summed; its minimum is 0, while theirs is 1 per selector. LibMTL adds the penalty of the
    last task only.

    `encoder`, `decoder`, `pretrained`, `output_stride`, `encoder_args` and `decoder_args` are as in
    `EncoderDecoder`, for every encoder and decoder.

    Args:
        widths: Channels of each task's head.
        experts: n, the number of encoders.
        k: The largest number of experts that a task selects.
        gamma: The width of the smooth step.
        entropy_weight: The weight of the entropy in the penalty.
        static: A task selects the same experts for every image.
        grid: The gates read the image at grid x grid.

    Raises:
        ValueError: As in `EncoderDecoder`; or there are fewer than two experts, k is not in 1..n, `gamma` is not
            positive, `entropy_weight` is negative, or `grid` is below 1.
    """

    def __init__(
        self,
        widths: dict[str, int],
        encoder: str = "resnet50",
        decoder: str = "DeepLabV3Plus",
        pretrained: bool = False,
        output_stride: Literal[8, 16, 32] | None = None,
        encoder_args: dict[str, Any] | None = None,
        decoder_args: dict[str, Any] | None = None,
        experts: int = 4,
        k: int = 2,
        gamma: float = 1.0,
        entropy_weight: float = 1e-6,
        static: bool = False,
        grid: int = 8,
    ) -> None:
        check_positive(self, k=k, grid=grid)
        if experts < 2:
            raise UserError(
                f"DSelectK.experts: expected 2 or more to select from, found {experts}; take EncoderDecoder"
            )
        if k > experts:
            raise UserError(f"DSelectK.k: expected at most `experts` ({experts}), found {k}")
        if not 0 < gamma < inf:
            raise UserError(f"DSelectK.gamma: expected a positive width of the smooth step, found {gamma}")
        if not 0 <= entropy_weight < inf:
            raise UserError(f"DSelectK.entropy_weight: expected 0 or more, found {entropy_weight}")
        parts = build_parts(self, encoder, decoder, pretrained, output_stride, encoder_args, decoder_args)
        super().__init__(widths, parts, widths)
        self.experts = nn.ModuleList([parts.encoder, *(parts.build_encoder() for _ in range(experts - 1))])
        self.gates = nn.ModuleDict({t: SelectGate(experts, k, gamma, None if static else grid) for t in widths})
        self.entropy_weight = entropy_weight

    def forward(self, images: Tensor, tasks: Collection[str] | None = None) -> Output:
        """Predictions of `tasks` (None: all), in training their penalties, and the taps of all tasks."""
        names = resolve_tasks(self, tasks, self.heads)
        x = self._enter(images)
        of_experts = [encode(expert, x) for expert in self.experts]
        gates = {t: gate(x) for t, gate in self.gates.items()}  # g, r
        output = self._output(names, {t: mix_all(of_experts, g, x) for t, (g, _) in gates.items()}, x, images)
        if self.training:
            output.penalties = {t: penalty(gates[t][1], self.entropy_weight) for t in names}
        return output

    def _own(self, task: str) -> Iterable[nn.Parameter]:
        return self.gates[task].parameters()


class SelectGate(nn.Module):
    """The k selectors of one task.

    Args:
        experts: n, the number of experts.
        k: The number of selectors.
        gamma: The width of the smooth step.
        grid: The cells per side of p's grid; None: a static gate.
    """

    codes: Tensor  # bool [n, m]: the bits of the numbers of the experts

    def __init__(self, experts: int, k: int, gamma: float, grid: int | None) -> None:
        super().__init__()
        bits = math.ceil(math.log2(experts))
        codes = [[bool(e >> j & 1) for j in range(bits)] for e in range(experts)]
        self.register_buffer("codes", torch.tensor(codes), persistent=False)
        self.gamma, self.grid = gamma, grid
        self.z = nn.Parameter(torch.empty(k, bits).uniform_(-gamma / 100, gamma / 100))
        self.w = nn.Parameter(torch.empty(k).uniform_(-0.05, 0.05))
        self.z_of: nn.Linear | None = None
        self.w_of: nn.Linear | None = None
        if grid is not None:
            self.z_of, self.w_of = (nn.Linear(3 * grid * grid, n, bias=False) for n in (k * bits, k))
            nn.init.uniform_(self.z_of.weight, -gamma / 100, gamma / 100)
            nn.init.uniform_(self.w_of.weight, -0.05, 0.05)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Weights g [B, n] and selections r [B, k, n] for normalised images x; B is 1 in a static gate."""
        z, w = self.z[None], self.w[None]
        if self.grid is not None and self.z_of is not None and self.w_of is not None:
            p = pool_to_grid(x, self.grid)
            z, w = z + self.z_of(p).view(-1, *self.z.shape), w + self.w_of(p)
        s = smooth_step(z.float(), self.gamma)[:, :, None]  # [B, k, 1, m]
        r = torch.where(self.codes, s, 1 - s).prod(3)
        return (torch.softmax(w.float(), 1)[..., None] * r).sum(1), r


def smooth_step(z: Tensor, gamma: float) -> Tensor:
    """S(z), in [0, 1]."""
    u = (z / gamma + 0.5).clamp(0, 1)
    return u * u * (3 - 2 * u)


def penalty(r: Tensor, entropy_weight: float) -> Tensor:
    """The penalty of selections r [B, k, n]: the sum over the selectors, averaged over the images."""
    entropy = -(r * (r + _EPSILON).log()).sum(2)
    reach = 1 / r.sum(2).clamp(min=_EPSILON) - 1
    return (entropy_weight * entropy + reach).sum(1).mean()
