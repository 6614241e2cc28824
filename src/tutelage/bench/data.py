"""What data cost: how fast images are read, and what an epoch with data and a log takes beside its steps."""

import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from lightning_fabric import Fabric

from tutelage.bench.case import Case, machine_precision, make_tasks
from tutelage.bench.cost import Cost, Spread
from tutelage.bench.harness import Action, Settings, in_turns
from tutelage.bench.machine import bytes_per_second
from tutelage.bench.networks import NETWORKS, Network, chosen
from tutelage.bench.pictures import write_pictures
from tutelage.data import Augment
from tutelage.train import JsonLines, Streams, TrainConfig, fit, select, training_loader
from tutelage.types import Batch, Task

# What an epoch with data and a log may take of the time of its steps alone.
LIMITS = {"segnet": 1.05, "segnet-quarter": 1.10, "efficientnet-lite0": 1.10}
_IMAGES = 32
_STEPS = 4  # of an epoch, with one line of the log
_BYTES = 3 + 1 + 2 + 3  # per pixel: colours, class, depth and normals, as they lie in the files when decoded


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
    streams = Streams(select(write_pictures(folder / "reading", size, _IMAGES), tasks), 1)

    def action(augment: Augment | None) -> Action:
        config = TrainConfig(batch_size=1, augment=augment, accelerator="cpu")
        return lambda: _exhaust(training_loader(streams, tasks, config, 0))

    actions = {"from JPEG and PNG": action(None), "from JPEG and PNG, augmented": action(Augment())}
    floor = bytes_per_second() / (_BYTES * size[0] * size[1])
    return [
        Cost.of(
            "data",
            f"{size[0]}x{size[1]}, one process",
            name,
            Spread.of([_IMAGES / value for value in values]),
            "images/s",
            floor=floor,
            least=True,
        )
        for name, values in in_turns(actions, settings, "reading").items()
    ]


def _exhaust(batches: Iterable[Batch]) -> None:
    for _ in batches:
        pass


def _epochs(key: str, network: Network, tasks: dict[str, Task], folder: Path, settings: Settings) -> list[Cost]:
    streams = Streams(select(write_pictures(folder, network.size, _STEPS * network.batch), tasks), network.batch)
    precision = machine_precision()
    config = TrainConfig(batch_size=network.batch, augment=Augment(), precision=precision, accelerator="cpu")
    batch = next(iter(training_loader(streams, tasks, config, 0)))
    case = Case(network, tasks, batch, precision=precision)
    config = replace(config, log_steps=_STEPS, channels_last=case.config.channels_last)
    fabric = Fabric(accelerator="cpu", devices=1, precision=precision, loggers=[JsonLines(folder / "log.jsonl")])

    def epoch() -> None:
        fit(fabric, case.run, tasks, training_loader(streams, tasks, config, 0), config, case.length, seed=0)

    times = in_turns({"epoch": epoch, "steps": lambda: case.steps(_STEPS)}, settings, network.label)
    ratio = Spread.ratio(times["epoch"], times["steps"])
    name = "epoch with data and log / steps alone, from JPEG and PNG"
    return [Cost.of("data", network.label, name, ratio, floor=1.0, limit=LIMITS.get(key))]
