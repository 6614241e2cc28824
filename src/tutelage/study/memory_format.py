"""Which memory layout a network is trained in, where precision and device do not say it."""

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from tutelage.cache import cache_root
from tutelage.files import remove_parts, write_json, write_shared
from tutelage.study.config import StudyConfig
from tutelage.study.plan import RunSpec
from tutelage.study.store import locked, read_record, record_fact
from tutelage.study.teachers import build_net
from tutelage.train import seeded, select
from tutelage.types import MultiTaskNet

_FOLDER = "memory_format"  # of the cache and of a study
_FACT = "channels_last"  # in environment.json
_TRIES = 3
_VERSION = 1  # of how it is decided
_LONG = 10.0  # seconds of all tries
_SMALL = (
    10**9
)  # multiply-adds of a forward pass below which the layout hardly matters: no timing decides, on any machine
_LAYOUTS = {False: torch.contiguous_format, True: torch.channels_last}


def with_memory_format(spec: RunSpec, objects: StudyConfig, study: Path | None = None) -> StudyConfig:
    """The objects of a run with `train.channels_last: auto` decided, so that resuming takes the same decision.

    In fp32 on a CPU neither layout is always faster: it depends on the processor's instructions and on the network.
    A few steps of both are timed, once per machine and network; the result is remembered in the user's cache and in
    the folder of the study, for its other runs, and recorded in the folder of the run, which keeps it wherever it is
    continued.

    Args:
        spec: the run.
        objects: of its config.
        study: the folder of the study; None: nothing is read or recorded there.
    """
    if objects.train.channels_last != "auto":
        return objects
    place = None if study is None else study / spec.id
    decided = objects.train.known_channels_last()
    if decided is None:
        decided = _recorded(place)
    if decided is None:
        decided = spec.file is None and _remembered(spec, objects, study)
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


def _remembered(spec: RunSpec, objects: StudyConfig, study: Path | None) -> bool:
    """What was measured on this machine for this network, or is measured now: by one process at a time."""
    stream = select(objects.data, objects.tasks)[0]
    images = stream.samples[stream.index(0)]["image"].expand(objects.train.batch_size, -1, -1, -1)
    widths = {t: task.width for t, task in objects.tasks.items()}
    facts = {
        "version": _VERSION,
        "processor": torch.cpu.get_capabilities().get("cpu_name") if hasattr(torch.cpu, "get_capabilities") else None,
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "net": spec.config[spec.key] if spec.key in spec.config else spec.config["net"],
        "widths": widths,
        "images": list(images.shape),
    }
    text = json.dumps(facts, sort_keys=True, default=str)
    name = f"{_FOLDER}/{blake2b(text.encode(), digest_size=8).hexdigest()}.json"
    try:
        file = cache_root() / name
        own = file if study is None else study / name
        with locked(file.parent, wait=True):
            if not (own.exists() or file.exists()):
                remove_parts(file.parent)
                write_json(file, {**facts, _FACT: _measure(lambda: build_net(spec.key, objects.net, widths), images)})
            if not own.exists():
                write_shared(own, json.dumps(read_record(file, _FACT), indent=2))
            return bool(read_record(own, _FACT)[_FACT])
    except Exception:  # a full disk, a damaged file; a network that cannot be trained: building the run says why
        return False


def _measure(build: Callable[[], MultiTaskNet], images: Tensor) -> bool:
    """Whether forward and backward are faster in channels_last."""
    with seeded(0, "memory_format"):
        nets = {last: build().to(memory_format=layout).train() for last, layout in _LAYOUTS.items()}
    placed = {last: images.contiguous(memory_format=layout) for last, layout in _LAYOUTS.items()}

    def step(last: bool) -> float:
        started = perf_counter()
        predictions = nets[last](placed[last]).predictions.values()
        torch.autograd.backward([prediction.sum() for prediction in predictions])
        return perf_counter() - started

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        nets[False](placed[False])
    if counter.get_total_flops() < 2 * _SMALL:
        return False
    started = perf_counter()
    step(False)
    step(True)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    while len(seconds[True]) < _TRIES and (not seconds[True] or perf_counter() - started < _LONG):
        for last, times in seconds.items():
            times.append(step(last))
    return median(seconds[True]) < median(seconds[False])
