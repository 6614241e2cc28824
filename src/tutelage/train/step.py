"""The training step of arXiv:2007.06889: begin reading here."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

from torch import Tensor

from tutelage.types import Balancer, Batch, Distiller, MultiTaskNet, Output, Reduce, Task, TermMap, Terms, task_loss


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
        output = student(batch.shown, tasks=None if predicts_all else batch.targets)
        output = balancer.boundary(output)
        for t, target in batch.targets.items():
            terms.task[t] += task_loss(tasks[t], t, output, target)  # l_t(y_hat_t, y_t)
        if distiller is not None:
            terms.distill += distiller(batch, output)  # lambda_t sum_k d(A_t^k(phi^k(x)), phi_t^k(x))
        outputs.append(output)
    return terms, outputs


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
