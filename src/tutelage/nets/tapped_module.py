"""Any nn.Module as a network with taps: a teacher of another library, or a student of one's own."""

import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path
from pydoc import locate
from typing import Any, Literal

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import interpolate

from tutelage.errors import UserError, one_line
from tutelage.nets.widths import resolve_tasks
from tutelage.types import MultiTaskNet, Output


@dataclass
class Tap:
    """Where a feature is in a module, and how it becomes [B, C, ...].

    Args:
        path: Of the submodule, as in `named_modules()`; "" is the module itself.
        output: Which of its outputs: a tuple's number or a dict's key. None: it gives a tensor.
        layout: None: as it is, [B, C, H, W] or [B, C]; `channels_first`: as it is, whatever it is; `channels_last`:
            [B, ..., C] becomes [B, C, ...]; `grid`: tokens [B, N, C] become a map [B, C, h, w] with the sides of the
            image; `mean`: the mean over the positions of [B, C, ...], [B, C].
        skip: Tokens at the beginning that are no positions (class, registers), for `channels_last` and `grid`.
    """

    path: str
    output: str | int | None = None
    layout: Literal["channels_first", "channels_last", "grid", "mean"] | None = None
    skip: int = 0


class TappedModule(MultiTaskNet):
    """Any module that takes images, with taps by the paths of its submodules and a prediction a task.

    Taps are read with hooks that exist only while a forward runs: the module, its `state_dict` and its own forward stay
    as they were, also after an error. Predictions are parts of the module's output (`outputs`) or of fresh heads on a
    tap (`heads`): a linear layer on [B, C], a 1x1 convolution on a map. Maps are resized bilinearly to the image. The
    shared boundary of representation gradients is the tap that all fresh heads read; without one there is none.

    When it is built, the module runs once in eval mode on a black image: that shows the channels of the taps and whose
    each parameter is: a task's own where its prediction alone depends on it, shared where two or more do. Parameters
    that no prediction depends on, such as an unused classifier's, could not learn: they are frozen and nobody's.

    Args:
        widths: Channels of each task's prediction. {}: a teacher of features alone.
        module: A module, used as it is, not copied; or what makes one: `class_path` with `init_args`, or the path
            alone, of a class, a function or a classmethod of any library.
        taps: {name: path of a submodule, or a `Tap`}.
        outputs: Where predictions are in the module's output. None, a number or a key: that tensor, its channels split
            in the order of `widths`. {task: number, key, or [begin, end] of the channels}: each on its own.
        heads: The tap that fresh heads read, or {task: tap}.
        channels: Name of the argument of `module` that takes the sum of the widths, such as `num_classes`.
        mean: Subtracted from each channel of images in 0..1; kept with the weights, as is `std`.
        std: What each channel is divided by.
        size: [H, W] that images are resized to, bilinearly, antialiased. None: as they come; the black one 224x224.
        checkpoint: Weights of the module: a .safetensors file, or one of torch, which is read as tensors alone, so that
            nothing in it can run; a state_dict, alone or as `state_dict` or `model`.
        prefix: Only the tensors whose names begin so, without that beginning.

    Raises:
        ValueError: Where an argument does not fit the module, or the file is missing, unsafe or another module's.

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
        self.net = module if isinstance(module, nn.Module) else _make(module, channels, sum(widths.values()))
        if checkpoint is not None:
            _load(self.net, Path(checkpoint), prefix)
        paths = [path for path, _ in self.net.named_modules(remove_duplicate=False)]
        for name, tap in self.tapped.items():
            if tap.path not in paths:
                near = ", ".join(get_close_matches(tap.path, filter(None, paths), 3, cutoff=0)) or "none"
                raise UserError(f"TappedModule.taps.{name}: expected a submodule, found `{tap.path}`; near it: {near}")
        place = next(self.net.parameters(), torch.zeros(0)).device
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, None if values is None else torch.tensor(values, device=place).view(3, 1, 1))
        self.heads = nn.ModuleDict()
        modes = [(part, part.training) for part in self.net.modules()]
        self.net.eval()
        try:
            with torch.inference_mode(False), torch.enable_grad():
                self._try(torch.zeros(1, 3, *(self.size or (224, 224)), device=place))
        finally:
            for part, mode in modes:
                part.training = mode

    def forward(self, images: Tensor, tasks: Collection[str] | None = None) -> Output:
        """Predictions of `tasks` (None: all) and every tap, for images [B, 3, H, W]."""
        names = resolve_tasks(self, tasks, self.widths)
        result, found = self._run(images)
        shared = [] if self._reads is None else list({self._reads[t] for t in self.widths})
        for name in shared:
            found[name] = found[name].view_as(found[name])  # which the heads alone read
        predictions = {t: self._predict(t, result, found, images.shape[2:]) for t in names}
        return Output(predictions, dict(found), (found[shared[0]],) if len(shared) == 1 else ())

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """Those that its prediction alone depends on; all that learn, where the network has one task."""
        (task,) = resolve_tasks(self, [task], self.widths)
        return [p for name, p in self.named_parameters() if self._users.get(name) == (task,)]

    def shared_parameters(self) -> list[nn.Parameter]:
        """Those that the predictions of two tasks or more depend on; none, where the network has one task."""
        return [p for name, p in self.named_parameters() if len(self._users.get(name, ())) > 1]

    def _run(self, images: Tensor, unchanged: bool = False) -> tuple[Any, dict[str, Tensor]]:
        """The module's output and the taps; `unchanged`: refuse taps that what follows overwrites."""
        x = images
        if self.size is not None and x.shape[2:] != self.size:
            x = interpolate(x, self.size, mode="bilinear", antialias=True)
        if self.mean is not None and self.std is not None:
            x = (x - self.mean) / self.std
        calls: dict[str, list[tuple[Tensor, int]]] = {name: [] for name in self.tapped}

        def read(name: str, part: nn.Module, given: Any, output: Any) -> None:
            y = _picked(output, self.tapped[name].output, f"taps.{name}")
            calls[name].append((y, y._version if unchanged else 0))

        with ExitStack() as hooks:
            for name, tap in self.tapped.items():
                hooks.callback(self.net.get_submodule(tap.path).register_forward_hook(partial(read, name)).remove)
            result = self.net(x)
        found: dict[str, Tensor] = {}
        for name, tap in self.tapped.items():
            key = f"TappedModule.taps.{name}"
            if len(calls[name]) != 1:
                raise UserError(f"{key}: expected one call of `{tap.path}` in a forward, found {len(calls[name])}")
            ((y, version),) = calls[name]
            if unchanged and y._version != version:
                raise UserError(f"{key}: expected a feature that stays, found one overwritten in place; tap what does")
            found[name] = _laid(key, tap, y, x.shape[2] / x.shape[3])
        return result, found

    def _predict(self, task: str, result: Any, found: Mapping[str, Tensor], size: Sequence[int]) -> Tensor:
        if self._reads is not None:
            y: Tensor = self.heads[task](found[self._reads[task]])
        elif isinstance(part := self._parts[task], str | int):
            y = _picked(result, part, f"outputs.{task}")
        else:
            y = _picked(result, self._whole, "outputs")[:, part[0] : part[1]]
        if y.ndim == 4 and y.shape[2:] != tuple(size):
            y = interpolate(y, tuple(size), mode="bilinear")
        return y

    def _try(self, images: Tensor) -> None:
        """Run once: make the heads, and learn whose each parameter is."""
        try:
            result, found = self._run(images, unchanged=True)
        except Exception as error:  # whatever a module raises
            if str(error).startswith("TappedModule"):
                raise
            size = list(images.shape[2:])
            raise UserError(f"TappedModule.size: expected one that fits, found {size}: {_kind(error)}") from error
        reads = {t: name for t, name in (self._reads or {}).items() if t in self.widths}
        self.heads.update({t: _head(name, found[name], self.widths[t]) for t, name in reads.items()})
        if self._split and (y := _picked(result, self._whole, "outputs")).shape[1:2] != (self._split,):
            raise UserError(
                f"TappedModule.outputs: expected {self._split} channels for {self.widths}, found {_kind(y)}"
            )
        learning = {name: p for name, p in self.named_parameters() if p.requires_grad}
        self._users: dict[str, tuple[str, ...]] = {}  # parameter -> tasks
        for task, width in self.widths.items():
            y = self._predict(task, result, found, images.shape[2:])
            if y.ndim not in (2, 4) or y.shape[1] != width:
                raise UserError(
                    f"TappedModule: expected [B, {width}] or [B, {width}, H, W] for `{task}`, found {_kind(y)}"
                )
            if learning and y.requires_grad:
                grads = torch.autograd.grad(y.sum(), list(learning.values()), retain_graph=True, allow_unused=True)
                for name in (name for name, grad in zip(learning, grads, strict=True) if grad is not None):
                    self._users[name] = (*self._users.get(name, ()), task)
        for name, p in learning.items():
            p.requires_grad_(name in self._users)


def _make(named: str | dict[str, Any], channels: str | None, count: int) -> nn.Module:
    module: dict[str, Any] = {"class_path": named} if isinstance(named, str) else named
    if "class_path" not in module or module.keys() - {"class_path", "init_args"}:
        raise UserError(
            f"TappedModule.module: expected `class_path` and `init_args`, found {', '.join(module) or 'none'}"
        )
    path, arguments = module["class_path"], dict(module.get("init_args") or {})
    arguments |= {} if channels is None else {channels: count}
    try:
        made: Any = locate(path)
        made = made(**arguments) if callable(made) else made
        if not isinstance(made, nn.Module):
            raise TypeError(_kind(made))
    except Exception as error:  # whatever it raises
        raise UserError(f"TappedModule.module: expected `{path}` to make a module, found {_kind(error)}") from error
    return made


def _load(net: nn.Module, path: Path, prefix: str) -> None:
    try:
        content = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except Exception as error:  # torch names its errors by what the bytes look like
        wanted = re.search(r"GLOBAL (\S+)", str(error))
        problem = f"a file that wants to run `{wanted[1]}`" if wanted else type(error).__name__
        raise UserError(f"{path}: expected a file of tensors, found {problem}; nothing of it was run") from error
    for key in ("state_dict", "model"):
        content = content.get(key, content) if isinstance(content, dict) else content
    if not isinstance(content, dict) or not all(isinstance(x, Tensor) for x in content.values()):
        raise UserError(f"{path}: expected a state_dict, alone or as `state_dict` or `model`, found {_kind(content)}")
    found = {name.removeprefix(prefix): x for name, x in content.items() if name.startswith(prefix)}
    ours = {name: x for name, x in net.state_dict().items() if name in found or "num_batches_tracked" not in name}
    for name in [*ours, *found]:
        a, b = (list(x[name].shape) if name in x else "none" for x in (ours, found))
        if a != b:
            raise UserError(f"{path}: expected the module's tensors, `{name}` of shape {a}, found {b}; mend `prefix`")
    net.load_state_dict(found, strict=False)


def _picked(value: Any, which: str | int | None, key: str) -> Tensor:
    y = value
    if isinstance(which, str):
        y = value.get(which) if isinstance(value, Mapping) else getattr(value, which, None)
    elif which is not None:
        parts = tuple(value.values()) if isinstance(value, Mapping) else value  # as transformers counts outputs
        y = parts[which] if isinstance(parts, tuple | list) and -len(parts) <= which < len(parts) else None
    if not isinstance(y, Tensor):
        raise UserError(
            f"TappedModule.{key}: expected the number or key of a tensor, found `{which}` in {_kind(value)}"
        )
    return y


def _laid(key: str, tap: Tap, x: Tensor, aspect: float) -> Tensor:
    """A feature as [B, C, ...]; `aspect` is height by width of the image."""
    if x.ndim < 2 or (tap.layout is None and x.ndim not in (2, 4)) or (tap.layout == "grid" and x.ndim != 3):
        raise UserError(f"{key}: expected [B, C, H, W] or [B, C], found {_kind(x)}; give a `layout` that fits it")
    y = x[:, tap.skip :].movedim(-1, 1) if tap.layout in ("channels_last", "grid") else x
    if tap.layout == "mean":
        y = y.flatten(2).mean(2)
    if tap.layout == "grid":
        n, h = y.shape[2], max(1, round((y.shape[2] * aspect) ** 0.5))
        if n % h or abs(n / h**2 * aspect - 1) > 0.5:
            raise UserError(f"{key}: expected tokens in a grid with the image's sides, found {n}; mend `skip`")
        y = y.reshape(*y.shape[:2], h, -1)
    return y


def _head(name: str, x: Tensor, width: int) -> nn.Module:
    if x.ndim != 2 and (x.ndim != 4 or x.shape[2:].numel() == 1):
        raise UserError(
            f"TappedModule.heads: expected a map or [B, C] at `{name}`, found {_kind(x)}; give it a `layout`"
        )
    return (nn.Linear(x.shape[1], width) if x.ndim == 2 else nn.Conv2d(x.shape[1], width, 1)).to(x.device)


def _kind(x: Any) -> str:
    if isinstance(x, Exception):
        return one_line(x)
    if isinstance(x, Tensor):
        return f"a tensor {list(x.shape)}"
    inside = ", ".join(map(str, x)) if isinstance(x, Mapping) else len(x) if isinstance(x, tuple | list) else ""
    return f"a {type(x).__name__}" + (f" of {inside}" if inside else "")
