"""What is equal in all processes of a run: parameters, buffers, and the random numbers of everything but forwards."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from tutelage.errors import UserError
from tutelage.train.seed import set_seed
from tutelage.train.training import Training
from tutelage.train.world import Processes
from tutelage.types import World


@contextmanager
def own_random(world: World, seed: int, device: torch.device) -> Iterator[None]:
    """A block whose random numbers are those of this process; afterwards all draw the same ones again.

    Dropout draws for other images in every process, balancers draw for all of them. With one process this does nothing.
    """
    if world.size == 1:
        yield
        return
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        set_seed(seed, device)
        yield


@contextmanager
def main_first(world: World) -> Iterator[None]:
    """A block that the main process goes through before the others, however long it takes."""
    if isinstance(world, Processes) and not world.main:
        world.next_order()
    yield
    if isinstance(world, Processes) and world.main:
        world.order("go on")


def share_state(world: World, run: Training) -> None:
    """Give all processes the parameters and buffers of the main one, before the first step that they train.

    Raises:
        UserError: They have read different checkpoints.
    """
    if isinstance(world, Processes):
        steps = world.gather(run.step)
        if len(set(steps)) > 1:
            raise UserError(
                f"checkpoint.pt: expected all {world.size} processes to continue a run after the same step, found "
                f"steps {', '.join(map(str, steps))}; give all machines the same folder of the study"
            )
        modules = run.modules().values()
        world.broadcast(x for module in modules for x in (*module.parameters(), *module.buffers()))


def average_buffers(world: World, modules: Iterable[nn.Module]) -> None:
    """Make the buffers of all processes their mean: running statistics of batch norm, where each has its own images.

    Running means are linear in the statistics of the batches, so that it does not matter how often this is done. Of
    whole numbers (how many batches there were) the largest is taken.
    """
    if world.size == 1:
        return
    buffers = [buffer for module in modules for buffer in module.buffers()]
    floating = [buffer for buffer in buffers if buffer.is_floating_point()]
    with torch.no_grad():
        if floating:
            flat = torch.cat([buffer.reshape(-1).double() for buffer in floating])
            means = torch.split(world.sum(flat) / world.size, [buffer.numel() for buffer in floating])
            for buffer, mean in zip(floating, means, strict=True):
                buffer.copy_(mean.view(buffer.shape))
        whole = [buffer for buffer in buffers if not buffer.is_floating_point()]
        for buffer, *values in zip(whole, *world.gather([buffer.cpu() for buffer in whole]), strict=True):
            buffer.copy_(torch.stack(values).amax(0))
