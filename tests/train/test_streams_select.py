"""Which images of several sources a run looks at, in training and in evaluation."""

import math
from collections.abc import Collection

import pytest
import torch
from lightning_fabric import Fabric
from tests.data.plain import Plain
from tests.train.fixture import Net, streams_of
from tests.train.fixture import indices as of_batch

from tutelage.data import DataSource, HideLabels, HoldOut, Mix
from tutelage.tasks import Depth, Segmentation
from tutelage.train import (
    TrainConfig,
    evaluate,
    make_batch,
    select,
    training_loader,
    validation_loader,
)
from tutelage.train.streams import possibly_labelled
from tutelage.types import Task

TASKS: dict[str, Task] = {"segmentation": Segmentation(13), "depth": Depth()}


def indices(source: DataSource, *tasks: str, everything: bool = False) -> dict[str, list[int]]:
    return {s.name: [s.index(i) for i in range(len(s))] for s in select(source, tasks, everything)}


def test_images_without_a_label_of_a_task_are_left_out_unless_everything_is_wanted() -> None:
    one = Plain(6, lacks={"depth": [1, 4], "segmentation": [1]})
    found = Mix({"one": one, "other": Plain(3, tasks=["normals"]), "open": Plain(2, known=False, tasks=["depth"])})
    every: dict[str, Collection[int]] = {"one": range(6), "other": range(3), "open": range(2)}
    assert indices(found, "depth") == {"one": [0, 2, 3, 5], "open": [0, 1]}
    assert indices(found, "segmentation", "depth") == {"one": [0, 2, 3, 4, 5], "open": [0, 1]}
    assert indices(found, "normals") == {"other": [0, 1, 2]}
    assert indices(found, "depth", everything=True) == {name: list(x) for name, x in every.items()}
    assert indices(one, "depth") == {"plain": [0, 2, 3, 5]}
    assert one.read == []  # they are known without reading
    assert possibly_labelled(one.split("train"), ["segmentation", "normals"]) == [0, 2, 3, 4, 5]
    assert possibly_labelled(Plain(6).split("train"), ["depth"]) is None  # all of them
    assert [s.weight for s in select(Mix(found.sources, {"one": 3.0}), ["depth"])] == [3.0, 1.0]


def test_hidden_labels_leave_out_their_images() -> None:
    hidden = HideLabels(Plain(8), {"depth": 0.25, "segmentation": 0.25}, disjoint=True)
    train = hidden.split("train")
    alone = {t: [i for i in range(8) if t in train[i]["labels"]] for t in ("depth", "segmentation")}
    assert [indices(hidden, t) for t in alone] == [{"plain": chosen} for chosen in alone.values()]
    assert indices(hidden, *alone) == {"plain": sorted(alone["depth"] + alone["segmentation"])}
    assert indices(HideLabels(Plain(8, known=False), {"depth": 0.25}), "depth") == {"plain": [3, 7]}
    assert indices(hidden, "depth", everything=True) == {"plain": list(range(8))}
    held = HoldOut(hidden, part=0.25, seed=1)
    rest = held.split("train")
    left = [i for i in range(len(rest)) if "depth" in rest[i]["labels"]]
    assert left
    assert indices(held, "depth") == {"plain": left}


def test_training_reads_the_images_that_were_chosen() -> None:
    one, other = Plain(9, lacks={"depth": [0, 2, 7]}), Plain(5, lacks={"depth": [4]}, tasks=["depth"])
    config = TrainConfig(epochs=3, batch_size=5)
    streams = streams_of(select(Mix({"one": one, "other": other}), ["depth"]), config)
    batches = list(training_loader(streams, TASKS, config, seed=0))
    found = {name: {i for b in batches if b.source == name for i in of_batch(b)} for name in ("one", "other")}
    assert found == {"one": {1, 3, 4, 5, 6, 8}, "other": {0, 1, 2, 3}}
    assert all(b.labelled["depth"].all() for b in batches)


def test_a_source_whose_images_all_lack_the_label_is_no_stream() -> None:
    found = Mix({"one": Plain(), "other": Plain(3, lacks={"depth": [0, 1, 2]})})
    assert list(indices(found, "depth")) == ["one"]
    assert list(indices(found, "depth", "segmentation")) == ["one", "other"]
    assert list(indices(found, "depth", everything=True)) == ["one", "other"]


def mixed() -> tuple[Mix, list[Plain]]:
    sources = [
        Plain(1, 5, lacks={"depth": [0, 3], "segmentation": [3]}, blank={"depth": [4]}),
        Plain(1, 4, size=(10, 6), tasks=["depth"], seed=1, known=False, lacks={"depth": [2]}),
        Plain(1, 2, tasks=["normals"], seed=2, known=False),
    ]
    return Mix(dict(zip("abc", sources, strict=True))), sources


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_validation_is_every_image_once_in_order_source_after_source(batch_size: int) -> None:
    data, sources = mixed()
    batches = list(validation_loader(data, TASKS, TrainConfig(batch_size=batch_size)))
    assert [(b.source, i) for b in batches for i in of_batch(b)] == [
        *(("a", i) for i in (0, 1, 2, 4)),
        *(("b", i) for i in range(4)),
    ]
    assert max(len(b.images) for b in batches) <= batch_size
    assert all(view.exact and not view.flipped for b in batches for view in b.views)
    assert {view.split for b in batches for view in b.views} == {"test"}  # no key of an image of train
    assert [len(source.read) for source in sources] == [4, 4, 0]
    for batch in batches:
        samples = data.sources[batch.source].split("test")
        assert torch.equal(batch.images, torch.stack([samples[i]["image"] for i in of_batch(batch)]))


@pytest.mark.parametrize("batch_size", [1, 3])
def test_metrics_count_each_labelled_image_of_every_source_once(batch_size: int) -> None:
    data, sources = mixed()
    torch.manual_seed(0)
    net = Net({t: task.width for t, task in TASKS.items()}).eval()
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
    found = evaluate(fabric, net, TASKS, validation_loader(data, TASKS, TrainConfig(batch_size=batch_size)))

    errors, right, pixels = [], 0, 0
    for source in sources[:2]:
        for sample in (source.split("test")[i] for i in range(source.lengths["test"])):
            with torch.no_grad():
                predictions = net(sample["image"][None]).predictions
            if "depth" in sample["labels"]:
                depth = sample["labels"]["depth"]
                errors.append((predictions["depth"][0] - depth)[depth > 0].abs().double())
            if "segmentation" in sample["labels"]:
                label = sample["labels"]["segmentation"]
                right += int((predictions["segmentation"][0].argmax(0) == label)[label >= 0].sum())
                pixels += int((label >= 0).sum())
    assert found["dataset"]["depth"]["abs_err"] == pytest.approx(float(torch.cat(errors).mean()), rel=1e-5)
    by_image = torch.stack([error.mean() for error in errors if len(error)])
    assert len(by_image) == 5
    assert found["image"]["depth"]["abs_err"] == pytest.approx(float(by_image.mean()), rel=1e-5)
    assert found["dataset"]["segmentation"]["pixel_accuracy"] == pytest.approx(100 * right / pixels, rel=1e-5)


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric DepthMetric was called before:UserWarning")
def test_a_task_without_any_label_has_no_metric_and_spoils_no_other() -> None:
    source = Plain(1, 3, lacks={"depth": [0, 1, 2]})
    net = Net({t: task.width for t, task in TASKS.items()})
    loader = [make_batch([source.split("test")[i]], TASKS) for i in range(3)]
    loader.append(make_batch([Plain(tasks=[]).split("test")[0]], TASKS))  # nothing at all
    found = evaluate(Fabric(accelerator="cpu", devices=1, precision="32-true"), net, TASKS, loader)["dataset"]
    assert all(math.isnan(value) for value in found["depth"].values())
    assert all(math.isfinite(value) for value in found["segmentation"].values())
