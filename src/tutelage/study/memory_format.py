"""Which memory layout a network is trained in, where precision and device do not say it."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from torch import Tensor

from tutelage.cache import cache_root
from tutelage.files import alone, write_json
from tutelage.study.build import example
from tutelage.study.config import StudyConfig
from tutelage.study.plan import RunSpec
from tutelage.study.store import processor, read_record, record_fact
from tutelage.study.teachers import build_net
from tutelage.train import freed_memory_kept, seeded, select
from tutelage.train.operations import operations
from tutelage.types import MultiTaskNet

_FOLDER = "memory_format"  # of the cache
_FACT = "channels_last"  # in environment.json
_TRIES = 3
_VERSION = 2  # of how it is decided
_LONG = 10.0  # seconds of all tries
_SMALL = 10**9  # multiply-adds of a forward pass: below, no timing decides, so that bits are the same on any machine
_LAYOUTS = {False: torch.contiguous_format, True: torch.channels_last}


def with_memory_format(
    spec: RunSpec, objects: StudyConfig, place: Path | None, note: Callable[[str], None]
) -> StudyConfig:
    """The objects of a run with `train.channels_last: auto` decided, so that resuming takes the same decision.

    In fp32 on a CPU neither layout is always faster: it depends on the processor's instructions and on the network.
    A few steps of both are timed, once per machine and network; the user's cache remembers the result for other runs
    and studies, and the folder of a run what it took, which it keeps wherever it is continued.

    Args:
        spec: the run.
        objects: of its config.
        place: the folder of the run; None: nothing is read or recorded there.
        note: is told where the layout could not be measured.
    """
    if objects.train.channels_last != "auto":
        return objects
    decided = objects.train.known_channels_last()
    if decided is None:
        decided = _recorded(place)
    if decided is None:
        decided = spec.file is None and _remembered(spec, objects, note)
    if place is not None:
        record_fact(place, _FACT, decided)
    return replace(objects, train=replace(objects.train, channels_last=decided))


def _recorded(place: Path | None) -> bool | None:
    """What the run took before; one of an earlier version has it in its config."""
    if place is None:
        return None
    for recorded in (
        read_record(place / "environment.json").get(_FACT),
        read_record(place / "config.yaml").get("train", {}).get("channels_last"),
    ):
        if isinstance(recorded, bool):
            return recorded
    return None


def _remembered(spec: RunSpec, objects: StudyConfig, note: Callable[[str], None]) -> bool:
    """What was measured on this machine for this network, or is measured now: by one process at a time."""
    # Batch norm may refuse a single image, and a batch may have more images than there are: `build_run` says so better.
    count = max(2, min(objects.train.batch_size, sum(map(len, select(objects.data, objects.tasks)))))
    images = example(objects.data, objects.tasks, torch.device("cpu")).expand(count, -1, -1, -1)
    widths = {t: task.width for t, task in objects.tasks.items()}
    facts = {
        "version": _VERSION,
        "processor": processor(),
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "net": spec.config["net"],
        "widths": widths,
        "images": list(images.shape),
    }
    text = json.dumps(facts, sort_keys=True, default=str)
    try:
        file = cache_root() / _FOLDER / f"{blake2b(text.encode(), digest_size=8).hexdigest()}.json"
        with alone(file.parent):
            decided = _read(file)
            if decided is None:
                decided = _measure(lambda: build_net(spec.key, objects.net, widths), images)
                write_json(file, {**facts, _FACT: decided})
            return decided
    except OSError as error:  # of the cache; whatever a network raises would end the run, too
        where = f"{error.filename}: " if error.filename else ""
        note(f"train.channels_last: {where}{error.strerror or error}; the layout is not measured, torch's own is taken")
        return False


def _read(file: Path) -> bool | None:
    """What a file of the cache says; None: there is none, or it is damaged and measured again."""
    try:
        return bool(json.loads(file.read_text())[_FACT])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _measure(build: Callable[[], MultiTaskNet], images: Tensor) -> bool:
    """Whether forward and backward are faster in channels_last."""
    with freed_memory_kept(images.device), seeded(0, "memory_format"):
        nets = {last: build().to(memory_format=layout).train() for last, layout in _LAYOUTS.items()}
    placed = {last: images.contiguous(memory_format=layout) for last, layout in _LAYOUTS.items()}

    def step(last: bool) -> float:
        started = perf_counter()
        predictions = nets[last](placed[last]).predictions.values()
        torch.autograd.backward([prediction.sum() for prediction in predictions])
        return perf_counter() - started

    with torch.no_grad():
        count = operations(partial(nets[False], placed[False]))
    if count < 2 * _SMALL:
        return False
    started = perf_counter()
    step(False)
    step(True)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    while len(seconds[True]) < _TRIES and (not seconds[True] or perf_counter() - started < _LONG):
        for last, times in seconds.items():
            times.append(step(last))
    return median(seconds[True]) < median(seconds[False])
