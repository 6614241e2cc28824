"""A module as the bytes of an ONNX file, and these bytes run by onnxruntime."""

import contextlib
import importlib.util
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from tutelage.errors import UserError

_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
_LOGGERS = ("onnxscript", "onnx_ir", "torch.onnx")
_MOST = 2**31 - 1  # bytes of a file without external data


def to_onnx(
    module: nn.Module,
    example: Tensor,
    axes: Sequence[str],
    outputs: Sequence[str],
    opset: int | None,
    metadata: Mapping[str, str],
) -> tuple[bytes, int]:
    """The bytes of the file, and the version of its operators.

    Args:
        module: Takes one tensor, the images, and gives a tuple of tensors.
        example: Images [B, 3, H, W] to trace it with.
        axes: Which of `batch`, `height` and `width` are free.
        outputs: Names of the outputs.
        opset: The version of the operators; None: torch's default.
        metadata: What the file says of itself.

    Raises:
        Exception: Whatever torch's tracer and translator raise where the module cannot be expressed.
    """
    shapes = {index: name for name, index in zip(("batch", "height", "width"), (0, 2, 3), strict=True) if name in axes}
    with _quiet():
        program = torch.onnx.export(
            module, (example,), input_names=["images"], output_names=list(outputs), opset_version=opset,
            dynamic_shapes={"images": shapes}, dynamo=True, verbose=False,
        )  # fmt: skip
    assert program is not None, "with dynamo=True and no file, torch returns the program"
    proto = program.model_proto
    for key, value in metadata.items():
        proto.metadata_props.add(key=key, value=value)
    return proto.SerializeToString(), next(x.version for x in proto.opset_import if x.domain in ("", "ai.onnx"))


def run_onnx(content: bytes, images: Tensor) -> list[Tensor]:
    """The outputs of a file's bytes for images, on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return [torch.from_numpy(x) for x in session.run(None, {"images": images.numpy()})]


def check_expressible(module: nn.Module) -> None:
    """Raise a UserError where a package that ONNX needs is missing, or the weights exceed what one file may have."""
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"ONNX: expected the packages {', '.join(_PACKAGES)}, found no {', '.join(missing)}; pip install "
            "'tutelage[onnx]'"
        )
    size = sum(x.numel() * x.element_size() for x in module.state_dict().values())
    if size > _MOST:
        raise UserError(f"ONNX: expected weights of at most 2 GB, found {size / 1e9:.1f} GB; take torch.export")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence what torch and onnxscript print about their own code; errors are raised all the same."""
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    try:
        for name in levels:
            logging.getLogger(name).setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
