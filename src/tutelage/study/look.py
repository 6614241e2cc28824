"""What the check saw of a study's data: a summary per label and split, and what is doubtful in it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import get_args

from tutelage.data import DataSource, Modality, Rgb
from tutelage.data.base import Split
from tutelage.data.look import Stored, together
from tutelage.errors import printable
from tutelage.study.check_samples import Of
from tutelage.study.check_splits import collected
from tutelage.study.doubts import doubts_of_images, doubts_of_label
from tutelage.study.duplicates import doubts_of_duplicates
from tutelage.study.findings import Checked
from tutelage.study.seen import Seen
from tutelage.types import Task
from tutelage.types.look import LeftOut, Look, Summary, Warned


def look_at(
    sources: Mapping[str, DataSource],
    tasks: Mapping[str, Task],
    checked: Mapping[Of, Sequence[Checked]],
    wrong: list[str] | None = None,
) -> Look:
    """Summarise what was checked.

    Args:
        sources: Name -> source.
        tasks: The study's.
        checked: (split, name of a source) -> the samples that were checked.
        wrong: Takes the lines of what is surely wrong, in place of the first one being raised.

    Raises:
        UserError: Something is surely wrong of a label as a whole, where single samples are sound.
    """
    summaries: list[Summary] = []
    left_out: list[LeftOut] = []
    warnings: list[Warned] = []
    for name, source in sources.items():
        kinds: dict[str, Modality] = {"": Rgb(), **{t: source.modalities[t] for t in tasks if t in source.modalities}}
        samples = {split: len(source.split(split)) for split in get_args(Split)}
        for label, kind in kinds.items():
            seen = {split: _seen(split, label, checked[split, name], samples[split]) for split in get_args(Split)}
            summaries += [_summary(name, split, label, kind, one) for split, one in seen.items()]
            with collected(wrong):
                warnings += (
                    doubts_of_label(label, kind, tasks[label], seen["train"], seen["test"])
                    if label
                    else doubts_of_images(seen["train"], {t: k for t, k in kinds.items() if t})
                )
        left_out += source.left_out()
        warnings += source.doubts()
    return Look(summaries, left_out, [*warnings, *doubts_of_duplicates(checked)], wrong or ())


def _seen(split: Split, label: str, checked: Sequence[Checked], samples: int) -> Seen:
    having = [x for x in checked if label in x.finding.measures]
    return Seen(split, having, label, samples, len(checked), together(x.finding.measures[label] for x in having))


def _summary(source: str, split: Split, label: str, kind: Modality, seen: Seen) -> Summary:
    stored = Counter(str(x) for x in seen.stored.elements())
    readings = dict.fromkeys(kind.reading(x) for x in seen.stored) or {kind.reading(Stored()): None}
    return Summary(
        source, split, label, type(kind).__name__, " or ".join(filter(None, readings)), kind.unit, seen.samples,
        len(seen.checked), seen.looked_at, dict(stored.most_common()), seen.measures,
    )  # fmt: skip


def lines(look: Look) -> list[str]:
    """What is said of a look before training: each suspicion, and which files are left out."""
    return [printable(f"data: {line}") for line in (*look.warnings, *look.left_out)]
