"""A look at a study's data without training: all that is wrong or doubtful, and samples to be drawn."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, get_args

from rich.console import Console

from tutelage.data.base import Split
from tutelage.data.look import Stored
from tutelage.study.check import check_contents, check_nets, decode
from tutelage.study.check_samples import Level, Of
from tutelage.study.check_splits import collected
from tutelage.study.config import Study
from tutelage.study.findings import Checked
from tutelage.study.look import look_at
from tutelage.types.look import Example, Look


def inspect_data(study: Study, console: Console, level: Literal["auto"] | Level = "auto") -> tuple[Look, list[Example]]:
    """Look at a study's data as the check before training does, but do not stop at what is wrong.

    Args:
        study: The study.
        console: Gets one line while samples are decoded.
        level: Which samples are decoded, as for `check_data`.

    Returns:
        What was seen, and one example for each label and each way in which images are stored.

    Raises:
        UserError: There is nothing to look at, such as a missing folder.
    """
    objects = study.objects
    objects.data.check(objects.tasks)
    sources = {name: part.source for name, part in objects.data.parts().items()}
    wrong: list[str] = []
    with collected(wrong):
        check_contents(sources, objects.tasks)
    checked = decode(study, console, level, wrong)
    with collected(wrong):
        check_nets(study, checked)
    look = look_at(sources, objects.tasks, checked, wrong)
    return look, list(_examples(study, checked))


def _examples(study: Study, checked: Mapping[Of, Sequence[Checked]]) -> Iterator[Example]:
    objects = study.objects
    parts = objects.data.parts()
    for name, part in parts.items():
        of = f" of {name}" if len(parts) > 1 else ""
        ones = [(split, x) for split in get_args(Split) for x in checked[split, name]]
        for label, kind in part.source.modalities.items():
            having = [(split, x) for split, x in ones if label in x.finding.measures]
            if label not in objects.tasks or not having:
                continue
            split, best = max(having, key=lambda one: _tells(one[1], label))
            sample = part.source.split(split)[best.index]
            caption = f"{label}{of} ({type(kind).__name__}), {split}"
            yield Example(caption, best.where(label), sample["image"], label, sample["labels"][label])
        turned = [(s, x) for s, x in ones if x.finding.stored.get("", Stored()).orientation != 1]
        for split, x in turned[:1]:
            sample = part.source.split(split)[x.index]
            caption = f"an image{of} as its EXIF orientation turns it"
            labels = {t: y for t, y in sample["labels"].items() if t in objects.tasks}
            task = next(iter(labels), "")
            yield Example(caption, x.where(), sample["image"], task, labels.get(task))


def _tells(one: Checked, label: str) -> tuple[int, int]:
    """How much a label shows: its classes, and the positions that have a value."""
    measure = one.finding.measures[label]
    return len(measure.classes), measure.labelled
