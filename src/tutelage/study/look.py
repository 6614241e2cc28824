"""What the check saw of a study's data: a summary per label and split, and what is doubtful in it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import get_args

from tutelage.data import DataSource, Modality, Rgb
from tutelage.data.base import Split
from tutelage.data.look import LeftOut, Look, Measures, Summary, Warned
from tutelage.errors import printable
from tutelage.study.check_samples import Checked, Of
from tutelage.study.doubts import doubts_of_images, doubts_of_label
from tutelage.study.seen import Seen
from tutelage.types import Task


def look_at(
    sources: Mapping[str, DataSource], tasks: Mapping[str, Task], checked: Mapping[Of, Sequence[Checked]]
) -> Look:
    """Summarise what was checked.

    Args:
        sources: Name -> source.
        tasks: The study's.
        checked: (split, name of a source) -> the samples that were checked.

    Raises:
        UserError: Something in it is surely wrong: of a label as a whole, where single samples are sound.
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
            if label == "":
                warnings += doubts_of_images(seen["train"], {t: k for t, k in kinds.items() if t})
            else:
                warnings += doubts_of_label(label, kind, tasks[label], seen["train"], seen["test"])
        left_out += source.left_out()
        warnings += source.doubts()
    return Look(summaries, left_out, warnings)


def _seen(split: Split, label: str, checked: Sequence[Checked], samples: int) -> Seen:
    having = [x for x in checked if label in x.finding.measures]
    return Seen(split, having, label, samples, len(checked), Measures.of(x.finding.measures[label] for x in having))


def _summary(source: str, split: Split, label: str, kind: Modality, seen: Seen) -> Summary:
    stored = Counter(str(x) for x in seen.stored.elements())
    readings = dict.fromkeys(kind.reading(x.picture) for x in seen.stored) or {kind.reading(True): None}
    return Summary(
        source, split, label, type(kind).__name__, " or ".join(filter(None, readings)), kind.unit, seen.samples,
        len(seen.checked), seen.looked_at, dict(stored.most_common()), seen.measures,
    )  # fmt: skip


def lines(look: Look) -> list[str]:
    """What is said of a look before training: each suspicion, and which files are left out."""
    result = [f"data: {warned}" for warned in look.warnings]
    for out in look.left_out:
        names = ", ".join(out.examples) + (", ..." if out.count > len(out.examples) else "")
        result.append(f"data: {out.folder}: {out.count} left out ({names}): {out.reason}")
    return [printable(line) for line in result]
