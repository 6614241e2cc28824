"""What data cost: how fast images are read, and what an epoch with data and a log takes beside its steps."""

import tempfile
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

from tutelage.bench.case import Case, machine_precision, make_fabric, make_tasks, train_config
from tutelage.bench.cost import Cost, Spread
from tutelage.bench.harness import Action, Settings, in_turns
from tutelage.bench.machine import bytes_per_second
from tutelage.bench.networks import NETWORKS, Network, chosen
from tutelage.bench.pictures import write_pictures
from tutelage.data import Augment, DataSource, Folders
from tutelage.data.shards import Keeper
from tutelage.images import Size
from tutelage.train import JsonLines, Streams, fit, select, training_loader
from tutelage.train.loader import Order
from tutelage.train.views import Views
from tutelage.types import Task

# What an epoch with data and a log may take of the time of its steps alone.
LIMITS = {"segnet": 1.05, "segnet-quarter": 1.10, "efficientnet-lite0": 1.10}
# Images per second. What a GPU is given are the bytes of the shards, which it decodes and augments itself.
LEAST = {
    "one label, from shards": 10_000.0,
    "one label, from shards, as a GPU is given them": 10_000.0,
    "one label, from shards, augmented": 400.0,
    "three labels, from shards, augmented": 400.0,
}
_IMAGES, _BATCH = 32, 8
_STEPS = 4  # of an epoch, with one line of the log
# Per pixel, as they lie in the files when decoded: colours, class, depth and normals.
_BYTES = {"one label": 3 + 1, "three labels": 3 + 1 + 2 + 3}
_FILES, _SHARDS = "from JPEG and PNG", "from shards"


def data(settings: Settings) -> list[Cost]:
    """Reading alone, and short epochs of every network on pictures that are decoded for every step."""
    tasks = make_tasks()
    with tempfile.TemporaryDirectory() as folder:
        costs = _reading(tasks, Path(folder), settings)
        for name, network in chosen(settings):
            costs += _epochs(name, network, tasks, Path(folder) / name, settings)
    return costs


def _reading(tasks: dict[str, Task], folder: Path, settings: Settings) -> list[Cost]:
    size = NETWORKS["segnet"].size
    sources = _sources(folder / "reading", size, _IMAGES, settings)

    def action(source: DataSource, augment: Augment | None, of: dict[str, Task]) -> Action:
        streams = Streams(select(source, of), _BATCH)
        config = train_config(settings.device, batch_size=_BATCH, augment=augment)
        return lambda: _exhaust(training_loader(streams, of, config, 0, device=settings.device))

    def packed(source: DataSource, of: dict[str, Task]) -> Action:
        streams = Streams(select(source, of), _BATCH)
        views = Views(streams.streams, of, packed=True)
        return lambda: _exhaust(views[keys] for keys in Order(streams, 0))

    actions, bytes_of = dict[str, Action](), dict[str, int]()
    for count, of in (("one label", dict(list(tasks.items())[:1])), ("three labels", tasks)):
        own = {
            f"{count}, {name}{suffix}": action(source, augment, of)
            for name, source in sources.items()
            for suffix, augment in (("", None), (", augmented", Augment()))
        }
        own[f"{count}, {_SHARDS}, as a GPU is given them"] = packed(sources[_SHARDS], of)
        actions |= own
        bytes_of |= dict.fromkeys(own, _BYTES[count] * size[0] * size[1])
    rate, costs = bytes_per_second(), []
    for name, values in in_turns(actions, settings, "reading").items():
        spread, limit = Spread.of([_IMAGES / value for value in values]), LEAST.get(name)
        place, floor = f"{size[0]}x{size[1]}, one process", rate / bytes_of[name]
        costs.append(Cost.of("data", place, name, spread, "images/s", floor=floor, limit=limit, least=True))
    return costs


def _exhaust(batches: Iterable[object]) -> None:
    for _ in batches:
        pass


def _epochs(key: str, network: Network, tasks: dict[str, Task], folder: Path, settings: Settings) -> list[Cost]:
    sources = _sources(folder, network.size, _STEPS * network.batch, settings)
    streams = {name: Streams(select(source, tasks), network.batch) for name, source in sources.items()}
    device = settings.device
    precision = machine_precision(device)
    config = train_config(device, batch_size=network.batch, augment=Augment(), precision=precision)
    batch = next(iter(training_loader(streams[_FILES], tasks, config, 0, device=device)))
    case = Case(network, tasks, batch, precision=precision, device=device)
    config = replace(config, log_steps=_STEPS, channels_last=case.config.channels_last)
    fabric = make_fabric(config, [JsonLines(folder / "log.jsonl")])

    def epoch(name: str) -> None:
        loader = training_loader(streams[name], tasks, config, 0, device=device)
        fit(fabric, case.run, tasks, loader, config, case.length, seed=0)

    actions: dict[str, Action] = {name: partial(epoch, name) for name in sources}
    actions["steps"] = lambda: case.steps(_STEPS)
    times = in_turns(actions, settings, network.label)
    costs = []
    for name in sources:
        ratio = Spread.ratio(times[name], times["steps"])
        full = f"epoch with data and log / steps alone, {name}"
        costs.append(Cost.of("data", network.label, full, ratio, floor=1.0, limit=LIMITS.get(key)))
    return costs


def _sources(folder: Path, size: Size, count: int, settings: Settings) -> dict[str, DataSource]:
    """The same pictures, decoded for every batch and decoded once."""
    files = write_pictures(folder, size, count)
    shards = Folders(files.root, files.labels)
    shards.keep_decoded(Keeper("always", settings.note, root=folder / "shards"))
    return {_FILES: files, _SHARDS: shards}
