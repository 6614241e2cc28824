"""The check before training: labels fit their tasks, samples are sound, and the network takes the images."""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, get_args

import torch
from rich.console import Console

import tutelage.data
import tutelage.tasks
from tutelage.data import DataSource, Modality
from tutelage.data.base import Split
from tutelage.data.shards import Keeper
from tutelage.errors import UserError, one_line
from tutelage.files import write_shared
from tutelage.images import Size
from tutelage.layout import DATA, FEATURES
from tutelage.pictures import check_pixels
from tutelage.study.budget import passes
from tutelage.study.check_samples import Level, Of, check_samples
from tutelage.study.config import Study, teacher_specs
from tutelage.study.findings import Checked, Findings
from tutelage.study.look import lines, look_at
from tutelage.study.plan import plan
from tutelage.study.teachers import build_net, teacher_net
from tutelage.train import Distortion
from tutelage.types import MultiTaskNet, Task
from tutelage.types.look import Look

_FULL = 20_000  # samples in all up to which every one is checked by default


def check_data(study: Study, console: Console, level: Literal["auto"] | Level = "auto", write: bool = True) -> Look:
    """Check a study's data before training: that labels fit the tasks, samples are sound and the network takes them.

    Samples are decoded in parallel. What was found in a sound sample is remembered in the user's cache folder, under
    the sample's stamp and everything else that the check depends on, so that only new and changed samples are decoded
    again. Data that are kept in memory are in memory afterwards, as far as they were decoded. What is suspicious, and
    what files are left out, is printed once; with `write`, all that was seen is in `data.json` of the study's folder
    (`tutelage.types.look.Look` has its form).

    Args:
        study: The study. Its data have passed their own `check`.
        console: Gets one line, and one for each suspicion; a terminal also gets a progress bar.
        level: `full` decodes every sample of both splits, `sample` at most 2000 of each split and source, at even
            distances, `none` one image of each source, whose size is tried on augmentation and network. `auto` is
            `full` up to 20,000 samples in all, and `sample` above. Of a trusted source, a few samples suffice.
        write: Write `data.json`, and keep decoded samples as `train.shards` says.

    Returns:
        What was seen.

    Raises:
        UserError: Something is wrong; its line names the file or key, what was expected and what was found.
    """
    objects = study.objects
    note = partial(console.print, markup=False, highlight=False, soft_wrap=True)
    if write:
        objects.data.keep_decoded(Keeper(objects.train.shards, note, passes(objects, len(plan(study.values)))))
    sources = {name: part.source for name, part in objects.data.parts().items()}
    check_contents(sources, objects.tasks)
    checked = decode(study, console, level)
    look = look_at(sources, objects.tasks, checked)
    for line in lines(look):
        note(line)
    check_nets(study, checked)
    if write:
        write_shared(study.folder / DATA, json.dumps(look.record(), indent=1))
    return look


def check_nets(study: Study, checked: Mapping[Of, Sequence[Checked]]) -> None:
    """Raise if an augmentation or a network does not take the smallest images of a source."""
    objects = study.objects
    widths = {t: task.width for t, task in objects.tasks.items()}
    nets = {"net": (build_net("net", objects.net, widths).eval(), list(widths))}
    for teacher in teacher_specs(study.values).values():
        if teacher.net is not None:
            predicted = [] if teacher.kind == FEATURES else list(teacher.tasks)
            net = build_net(teacher.key, teacher_net(objects, teacher), {t: widths[t] for t in predicted})
            nets[teacher.key] = (net.eval(), predicted)
    for name, part in objects.data.parts().items():
        labelled = {t: task for t, task in objects.tasks.items() if t in part.source.modalities}
        for size in _smallest(x.finding.size for split in get_args(Split) for x in checked[split, name]):
            if objects.train.augment is not None:
                objects.train.augment.check(size)
            if objects.train.distort:
                Distortion(objects.train.distort).check(size)
            for key, (net, predicted) in nets.items():
                _check_net(key, net, size, {t: task for t, task in labelled.items() if t in predicted})


def _smallest(sizes: Iterable[Size]) -> list[Size]:
    """The sizes of the least height and of the least width."""
    different = set(sizes)
    return sorted({min(different), min(different, key=lambda size: (size[1], size[0]))}) if different else []


def check_contents(sources: Mapping[str, DataSource], tasks: Mapping[str, Task]) -> None:
    """Raise if a task does not learn from what its labels in a source hold, such as depth for inverse depth."""
    for name, source in sources.items():
        _check_contents(name if len(sources) > 1 else "", source, tasks)


def _check_contents(name: str, source: DataSource, tasks: Mapping[str, Task]) -> None:
    for t, task in tasks.items():
        kind = source.modalities.get(t)
        if kind is None or not kind.content or not task.contents or kind.content in task.contents:
            continue
        kinds = [x for x in _classes(tutelage.data, Modality) if x.content in task.contents]
        fitting = [x for x in _classes(tutelage.tasks, Task) if kind.content in x.contents]
        remedies = [f"give the label the kind {' or '.join(f'data.{x.__name__}' for x in kinds)}"] if kinds else []
        remedies += [f"take the task {' or '.join(f'tasks.{x.__name__}' for x in fitting)}"] if fitting else []
        raise UserError(
            f"tasks.{t}: expected labels of {' or '.join(sorted(task.contents))} for {type(task).__name__}, found "
            f"{kind.content} ({type(kind).__name__}) in data{f'.sources.{name}' if name else ''}; "
            f"{', or '.join(remedies) or 'take another task'}"
        )


def _classes(module: Any, base: type) -> list[Any]:
    """The public classes of a package that derive from `base`."""
    public = (getattr(module, name) for name in module.__all__)
    return [x for x in public if isinstance(x, type) and issubclass(x, base) and x is not base]


def decode(
    study: Study, console: Console, level: Literal["auto"] | Level, wrong: list[str] | None = None
) -> dict[Of, list[Checked]]:
    """The samples of every split and source that are checked now or were before; see `check_data`.

    Args:
        study: the study.
        console: gets one line.
        level: which samples are decoded.
        wrong: takes the lines of wrong samples, in place of the first one being raised.
    """
    parts = study.objects.data.parts()
    for name, part in parts.items():
        if (size := part.source.size) is not None:
            check_pixels(size[1], size[0], f"data.sources.{name}.size" if len(parts) > 1 else "data.size")
    splits = {(split, n): part.source.decoded(split) for split in get_args(Split) for n, part in parts.items()}
    if level == "auto":
        count = sum(len(samples) for (_, n), samples in splits.items() if not parts[n].source.trusted)
        level = "full" if count <= _FULL else "sample"
    findings = Findings.of(study)
    try:
        return check_samples(study, splits, console, level, findings, wrong)
    finally:  # of a wrong sample, too: the next check need not read the sound ones again
        findings.write()


def _check_net(key: str, net: MultiTaskNet, size: Size, tasks: Mapping[str, Task]) -> None:
    images = torch.zeros(2, 3, *size)  # two: a single one would broadcast to any shape
    try:
        with torch.no_grad():
            predictions = net(images, tasks).predictions
    except ValueError as error:  # the network's own line, which does not say that it is a teacher's
        raise UserError(f"{'' if key == 'net' else f'{key}: '}{error}") from error
    except Exception as error:  # torch raises many kinds for images of a wrong size
        raise UserError(
            f"{key}: expected a network for images of {size[0]}x{size[1]}, found {type(error).__name__}: "
            f"{one_line(error)}; set data.size, or take another network"
        ) from error
    for t, task in tasks.items():
        try:
            task.loss(predictions[t], task.collate([None] * len(images), images))
        except Exception as error:  # torch raises many kinds for shapes that do not fit
            where = f"tasks.{t}" if key == "net" else key
            raise UserError(
                f"{where}: expected a prediction that fits {type(task).__name__} from {type(net).__name__}, found "
                f"{list(predictions[t].shape)} for images of {size[0]}x{size[1]}; take another network, or another task"
            ) from error
