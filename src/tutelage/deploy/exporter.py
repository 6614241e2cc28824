"""The student for other programs: written as ONNX, torch.export or safetensors, and compared with the predictor."""

import io
import json
import keyword
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.nn.functional import interpolate

from tutelage.deploy.bundle import load, save
from tutelage.deploy.onnx import check_expressible, run_onnx, to_onnx
from tutelage.deploy.parity import Parity, Run, compare, random_images
from tutelage.deploy.predictor import Predictor
from tutelage.errors import UserError, one_line
from tutelage.files import write_bytes
from tutelage.images import Size, on_grid

Format = Literal["onnx", "torch.export", "safetensors"]

SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "torch.export": ".pt2", "safetensors": ".safetensors"}
AXES = ("batch", "height", "width")
_INPUT = "RGB in 0..1"
_DEFAULT_SIZE = (224, 224)  # of the traced image, where the predictor has no size of its own


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        file: The file.
        format: Its format.
        inputs: Name, type and shape of the input, and what it holds.
        outputs: Task -> type and shape of its prediction.
        opset: The version of ONNX's operators; None for another format.
        parity: Task -> the comparison with the predictor.
        fixed: Why axes are fixed, one line; "" if batch and size are both free.
    """

    file: Path
    format: Format
    inputs: str
    outputs: dict[str, str]
    opset: int | None
    parity: dict[str, Parity]
    fixed: str = ""


class Portable(nn.Module):
    """A predictor without choices that depend on the size of an image: what a tracer can follow.

    Images float32 [B, 3, H, W] in 0..1 -> the activated predictions of all tasks, in their order.

    Args:
        predictor: The predictor.
        resizes: Images of any size are resized to the predictor's, and predictions back; False: they have that size.
    """

    def __init__(self, predictor: Predictor, resizes: bool) -> None:
        super().__init__()
        self.net, self.tasks, self.dense = predictor.net, predictor.tasks, predictor.dense
        self.size = predictor.size if resizes else None

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """The predictions."""
        x = images
        if self.size is not None:
            x = on_grid(interpolate(x, self.size, mode="bilinear", antialias=True).clamp(0, 1))
        raw = self.net(x, tasks=list(self.tasks)).predictions
        if self.size is not None:
            size = images.shape[2:]
            raw |= {t: interpolate(raw[t].float(), size, mode="bilinear", antialias=True) for t in self.dense}
        return tuple(task.activate(raw[t]) for t, task in self.tasks.items())


def export(predictor: Predictor, file: str | Path, format: Format | None = None, opset: int | None = None) -> Exported:
    """Write a predictor for other programs, after running the result beside the predictor on random images.

    The exported network takes images float32 [B, 3, H, W] in 0..1 and gives the activated prediction of every task:
    normalisation, resizing to the trained size and back, and activations are inside. Batch and size of the images are
    free where the network allows it. `safetensors` is the file of `save`, which tutelage reads.

    Args:
        predictor: The predictor, in fp32. It is moved to the CPU.
        file: Where to write; an existing file is replaced only by one that passed the comparison.
        format: By default, what the suffix of the file says.
        opset: The version of ONNX's operators; None: torch's default.

    Returns:
        What was written, with the differences that were found.

    Raises:
        ValueError: The suffix is of no format, a package is missing, the network cannot be exported, or its predictions
            are not the predictor's; no file is written then.
    """
    file = Path(file)
    format = format or format_of(file)
    if format not in get_args(Format):
        raise UserError(f"format: expected one of {', '.join(get_args(Format))}, found `{format}`")
    if opset is not None and format != "onnx":
        raise UserError(f"opset: expected none for {format}, found {opset}; leave it out, or export ONNX")
    predictor.to("cpu")
    if format == "safetensors":
        return _export_safetensors(predictor, file)
    _check_names(predictor, format)
    if format == "onnx":
        check_expressible(predictor)
    size, reasons = predictor.size or _DEFAULT_SIZE, list[str]()
    for axes in (AXES, AXES[:1], ()):
        try:
            content, opset_used, parity = _attempt(predictor, format, opset, axes, size)
        except Exception as error:  # torch's tracer, the translators and onnxruntime raise many kinds
            reasons.append(one_line(error))
            continue
        write_bytes(file, content)
        inputs, outputs = _signature(predictor, axes, size)
        fixed = "" if axes == AXES else f"fixed {'size' if axes else 'batch and size'}: {reasons[-1]}"
        return Exported(file, format, inputs, outputs, opset_used, parity, fixed)
    raise UserError(
        f"{file}: expected a network that {format} can express, found a {type(predictor.net).__name__} that it cannot: "
        f"{reasons[-1]}; take another format ({', '.join(f for f in get_args(Format) if f != format)})"
    )


def _check_names(predictor: Predictor, format: Format) -> None:
    """Raise where a module has the name of a keyword: torch writes the traced network as Python code."""
    for path, _ in predictor.named_modules():
        for name in filter(keyword.iskeyword, path.split(".")):
            what = f"tasks.{name}: expected a task" if name in predictor.tasks else f"{path}: expected a submodule"
            raise UserError(
                f"{what} whose name is no keyword of Python, for {format}, found `{name}`; train with another name, or "
                "take safetensors"
            )


def format_of(file: Path) -> Format:
    """The format that the suffix of a file stands for.

    Raises:
        UserError: It stands for none.
    """
    for format, suffix in SUFFIXES.items():
        if file.suffix == suffix:
            return format
    raise UserError(f"{file}: expected a name that ends in {', '.join(SUFFIXES.values())}; rename it, or give a format")


@torch.no_grad()
def _attempt(
    predictor: Predictor, format: Format, opset: int | None, axes: Sequence[str], size: Size
) -> tuple[bytes, int | None, dict[str, Parity]]:
    """The content of the file with these axes free, its opset, and the comparison; raises where any of it fails."""
    free = "height" in axes
    # Traced at a size that is not the trained one, which a tracer could take for a case of its own.
    traced = (size[0] + 6, size[1] + 4) if free and predictor.size else size
    module, example, used = Portable(predictor, traced != size).eval(), random_images(2, traced), None
    if format == "onnx":
        content, used = to_onnx(module, example, axes, list(predictor.tasks), opset, _metadata(predictor))
        run: Run = partial(run_onnx, content)
    else:
        shapes = {index: Dim.DYNAMIC for name, index in zip(AXES, (0, 2, 3), strict=True) if name in axes}
        program = torch.export.export(module, (example,), dynamic_shapes={"images": shapes})
        stream = io.BytesIO()
        torch.export.save(program, stream)
        content = stream.getvalue()
        run = torch.export.load(io.BytesIO(content)).module()  # it may run code: these are our own bytes
    sizes = [size, (size[0] - size[0] // 4, size[1] + 5)] if free else [size]
    cases = [(count, s) for s in sizes for count in ((1, 3) if axes else (2,))]
    return content, used, compare(predictor, run, cases)


def _metadata(predictor: Predictor) -> dict[str, str]:
    """What whoever has the file alone needs to know of it."""
    tasks = {
        t: {"values": task.meaning, **({"names": list(names)} if any(names := getattr(task, "names", ())) else {})}
        for t, task in predictor.tasks.items()
    }
    size = {} if predictor.size is None else {"trained_size": json.dumps(list(predictor.size))}
    return {"input": _INPUT, **size, "tasks": json.dumps(tasks)}


def _export_safetensors(predictor: Predictor, file: Path) -> Exported:
    if file.suffix != SUFFIXES["safetensors"]:
        raise UserError(f"{file}: expected a name that ends in {SUFFIXES['safetensors']}; rename it")
    size = predictor.size or _DEFAULT_SIZE
    modules = [type(x).__module__ for x in (predictor.net, *predictor.tasks.values())]
    with tempfile.TemporaryDirectory() as folder:
        part = save(predictor, Path(folder, "part.safetensors"))
        written = load(part, trust=modules)
        parity = compare(predictor, lambda images: list(written(images).values()), [(2, size)])
        write_bytes(file, part.read_bytes())
    inputs, outputs = _signature(predictor, AXES, size)
    return Exported(file, "safetensors", inputs, outputs, None, parity)


@torch.no_grad()
def _signature(predictor: Predictor, axes: Sequence[str], size: Size) -> tuple[str, dict[str, str]]:
    """Type and shape of input and outputs, free axes by their names."""
    names = {index: name for name, index in zip(AXES, (0, 2, 3), strict=True) if name in axes}

    def shape(x: Tensor, dense: bool) -> str:
        spatial = {0: names[0]} if 0 in names else {}
        if dense:
            spatial |= {x.ndim - 2 + i: names[2 + i] for i in (0, 1) if 2 + i in names}
        return f"[{', '.join(str(spatial.get(i, n)) for i, n in enumerate(x.shape))}]"

    images = random_images(2, size)
    outputs = {
        t: f"{str(x.dtype).removeprefix('torch.')} {shape(x, t in predictor.dense)}"
        + (f", {meaning}" if (meaning := predictor.tasks[t].meaning) else "")
        for t, x in predictor(images).items()
    }
    return f"images: float32 {shape(images, True)}, {_INPUT}", outputs
