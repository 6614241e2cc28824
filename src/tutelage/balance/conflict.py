"""Whether the tasks pull the shared parameters in different directions."""

from itertools import combinations

import torch
from torch import Tensor

from tutelage.types import MultiTaskNet, Terms, World


def conflict(terms: Terms, net: MultiTaskNet, world: World | None = None) -> dict[str, Tensor]:
    """Cosine of every pair of g_t = grad l_t, their norms, and the share of pairs with a negative cosine.

    The gradients are with respect to the shared parameters, exact, without weights and without distillation, so that
    methods can be compared. It costs one backward pass per task and leaves `.grad` and the graph as they are.

    Args:
        terms: of the images of this process, over the counts of all.
        net: has the shared parameters.
        world: the processes over which the images are spread; None: this one alone.

    Returns:
        {"gradient/cosine/a/b", "gradient/norm/a", "gradient/conflicting": scalar}; empty for fewer than two tasks.
    """
    several = world is not None and world.size > 1  # a process without a label of a task adds a gradient of 0
    losses = {
        t: term.mean() for t, term in terms.task.items() if (term.sum.requires_grad or several) and bool(term.count > 0)
    }
    shared = [p for p in net.shared_parameters() if p.requires_grad]
    if len(losses) < 2 or not shared:
        return {}
    grads = {
        t: torch.autograd.grad(loss, shared, retain_graph=True, materialize_grads=True)
        if loss.requires_grad
        else tuple(torch.zeros_like(p) for p in shared)
        for t, loss in losses.items()
    }
    if several and world is not None:
        grads = {t: tuple(g.contiguous() for g in grad) for t, grad in grads.items()}
        for grad in (g for of_task in grads.values() for g in of_task):
            world.start_sum(grad)
        world.wait()
    norms = {t: torch.stack(torch._foreach_norm(list(grad))).norm() for t, grad in grads.items()}
    values = {f"gradient/norm/{t}": norm for t, norm in norms.items()}
    cosines = []
    for a, b in combinations(grads, 2):
        product = torch.stack([(x * y).sum() for x, y in zip(grads[a], grads[b], strict=True)]).sum()
        cosines.append(product / (norms[a] * norms[b]).clamp(min=torch.finfo(product.dtype).tiny))
        values[f"gradient/cosine/{a}/{b}"] = cosines[-1]
    return {**values, "gradient/conflicting": (torch.stack(cosines) < 0).float().mean()}
