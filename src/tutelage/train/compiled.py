"""Networks compiled by `torch.compile` while a run is trained, and uncompiled where that is not possible."""

import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from tutelage.distill.teachers import teachers_of
from tutelage.errors import one_line
from tutelage.train.config import TrainConfig
from tutelage.train.training import Training
from tutelage.types import MultiTaskNet, Output

_Kind = tuple[object, ...]  # of a call: torch compiles each anew
_DYNAMO: dict[str, Any] = {
    "recompile_limit": 64,  # of all networks of a class together: the usual 8 are a student and three teachers, twice
    "suppress_errors": False,  # nobody would hear of them
}
_FUNCTORCH: dict[str, Any] = {
    "donated_buffer": False,  # else a graph is walked once only, and the conflict of gradients needs it more often
    "force_non_lazy_backward_lowering": True,  # an error comes with the first forward, when nothing has happened yet
}


@contextmanager
def compiled(
    run: Training, config: TrainConfig, sizes: Collection[int], tasks: Collection[str], note: Callable[[str], None]
) -> Iterator[None]:
    """Compile the forward of the student and of the teachers' networks for a block, if `train.compile` says so.

    `forward` is replaced in the module itself, until the block ends: parameters, `state_dict` and hooks are those of
    the module. What is compiled depends on network and batch alone, so that a resumed run computes what an undisturbed
    one does.

    Args:
        run: what is trained.
        config: how it is trained.
        sizes: images of the batches that are compiled, each number by itself; others run uncompiled.
        tasks: of the run.
        note: is told in one line what runs uncompiled, and why.
    """
    if not config.compile:
        yield
        return
    if not run.balancer.compilable:
        note(
            f"train.compile: {type(run.balancer).__name__} takes gradients inside the student, which a compiled one "
            "does not show; the run is not compiled"
        )
        yield
        return
    import torch._dynamo.config
    import torch._functorch.config

    networks: dict[MultiTaskNet, str] = {}
    for teachers in [] if run.distiller is None else teachers_of(run.distiller):
        for name, network in teachers.networks.items():
            networks.setdefault(network, name)
    forwards = {net: CompiledForward(net, f"teacher {name}", sizes, (), note) for net, name in networks.items()}
    forwards[run.student] = CompiledForward(run.student, "student", sizes, tasks, note)
    with ExitStack() as stack:
        stack.enter_context(torch._dynamo.config.patch(_DYNAMO))
        stack.enter_context(torch._functorch.config.patch(_FUNCTORCH))
        stack.callback(torch.compiler.reset)  # until then compiled code is kept, and counted
        for network, forward in forwards.items():
            network.forward = forward  # type: ignore[method-assign]  # of this module alone
            stack.callback(delattr, network, "forward")
        yield


class CompiledForward:
    """The forward of a network: compiled for every kind of call, and its own where that fails.

    Args:
        network: whose forward is its own still.
        label: what the user calls it.
        sizes: images of the batches that are compiled.
        tasks: whose predictions all have to be requested for a compiled call. Of a prediction that no loss reads a
            compiled network gets gradients of 0 in place of none, and an optimiser with momentum moves its parameters.
        note: is told what runs uncompiled, and why.
    """

    def __init__(
        self,
        network: MultiTaskNet,
        label: str,
        sizes: Collection[int],
        tasks: Collection[str],
        note: Callable[[str], None],
    ) -> None:
        self._network, self._label, self._note = network, label, note
        self._sizes, self._tasks = frozenset(sizes), frozenset(tasks)
        self._own = network.forward
        # Not `dynamic`: the code for any size depends on the sizes that came before. `fallback_random`: dropout draws
        # the numbers that it draws uncompiled.
        self._compiled = torch.compile(self._own, dynamic=False, options={"fallback_random": True})
        self._works: dict[_Kind, bool] = {}
        self._told = False

    def __call__(self, images: Tensor, tasks: Collection[str] | None = None) -> Output:
        """What `forward` of the network gives."""
        names = None if tasks is None else tuple(tasks)  # of targets, torch would compile their values in
        if len(images) not in self._sizes:
            return self._own(images, names)
        if not self._tasks <= {*(names or ())}:
            self._tell(
                "runs uncompiled where a batch has no label of some task, or predictions without labels are distilled"
            )
            return self._own(images, names)
        kind = (images.shape, images.stride(), images.dtype, names, self._network.training, torch.is_grad_enabled())
        if kind not in self._works:
            return self._first(kind, images, names)
        return self._compiled(images, names) if self._works[kind] else self._own(images, names)

    def _first(self, kind: _Kind, images: Tensor, names: tuple[str, ...] | None) -> Output:
        """The first call of its kind; if it fails, buffers and random numbers are as they were."""
        from torch._dynamo.exc import TorchDynamoException  # slow to import

        buffers = [(buffer, buffer.clone()) for buffer in self._network.buffers()]
        state, on_gpu = torch.get_rng_state(), torch.cuda.get_rng_state(images.device) if images.is_cuda else None
        try:
            with warnings.catch_warnings():  # of a forward that is compiled in pieces: torch inspects what is between
                warnings.filterwarnings("ignore", r"The \.grad attribute of a Tensor that is not a leaf", UserWarning)
                output = self._compiled(images, names)
        except TorchDynamoException as error:  # whatever the backend raised
            with torch.no_grad():
                for buffer, before in buffers:
                    buffer.copy_(before)
            torch.set_rng_state(state)
            if on_gpu is not None:
                torch.cuda.set_rng_state(on_gpu, images.device)
            reason = getattr(error, "inner_exception", error)  # of the backend
            said = f"{type(reason).__name__}: {one_line(reason)}"
            self._tell(f"runs uncompiled, since it cannot be compiled here: {said}")
            self._works[kind] = False
            return self._own(images, names)
        self._works[kind] = True
        return output

    def _tell(self, text: str) -> None:
        """One line per network."""
        if not self._told:
            self._note(f"train.compile: the {self._label} {text}")
        self._told = True
