"""A predictor as one safetensors file: the weights of its network, and its config as JSON in the metadata. No code."""

import json
from collections.abc import Collection, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from tutelage.deploy.build import build
from tutelage.deploy.fingerprint import fingerprint
from tutelage.deploy.hub import download
from tutelage.deploy.limits import no_larger_than
from tutelage.deploy.predictor import Predictor
from tutelage.deploy.trust import without_weights
from tutelage.errors import UserError, one_line
from tutelage.files import expand_home, write_bytes
from tutelage.images import Size
from tutelage.layout import PREDICTOR, find_network, is_on_hub
from tutelage.reading import check_regular

FORMAT = "tutelage-predictor-1"
_STUDY_FORMAT = "tutelage-student-1"  # what a run wrote before it wrote FORMAT: the config of a whole study


def save(predictor: Predictor, path: str | Path, config: Mapping[str, Any] | None = None) -> Path:
    """Write a predictor to a file, or to `predictor.safetensors` in a folder; an existing file is replaced atomically.

    The predictor is first rebuilt from its config, as `load` does it, so that every file that is written can be read.

    Args:
        predictor: What to save.
        path: A name that ends in `.safetensors` is the file, any other the folder.
        config: `{"net": {"class_path": ..., "init_args": ...}, "tasks": {name: the same}}`. Required for a predictor
            that was constructed from objects; those of `load` and `build` carry theirs.

    Returns:
        The file.

    Raises:
        ValueError: There is no config, or it describes another network or other tasks.
    """
    config = config or predictor.config
    if config is None:
        raise UserError(
            "config: expected {'net': {'class_path': ..., 'init_args': ...}, 'tasks': {name: the same}}, since this "
            "predictor was constructed from objects; found none; give it to `save`"
        )
    plain = _plain(config.get("net"), config.get("tasks"), predictor.size)
    own_modules = {type(x).__module__ for x in (predictor.net, *predictor.tasks.values())}
    rebuilt = build(plain, [*own_modules, *_strings(config)])
    _check_types(predictor, rebuilt)
    tensors = predictor.net.state_dict()
    _load_weights(rebuilt, tensors, "config.net")
    path = expand_home(path)
    file = path if path.suffix == ".safetensors" else path / PREDICTOR
    write_bundle(file, plain["net"], plain["tasks"], predictor.size, tensors)
    return file


def write_bundle(
    file: Path,
    net_config: Any,
    tasks_config: Any,
    size: Size | None,
    tensors: Mapping[str, Tensor],
    extra: Mapping[str, str] | None = None,
) -> None:
    """Write the file that `load` reads, from plain values and tensors. `save` writes it, and so does every run.

    Arguments that load other weights (`pretrained`, paths of files) are left out of the config of the network.

    Args:
        file: The file; an existing one is replaced atomically.
        net_config: `{"class_path": ..., "init_args": ...}` of the network.
        tasks_config: {name: the same} of the tasks.
        size: Height and width that images are resized to; None: images keep their size.
        tensors: The `state_dict` of the network.
        extra: More metadata, which `load` ignores: {key: text}, with other keys than `format`, `config` and `digest`.

    Raises:
        OSError: The file cannot be written.
    """
    extra = dict(extra or {})
    assert not extra.keys() & {"format", "config", "digest"}, "these keys belong to the format"
    config = json.dumps(_plain(net_config, tasks_config, size))
    # safetensors refuses tensors that share memory: each gets its own.
    data = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    metadata = {"format": FORMAT, "config": config, "digest": _digest(config, data)}
    content = safetensors.torch.save(data, {**metadata, **extra})
    write_bytes(file, content)


def load(
    path: str | Path, trust: Collection[str] = (), size: Size | Literal["trained", "keep"] = "trained"
) -> Predictor:
    """The predictor of a file or folder, written by `save` or by a run of a study, or of USER/NAME on the hub.

    It is on the CPU, in fp32.

    The file may come from anybody: no code in it is run, and only networks and tasks of tutelage are built.

    Args:
        path: A file, or a folder with `predictor.safetensors` or a run's `student.safetensors`, or with the runs of a
            study that has one student. If nothing is there, nor its first part: USER/NAME on the Hugging Face hub.
        trust: Modules of your own whose classes may also be imported and called: `["my_nets"]`.
        size: The size that images are resized to: `trained`, the size that the network was trained at; (H, W); or
            `keep`: images keep their size.

    Raises:
        ValueError: The file is missing or of another kind, names a class that is not trusted, or its weights do not
            fit; one line.
    """
    path = expand_home(path)
    file = download(path.as_posix()) if is_on_hub(path) else find_network(path)
    config, tensors = _read(file)
    if size != "trained":
        config = {**config, "size": None if size == "keep" else list(size)}
    try:
        if not trust:  # else the config may name what runs anything
            _check_size(config, tensors)
        predictor = build(config, trust)
        _load_weights(predictor, tensors, "weights")
    except ValueError as error:
        raise UserError(f"{file}: {error}") from error
    return predictor


def _plain(net_config: Any, tasks_config: Any, size: Size | None) -> dict[str, Any]:
    """The config of a file. Its author is the caller, who trusts every name in it."""
    net = without_weights(net_config, _strings(net_config))
    return {"net": net, "tasks": tasks_config, "size": None if size is None else list(size)}


def _read(file: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    expected = f"{file}: expected a network saved by tutelage"
    try:
        check_regular(file)
        with safetensors.safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
            kind = metadata.get("format")
            if kind is None:
                raise UserError(f"{expected} ({FORMAT}), found safetensors without our metadata; give another file")
            if kind not in (FORMAT, _STUDY_FORMAT):
                raise UserError(
                    f"{expected} ({FORMAT} or {_STUDY_FORMAT}), found the format `{kind[:40]}`; give "
                    "another file, or use the version of tutelage that wrote it"
                )
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  # not a dict
    except (OSError, MemoryError, safetensors.SafetensorError) as error:
        problem = one_line(error, 120).replace(f": {file}", "").replace(f' "{file}"', "")
        raise UserError(f"{expected}, found {problem}; give another file") from error
    if "digest" in metadata and metadata["digest"] != _digest(metadata.get("config", ""), tensors):
        raise UserError(
            f"{expected}, found other weights or another config than were written; take a copy, or train it again"
        )
    try:
        config = json.loads(metadata["config"])
        if not isinstance(config, dict):
            raise ValueError(type(config).__name__)
        size = config.get("size") if kind == FORMAT else _size_of_study(config.get("data"))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise UserError(
            f"{expected}, found no config in its metadata ({type(error).__name__}); save it again"
        ) from error
    return {"net": config.get("net"), "tasks": config.get("tasks"), "size": size}, tensors


def _digest(config: str, tensors: Mapping[str, Tensor]) -> str:
    """By which a bit that has flipped in the file is found."""
    return blake2b((config + fingerprint(tensors)).encode(), digest_size=8).hexdigest()


def _size_of_study(data: Any) -> list[int] | None:
    """The size that a study's source resizes images to; None: images keep their size. For files of `_STUDY_FORMAT`.

    A source that wraps another (`source`: HideLabels, HoldOut) has the size of that one; several sources (`sources`:
    Mix) have the size that all of them share.
    """
    arguments = data.get("init_args") if isinstance(data, dict) else None
    if not isinstance(arguments, dict):
        return None
    if isinstance(arguments.get("source"), dict):
        return _size_of_study(arguments["source"])
    if isinstance(arguments.get("sources"), dict):
        sizes = [_size_of_study(source) for source in arguments["sources"].values()]
        return sizes[0] if sizes and all(size == sizes[0] for size in sizes) else None
    size = arguments.get("size")
    return size if isinstance(size, list) else None


def _check_size(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Compare a config with the file's tensors without memory for its network."""
    with torch.device("meta"), no_larger_than(tensors):
        sketch = build(config)
    _load_weights(sketch, {name: x.to("meta") for name, x in tensors.items()}, "weights")


def _load_weights(predictor: Predictor, tensors: Mapping[str, Tensor], where: str) -> None:
    net = predictor.net
    name = type(net).__name__
    for key, x in tensors.items():
        if not x.is_meta and x.is_floating_point() and not bool(x.isfinite().all()):
            raise UserError(f"{where}.{key}: expected finite numbers, found nan or inf; train it again, or take a copy")
    try:
        net.load_state_dict(tensors)
    except RuntimeError as error:
        problem = one_line(error, 400).removeprefix(f"Error(s) in loading state_dict for {name}: ")[:160]
        raise UserError(
            f"{where}: expected the weights of the {name} that the config describes, found another network's "
            f"({problem}); save it again, with the config that it was built from"
        ) from error


def _check_types(predictor: Predictor, rebuilt: Predictor) -> None:
    """Refuse a config that describes another class of network, or other tasks."""
    if list(predictor.tasks) != list(rebuilt.tasks):
        raise UserError(f"config.tasks: expected {', '.join(predictor.tasks)}, found {', '.join(rebuilt.tasks)}")
    pairs: dict[str, tuple[object, object]] = {"net": (predictor.net, rebuilt.net)}
    pairs |= {f"tasks.{t}": (task, rebuilt.tasks[t]) for t, task in predictor.tasks.items()}
    for key, (own, other) in pairs.items():
        if type(own) is not type(other):
            raise UserError(
                f"config.{key}: expected {type(own).__name__}, the predictor's, found {type(other).__name__}; mend it"
            )


def _strings(config: Any) -> list[str]:
    """All strings in a config."""
    if isinstance(config, str):
        return [config]
    values = config.values() if isinstance(config, Mapping) else config if isinstance(config, list | tuple) else ()
    return [text for value in values for text in _strings(value)]
