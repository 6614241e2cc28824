"""The samples of a study are decoded and compared with its tasks, all of them or some."""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import blake2b
from typing import Literal, get_args

from rich.console import Console
from rich.progress import Progress

from tutelage.data import Modality, Rgb, Samples
from tutelage.data.base import Split
from tutelage.errors import UserError, one_line
from tutelage.study.check_splits import check_labelled, check_sizes, collected
from tutelage.study.config import Study
from tutelage.study.findings import Checked, Finding, Findings
from tutelage.types import Task

Level = Literal["full", "sample", "none"]
Of = tuple[Split, str]  # a split, and the name of a source

_SAMPLE = 2000  # samples of each split and source that are checked at the level `sample`
_TRUSTED = 8  # samples of each split of a trusted source that are checked


def check_samples(
    study: Study,
    splits: Mapping[Of, Samples],
    console: Console,
    level: Level,
    findings: Findings,
    wrong: list[str] | None = None,
) -> dict[Of, list[Checked]]:
    """Raise for the first sample that is wrong, of those that `findings` does not know; the others are added to it.

    With `wrong`, all lines of wrong samples go there instead.
    """
    objects = study.objects
    parts = objects.data.parts()
    indices = {key: _indices(len(x), level, parts[key[1]].source.trusted) for key, x in splits.items()}
    if level == "none":
        indices |= {key: indices[key][:0] for key in indices if key[0] != "train"}
    # Before anything is read: a file that changes meanwhile then has another stamp next time.
    keys = {key: _keys(study, key[1], splits[key], key[0], indices[key]) for key in splits}
    known = {
        key: {i: None if name is None else findings.get(name) for i, name in of_split.items()}
        for key, of_split in keys.items()
    }
    count = sum(finding is None for of_split in known.values() for finding in of_split.values())
    selected, total = sum(map(len, indices.values())), sum(map(len, splits.values()))
    text = f"checking {count} images and their labels"
    if level == "sample" and count:
        text = f"checking {count} of {total} images and their labels, at even distances"
        console.print(f"{text}; --check full checks all", markup=False, highlight=False, soft_wrap=True)
    elif level == "full" and count and not (console.is_terminal or objects.data.trusted):
        which = "once for these data" if count == selected else "which are new or have changed"
        console.print(f"{text}, {which}", markup=False, highlight=False, soft_wrap=True)
    checked: dict[Of, list[Checked]] = {}
    bars = Progress(console=console, transient=True, disable=not console.is_terminal)
    with ThreadPoolExecutor(os.cpu_count()) as pool, bars:
        bar = bars.add_task(text, total=count)
        for key, samples in splits.items():
            if not len(samples):
                of = f" of `{key[1]}`" if len(parts) > 1 else ""
                raise UserError(f"data: expected samples for {key[0]}{of}, found none; add some")
            unknown = [i for i, finding in known[key].items() if finding is None]
            of_source = parts[key[1]].source.modalities
            found = pool.map(partial(_try_sample, samples, objects.tasks, of_source), unknown)
            for i, finding in zip(unknown, found, strict=True):
                if isinstance(finding, ValueError):
                    if wrong is None:
                        raise finding
                    wrong.append(str(finding))
                    continue
                known[key][i] = finding
                if (name := keys[key][i]) is not None:
                    findings.add(name, finding)
                bars.advance(bar)
            checked[key] = [Checked(i, partial(samples.where, i), x) for i, x in known[key].items() if x is not None]
            if objects.train.batch_size > 1:
                with collected(wrong):
                    check_sizes(samples, checked[key])
    # Of a task with labels in a source of which not all samples were checked, the others may have what these lack.
    incomplete = {n for (split, n), x in splits.items() if len(indices[split, n]) < len(x) or parts[n].source.trusted}
    unsure = {t for n in incomplete for t in parts[n].source.modalities}
    sure = {t: task for t, task in objects.tasks.items() if t not in unsure}
    kinds = {t: kind for part in parts.values() for t, kind in part.source.modalities.items()}
    for split in get_args(Split):
        in_split = [sample for n in parts for sample in checked[split, n]]
        for t, task in sure.items():
            if not wrong or any(t in x.finding.sufficient for x in in_split):
                with collected(wrong):
                    check_labelled(split, t, task, kinds.get(t), in_split)
    return checked


def _keys(study: Study, name: str, samples: Samples, split: Split, indices: Sequence[int]) -> dict[int, str | None]:
    """Index -> all that the finding of a sample depends on, besides the arguments of data and tasks.

    Of a source whose samples have no stamps, the fingerprint stands for all of them; None where that was read from a
    few of them, and so nothing says that this one has not changed.
    """
    source = study.objects.data.parts()[name].source
    kinds = {t: repr(kind) for t, kind in source.modalities.items() if t in study.objects.tasks}
    of_source = repr((name, type(source).__qualname__, source.size, kinds))
    keys: dict[int, str | None] = {}
    fingerprint: str | None = None
    for i in indices:
        stamp, tasks = samples.stamp(i), samples.tasks(i)
        if stamp is None:
            if source.sampled:
                keys[i] = None
                continue
            fingerprint = fingerprint or source.fingerprint()
            stamp = f"{fingerprint}/{split}/{i}"
        keys[i] = f"{of_source}/{None if tasks is None else sorted(tasks)}/{stamp}"
    return keys


def _indices(length: int, level: Level, trusted: bool) -> Sequence[int]:
    """The samples of a split that are checked."""
    if level == "none":
        return range(min(length, 1))
    if trusted:
        return range(min(length, _TRUSTED))
    if level == "full" or length <= _SAMPLE:
        return range(length)
    return [i * (length - 1) // (_SAMPLE - 1) for i in range(_SAMPLE)]  # the first and the last are among them


def _try_sample(
    samples: Samples, tasks: Mapping[str, Task], kinds: Mapping[str, Modality], index: int
) -> Finding | ValueError:
    """The finding of a sample, or the line that says what is wrong with it."""
    try:
        return _check_sample(samples, tasks, kinds, index)
    except ValueError as error:
        return error


def _check_sample(samples: Samples, tasks: Mapping[str, Task], kinds: Mapping[str, Modality], index: int) -> Finding:
    try:
        sample, stored = samples[index], samples.stored(index)
    except ValueError:
        raise  # it names its file
    except Exception as error:  # a user's source may raise anything
        raise UserError(
            f"{samples.where(index)}: expected a readable sample, found {type(error).__name__}: {one_line(error)}; "
            "correct the source"
        ) from error
    image, sufficient = sample["image"], {}
    measures = {"": Rgb().measure(image)}
    for t, task in tasks.items():
        if (label := sample["labels"].get(t)) is None:
            continue
        problem = task.validate(label, image)
        if problem is not None:
            raise UserError(f"{samples.where(index, t)}: {problem}")
        sufficient[t] = task.is_sufficient(task.collate([label], image[None]))
        if t in kinds:
            measures[t] = kinds[t].measure(label)
    content = blake2b(image.contiguous().numpy().tobytes(), digest_size=12).hexdigest()
    colours = {t: _colours(x.palette, measures[t].classes) for t, x in stored.items() if x.palette and t in measures}
    return Finding((image.shape[1], image.shape[2]), sufficient, stored, measures, content, colours)


def _colours(palette: str, classes: Iterable[int]) -> dict[int, int]:
    """Class -> its colour, of those that are an index of the palette."""
    return {c: int(palette[6 * c : 6 * c + 6], 16) for c in classes if 6 * c < len(palette)}
