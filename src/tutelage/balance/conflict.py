"""Whether the tasks pull the shared parameters in different directions."""

from itertools import combinations

import torch
from torch import Tensor

from tutelage.types import MultiTaskNet, Terms


def conflict(terms: Terms, net: MultiTaskNet) -> dict[str, Tensor]:
    """Cosine of every pair of g_t = grad l_t, their norms, and the share of pairs with a negative cosine.

    The gradients are with respect to the shared parameters, exact, without weights and without distillation, so that
    methods can be compared. It costs one backward pass per task and leaves `.grad` and the graph as they are.

    Returns:
        {"gradient/cosine/a/b", "gradient/norm/a", "gradient/conflicting": scalar}; empty for fewer than two tasks.
    """
    losses = {t: term.mean() for t, term in terms.task.items() if term.sum.requires_grad and bool(term.count > 0)}
    shared = [p for p in net.shared_parameters() if p.requires_grad]
    if len(losses) < 2 or not shared:
        return {}
    grads = {
        t: torch.autograd.grad(loss, shared, retain_graph=True, materialize_grads=True) for t, loss in losses.items()
    }
    norms = {t: torch.stack(torch._foreach_norm(list(grad))).norm() for t, grad in grads.items()}
    values = {f"gradient/norm/{t}": norm for t, norm in norms.items()}
    cosines = []
    for a, b in combinations(grads, 2):
        product = torch.stack([(x * y).sum() for x, y in zip(grads[a], grads[b], strict=True)]).sum()
        cosines.append(product / (norms[a] * norms[b]).clamp(min=torch.finfo(product.dtype).tiny))
        values[f"gradient/cosine/{a}/{b}"] = cosines[-1]
    return {**values, "gradient/conflicting": (torch.stack(cosines) < 0).float().mean()}
