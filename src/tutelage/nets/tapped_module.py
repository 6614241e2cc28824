"""Any nn.Module as a network with taps: a teacher from another library, or a student of your own."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from difflib import get_close_matches
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path
from pydoc import locate
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from tutelage.errors import UserError
from tutelage.nets.checkpoints import load_into
from tutelage.nets.quiet import quiet
from tutelage.nets.tap import Tap, channels_first, describe, select
from tutelage.nets.widths import resolve_tasks
from tutelage.types import MultiTaskNet, Output
from tutelage.types.network import in_eval_mode


class TappedModule(MultiTaskNet):
    """Any module that takes images, with taps by the paths of its submodules, and one prediction per task.

    Taps are read with hooks that exist only during a forward pass: the module, its `state_dict` and its own forward
    stay unchanged, also after an error. Predictions are parts of the module's output (`outputs`), or outputs of new
    heads on a tap (`heads`): a linear layer on [B, C], a 1x1 convolution on a map. Maps are resized bilinearly to the
    image. The shared boundary for representation gradients is the tap, if all new heads read the same one.

    The constructor runs the module once in eval mode on a black image, to learn the channels of the taps and the owner
    of each parameter: the task, if only its prediction depends on it; shared, if two predictions or more do. Parameters
    on which no prediction depends, such as those of an unused classifier, cannot learn: they are frozen.

    Args:
        widths: Channels of each task's prediction. {}: a teacher that is used for its features only.
        module: A module, used as it is, not copied; or `class_path` with `init_args`, or the path alone, of a class,
            function or classmethod of any library that returns one.
        taps: {name: path of a submodule, or a `Tap`}.
        outputs: The predictions in the module's output. None, an index or a key: that tensor, its channels split in the
            order of `widths`. {task: index, key, or [begin, end] of the channels}: each task by itself.
        heads: The tap that new heads read, or {task: tap}.
        channels: The argument of `module` that takes the sum of the widths, such as `num_classes`.
        mean: Subtracted from each channel of images in 0..1; saved with the weights, as is `std`.
        std: The divisor of each channel.
        size: [H, W] that images are resized to, bilinearly, antialiased. None: images keep their size, and the black
            image has 224x224.
        checkpoint: Weights of the module, in a .safetensors file or one of torch; no code in it is run. It holds a
            state_dict, alone or as `state_dict` or `model`.
        prefix: Load only the tensors whose names begin with it, and remove it from the names.

    Raises:
        ValueError: An argument does not fit the module; the file is missing, unsafe or of another module.

    >>> net = TappedModule({"depth": 1}, nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), {"last": "1"}, heads="last")
    >>> net(torch.zeros(2, 3, 32, 48)).predictions["depth"].shape
    torch.Size([2, 1, 32, 48])
    """

    mean: Tensor | None  # [3, 1, 1]
    std: Tensor | None

    def __init__(
        self,
        widths: dict[str, int],
        module: str | dict[str, Any] | nn.Module,
        taps: dict[str, str | Tap],
        outputs: str | int | dict[str, str | int | tuple[int, int]] | None = None,
        heads: str | dict[str, str] | None = None,
        channels: str | None = None,
        mean: tuple[float, float, float] | None = None,
        std: tuple[float, float, float] | None = None,
        size: tuple[int, int] | None = None,
        checkpoint: str | Path | None = None,
        prefix: str = "",
    ) -> None:
        super().__init__()
        if any(width < 1 for width in widths.values()):
            raise UserError(f"TappedModule: expected at least one channel for each task, found {widths}")
        if (mean is None) != (std is None) or (std is not None and min(std) <= 0):
            raise UserError(
                f"TappedModule: expected both `mean` and `std`, the latter positive, found {mean} and {std}"
            )
        if outputs is not None and heads is not None:
            raise UserError("TappedModule: expected `outputs` or `heads`, found both; leave one out")
        self.widths, self.size = dict(widths), None if size is None else (size[0], size[1])
        self.tapped = {name: Tap(tap) if isinstance(tap, str) else tap for name, tap in taps.items()}
        self._reads = dict.fromkeys(widths, heads) if isinstance(heads, str) else heads  # task -> tap
        self._split = 0 if isinstance(outputs, dict) or heads is not None else sum(widths.values())
        split = dict(zip(widths, pairwise([0, *accumulate(widths.values())]), strict=True))
        self._whole = None if isinstance(outputs, dict) else outputs
        self._parts = outputs if isinstance(outputs, dict) else {**split}
        for key, of in (("outputs", outputs), ("heads", heads)):
            if isinstance(of, dict) and (missing := [task for task in widths if task not in of]):
                raise UserError(f"TappedModule.{key}: expected all tasks, found {', '.join(of)} without {missing[0]}")
        if unknown := [name for name in (self._reads or {}).values() if name not in taps]:
            raise UserError(f"TappedModule.heads: expected taps ({', '.join(taps) or 'none'}), found `{unknown[0]}`")
        self.net = module if isinstance(module, nn.Module) else _build(module, channels, sum(widths.values()))
        if checkpoint is not None:
            load_into(self.net, Path(checkpoint), prefix)
        paths = [path for path, _ in self.net.named_modules(remove_duplicate=False)]
        for name, tap in self.tapped.items():
            if tap.path not in paths:
                near = ", ".join(get_close_matches(tap.path, filter(None, paths), 3, cutoff=0)) or "none"
                raise UserError(f"TappedModule.taps.{name}: expected a submodule, found `{tap.path}`; near it: {near}")
        device = next(self.net.parameters(), torch.zeros(0)).device
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, None if values is None else torch.tensor(values, device=device).view(3, 1, 1))
        self.heads = nn.ModuleDict()
        with in_eval_mode(self.net), torch.inference_mode(False), torch.enable_grad():
            self._try(torch.zeros(1, 3, *(self.size or (224, 224)), device=device))

    def forward(self, images: Tensor, tasks: Collection[str] | None = None) -> Output:
        """Predictions of `tasks` (None: all) and every tap, for images [B, 3, H, W]."""
        names = resolve_tasks(self, tasks, self.widths)
        result, taps = self._run(images)
        shared = [] if self._reads is None else list({self._reads[t] for t in self.widths})
        for name in shared:
            taps[name] = taps[name].view_as(taps[name])  # an alias that only the heads read
        predictions = {t: self._predict(t, result, taps, images.shape[2:]) for t in names}
        return Output(predictions, dict(taps), (taps[shared[0]],) if len(shared) == 1 else ())

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """The parameters on which only its prediction depends; in a single-task network, all that learn."""
        (task,) = resolve_tasks(self, [task], self.widths)
        return [p for name, p in self.named_parameters() if self._users.get(name) == (task,)]

    def shared_parameters(self) -> list[nn.Parameter]:
        """The parameters on which two predictions or more depend; in a single-task network, none."""
        return [p for name, p in self.named_parameters() if len(self._users.get(name, ())) > 1]

    def _run(self, images: Tensor, unchanged: bool = False) -> tuple[Any, dict[str, Tensor]]:
        """The module's output and the taps; with `unchanged`, taps that are overwritten later are refused."""
        x = images
        if self.size is not None and x.shape[2:] != self.size:
            x = interpolate(x, self.size, mode="bilinear", antialias=True)
        if self.mean is not None and self.std is not None:
            x = (x - self.mean) / self.std
        calls: dict[str, list[tuple[Tensor, int]]] = {name: [] for name in self.tapped}

        def read(name: str, submodule: nn.Module, inputs: Any, output: Any) -> None:
            y = select(output, self.tapped[name].output, f"taps.{name}")
            calls[name].append((y, y._version if unchanged else 0))

        with ExitStack() as hooks:
            for name, tap in self.tapped.items():
                hooks.callback(self.net.get_submodule(tap.path).register_forward_hook(partial(read, name)).remove)
            result = self.net(x)
        taps: dict[str, Tensor] = {}
        for name, tap in self.tapped.items():
            key = f"TappedModule.taps.{name}"
            if len(calls[name]) != 1:
                raise UserError(f"{key}: expected one call of `{tap.path}` in a forward, found {len(calls[name])}")
            ((y, version),) = calls[name]
            if unchanged and y._version != version:
                raise UserError(
                    f"{key}: expected a feature that stays unchanged, found one that is overwritten in place; tap the "
                    "module that overwrites it"
                )
            taps[name] = channels_first(key, tap, y, x.shape[2] / x.shape[3])
        return result, taps

    def _predict(self, task: str, result: Any, taps: Mapping[str, Tensor], size: Sequence[int]) -> Tensor:
        if self._reads is not None:
            y: Tensor = self.heads[task](taps[self._reads[task]])
        elif isinstance(part := self._parts[task], str | int):
            y = select(result, part, f"outputs.{task}")
        else:
            y = select(result, self._whole, "outputs")[:, part[0] : part[1]]
        if y.ndim == 4 and y.shape[2:] != tuple(size):
            y = interpolate(y, tuple(size), mode="bilinear")
        return y

    def _try(self, images: Tensor) -> None:
        """Run once, to build the heads and to learn the owner of each parameter."""
        try:
            result, taps = self._run(images, unchanged=True)
        except Exception as error:  # whatever the module raises
            if str(error).startswith("TappedModule"):
                raise
            size = list(images.shape[2:])
            raise UserError(f"TappedModule.size: expected one that fits, found {size}: {describe(error)}") from error
        reads = {t: name for t, name in (self._reads or {}).items() if t in self.widths}
        self.heads.update({t: _build_head(name, taps[name], self.widths[t]) for t, name in reads.items()})
        if self._split and (y := select(result, self._whole, "outputs")).shape[1:2] != (self._split,):
            raise UserError(
                f"TappedModule.outputs: expected {self._split} channels for {self.widths}, found {describe(y)}"
            )
        learning = {name: p for name, p in self.named_parameters() if p.requires_grad}
        self._users: dict[str, tuple[str, ...]] = {}  # parameter -> tasks
        for task, width in self.widths.items():
            y = self._predict(task, result, taps, images.shape[2:])
            if y.ndim not in (2, 4) or y.shape[1] != width:
                raise UserError(
                    f"TappedModule: expected [B, {width}] or [B, {width}, H, W] for `{task}`, found {describe(y)}"
                )
            if learning and y.requires_grad:
                grads = torch.autograd.grad(y.sum(), list(learning.values()), retain_graph=True, allow_unused=True)
                for name in (name for name, grad in zip(learning, grads, strict=True) if grad is not None):
                    self._users[name] = (*self._users.get(name, ()), task)
        for name, p in learning.items():
            p.requires_grad_(name in self._users)


def _build(named: str | dict[str, Any], channels: str | None, count: int) -> nn.Module:
    module: dict[str, Any] = {"class_path": named} if isinstance(named, str) else named
    if "class_path" not in module or module.keys() - {"class_path", "init_args"}:
        raise UserError(
            f"TappedModule.module: expected `class_path` and `init_args`, found {', '.join(module) or 'none'}"
        )
    path, arguments = module["class_path"], dict(module.get("init_args") or {})
    arguments |= {} if channels is None else {channels: count}
    try:
        with quiet():
            target: Any = locate(path)
            net: Any = target(**arguments) if callable(target) else target
        if not isinstance(net, nn.Module):
            raise ValueError(describe(net))
    except Exception as error:  # whatever the class or function raises
        raise UserError(f"TappedModule.module: expected `{path}` to build a module, found {describe(error)}") from error
    return net


def _build_head(name: str, x: Tensor, width: int) -> nn.Module:
    if x.ndim != 2 and (x.ndim != 4 or x.shape[2:].numel() == 1):
        raise UserError(
            f"TappedModule.heads: expected a map or [B, C] at `{name}`, found {describe(x)}; give it a `layout`"
        )
    return (nn.Linear(x.shape[1], width) if x.ndim == 2 else nn.Conv2d(x.shape[1], width, 1)).to(x.device)
