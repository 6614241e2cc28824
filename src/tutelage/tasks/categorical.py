"""What segmentation and classification share."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax

from tutelage.errors import UserError
from tutelage.tasks.masked import MaskedTask
from tutelage.tasks.palette import palette
from tutelage.types import Term

UNLABELLED = -1


class Categorical(MaskedTask, ABC):
    """One of C classes at every position: a pixel, or the image.

    Label: int64, classes 0..C-1, -1 where unlabelled. Head: C logits. Activated: the class with the largest logit.

    Args:
        classes: C.
        names: The name of every class, for pictures; default: `class 0`, `class 1`, ...

    Raises:
        UserError: There are fewer than two classes, more or fewer names than classes, or one name twice; in `collate`,
            a label in host memory is neither a class nor -1. (On a GPU, where reading it would stall, such a position
            counts as unlabelled.)
    """

    regression = False
    meaning = "class number"
    remedy = "set the task's `classes`, or mend the file"  # for a label with another value

    def __init__(self, classes: int, names: list[str] | None = None) -> None:
        kind = type(self).__name__
        if classes < 2:
            raise UserError(f"{kind}: expected at least two classes. Found `classes = {classes}`.")
        self.width = classes
        self.names = class_names(kind, classes, names)
        self.colours = palette(classes)

    @abstractmethod
    def logits(self, raw: Tensor) -> Tensor:
        """The head's raw output as fp32 logits [B, C, ...], with C logits for every position of the label."""

    def valid(self, label: Tensor) -> Tensor:
        """Where labels [B, ...] are a class."""
        if label.device.type == "cpu" and label.numel():
            least, most = (int(x) for x in label.aminmax())
            if least < UNLABELLED or most >= self.width:
                wrong = most if most >= self.width else least
                raise UserError(
                    f"{type(self).__name__}: expected labels 0..{self.width - 1}, or -1 where unlabelled. Found "
                    f"{wrong}; change `classes` or the labels."
                )
            return label >= 0
        return (label >= 0) & (label < self.width)

    def validate_values(self, label: Tensor) -> str | None:
        """A value that is neither a class nor -1."""
        wrong = sorted(set(label[(label < UNLABELLED) | (label >= self.width)].tolist()))
        if not wrong:
            return None
        shown = ", ".join(map(str, wrong[:5])) + (", ..." if len(wrong) > 5 else "")
        return f"expected classes 0..{self.width - 1}, or {UNLABELLED} where unlabelled, found {shown}; {self.remedy}"

    def activate(self, raw: Tensor) -> Tensor:
        """The most likely class, [B, ...]."""
        return self.logits(raw).argmax(1)

    def distillation_loss(self, raw: Tensor, taught: Tensor, temperature: float = 1.0) -> Term:
        """T^2 KL(softmax(taught / T) || softmax(raw / T)) summed over all positions, and their number.

        T^2 keeps the gradient's size (Hinton et al., arXiv:1503.02531). At T = 1 the gradient is that of the
        cross-entropy with the teacher's probabilities as labels.
        """
        with torch.autocast(raw.device.type, enabled=False):
            logits = self.logits(raw)
            student = log_softmax(logits / temperature, 1)
            teacher = log_softmax(self.logits(taught.detach()) / temperature, 1)
            total = temperature**2 * kl_div(student, teacher, reduction="sum", log_target=True)
        return Term(total, torch.full((), logits[:, 0].numel(), device=raw.device))


def class_names(task: str, classes: int, names: list[str] | None) -> list[str]:
    """`names`, or `class 0`, `class 1`, ...; raises a UserError unless there is one name per class."""
    if names is None:
        return [f"class {c}" for c in range(classes)]
    if len(names) != classes:
        raise UserError(
            f"{task}: expected {classes} names, one per class. Found {len(names)}: {names}; give others, or null."
        )
    if twice := [name for i, name in enumerate(names) if name in names[:i]]:
        raise UserError(f"{task}: expected a name of its own for each class. Found `{twice[0]}` twice; give others.")
    return names
