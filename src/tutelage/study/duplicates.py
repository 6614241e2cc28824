"""Images that occur more than once: in train and in test, or in train with different labels."""

from collections.abc import Mapping, Sequence

from tutelage.study.check_samples import Of
from tutelage.study.findings import Checked
from tutelage.types.look import Warned


def doubts_of_duplicates(checked: Mapping[Of, Sequence[Checked]]) -> list[Warned]:
    """Images of test that are images of train, of any source, and images of train that have several labels.

    Images are the same where all of their pixels are, whatever their files are called and however they are stored.

    Args:
        checked: (split, name of a source) -> the samples that were checked.
    """
    train = [x for (split, _), every in checked.items() if split == "train" for x in every]
    test = [x for (split, _), every in checked.items() if split == "test" for x in every]
    known: dict[str, Checked] = {}
    differing: list[tuple[Checked, Checked]] = []
    for sample in _with_content(train):
        first = known.setdefault(sample.finding.content, sample)
        if _differ(first, sample):
            differing.append((first, sample))
    repeated = [(known[x.finding.content], x) for x in _with_content(test) if x.finding.content in known]
    warnings = []
    if repeated:
        first, again = repeated[0]
        text = (
            f"expected test images that are not in train, found {len(repeated)} of {len(test)} that are, such as "
            f"{first.where()}; remove them from one of the two: results on them say nothing about new images"
        )
        warnings.append(Warned(again.where(), text))
    if differing:
        first, again = differing[0]
        text = (
            f"expected one label for each image of train, found {len(differing)} images again with another label, such "
            f"as {first.where()}; correct the labels, or remove one of the two"
        )
        warnings.append(Warned(again.where(), text))
    return warnings


def _with_content(samples: Sequence[Checked]) -> list[Checked]:
    """Those whose image shows something: pictures of one colour are no evidence."""
    return [x for x in samples if x.finding.measures[""].low != x.finding.measures[""].high]


def _differ(a: Checked, b: Checked) -> bool:
    """Whether two samples of one image have labels of a task that are not the same."""
    labels, others = a.finding.measures, b.finding.measures
    return any(labels[t] != others[t] for t in labels.keys() & others.keys() - {""})
