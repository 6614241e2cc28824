"""Weights that follow how far the student is behind a network of each task alone."""

from collections.abc import Mapping

import torch
from torch import Tensor

from tutelage.balance.objective import Balance, add_losses
from tutelage.balance.on_losses import LossBalancer
from tutelage.errors import UserError, positive_number
from tutelage.types import Distiller, MultiTaskNet, Output, Reduce, Task, Terms


class RelativeLosses(LossBalancer):
    """The base of methods that weigh by r_t, the student's loss over that of another network on the same labels.

    r_t is the ratio of the two sums over the steps of the last epoch in which task t had labels, and 1 before the
    first. The other losses are terms of the distiller (`Distiller.references`), which train what they train as ever.

    Args:
        balance: What o_t is, as for `LossBalancer`.

    Raises:
        ValueError: In `setup`, if the distiller has no such loss of a task.
    """

    sums: Tensor  # [2, T], of this epoch: the student's losses, and the others
    ratios: Tensor  # [T], r_t of the last epoch

    def __init__(self, balance: Balance = "task") -> None:
        super().__init__(balance)
        self.references: dict[str, str] = {}

    def setup(self, tasks: Mapping[str, Task], net: MultiTaskNet, distiller: Distiller | None = None) -> None:
        """Find the losses to compare with."""
        super().setup(tasks, net, distiller)
        found = {} if distiller is None else distiller.references()
        for t in tasks:
            if t not in found:
                raise UserError(
                    f"balancer: expected a distiller with the loss of another network on `{t}` for "
                    f"{type(self).__name__}, such as OnlineDistiller or TeacherLosses, found none"
                )
        self.references = {t: found[t] for t in tasks}
        device = next(net.parameters()).device
        self.register_buffer("sums", torch.zeros(2, len(tasks), device=device))
        self.register_buffer("ratios", torch.ones(len(tasks), device=device))

    def backward(self, terms: Terms, outputs: list[Output], net: MultiTaskNet, reduce: Reduce) -> dict[str, Tensor]:
        """Note both losses of every task that has labels, and add the gradient to `.grad`."""
        self.compare(reduce(terms), net, reduce)
        return super().backward(terms, outputs, net, reduce)

    @torch.no_grad()
    def compare(self, terms: Terms, net: MultiTaskNet, reduce: Reduce) -> None:
        """Add the losses of a step, over its counts, to those of the epoch."""
        shown = [t for t, k in self.references.items() if k in terms.distill and bool(terms.task[t].count > 0)]
        pairs = {
            "own": {t: terms.task[t].mean() for t in shown},
            "other": {t: terms.distill[self.references[t]].mean() for t in shown},
        }
        whole = add_losses(pairs, reduce.world, next(net.parameters()).device)
        for i, t in enumerate(self.references):
            if t in shown:
                self.sums[:, i] += torch.stack([whole["own"][t], whole["other"][t]]).to(self.sums)

    def end_epoch(self) -> None:
        """Set r_t, and begin anew; a task without a label in the epoch keeps its own."""
        own, other = self.sums
        self.ratios = torch.where(other > 0, own / other.clamp(min=1e-12), self.ratios)
        self.sums = torch.zeros_like(self.sums)

    def shares(self, group: str, scores: Tensor, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """T score_t / sum_s score_s for each objective of a group, from a score for each task; 1 if it is of none."""
        weights = dict(zip(self.references, len(scores) * scores / scores.sum(), strict=True))
        one = torch.ones_like(scores[0])
        return {
            name: torch.stack([weights[t] for t in tasks]).mean() if tasks else one
            for name in losses
            for tasks in [self.objectives.tasks(group, name)]
        }


class OnlineWeighting(RelativeLosses):
    """Online task weighting (OKD-MTL, Jacob et al., WACV 2023): tasks that are behind their own network weigh more.

    w_t = T exp(r_t / tau) / sum_s exp(r_s / tau),   r_t as in `RelativeLosses`, w_t = 1 in the first epoch

    Source: as for `tutelage.distill.OnlineDistiller`. The authors' script has tau = 0.1, but cuts the exponentials at
    10, so that all r_t above 0.23 weigh alike; here nothing is cut, and tau is 1.

    Args:
        temperature: tau.
        balance: What o_t is, as for `LossBalancer`.

    Raises:
        ValueError: If the temperature is not positive.
    """

    def __init__(self, temperature: float = 1.0, balance: Balance = "task") -> None:
        super().__init__(balance)
        self.temperature = positive_number("OnlineWeighting.temperature", temperature)

    def weigh(self, group: str, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """w_t of the tasks, and of the terms that count for them."""
        return self.shares(group, torch.softmax(self.ratios / self.temperature, 0), losses)


class FeedbackWeighting(RelativeLosses):
    """A teacher weighs more, the further the student is behind it (after JointDistill, Cheng et al., 2025).

    The network follows sum_t l_t + sum_k v_k d_k,   v_k = T r_t / sum_s r_s for the teacher of task t

    with r_t as in `RelativeLosses`, on a second, independent batch of train in every step, from which nothing is
    learnt in that step. v_k = 1 in the first epoch. For a term of several tasks v_k is the mean of theirs, and 1 for
    one of none.

    Source: "JointDistill: Adaptive Multi-Task Distillation for Joint Depth Estimation and Scene Segmentation" (arXiv:
    2505.10057); read: its abstract and a summary, in which a teacher's weight follows the ratio of the student's to the
    teacher's score on a validation part. Ours to decide: losses as scores, since they exist for every task; the sum to
    T; the second batch of train in place of a validation part, which the teachers, however, were trained on. Its loss
    along the trajectory of attention maps is not here: neither source gives its formula.
    """

    draws = 2

    def __init__(self) -> None:
        super().__init__("separately")

    def backward(self, terms: Terms, outputs: list[Output], net: MultiTaskNet, reduce: Reduce) -> dict[str, Tensor]:
        """Compare on the first batch of a step, and learn from the second."""
        if reduce.draw == 0:
            self.compare(reduce(terms), net, reduce)
            return {}
        return LossBalancer.backward(self, terms, outputs, net, reduce)

    def weigh(self, group: str, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """v_k of the teachers; 1 for the tasks."""
        if group == "task":
            return {name: torch.ones_like(self.ratios[0]) for name in losses}
        return self.shares(group, self.ratios, losses)
