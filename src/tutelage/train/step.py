"""The training step of arXiv:2007.06889: the place to begin reading."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from tutelage.types import Balancer, Batch, Distiller, MultiTaskNet, Output, Reduce, Target, Task, Term, TermMap, Terms


def objective(
    batches: Sequence[Batch],
    student: MultiTaskNet,
    tasks: Mapping[str, Task],
    distiller: Distiller | None,
    balancer: Balancer,
) -> tuple[Terms, list[Output]]:
    """The tasks' losses l_t and the distances to the teachers lambda_t d_t of one batch a source."""
    terms, outputs = Terms(), []
    for batch in batches:
        # y_hat_t of the tasks that have labels here, or of all where the teachers' predictions are targets; phi^k(x)
        imitates = distiller is not None and distiller.predicts_unlabelled
        output = student(batch.images, tasks=None if imitates else batch.targets)
        output = balancer.boundary(output)
        for t, target in batch.targets.items():
            terms.task[t] += task_loss(tasks[t], t, output, target)  # l_t(y_hat_t, y_t)
        if distiller is not None:
            terms.distill += distiller(batch, output)  # lambda_t sum_k d(A_t^k(phi^k(x)), phi_t^k(x))
        outputs.append(output)
    return terms, outputs


def task_loss(task: Task, name: str, output: Output, target: Target) -> Term:
    """The loss of a task's prediction, of those made on the way to it, and what the network adds."""
    loss = task.loss(output.predictions[name], target)
    for prediction in output.auxiliary.get(name, ()):
        loss = Term(loss.sum + task.loss(prediction, target).sum, loss.count)
    if name in output.penalties:
        loss = Term(loss.sum + output.penalties[name] * loss.count, loss.count)
    return loss


def training_step(
    batches: Sequence[Batch],
    student: MultiTaskNet,
    tasks: Mapping[str, Task],
    distiller: Distiller | None,
    balancer: Balancer,
    reduce: Reduce,
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
    observe: Callable[[Terms, MultiTaskNet], None] | None = None,
) -> tuple[Terms, dict[str, Tensor]]:
    """Add the gradient of L = sum_t w_t l_t + sum_t lambda_t d_t to `.grad`; return its terms and the weights w_t.

    The terms are detached: a graph that outlived the step would be there during the next forward. After the last part
    of a step `balancer.finish()` completes it.
    """
    with autocast():
        terms, outputs = objective(batches, student, tasks, distiller, balancer)
    if observe is not None:
        observe(terms, student)
    weights = balancer.backward(terms, outputs, student, reduce)
    return Terms(*(TermMap({t: x.detach() for t, x in part.items()}) for part in (terms.task, terms.distill))), weights


@dataclass
class PartialStep:
    """The reduction within one process: a part of a step whose gradients are accumulated.

    Dividing by the counts of the whole step, known from the labels before any forward, makes the sum of the parts'
    gradients the gradient of the whole step, also where labels are missing.
    """

    counts: dict[str, Tensor]  # valid positions of each task in the whole step
    taught: dict[str, Tensor]  # images that each task's teacher sees in the whole step
    share: float  # images of this part / images of the step
    draw: int = 0

    @classmethod
    def split(cls, parts: Sequence[Sequence[Batch]], distiller: Distiller | None, draw: int = 0) -> list["PartialStep"]:
        """One reduction for every part of a step, or of one draw of it."""
        counts, taught = dict[str, Tensor](), dict[str, Tensor]()
        for batch in (batch for part in parts for batch in part):
            for t, target in batch.targets.items():
                counts[t] = counts.get(t, 0) + target.valid.sum()
            for t, count in ({} if distiller is None else distiller.counts(batch)).items():
                taught[t] = taught.get(t, 0) + torch.tensor(count, device=batch.images.device)
        images = [sum(len(batch.images) for batch in part) for part in parts]
        return [cls(counts, taught, n / sum(images), draw) for n in images]

    def __call__(self, terms: Terms) -> Terms:
        """The terms of this part, over the counts of the whole step."""
        return Terms(_over(terms.task, self.counts), _over(terms.distill, self.taught))


def _over(terms: TermMap, counts: Mapping[str, Tensor]) -> TermMap:
    # A task without a label in this part is in it with nothing: what a balancer adds once a step counts here, too.
    nothing = {t: n.new_zeros((), dtype=torch.float32) for t, n in counts.items()}
    return TermMap({t: Term(terms[t].sum if t in terms else nothing[t], n) for t, n in counts.items()})
