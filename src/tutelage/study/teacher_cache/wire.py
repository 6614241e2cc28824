"""Caches what a run's teachers compute: where that is worth while, and before the first step."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from lightning_fabric import Fabric
from rich.filesize import decimal

from tutelage.cache import cache_root, free_bytes, is_disk_full
from tutelage.distill.teachers import CachedOutput, Passes, Uncacheable, teachers_of
from tutelage.errors import UserError
from tutelage.study.config import StudyConfig
from tutelage.study.duration import duration
from tutelage.study.plan import RunSpec
from tutelage.study.teacher_cache.fill import Filling, fill
from tutelage.study.teacher_cache.outputs import CachedNetwork, Note, cached_networks, needs_key
from tutelage.study.teacher_cache.probe import Probe, probe
from tutelage.study.teacher_cache.record import (
    FILE,
    CacheRecord,
    Decision,
    Needs,
    ReadOutput,
    read_outputs,
    write_outputs,
)
from tutelage.train import Streams, TrainConfig, Training, repeated_views
from tutelage.types import Distiller, MultiTaskNet


def refusal(train: TrainConfig) -> str | None:
    """Why teachers cannot be cached with a training, for the user; None: they can."""
    if train.official_quirks:
        return "with train.official_quirks teachers are in training mode, and what they compute depends on the batch"
    if repeated_views(train.augment) is None:
        return (
            "train.augment shows new random views of the images in every epoch, so that nothing could be read again; "
            "with `views: 4` each image has four fixed ones, and teachers run once for each"
        )
    return None


def may_cache(train: TrainConfig, note: Note) -> bool:
    """Whether teachers may be cached with a training; where they cannot, the user is told why, once for a study.

    Raises:
        UserError: the study asks that they are always cached.
    """
    mode, reason = train.teacher_cache.mode, refusal(train)
    if mode == "never" or reason is None:
        return mode != "never"
    if mode == "always":
        raise UserError(f"train.teacher_cache.mode: expected `auto` or `never`, found `always`: {reason}")
    note(f"teachers run in every step: {reason}")
    return False


def read_needs(run: Training, runs: Mapping[str, int]) -> dict[str, Needs]:
    """What a run reads of each of its teachers; `runs`: how many runs read each."""
    needs: dict[str, Needs] = {}
    for teachers in () if run.distiller is None else teachers_of(run.distiller):
        for name, network in teachers.networks.items():
            if teachers.named[name].moves:
                continue
            taps, tasks = teachers.passes.needs[network]
            key = needs_key(name, teachers.passes.mirrors(network))
            needs[key] = needs.get(key, Needs()) | Needs(taps, tasks, runs.get(name, 1))
    return needs


def cache_teachers(
    spec: RunSpec,
    objects: StudyConfig,
    run: Training,
    streams: Streams,
    folder: Path,
    data: str,
    fabric: Fabric,
    note: Note,
    main: bool = True,
) -> None:
    """Let the teachers of a run be read from the cache, where that is decided, and fill it with what is missing.

    Args:
        spec: the run.
        objects: of its config.
        run: at its first step, or at that from which it goes on.
        streams: its images.
        folder: of the study.
        data: fingerprint of its data.
        fabric: has the device and the precision.
        note: is told what is cached, how much disk and time that takes, and what goes wrong.
        main: False in the other processes of a run: they read what the main one has decided and filled.
    """
    train, path = objects.train, folder / spec.id / FILE
    if run.distiller is None or refusal(train) is not None:
        return
    read: list[str] | None
    if run.step > 0 or not main:
        read = [output.digest for output in read_outputs(path)]
    else:
        read = [] if train.teacher_cache.mode == "never" else None
        path.unlink(missing_ok=True)
    fillings = [] if read == [] else _filled(spec, objects, run.distiller, streams, folder, data, fabric, note, read)
    if run.step == 0 and main:
        outputs = [filling.output for filling in fillings]
        write_outputs(path, [ReadOutput(x.digest, x.teachers, x.stream.name, len(x.rows)) for x in outputs])
    cached: dict[Passes, dict[MultiTaskNet, dict[str, CachedOutput]]] = {}
    for filling in fillings:
        output = filling.output
        of_network = cached.setdefault(output.passes, {}).setdefault(output.network, {})
        of_network[output.stream.name] = CachedOutput(filling.entries, output.rows, note)
    for passes, of_passes in cached.items():
        passes.cached = of_passes
        for network, of_network in of_passes.items():
            if of_network.keys() >= {stream.name for stream in streams.streams}:
                with suppress(OSError):  # it is not needed in memory, but may stay there
                    passes.park(network, cache_root())


def _filled(
    spec: RunSpec,
    objects: StudyConfig,
    distiller: Distiller,
    streams: Streams,
    folder: Path,
    data: str,
    fabric: Fabric,
    note: Note,
    read: Collection[str] | None,
) -> list[Filling]:
    """The outputs that a run reads, filled; those that it has read until now, unless `read` is None: it begins."""
    train, record = objects.train, CacheRecord(folder)
    fillings: list[Filling] = []
    try:
        allowance = train.teacher_cache.share * free_bytes(cache_root())
        for output in cached_networks(spec, objects, distiller, streams, record.needs(), data):
            if read is not None and output.digest not in read:
                continue
            decision, probed = _decide(output, record, train, allowance, fabric, note, begun=read is not None)
            if decision.cached:
                entries = output.entries(output.needed(decision.parts))
                fillings.append(Filling(output, entries, probed.computed if probed else {}))
                allowance -= probed.bytes if probed else 0
        fill(fillings, train, fabric, note)
    except Uncacheable as reason:
        note(f"teacher cache: not used, since {reason}")
        return []
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        what = "the disk is full" if is_disk_full(error) else f"{where}{error.strerror or error}"
        note(f"teacher cache: {what}; teachers run in every step instead, and last digits may differ")
        return []
    return fillings


def _decide(
    output: CachedNetwork,
    record: CacheRecord,
    train: TrainConfig,
    allowance: float,
    fabric: Fabric,
    note: Note,
    begun: bool,
) -> tuple[Decision, Probe | None]:
    """Whether an output is cached: what was decided for the study, or by measurement.

    A run that has begun reads on what it has read until now, though the record of the study may be another machine's.
    """
    decision = record.decision(output.digest)
    if begun and (decision is None or not decision.cached):
        probed = probe(output, train, fabric)
        return Decision(True, "the run has read it until now", probed.parts), probed
    if decision is not None and (not decision.cached or output.covers(decision.parts)):
        return decision, None
    probed = probe(output, train, fabric)
    if decision is None:
        decision = Decision(*_judge(output, probed, train, allowance), probed.parts)
        if not decision.cached:
            note(f"teacher cache: {output.label} is computed in every step: {decision.reason}")
    return record.decide(output.digest, output.label, replace(decision, parts=probed.parts)), probed


def _judge(output: CachedNetwork, probed: Probe, train: TrainConfig, allowance: float) -> tuple[bool, str]:
    if train.teacher_cache.mode == "always":
        return True, "train.teacher_cache.mode is `always`"
    there = output.is_complete(probed.parts)
    if probed.bytes > allowance and not there:
        return False, f"it takes {decimal(probed.bytes)}, more than train.teacher_cache.share of the free disk"
    computing = probed.compute * output.reads
    filling = 0.0 if there else (probed.compute + probed.write) * len(output.rows)
    caching = filling + probed.read * output.reads
    times = f"{duration(computing)} for computing, {duration(caching)} for filling the cache and reading"
    return caching < computing, times


def cache_cost(
    spec: RunSpec, objects: StudyConfig, run: Training, streams: Streams, fabric: Fabric
) -> tuple[int, float]:
    """Bytes that a run's cache takes, and seconds in which it is filled, with untrained teachers; 0 without one."""
    train = objects.train
    if run.distiller is None or train.teacher_cache.mode == "never" or refusal(train) is not None:
        return 0, 0.0
    total, seconds = 0, 0.0
    try:
        for output in cached_networks(spec, objects, run.distiller, streams, {}, ""):
            probed = probe(output, train, fabric)
            total += probed.bytes
            seconds += (probed.compute + probed.write) * len(output.rows)
    except (Uncacheable, OSError):  # the run itself says so
        return 0, 0.0
    return total, seconds
