"""The whole chain, from files' pixels to metrics, can learn: eight images by heart, in every task at once."""

from functools import partial

import torch
from lightning_fabric import Fabric
from tests.train.fixture import streams_of

from tutelage.balance import Uniform
from tutelage.data import Rooms
from tutelage.nets import SegNet
from tutelage.tasks import Depth, Normals, Segmentation
from tutelage.train import (
    Cosine,
    Optim,
    Optimisers,
    Stream,
    TrainConfig,
    Training,
    evaluate,
    fit,
    make_batch,
    seeded,
    training_loader,
)
from tutelage.types import Task


def test_eight_images_by_heart() -> None:
    tasks: dict[str, Task] = {"segmentation": Segmentation(13), "depth": Depth(), "normals": Normals()}
    rooms = Rooms(train=8, test=1, size=(32, 32), holes=False)
    images = rooms.split("train")
    config = TrainConfig(epochs=300, batch_size=8, augment=None, observe_steps=300)  # conflict of gradients: once
    with seeded(0, "net"):
        net = SegNet({t: task.width for t, task in tasks.items()}, filters=(32, 32, 48, 48, 48))
    net.to(memory_format=torch.channels_last)
    balancer = Uniform({"segmentation": 1.0, "depth": 1.0, "normals": 10.0})
    balancer.setup(tasks, net)
    optim = Optim(partial(torch.optim.Adam, lr=5e-3), Cosine)
    optimisers = Optimisers({"student": (list(net.parameters()), optim)}, config.epochs, config.epochs)
    fabric = Fabric(accelerator="cpu", devices=1, precision=config.resolved_precision())
    run = Training(net, None, balancer, optimisers)
    streams = streams_of([Stream(images, rooms.modalities)], config)
    fit(fabric, run, tasks, training_loader(streams, tasks, config, 0), config, streams.length, 0)
    batches = [make_batch([images[i] for i in range(8)], tasks)]
    found = evaluate(fabric, net, tasks, batches, channels_last=True)["dataset"]
    assert found["segmentation"]["miou"] > 95
    assert found["segmentation"]["pixel_accuracy"] > 99
    assert found["depth"]["rel_err"] < 0.04
    assert found["normals"]["mean"] < 8
