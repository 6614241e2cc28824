"""A predictor in one file of safetensors that holds no code: weights, and the config in its metadata."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

import safetensors
import safetensors.torch
from torch import Tensor

from tutelage import errors
from tutelage.deploy.build import build
from tutelage.deploy.predictor import Predictor, Size
from tutelage.deploy.trust import harmless, printable
from tutelage.errors import UserError
from tutelage.files import write_atomically

FORMAT = "tutelage-predictor-1"
_RUN = "tutelage-student-1"  # what a run leaves: its metadata hold the whole study
_NAMES = ("predictor.safetensors", "student.safetensors")


def save(predictor: Predictor, path: str | Path, config: Mapping[str, Any] | None = None) -> Path:
    """Write a predictor to a file, or to `predictor.safetensors` in a folder; what was there is replaced at once.

    Before that it is built anew from its config, as `load` would: a file that is written can be read.

    Args:
        predictor: What to save.
        path: A name that ends in `.safetensors` is the file, any other the folder.
        config: `{"net": {"class_path": ..., "init_args": ...}, "tasks": {name: the same}}`, for a predictor that was
            made of objects; those of `load` and `build` know theirs.

    Returns:
        The file.

    Raises:
        ValueError: The config is not known, or is another network's.
    """
    config = config or predictor.config
    if config is None:
        raise UserError(
            "config: expected {'net': {'class_path': ..., 'init_args': ...}, 'tasks': {name: the same}} of a predictor "
            "made of objects, found none"
        )
    size = None if predictor.size is None else list(predictor.size)
    config = {"net": harmless(config.get("net"), _names(config)), "tasks": config.get("tasks"), "size": size}
    own = {f"{type(x).__module__}" for x in (predictor.net, *predictor.tasks.values())}
    again = build(config, [*own, *_names(config)])
    for name, one, other in [("net", predictor.net, again.net), *_pairs(predictor, again)]:
        if type(one) is not type(other):
            raise UserError(f"config.{name}: expected {type(one).__name__}, as it is, found {type(other).__name__}")
    tensors = predictor.net.state_dict()
    _fill(again, tensors, "config.net")
    # Each with memory of its own: safetensors refuses what is shared.
    data = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    path = Path(path)
    file = path if path.suffix == ".safetensors" else path / _NAMES[0]
    content = safetensors.torch.save(data, {"format": FORMAT, "config": json.dumps(config)})
    write_atomically(file, lambda f: f.write(content))
    return file


def load(
    path: str | Path, trust: Collection[str] = (), size: Size | Literal["trained", "keep"] = "trained"
) -> Predictor:
    """The predictor of a file or folder: of `save`, or of a run of a study. On the CPU, in fp32.

    A file may come from anybody: no code in it is run, and only networks and tasks of tutelage are built.

    Args:
        path: A file, or a folder with `predictor.safetensors` or a run's `student.safetensors`.
        trust: Modules of your own whose classes may be imported and called, too: `["my_nets"]`.
        size: What images are resized to: the size that the network was trained at; (H, W); or `keep`: they are not.

    Raises:
        ValueError: It is no such file, names a class that is not trusted, or its weights do not fit; one line.
    """
    file = _find(Path(path))
    config, tensors = _read(file)
    if size != "trained":
        config = {**config, "size": None if size == "keep" else list(size)}
    try:
        predictor = build(config, trust)
        _fill(predictor, tensors, "weights")
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file}: {printable(str(error))}") from error
    return predictor


def _find(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = [path / name for name in _NAMES if (path / name).is_file()]
    if len(found) == 1:
        return found[0]
    expected = f"{path}: expected {' or '.join(_NAMES)} in it"
    if found:
        raise UserError(f"{expected}, found both; name one of the files")
    for levels in ("*", "*/*", "*/*/*"):  # the folder of a study, or of a method
        for run in sorted(path.glob(f"{levels}/{_NAMES[1]}"))[:1]:
            raise UserError(f"{expected}, found none; give the folder of one run, such as {run.parent}")
    raise UserError(f"{expected}, found none; give another folder")


def _read(file: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    expected = f"{file}: expected a network saved by tutelage"
    try:
        with safetensors.safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
            kind = metadata.get("format")
            if kind not in (FORMAT, _RUN):
                found = "safetensors without our metadata" if kind is None else f"the format `{printable(kind[:40])}`"
                raise UserError(
                    f"{expected} ({FORMAT} or {_RUN}), found {found}; give another file"
                    + ("" if kind is None else ", or another version of tutelage")
                )
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a dict
    except (OSError, safetensors.SafetensorError) as error:
        problem = errors.one_line(error, 120)
        problem = problem.replace(f": {file}", "").replace(f' "{file}"', "")
        raise UserError(f"{expected}, found {problem}; give another file") from error
    try:
        config = json.loads(metadata["config"])
        if not isinstance(config, dict):
            raise TypeError(type(config).__name__)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise UserError(
            f"{expected}, found no config in its metadata ({type(error).__name__}); save it again"
        ) from error
    size = config.get("size") if kind == FORMAT else _trained_size(config.get("data"))
    return {"net": config.get("net"), "tasks": config.get("tasks"), "size": size}, tensors


def _trained_size(data: Any) -> list[int] | None:
    """The size that a study's source resizes to: that of all its sources, where it is several; None: it does not."""
    arguments = data.get("init_args") if isinstance(data, dict) else None
    if not isinstance(arguments, dict):
        return None
    if isinstance(arguments.get("sources"), dict):
        sizes = [_trained_size(source) for source in arguments["sources"].values()]
        return sizes[0] if sizes and all(size == sizes[0] for size in sizes) else None
    size = arguments.get("size")
    return size if isinstance(size, list) else None


def _fill(predictor: Predictor, tensors: Mapping[str, Tensor], where: str) -> None:
    net = predictor.net
    try:
        net.load_state_dict(tensors)
    except RuntimeError as error:
        problem = " ".join(str(error).split()).removeprefix(
            f"Error(s) in loading state_dict for {type(net).__name__}: "
        )
        raise UserError(
            f"{where}: expected those of the {type(net).__name__} that the config describes, found another's "
            f"({problem[:160]}); save it again, with the config that it was built from"
        ) from error


def _names(config: Mapping[str, Any]) -> list[str]:
    """All that a config names: its author is the caller, who trusts it."""
    found: list[str] = []
    rest: list[Any] = [config]
    while rest:
        value = rest.pop()
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, Mapping):
            rest += value.values()
        elif isinstance(value, list | tuple):
            rest += value
    return found


def _pairs(predictor: Predictor, again: Predictor) -> list[tuple[str, Any, Any]]:
    if list(predictor.tasks) != list(again.tasks):
        raise UserError(f"config.tasks: expected {', '.join(predictor.tasks)}, found {', '.join(again.tasks)}")
    return [(f"tasks.{t}", task, again.tasks[t]) for t, task in predictor.tasks.items()]
