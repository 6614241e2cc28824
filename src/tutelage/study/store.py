"""The folder of a run: what it was made with, whether it is finished, and what it was made on."""

import importlib.metadata
import json
import os
import platform
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from tutelage.errors import UserError
from tutelage.files import remove_parts, write_text
from tutelage.study.config import METHODS_ALONE
from tutelage.study.load import resolve

if sys.platform != "win32":
    import fcntl

# What cannot change a result: where files are, how they are loaded, what is written when.
_FREE = (
    *("study", "out", "methods", "seeds"),
    *(f"train.{name}" for name in ("workers", "checkpoint_seconds", "checkpoint_steps", "log_steps", "observe_steps")),
    *(f"data.init_args.{name}" for name in ("root", "data", "cache", "partial", "download")),
)
_ALONE = re.compile(rf"method\.[^.]+\.({'|'.join(METHODS_ALONE)})(\..*)?")


def refuse_mixing(
    folder: Path, config: Mapping[str, Any], data: str, networks: Mapping[str, str] | None = None
) -> None:
    """Raise a ValueError that says what differs, if `folder` holds a run of another config, data or networks.

    Args:
        folder: of a run, or empty.
        config: of the run that wants it.
        data: their fingerprint.
        networks: what it learns from or was given: task -> fingerprint; as far as known.
    """
    path, facts = folder / "config.yaml", folder / "environment.json"
    if not (path.exists() and facts.exists()):
        return
    then, made = read_record(path), read_record(facts)
    differing, before, now = _differences(then, made.get("data"), config, data)
    if differing:  # an earlier version may have written fewer keys
        with suppress(ValueError):
            filled = _differences(resolve(then).values, made.get("data"), config, data)
            differing, before, now = min((differing, before, now), filled, key=lambda found: len(found[0]))
    if differing:
        first, *more = differing
        also = f" (and {', '.join(more[:3])}{', ...' if more[3:] else ''})" if more else ""
        raise UserError(
            f"{folder}: expected the config that its run was made with, {first} = {_short(before.get(first))}; found "
            f"{_short(now.get(first))}{also}; give another folder with --out, or remove this one"
        )
    for task, network in (made.get("networks") or {}).items():
        if network != (networks or {}).get(task, network):
            raise UserError(
                f"{folder}: expected the network of `{task}` that its run was made with, found another one; bring that "
                "network back, or remove this folder"
            )


def claim(folder: Path, config: Mapping[str, Any], data: str, networks: Mapping[str, str] | None = None) -> None:
    """Make `folder` the folder of the run with this config, these data and these networks."""
    refuse_mixing(folder, config, data, networks)
    remove_parts(folder)
    if not (folder / "config.yaml").exists():
        facts = {**environment(config, data), "networks": dict(networks or {})}
        write_text(folder / "environment.json", json.dumps(facts, indent=2) + "\n")
        write_text(folder / "config.yaml", yaml.safe_dump(dict(config), sort_keys=False))


def read_record(path: Path, *keys: str) -> dict[str, Any]:
    """What a file of a run holds: JSON, or YAML, by its suffix.

    Raises:
        ValueError: it is damaged, or lacks one of `keys`.
    """
    try:
        record = (json.loads if path.suffix == ".json" else yaml.safe_load)(path.read_text())
        missing = [key for key in keys if key not in record]
        if isinstance(record, dict) and not missing:
            return record
        problem = f"none of `{missing[0]}`" if isinstance(record, dict) else type(record).__name__
    except (TypeError, ValueError, yaml.YAMLError) as error:
        problem = f"what cannot be read ({type(error).__name__})"
    raise UserError(f"{path}: expected the record of a run, found {problem}; remove the run's folder {path.parent}")


def run_folders(study: Path, file: str) -> list[Path]:
    """The folders of a study's runs that have this file."""
    return sorted(path.parent for pattern in ("*/seed*", "*/*/seed*") for path in study.glob(f"{pattern}/{file}"))


@contextmanager
def locked(folder: Path, wait: bool = False) -> Iterator[bool]:
    """Be the only process at a folder for a block, or learn that another one is (False); `wait` waits for it.

    The lock is the operating system's: it goes when its process goes, however that ends, and the processes that load
    its images with it (`train.workers`: within seconds). There is none on Windows.
    """
    if sys.platform == "win32":
        yield True
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def write_shared(path: Path, text: str) -> None:
    """Write a text file into a folder that several processes share, and remove what a killed one left there."""
    with locked(path.parent, wait=True):
        remove_parts(path.parent)
        write_text(path, text)


def note_determinism(folder: Path, forced: Mapping[str, str], note: Callable[[str], None]) -> None:
    """Record what deterministic mode meant for a run, and say what stays open."""
    facts = json.loads((folder / "environment.json").read_text())
    facts["deterministic"] = dict(forced)
    write_text(folder / "environment.json", json.dumps(facts, indent=2) + "\n")
    for operation, became in forced.items():
        note(f"deterministic: {operation}: {became}")


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) and value else {f"{prefix}{key}": value}
    return flat


def _differences(
    then: Mapping[str, Any], data: str | None, config: Mapping[str, Any], fingerprint: str
) -> tuple[list[str], Mapping[str, Any], Mapping[str, Any]]:
    """The keys that differ, those with the fewest parts first, and all values of both."""
    before, now = {**_flat(then), "data": data}, {**_flat(config), "data": fingerprint}
    keys = [key for key in {**before, **now} if _said(before.get(key)) != _said(now.get(key)) and not _free(key)]
    return sorted(keys, key=lambda key: (key.count("."), key)), before, now


def _said(value: Any) -> Any:
    """An empty text, list or mapping says as little as a missing key; 0 and false are values."""
    return value if value or isinstance(value, bool | int | float) else None


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """Of names and values of tensors; of a file its bytes would not do, since their order is not fixed."""
    digest = blake2b(digest_size=8)
    for name in sorted(tensors):
        data = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}:{data.dtype}:{tuple(data.shape)}".encode())
        digest.update(data.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _free(key: str) -> bool:
    # What is free of a source stays so within data.HoldOut and data.Mix.
    key = re.sub(r"\.init_args\.(source|sources\.[^.]+)(?=\.)", "", key)
    return key in _FREE or bool(_ALONE.fullmatch(key))


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def environment(config: Mapping[str, Any], data: str) -> dict[str, Any]:
    """What a run was made with and on."""
    names = ("tutelage", "torch", "lightning-fabric", "torchmetrics", "jsonargparse", "numpy", "torchjd")
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": blake2b(json.dumps(config, sort_keys=True).encode(), digest_size=8).hexdigest(),
        "data": data,
        "versions": {name: importlib.metadata.version(name) for name in names},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": torch.cpu.get_capabilities().get("cpu_name") if hasattr(torch.cpu, "get_capabilities") else None,
        "gpu": gpu,
        "precision": config["train"]["precision"],
        "deterministic": config["train"]["deterministic"],
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
