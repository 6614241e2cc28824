"""What a network costs where it is used: one image of the study, forward, in fp32."""

import weakref
from collections.abc import Callable, Iterable
from functools import partial
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tutelage.train.evaluate import evaluating
from tutelage.train.operations import operations
from tutelage.types import MultiTaskNet

_PASSES = 3, 20  # that are timed: at least, at most
_SECONDS = 0.5  # of all passes but the fewest


def cost(net: MultiTaskNet, image: Tensor) -> dict[str, Any]:
    """The cost of one forward pass, as plain values for a file.

    Args:
        net: the network, on its device.
        image: [1, 3, H, W], on the same device.

    Returns:
        `parameters`; `multiply_adds` of convolutions and matrix products; `milliseconds` of the fastest of several
        passes, since other programs only slow one down; `weights`, the bytes of parameters and buffers; `activations`,
        the most bytes of tensors that a pass holds at once besides these; and what that depends on: `size`, `device`,
        `threads`.
    """
    tensors = [*net.parameters(), *net.buffers()]
    watch = _Watch([*tensors, image])
    with evaluating(net):
        with watch:
            multiply_adds = operations(partial(net, image)) // 2
        milliseconds = 1000 * min(_times(lambda: net(image), image.device))
    return {
        "parameters": sum(p.numel() for p in net.parameters()),
        "multiply_adds": multiply_adds,
        "milliseconds": round(milliseconds, 3),
        "weights": sum(x.numel() * x.element_size() for x in tensors),
        "activations": watch.most,
        "size": list(image.shape[2:]),
        "device": torch.cuda.get_device_name(image.device) if image.is_cuda else "CPU",
        "threads": torch.get_num_threads(),
    }


def _times(compute: Callable[[], object], device: torch.device) -> list[float]:
    """Seconds of several calls; the first of all, which allocates, is left out."""
    times: list[float] = []
    least, most = _PASSES
    started = perf_counter()
    while len(times) < most and (len(times) <= least or perf_counter() - started < _SECONDS):
        began = perf_counter()
        compute()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(perf_counter() - began)
    return times[1:]


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types for it
    """Counts the bytes of the tensors that operations return, for as long as something holds them.

    Args:
        given: what is there before, and not counted: an operation may return a view of it, as a linear layer does.
    """

    def __init__(self, given: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self.now = self.most = 0
        self._seen = {x.untyped_storage()._cdata for x in given}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for x in result if isinstance(result, tuple | list) else (result,):
            if isinstance(x, Tensor):
                self._add(x.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self._seen:  # a view or an operation in place allocates nothing
            self._seen.add(key)
            self.now += size
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self._remove, key, size)

    def _remove(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size
