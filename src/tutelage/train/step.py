"""The training step of arXiv:2007.06889: begin reading here."""

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
    """The tasks' losses l_t and the distances to the teachers lambda_t d_t, of one batch per source."""
    terms, outputs = Terms(), []
    for batch in batches:
        # y_hat_t of the tasks that have labels here, or of all where the teachers' predictions are targets; phi^k(x)
        predicts_all = distiller is not None and distiller.predicts_unlabelled
        output = student(batch.images, tasks=None if predicts_all else batch.targets)
        output = balancer.boundary(output)
        for t, target in batch.targets.items():
            terms.task[t] += task_loss(tasks[t], t, output, target)  # l_t(y_hat_t, y_t)
        if distiller is not None:
            terms.distill += distiller(batch, output)  # lambda_t sum_k d(A_t^k(phi^k(x)), phi_t^k(x))
        outputs.append(output)
    return terms, outputs


def task_loss(task: Task, name: str, output: Output, target: Target) -> Term:
    """The loss of a task's prediction and of its auxiliary predictions, plus the penalty that the network adds."""
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

    The terms are detached, so that no graph is kept in memory during the next forward. After the last part of a step
    `balancer.finish()` completes `.grad`.
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

    Divided by the counts of the whole step, which are computed from the labels before any forward, the parts' gradients
    add up to the gradient of the whole step, also where labels are missing.

    Attributes:
        counts: what each task's loss is divided by in the whole step: the sum of `Target.count()`.
        taught: how many images each task's teacher sees in the whole step.
        labelled: the tasks with a labelled image in this part.
        share: images of this part / images of the step.
        draw: which of the independent draws of the step this part belongs to.
    """

    counts: dict[str, Tensor]
    taught: dict[str, Tensor]
    labelled: frozenset[str]
    share: float
    draw: int = 0

    @classmethod
    def split(cls, parts: Sequence[Sequence[Batch]], distiller: Distiller | None, draw: int = 0) -> list["PartialStep"]:
        """The reductions of the parts of a step, or of one draw of it; batches on the host need no GPU here."""
        counts, taught = dict[str, Tensor](), dict[str, Tensor]()
        for batch in (batch for part in parts for batch in part):
            for t, target in batch.targets.items():
                counts[t] = counts.get(t, 0) + target.count()
            for t, count in ({} if distiller is None else distiller.counts(batch)).items():
                taught[t] = taught.get(t, 0) + torch.tensor(count, device=batch.images.device)
        images = [sum(len(batch.images) for batch in part) for part in parts]
        labelled = [
            frozenset(t for batch in part for t, has_label in batch.labelled.items() if has_label.any())
            for part in parts
        ]
        return [
            cls(counts, taught, of_part, n / sum(images), draw) for of_part, n in zip(labelled, images, strict=True)
        ]

    def __call__(self, terms: Terms) -> Terms:
        """The terms of this part, over the counts of the whole step."""
        return Terms(_over(terms.task, self.counts), _over(terms.distill, self.taught))


def _over(terms: TermMap, counts: Mapping[str, Tensor]) -> TermMap:
    # A task without a label in this part has a zero sum here: what a balancer adds once per step counts here, too.
    zeros = {t: n.new_zeros((), dtype=torch.float32) for t, n in counts.items()}
    return TermMap({t: Term(terms[t].sum if t in terms else zeros[t], n) for t, n in counts.items()})
