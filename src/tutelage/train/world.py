"""The processes of a run: the only file that knows torch.distributed."""

import os
import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch import Tensor
from torch._C._distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from tutelage.errors import UserError, one_line
from tutelage.types import World

T = TypeVar("T")

TIMEOUT = timedelta(minutes=30)  # that a process waits for the others in one sum before it gives up
_POLL = timedelta(seconds=10)


class LostProcessError(UserError):
    """Another process of the run ended, or did not answer in time: its own message says why."""


class Processes(World):
    """The processes of a run that has several, joined by gloo on the host and by NCCL between GPUs.

    Args:
        store: where the processes meet.
        rank: of this process.
        size: the number of processes.
        local_rank: of this process among those of its machine.
        asked_to_stop: gives the number of a signal that arrived elsewhere, or 0.
    """

    def __init__(
        self,
        store: Store,
        rank: int,
        size: int,
        local_rank: int,
        asked_to_stop: Callable[[], int] | None = None,
    ) -> None:
        self.rank, self.size, self.local_rank = rank, size, local_rank
        self._asked_to_stop = asked_to_stop
        self._orders, self._number = PrefixStore("orders", store), 0
        self._started: list[Any] = []
        # Of host tensors gloo takes care, so that what the host has to know does not wait for a GPU.
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
        if torch.cuda.is_available() and local_rank < torch.cuda.device_count():
            torch.cuda.set_device(local_rank)
        with self._together():
            group = PrefixStore("group", store)
            dist.init_process_group(backend, store=group, rank=rank, world_size=size, timeout=TIMEOUT)

    def close(self) -> None:
        """Leave the others."""
        dist.destroy_process_group()

    def sum(self, x: Tensor) -> Tensor:
        """Add a tensor over the processes, in place."""
        with self._together():
            dist.all_reduce(x)
        return x

    def start_sum(self, x: Tensor) -> None:
        """Begin to add a tensor over the processes, in place."""
        with self._together():
            self._started.append(dist.all_reduce(x, async_op=True))

    def wait(self) -> None:
        """Wait for the sums that have begun: on a GPU only what is computed after them does."""
        with self._together():
            for work in self._started:
                work.wait()
        self._started = []

    def gather(self, value: T) -> list[T]:
        """A value of every process, through the memory of the host."""
        values = [value] * self.size
        with self._together():
            dist.all_gather_object(values, value)  # unpickles what processes send that this run started
        return values

    def asked_to_stop(self) -> int:
        """The number of a signal that asks the run to stop and did not arrive in this process; 0: none."""
        return 0 if self._asked_to_stop is None else self._asked_to_stop()

    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by those of the main process."""
        with self._together(), torch.no_grad():
            for x in tensors:
                dense = x.data.contiguous()  # a memory layout with the channels last is refused
                dist.broadcast(dense, 0)
                x.data.copy_(dense)

    def order(self, value: object) -> None:
        """Of the main process: tell the others what to do next; None: no more."""
        self._orders.set(str(self._number), pickle.dumps(value).hex())
        self._number += 1

    def end_orders(self) -> None:
        """Of the main process: tell the others that there is no more to do."""
        if self.main:
            self.order(None)

    def leave(self) -> None:
        """Say that this process needs the store no more; the main one, which has it, waits a moment for the others."""
        with suppress(RuntimeError):  # the others, or the store, are gone, or do not answer
            if self.main:
                self._orders.wait([f"left {rank}" for rank in range(1, self.size)], _POLL)
            else:
                self._orders.set(f"left {self.rank}", "")

    def next_order(self) -> Any:
        """Of the others: wait for what to do next, for as long as the main process lives."""
        key = str(self._number)
        while True:
            with self._together():
                try:
                    self._orders.wait([key], _POLL)
                except dist.DistStoreError:  # not yet
                    continue
                self._number += 1
                return pickle.loads(bytes.fromhex(self._orders.get(key).decode()))

    @contextmanager
    def _together(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:  # of any backend: the connection is closed, or the time is over
            raise LostProcessError(
                f"process {self.rank}: expected the {self.size} processes of the run to go on together, found one that "
                f"ended or did not answer for {TIMEOUT.seconds // 60} minutes; its own message says why"
            ) from error


_alone = World()
_launched: Processes | None = None


def this_world() -> World:
    """The processes that torchrun or SLURM started together with this one, once it has joined them; else one."""
    return _launched or _alone


def environment() -> ClusterEnvironment | None:
    """Who started this process together with others: torchrun, or `srun` of SLURM; None: nobody."""
    found: ClusterEnvironment | None = None
    if TorchElasticEnvironment.detect():
        found = TorchElasticEnvironment()
    elif "SLURM_STEP_ID" in os.environ and SLURMEnvironment.detect():  # a batch script itself has no step
        try:
            found = SLURMEnvironment()
        except RuntimeError as error:  # it wants the number of tasks of each node
            raise UserError(
                f"SLURM: expected --ntasks-per-node beside --ntasks, found that {one_line(error, 120)}; give "
                "--ntasks-per-node to srun or sbatch"
            ) from error
    return found if found is not None and found.world_size() > 1 else None


def check_alone() -> None:
    """Raise where torchrun or SLURM started this process together with others, which it has not joined.

    Each of them would train everything by itself.
    """
    found = environment()
    if found is not None and this_world().size == 1:
        raise UserError(
            f"processes: expected one, found {found.world_size()} that torchrun or SLURM started together; start one, "
            "or train in all of them with `tutelage run`"
        )


@contextmanager
def launched() -> Iterator[Processes | None]:
    """Join the processes that torchrun or SLURM started together with this one; None where there are none."""
    global _launched
    found = environment()
    if found is None:
        yield None
        return
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = found.main_address, str(found.main_port)
    os.environ.setdefault("RANK", str(found.global_rank()))
    os.environ.setdefault("WORLD_SIZE", str(found.world_size()))
    store, rank, size = next(iter(rendezvous("env://", found.global_rank(), found.world_size(), timeout=TIMEOUT)))
    world = _launched = Processes(store, rank, size, found.local_rank())
    try:
        yield world
        world.end_orders()
        world.leave()
        world.close()
    except BaseException:  # it goes on; the others learn that there is no more to do, if they are still there
        with suppress(LostProcessError):
            world.end_orders()
        world.leave()
        raise
    finally:
        _launched = None


def process_count(devices: int) -> int:
    """The number of processes of a run with `train.devices`: those that were started together, where there are any."""
    found = environment()
    return devices if found is None else found.world_size()
