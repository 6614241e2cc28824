"""What is wrong or doubtful of how the pictures of a label are stored, where single ones can be read."""

from collections.abc import Sequence

from tutelage.data import ClassesLabel, CodedLabel, DepthLabel, InverseDepthLabel, MaskLabel, Modality
from tutelage.errors import UserError
from tutelage.study.findings import Checked
from tutelage.study.seen import Seen
from tutelage.tasks.categorical import Categorical
from tutelage.types import Task
from tutelage.types.look import Warned

_COARSE = 0.01  # a unit in metres that is too coarse for 16 bits
_FORMS = {"1": "1 bit", "L": "8-bit grey", "LA": "8-bit grey", "P": "a palette", "PA": "a palette"}  # Pillow's modes


def doubts_of_forms(kind: Modality, task: Task, train: Seen, test: Seen) -> list[Warned]:
    """What is doubtful of the pictures of one label.

    Raises:
        UserError: One colour stands for several classes, in different files.
    """
    if isinstance(kind, DepthLabel):
        return _scale(kind, train, test)
    if not isinstance(kind, ClassesLabel) or isinstance(kind, CodedLabel):
        return []
    return [*_palettes(kind, task, [*train.checked, *test.checked], train.label), *_mixed(kind, train, test)]


def _scale(kind: DepthLabel, *splits: Seen) -> list[Warned]:
    """Pictures of 16 bits under a scale for 8, and of floats under one for whole numbers."""
    if isinstance(kind, InverseDepthLabel):
        return []
    for seen in splits:
        for x in seen.stored:
            if x.values == "F" and x.picture and kind.scale != 1:
                text = (
                    f"expected whole numbers for a `scale` of {kind.scale:.4g}, found floats, which hold metres more "
                    "often; set `scale` to 1 where they do"
                )
                return [Warned(seen.first(x), text)]
            if (x.bits or 0) > 8 and kind.scale > _COARSE:
                text = (
                    f"expected 8 bits for a `scale` of {kind.scale:.4g}, found {x.bits}, which would reach "
                    f"{65535 * kind.scale:.3g} m; set `scale` to metres per unit, for example 0.001 for millimetres"
                )
                return [Warned(seen.first(x), text)]
    return []


def _palettes(kind: ClassesLabel, task: Task, checked: Sequence[Checked], label: str) -> list[Warned]:
    """Indices of palettes that do not mean the same in all files, or that stand for values that would be classes."""
    of_class: dict[int, tuple[int, Checked]] = {}
    of_colour: dict[int, tuple[int, Checked]] = {}
    warnings: list[Warned] = []
    for sample in checked:
        for c, colour in sample.finding.colours.get(label, {}).items():
            other, where = of_colour.setdefault(colour, (c, sample))
            if other != c and where is not sample:
                raise UserError(
                    f"{sample.where(label)}: expected {_colour(colour)} to be class {other}, as in "
                    f"{where.where(label)}, since classes are a palette's indices, found it at index {c}; save class "
                    "numbers as grey pictures, or give the label the kind tutelage.data.CodedLabel with its colours"
                )
            first, where = of_class.setdefault(c, (colour, sample))
            if first != colour and not warnings:
                text = (
                    f"expected class {c} to be {_colour(first)}, as in {where.where(label)}, found {_colour(colour)} "
                    "at this index of the palette; look at both with `tutelage inspect`"
                )
                warnings.append(Warned(sample.where(label), text))
    values = {c: colour & 255 for c, (colour, _) in of_class.items()}
    grey = all(colour == (colour & 255) * 0x010101 for colour, _ in of_class.values())
    valid = {*range(task.width), *kind.ignore} if isinstance(task, Categorical) else set()
    if grey and set(values) != {0, 1} and set(values.values()) <= valid and any(c != x for c, x in values.items()):
        c, x = next((c, x) for c, x in values.items() if c != x)
        text = (
            f"expected class {c}, as classes are a palette's indices, to be a colour, found grey of value {x}, which "
            "would be a class itself; save class numbers as grey pictures without a palette"
        )
        warnings.append(Warned(of_class[c][1].where(label), text))
    return warnings


def _colour(colour: int) -> str:
    return f"the colour #{colour:06x}"


def _mixed(kind: ClassesLabel, *splits: Seen) -> list[Warned]:
    """Pictures of one label of which some hold values, and some indices or bits."""
    forms: dict[str, tuple[Seen, str]] = {}
    for seen in splits:
        for x in seen.stored:
            form = _FORMS.get(x.values) if x.picture else None
            if form is not None and not (isinstance(kind, MaskLabel) and form == "1 bit"):
                forms.setdefault(form, (seen, seen.first(x)))
    if len(forms) < 2:
        return []
    (form, (_, first)), (other, (_, where)) = list(forms.items())[:2]
    text = (
        "expected pictures of one form, since classes are the values of grey ones, the indices of a palette, and 0 and "
        f"1 in 1 bit, found {other} beside {form} ({first}); compare two of them, or save all in one form"
    )
    return [Warned(where, text)]
