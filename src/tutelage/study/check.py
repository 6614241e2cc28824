"""Every sample is looked at once, before anything is trained."""

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import get_args

import torch
from rich.console import Console
from rich.progress import Progress

from tutelage.data import Samples
from tutelage.data.base import Split
from tutelage.data.modalities import Size
from tutelage.errors import UserError
from tutelage.files import write_atomically
from tutelage.study.build import build_net
from tutelage.study.jobs import features
from tutelage.study.load import Study
from tutelage.study.messages import one_line
from tutelage.types import MultiTaskNet, Task

_VERSION = 3  # raised whenever more is looked at
_FEW = 8  # samples of each split that stand for all of a source that is trusted


def check_data(study: Study, console: Console) -> None:
    """Decode every sample of both splits, in parallel, and try the smallest images on augmentation and network.

    That samples are sound is remembered in the user's cache folder, by the data's fingerprint and by what else it
    depends on: they are decoded again only after a change. Data that are kept in memory are in it afterwards.

    Args:
        study: whose data have passed their own `check`.
        console: a terminal gets a bar, anything else one line.

    Raises:
        ValueError: something is wrong; one line names file or key, expectation and finding.
    """
    path = _remembered(study)
    sizes = _recall(path)
    if sizes is None:
        sizes = _look_at_all(study, console)
        _remember(path, sizes)
    widths = {t: task.width for t, task in study.config.tasks.items()}
    nets = {"net": (build_net("net", study.config.net, widths).eval(), list(widths))}
    for t, make in study.config.teacher_net.items():
        key, alone = f"teacher_net.{t}", features(study, t)
        nets[key] = (build_net(key, make, {} if alone else {t: widths[t]}).eval(), [] if alone else [t])
    for name, part in study.config.data.parts().items():
        tasks = {t: task for t, task in study.config.tasks.items() if t in part.source.modalities}
        for size in sizes[name]:
            if study.config.train.augment is not None:
                study.config.train.augment.check(size)
            for key, (net, said) in nets.items():
                _check_net(key, net, size, {t: task for t, task in tasks.items() if t in said})


@dataclass(frozen=True)
class _Seen:
    where: Callable[[str], str]  # task -> what its label comes from
    size: Size
    labelled: Mapping[str, bool]  # task with a label -> whether it suffices


def _look_at_all(study: Study, console: Console) -> dict[str, list[Size]]:
    """Raise for the first sample that is wrong; by source the sizes with the least height and the least width."""
    config = study.config
    parts, names = config.data.parts(), get_args(Split)
    splits: dict[tuple[Split, str], Samples] = {(s, n): parts[n].source.split(s) for s in names for n in parts}
    most = {key: min(len(x), _FEW) if parts[key[1]].source.trusted else len(x) for key, x in splits.items()}
    total = sum(most.values())
    text = f"checking {total} images and their labels"
    if not (console.is_terminal or config.data.trusted):
        console.print(f"{text}, once for these data", markup=False, highlight=False, soft_wrap=True)
    seen: dict[tuple[Split, str], list[_Seen]] = {}
    bars = Progress(console=console, transient=True, disable=not console.is_terminal)
    with ThreadPoolExecutor(os.cpu_count()) as pool, bars:
        bar = bars.add_task(text, total=total)
        for key, samples in splits.items():
            if not len(samples):
                of = f" of `{key[1]}`" if len(parts) > 1 else ""
                raise UserError(f"data: expected samples for {key[0]}{of}, found none; add some")
            seen[key] = []
            for found in pool.map(partial(_look, samples, config.tasks), range(most[key])):
                seen[key].append(found)
                bars.advance(bar)
            if config.train.batch_size > 1:
                _check_sizes(samples, seen[key])
    # Of a source that is trusted a few samples were seen: others may have the labels that they lack.
    few = {t for part in parts.values() if part.source.trusted for t in part.source.modalities}
    tasks = {t: task for t, task in config.tasks.items() if t not in few}
    for split in names:
        _check_labelled(split, tasks, [found for n in parts for found in seen[split, n]])
    return {n: _least({found.size for split in names for found in seen[split, n]}) for n in parts}


def _least(sizes: set[Size]) -> list[Size]:
    return sorted({min(sizes), min(sizes, key=lambda size: (size[1], size[0]))})


def _look(samples: Samples, tasks: Mapping[str, Task], index: int) -> _Seen:
    try:
        sample = samples[index]
    except ValueError:
        raise  # names its file
    except Exception as error:  # whatever a source of the user's own raises
        raise UserError(
            f"{samples.where(index)}: expected a readable sample, found {type(error).__name__}: {one_line(error)}"
        ) from error
    image, labelled = sample["image"], {}
    for t, task in tasks.items():
        if (label := sample["labels"].get(t)) is None:
            continue
        if (problem := task.validate(label, image)) is not None:
            raise UserError(f"{samples.where(index, t)}: {problem}")
        labelled[t] = task.is_sufficient(task.collate([label], image[None]))
    return _Seen(partial(samples.where, index), (image.shape[1], image.shape[2]), labelled)


def _check_sizes(samples: Samples, seen: list[_Seen]) -> None:
    first = seen[0].size
    for index, found in enumerate(seen):
        if found.size != first:
            raise UserError(
                f"{samples.where(index)}: expected {first[0]}x{first[1]}, the size of {samples.where(0)} and of all in "
                f"one batch, found {found.size[0]}x{found.size[1]}; set data.size, or train.batch_size: 1"
            )


def _check_labelled(name: Split, tasks: Mapping[str, Task], seen: list[_Seen]) -> None:
    labels = Counter(t for found in seen for t in found.labelled)
    for t, task in tasks.items():
        if not any(found.labelled.get(t) for found in seen):
            where = next((found.where(t) for found in seen if t in found.labelled), f"tasks.{t}")
            raise UserError(
                f"{where}: expected {task.requirement} for `{t}` somewhere in {name}, found none in {labels[t]} "
                "labels; see docs/data.md for the values that mean: no label"
            )


def _check_net(key: str, net: MultiTaskNet, size: Size, tasks: Mapping[str, Task]) -> None:
    images = torch.zeros(2, 3, *size)  # two: one would broadcast to any shape
    try:
        with torch.no_grad():
            predictions = net(images, tasks).predictions
    except ValueError as error:  # the network's own line, which does not say that it is a teacher's
        raise UserError(f"{'' if key == 'net' else f'{key}: '}{error}") from error
    except Exception as error:  # what its layers say
        raise UserError(
            f"{key}: expected a network for images of {size[0]}x{size[1]}, found {type(error).__name__}: "
            f"{one_line(error)}; set data.size, or take another network"
        ) from error
    for t, task in tasks.items():
        try:
            task.loss(predictions[t], task.collate([None] * len(images), images))
        except Exception as error:  # shapes that do not fit, in torch's words
            where = f"tasks.{t}" if key == "net" else key
            raise UserError(
                f"{where}: expected a prediction that fits {type(task).__name__} from {type(net).__name__}, found "
                f"{list(predictions[t].shape)} for images of {size[0]}x{size[1]}; take another network, or another task"
            ) from error


def _remembered(study: Study) -> Path:
    values, data = study.values, study.config.data
    depends = (
        _VERSION,
        data.fingerprint(),
        list(data.parts()),
        values["data"]["class_path"],
        values["tasks"],
        values["train"]["batch_size"],
    )
    name = blake2b(json.dumps(depends, sort_keys=True).encode(), digest_size=16).hexdigest()
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(cache, "tutelage", "checked", f"{name}.json")


def _recall(path: Path) -> dict[str, list[Size]] | None:
    try:
        found = json.loads(path.read_text())["sizes"]
        return {name: [(int(height), int(width)) for height, width in sizes] for name, sizes in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _remember(path: Path, sizes: dict[str, list[Size]]) -> None:
    if path.is_absolute():  # it is not where there is no home
        with suppress(OSError):  # a check that is repeated is no error
            write_atomically(path, lambda file: file.write(json.dumps({"sizes": sizes}).encode()))
