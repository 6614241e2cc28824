"""What a method that combines gradients reads, and what it gives."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from tutelage.balance.rows import gramian
from tutelage.balance.spread import Spread
from tutelage.errors import UserError, one_line


@dataclass
class TaskGradients:
    """The gradients of one group of objectives in one step: what a method combines.

    At the representation several processes have columns each, those of their images. `gramian` and `norms` add over
    the processes what they need; `matrix` brings the columns of all of them together, which takes longer.
    """

    names: list[str]  # of the m rows: the objectives of the step, tasks in the order of the study
    index: list[int]  # where they are among all objectives of the group, `GradientBalancer.names[group]`
    losses: Tensor  # [m], o_t, detached
    matrices: list[Tensor]  # [m, n] for every draw: d o_t / d (shared parameters or representation), of this process
    group: str  # "task", or "distill" where these are balanced separately
    memory: dict[str, Tensor]  # what the method keeps of this group from step to step; saved with the run
    features: list[Tensor] = field(default_factory=list)  # at the representation, what the columns are gradients of
    spread: Spread | None = None  # where several processes have columns each

    @property
    def matrix(self) -> Tensor:
        """[m, n], if a step has one draw, with the columns of all processes."""
        return self.matrices[0] if self.spread is None else self.spread.gather(self.matrices[0])

    def gramian(self) -> Tensor:
        """J J^T, [m, m]."""
        own = gramian(self.matrices[0])
        return own if self.spread is None else self.spread.world.sum(own)

    def norms(self) -> Tensor:
        """|grad o_t|, [m]."""
        if self.spread is None:
            norms: Tensor = self.matrices[0].norm(dim=1)
            return norms
        return self.spread.world.sum(self.matrices[0].square().sum(1)).sqrt()


@dataclass
class Combined:
    """What a method makes of them: `vector`, or `weights` alone, of which it is then the weighted sum."""

    weights: Tensor | None = None  # [m]; None if no weighted sum of the rows gives the vector
    vector: Tensor | None = None  # [n], with the columns of `matrix`
    heads: Tensor | None = None  # [m], factors of the heads' gradients; None: heads get their own task's, unweighted
    own: bool = False  # whether `vector` has the columns of this process alone, those of `matrices`


def explain_error(error: Exception, method: str, gradients: TaskGradients) -> Exception:
    """The error to raise for a method's own: it names the tasks combined, or those whose gradients are not finite."""
    rows = zip(gradients.names, *gradients.matrices, strict=True)
    not_finite = [name for name, *draws in rows if not torch.stack(draws).isfinite().all()]
    if not_finite:
        return FloatingPointError(
            f"the gradients of {', '.join(not_finite)} are not finite; lower train.student.optimizer.lr, set "
            "train.clip_norm, or train with --precision 32-true"
        )
    return UserError(
        f"{method} expected gradients of {', '.join(gradients.names)} that it can combine, found "
        f"{type(error).__name__}: {one_line(error)}; take another method, or other arguments"
    )
