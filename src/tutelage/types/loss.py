"""The loss of one task from what a network computes."""

from tutelage.types.batch import Target
from tutelage.types.network import Output
from tutelage.types.task import Task
from tutelage.types.terms import Term


def task_loss(task: Task, name: str, output: Output, target: Target) -> Term:
    """The loss of a task's prediction and of its auxiliary predictions, plus the penalty that the network adds."""
    loss = task.loss(output.predictions[name], target)
    for prediction in output.auxiliary.get(name, ()):
        loss = Term(loss.sum + task.loss(prediction, target).sum, loss.count)
    if name in output.penalties:
        loss = Term(loss.sum + output.penalties[name] * loss.count, loss.count)
    return loss
