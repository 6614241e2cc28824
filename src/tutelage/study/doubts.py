"""What is wrong or doubtful of a label as a whole, though each of its files can be read."""

from collections.abc import Mapping

from tutelage.data import ClassesLabel, DepthLabel, InverseDepthLabel, MaskLabel, Modality
from tutelage.data.look import Stored, together
from tutelage.errors import UserError
from tutelage.study.class_doubts import doubts_of_classes
from tutelage.study.form_doubts import doubts_of_forms
from tutelage.study.seen import Seen
from tutelage.tasks import Regression
from tutelage.types import Task
from tutelage.types.look import Measures, Warned

_APART = 5.0  # factor between medians of one label that cannot come from its scenes
_DARK = 0.04  # an image whose brightest value is below shows nothing
_SPARSE = 0.98  # share without label above which most of the work is for nothing
_FAR, _BEYOND = 100.0, 1e5  # factors between the greatest and the median distance that are doubtful, and impossible
_FAR_OFF = 20.0  # standard deviations between the labels and the `mean` of their task


def doubts_of_images(seen: Seen, labels: Mapping[str, Modality]) -> list[Warned]:
    """What is doubtful of the images of a split.

    Raises:
        UserError: They are bytes of 0 and 1, which are taken for bytes up to 255.
    """
    high = seen.measures.high
    if high is not None and 0 < high < _DARK:
        raise UserError(
            f"{seen.place}: expected images in 0..1, or bytes in 0..255, found none above {high * 255:.3g} of 255; "
            "multiply them by 255 where they are bytes in 0..1"
        )
    dense = [t for t, kind in labels.items() if kind.dense]
    turned = [
        x
        for x in seen.checked
        if x.finding.stored.get("", Stored()).orientation != 1
        and any(t in x.finding.measures and x.finding.stored.get(t, Stored()).orientation == 1 for t in dense)
    ]
    if not turned:
        return []
    text = (
        f"expected labels of images that are turned by their EXIF orientation to be turned likewise, found "
        f"{len(turned)} turned images whose labels have no such tag; look at one with `tutelage inspect`, and turn the "
        "labels where they show the image as it is stored"
    )
    return [Warned(turned[0].where(), text)]


def doubts_of_label(label: str, kind: Modality, task: Task, train: Seen, test: Seen) -> list[Warned]:
    """What is doubtful of one label.

    Raises:
        UserError: It is surely wrong.
    """
    _check_bits(kind, train, test)
    _check_lossy_classes(kind, train, test)
    warnings = doubts_of_forms(kind, task, train, test)
    warnings += [*_lossy(kind, train, test), *_apart(kind, train, test), *_whole_metres(kind, train, test)]
    warnings += [*_far(kind, train), *_constant(kind, train)]
    if train.all:
        warnings += doubts_of_classes(kind, task, train, test)
    warnings += [w for seen in (train, test) for w in _sparse(seen)]
    return warnings + _off_mean(label, task, train)


def _check_bits(kind: Modality, *splits: Seen) -> None:
    """Raise where pictures of 8 and of more bits share one scale."""
    if not isinstance(kind, DepthLabel):
        return
    fine = [(seen, x) for seen in splits for x in seen.stored if (x.bits or 0) > 8]
    coarse = [(seen, x) for seen in splits for x in seen.stored if x.bits in (1, 8)]
    if fine and coarse:
        (seen, x), (other, y) = coarse[0], fine[0]
        raise UserError(
            f"{other.first(y)}: expected {x.bits} bits as in {seen.first(x)}, since one `scale` ({kind.scale:.4g}) "
            f"holds for both, found {y.bits}; write all in one unit and with as many bits"
        )


def _check_lossy_classes(kind: Modality, *splits: Seen) -> None:
    if not isinstance(kind, ClassesLabel) or isinstance(kind, MaskLabel):
        return
    for seen in splits:
        for x in seen.stored:
            if x.lossy:
                raise UserError(
                    f"{seen.first(x)}: expected class numbers as they were drawn, found {x.format}, which changes "
                    "them at every edge; save PNG from the original, not from this file"
                )


def _lossy(kind: Modality, *splits: Seen) -> list[Warned]:
    if not kind.dense or (isinstance(kind, ClassesLabel) and not isinstance(kind, MaskLabel)):
        return []
    found = [(seen, x) for seen in splits for x in seen.stored if x.lossy]
    if not found:
        return []
    seen, x = found[0]
    count = sum(seen.stored[x] for seen, x in found)
    changed = (
        "edges move by a pixel or two" if isinstance(kind, MaskLabel) else "values are noisy, also where 0 is no label"
    )
    return [
        Warned(seen.first(x), f"expected a format that keeps values, found {count} in {x.format}; {changed}; save PNG")
    ]


def _apart(kind: Modality, train: Seen, test: Seen) -> list[Warned]:
    """Medians of train and test, or of files that are stored in different ways, that differ as units do."""
    if not isinstance(kind, DepthLabel):
        return []
    groups: dict[str, Measures] = {"train": train.measures, "test": test.measures}
    for stored in {**train.stored, **test.stored}:
        having = [x for seen in (train, test) for x in seen.checked if x.finding.stored.get(seen.label) == stored]
        groups[str(stored)] = together(x.finding.measures[train.label] for x in having)
    middles = {name: x.middle for name, x in groups.items() if x.middle}
    if not middles:
        return []
    low, high = min(middles, key=lambda name: middles[name]), max(middles, key=lambda name: middles[name])
    if middles[high] <= _APART * middles[low]:
        return []
    unit = kind.unit and f" {kind.unit}"
    text = (
        f"expected one unit, found a median of {middles[low]:.3g}{unit} in {low} and of {middles[high]:.3g}{unit} in "
        f"{high}; compare their units, and set `scale`"
    )
    return [Warned(train.place, text)]


def _whole_metres(kind: Modality, *splits: Seen) -> list[Warned]:
    if not isinstance(kind, DepthLabel):
        return []
    for seen in splits:
        for x in seen.stored:
            if not x.picture and "int" in x.values and x.format == "npy":
                text = f"expected metres as floats in .npy, found {x.values}; divide by what one metre is, as floats"
                return [Warned(seen.first(x), text)]
    return []


def _far(kind: Modality, train: Seen) -> list[Warned]:
    """A greatest distance that may stand for none.

    Raises:
        UserError: It surely does.
    """
    middle, high = train.measures.middle, train.measures.high
    if not isinstance(kind, DepthLabel) or isinstance(kind, InverseDepthLabel) or not middle or not high:
        return []
    if high <= _FAR * middle:
        return []
    advice = "where the greatest value stands for no distance, set the label's `limit` below it"
    text = f"expected distances, found up to {high:.3g} {kind.unit} at a median of {middle:.3g}; {advice}"
    if high > _BEYOND * middle:
        raise UserError(f"{train.place}: {text}")
    return [Warned(train.place, text)]


def _constant(kind: Modality, train: Seen) -> list[Warned]:
    """Labels that have one value at all positions of all images."""
    measures = train.measures
    if measures.classes or measures.low is None or measures.low != measures.high or measures.count < 2:
        return []
    text = f"expected values that differ, found {measures.low:g} alone in train; correct the labels, or leave them out"
    return [Warned(train.place, text)]


def _sparse(seen: Seen) -> list[Warned]:
    measures = seen.measures
    if measures.count and measures.empty and measures.count > measures.empty:
        text = f"expected a label in each of {measures.count} files of {seen.split}, found {measures.empty} without any"
        return [Warned(seen.place, f"{text}; these images teach nothing here")]
    if measures.unlabelled > _SPARSE and measures.count > measures.empty:
        text = f"expected labels, found none at {100 * measures.unlabelled:.3g} % of the positions of {seen.split}"
        return [Warned(seen.place, f"{text}; check the values that mean no label")]
    return []


def _off_mean(label: str, task: Task, train: Seen) -> list[Warned]:
    if not isinstance(task, Regression) or task.width != 1 or train.measures.middle is None:
        return []
    low, middle, high = train.measures.low, train.measures.middle, train.measures.high
    for value, what, advice in (
        (middle, "a median", "set both to those of the labels"),
        (low, "a least label", "write nan where a number is unknown"),
        (high, "a greatest label", "write nan where a number is unknown"),
    ):
        off = abs((middle if value is None else value) - task.mean[0]) / task.std[0]
        if off > _FAR_OFF:
            text = (
                f"expected labels near `mean` {task.mean[0]:g} at a `std` of {task.std[0]:g}, found {what} of "
                f"{value:g}, {off:.3g} standard deviations off; {advice}"
            )
            return [Warned(f"tasks.{label}", text)]
    return []
