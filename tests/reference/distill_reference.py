"""The distillation paper's formulas, position by position: slow and obvious."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

Norm = Callable[[Tensor], Tensor]


def norm_add(a: Tensor, epsilon: float = 1e-6) -> Tensor:
    return (a.pow(2).sum() + epsilon).sqrt()


def norm_clamp(a: Tensor, epsilon: float = 1e-12) -> Tensor:
    return a.pow(2).sum().sqrt().clamp(min=epsilon)


def distance(a: Tensor, b: Tensor, norm: Norm = norm_add) -> Tensor:
    """d(a, b) of features [B, C, H, W]: a loop over images and positions."""
    batch, _, height, width = a.shape
    total = a.new_zeros(())
    for i in range(batch):
        for y in range(height):
            for x in range(width):
                p, q = a[i, :, y, x], b[i, :, y, x]
                total = total + (p / norm(p) - q / norm(q)).pow(2).sum()
    return total / (batch * height * width)


def positions(a: Tensor) -> Iterator[tuple[int, Tensor]]:
    """(image, its channels [C]) at every position of a feature [B, C, ...]."""
    for i, image in enumerate(a.flatten(2) if a.ndim > 2 else a.unsqueeze(2)):
        for n in range(image.shape[1]):
            yield i, image[:, n]


def mean_over_positions(a: Tensor, b: Tensor, at_position: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The mean of a formula of two vectors over the positions of each image, [B]."""
    values: list[list[Tensor]] = [[] for _ in a]
    for (i, p), (_, q) in zip(positions(a), positions(b), strict=True):
        values[i].append(at_position(p, q))
    return torch.stack([torch.stack(image).mean() for image in values])


def cosine(p: Tensor, q: Tensor) -> Tensor:
    return 1 - (p * q).sum() / (p.pow(2).sum() * q.pow(2).sum()).sqrt()


def squared_error(p: Tensor, q: Tensor) -> Tensor:
    return sum((x - y) ** 2 for x, y in zip(p, q, strict=True)) / len(p)


def smooth_l1(p: Tensor, q: Tensor, beta: float) -> Tensor:
    parts = [(x - y).abs() for x, y in zip(p, q, strict=True)]
    return sum(x * x / (2 * beta) if x < beta else x - beta / 2 for x in parts) / len(p)


def kl(p: Tensor, q: Tensor, temperature: float) -> Tensor:
    """T^2 KL(q || p) of the softmax of two vectors of logits, by the definition."""
    said, taught = ((x / temperature).exp() for x in (p, q))
    said, taught = said / said.sum(), taught / taught.sum()
    return temperature**2 * sum(t * (t / s).log() for s, t in zip(said, taught, strict=True))


def cauchy_schwarz(p: Tensor, q: Tensor) -> Tensor:
    """-log(<p, q> / |p| |q|) of the softmax of two vectors of logits."""
    said, taught = (x.exp() / x.exp().sum() for x in (p, q))
    product = sum(s * t for s, t in zip(said, taught, strict=True))
    return -(product / (sum(s * s for s in said) * sum(t * t for t in taught)).sqrt()).log()


def cauchy_schwarz_both_ways(a: Tensor, b: Tensor, channels: float, positions: float, temperature: float) -> Tensor:
    """Over the channels of every position, and over the positions of every channel, [B]."""
    values = []
    for x, y in zip(a.flatten(2) / temperature, b.flatten(2) / temperature, strict=True):
        of_positions = [cauchy_schwarz(x[:, n], y[:, n]) for n in range(x.shape[1])]
        of_channels = [cauchy_schwarz(x[c], y[c]) for c in range(x.shape[0])]
        values.append(channels * torch.stack(of_positions).mean() + positions * torch.stack(of_channels).mean())
    return torch.stack(values)


def attention_transfer(a: Tensor, b: Tensor, p: float) -> Tensor:
    """|| Q(a) / |Q(a)| - Q(b) / |Q(b)| ||^2 for each image, [B]."""
    maps = []
    for x in (a, b):
        attention: list[list[Tensor]] = [[] for _ in x]
        for i, channels in positions(x):
            attention[i].append(sum(c.abs() ** p for c in channels))
        maps.append([torch.stack(q) / torch.stack(q).pow(2).sum().sqrt() for q in attention])
    return torch.stack([(q - r).pow(2).sum() for q, r in zip(*maps, strict=True)])


def rbf(x: Tensor, y: Tensor, sigma: float) -> Tensor:
    return (-(x - y).pow(2).sum() / (2 * sigma**2)).exp()


def median_distance(features: Sequence[Tensor]) -> float:
    """The (lower) median of the distances of two vectors that differ."""
    pairs = sorted(float((x - y).detach().pow(2).sum().sqrt()) for n, x in enumerate(features) for y in features[:n])
    distances = [distance for distance in pairs if distance > 0]
    return distances[(len(distances) - 1) // 2]


def per_image_vectors(a: Tensor, normalise: bool) -> list[Tensor]:
    """The mean over positions of each image, at unit length."""
    images: list[list[Tensor]] = [[] for _ in a]
    for i, channels in positions(a):
        images[i].append(channels)
    means = [sum(image) / len(image) for image in images]
    return [x / x.pow(2).sum().sqrt() if normalise else x for x in means]


def cka(k: list[list[Tensor]], l: list[list[Tensor]]) -> Tensor:  # noqa: E741  # the literature's letter
    """HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)), HSIC(K, L) = tr(K H L H) / (n - 1)^2 (Kornblith et al., section 3)."""
    n = len(k)
    centre = torch.eye(n, dtype=k[0][0].dtype) - 1 / n
    first, second = (torch.stack([torch.stack(row) for row in x]) for x in (k, l))

    def hsic(x: Tensor, y: Tensor) -> Tensor:
        return (x @ centre @ y @ centre).trace() / (n - 1) ** 2

    return hsic(first, second) / (hsic(first, first) * hsic(second, second)).sqrt()


def conv1x1(weight: Tensor, feature: Tensor) -> Tensor:
    """A 1x1 convolution [C', C, 1, 1] of [B, C, H, W]: a matrix times the channels at each position."""
    matrix = weight[:, :, 0, 0]
    rows = [
        torch.stack([matrix @ feature[i, :, y, x] for x in range(feature.shape[3])], -1)
        for i in range(feature.shape[0])
        for y in range(feature.shape[2])
    ]
    return torch.stack(rows, 1).unflatten(1, (feature.shape[0], feature.shape[2])).transpose(0, 1)


def bilinear(feature: Tensor, height: int, width: int) -> Tensor:
    """Bilinear resizing of [B, C, H, W] with pixel centres at half integers (align_corners=False)."""

    def neighbours(i: int, size: int, new: int) -> tuple[int, int, float]:
        at = max((i + 0.5) * size / new - 0.5, 0.0)
        low = min(math.floor(at), size - 1)
        return low, min(low + 1, size - 1), at - low

    rows = []
    for y in range(height):
        y0, y1, v = neighbours(y, feature.shape[2], height)
        row = []
        for x in range(width):
            x0, x1, u = neighbours(x, feature.shape[3], width)
            top = (1 - u) * feature[:, :, y0, x0] + u * feature[:, :, y0, x1]
            bottom = (1 - u) * feature[:, :, y1, x0] + u * feature[:, :, y1, x1]
            row.append((1 - v) * top + v * bottom)
        rows.append(torch.stack(row, -1))
    return torch.stack(rows, -2)


def objective(
    losses: Mapping[str, Tensor],
    weights: Mapping[str, float],
    distances: Mapping[str, list[Tensor]],
    lambdas: Mapping[str, float],
) -> Tensor:
    """L = sum_t w_t l_t + sum_t lambda_t sum_k d_t^k."""
    total = torch.zeros(())
    for t, loss in losses.items():
        total = total + weights[t] * loss
    for t, taps in distances.items():
        for d in taps:
            total = total + lambdas[t] * d
    return total


def phi_s_by_definition(feature: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [C] and the one scale of PHI standardisation, over images and positions."""
    rows = torch.stack([p for _, p in positions(feature.double())])
    mean = sum(rows) / len(rows)
    variances = [sum((r[c] - mean[c]) ** 2 for r in rows) / len(rows) for c in range(rows.shape[1])]
    return mean, (sum(variances) / len(variances)).sqrt()


def adaptive_features(student: Tensor, networks: Sequence[Tensor], sigma: Sequence[float]) -> Tensor:
    """|| n(s_p) - sum_t sigma_t n(f_tp) ||^2, the mean over the positions of each image, [B]."""
    values: list[list[Tensor]] = [[] for _ in student]
    for at_position in zip(positions(student), *(positions(f) for f in networks), strict=True):
        (i, s), *rest = at_position
        target = sum(weight * f / norm_add(f) for weight, (_, f) in zip(sigma, rest, strict=True))
        values[i].append((s / norm_add(s) - target).pow(2).sum())
    return torch.stack([torch.stack(image).mean() for image in values])
