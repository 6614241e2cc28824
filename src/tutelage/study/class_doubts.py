"""What is wrong or doubtful of the classes that occur in a label."""

from tutelage.data import ClassesLabel, MaskLabel, Modality
from tutelage.errors import UserError
from tutelage.study.seen import Seen
from tutelage.tasks import Segmentation
from tutelage.tasks.categorical import Categorical
from tutelage.types import Task
from tutelage.types.look import Warned


def doubts_of_classes(kind: Modality, task: Task, train: Seen, test: Seen) -> list[Warned]:
    """Classes of the task that never occur in train, and masks without a 0.

    Raises:
        UserError: A value that means no label has taken the place of all classes but one.
    """
    classes = train.measures.classes
    if isinstance(kind, MaskLabel) and set(classes) == {1}:
        advice = f"check the label's `threshold`, {kind.threshold}, and `ignore`"
        return [Warned(train.place, f"expected pixels of 0 and 1, found 1 alone in train; {advice}")]
    if not classes or not isinstance(task, Categorical):
        return []
    width = task.width
    if (doubt := _two_codes(kind, width, train, test)) is not None:
        return [doubt]
    if isinstance(task, Segmentation) and len(classes) == 1:
        _check_ignored(kind, train, width)
        text = (
            f"expected pixels of {width} classes, found class {next(iter(classes))} alone in train; correct the labels"
        )
        return [Warned(train.place, text)]
    ignored = getattr(kind, "ignore", ())
    missing = [c for c in range(width) if c not in classes and c not in ignored]
    if not missing:
        return []
    only_test = [c for c in missing if c in test.measures.classes]
    shown = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
    text = f"expected classes 0..{width - 1} in train, found none of {shown}"
    if only_test:
        text += f", though {', '.join(map(str, only_test[:5]))} occur in test"
    if missing == [0] and isinstance(kind, ClassesLabel):
        text += "; where 0 means no label, add it to `ignore`"
    elif missing == [0]:
        text += "; number the classes from 0, or let them be: class 0 then costs one output"
    else:
        text += "; correct `classes` or the labels, or let them be"
    return [Warned(train.place, text)]


def _two_codes(kind: Modality, width: int, *splits: Seen) -> Warned | None:
    """Files of two classes of which some hold class 1, and the others "no label" in its place: 0 and 1, 0 and 255."""
    if width != 2 or not isinstance(kind, ClassesLabel) or isinstance(kind, MaskLabel) or not kind.ignore:
        return None
    files = [(x, x.finding.measures[seen.label]) for seen in splits for x in seen.checked]
    ones = [x for x, measure in files if 1 in measure.classes]
    voids = [x for x, measure in files if measure.labelled < measure.positions]
    if not ones or not voids or {id(x) for x in ones} & {id(x) for x in voids}:
        return None
    label, values = splits[0].label, ", ".join(map(str, kind.ignore))
    text = (
        f"expected class 1 and {values} for no label in the same files, found {len(voids)} files with {values} and "
        f"never 1, beside {len(ones)} with 1 and never {values} ({ones[0].where(label)}); where {values} is class 1, "
        "write 1 in all files, or give all the kind tutelage.data.MaskLabel"
    )
    return Warned(voids[0].where(label), text)


def _check_ignored(kind: Modality, train: Seen, width: int) -> None:
    """Raise where "no label" has taken the place of a class."""
    if (
        isinstance(kind, ClassesLabel)
        and not isinstance(kind, MaskLabel)
        and kind.ignore
        and train.measures.unlabelled > 0
    ):
        values = ", ".join(map(str, kind.ignore))
        raise UserError(
            f"{train.place}: expected pixels of {width} classes, found class {next(iter(train.measures.classes))} "
            f"alone, beside {values} for no label; where {values} is a class, give the label the kind "
            "tutelage.data.MaskLabel (255 is 1), or write the classes as 0, 1, ..."
        )
