"""The folder of a run and of a study: claimed, locked, read and written so that several processes can share it."""

import importlib.metadata
import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from tutelage.errors import UserError
from tutelage.files import locked as locked
from tutelage.files import remove_parts, write_json, write_text
from tutelage.files import write_shared as write_shared
from tutelage.study.plan import RunSpec
from tutelage.values import dump_yaml

_SECONDS = 2.0  # between two looks at what other processes do


def claim(folder: Path, config: Mapping[str, Any], data: str, networks: Mapping[str, str] | None = None) -> None:
    """Make `folder` the folder of a run, or of a tuning, with this config, these data and these networks.

    Args:
        folder: empty, or claimed before with the same (`mixing.refuse_mixing` checks that).
        config: plain values.
        data: fingerprint of the data.
        networks: teacher -> fingerprint of its weights.
    """
    remove_parts(folder)
    if not (folder / "config.yaml").exists():
        facts = {**environment(config, data), "networks": dict(networks or {})}
        write_json(folder / "environment.json", facts)
        write_text(folder / "config.yaml", dump_yaml(config))


def write_spec(folder: Path, spec: RunSpec) -> None:
    """Write spec.json: what the run is, and what teaches it."""
    write_json(folder / "spec.json", spec.record())


def is_finished(folder: Path) -> bool:
    """Whether the result of a run is there."""
    return (folder / "result.json").exists()


def read_record(path: Path, *keys: str) -> dict[str, Any]:
    """What a file of a run holds: JSON, or YAML, by its suffix.

    Raises:
        UserError: it is damaged, or lacks one of `keys`.
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


class Patience:
    """Waits for other processes, and says so once.

    Args:
        note: is told what is waited for.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self.note, self.waited = note, False

    def wait(self, text: str) -> None:
        """Wait a moment until other processes are looked at again."""
        if not self.waited:
            self.note(text)
        self.waited = True
        time.sleep(_SECONDS)


def record_fact(folder: Path, name: str, value: Any) -> None:
    """Add to what the folder of a run says about where and how it was made."""
    facts = json.loads((folder / "environment.json").read_text())
    if facts.get(name) != value:
        write_json(folder / "environment.json", {**facts, name: value})


def note_determinism(folder: Path, forced: Mapping[str, str], note: Callable[[str], None]) -> None:
    """Record what deterministic mode meant for a run, and say what remains open."""
    record_fact(folder, "deterministic", dict(forced))
    for operation, became in forced.items():
        note(f"deterministic: {operation}: {became}")


def note_processes(folder: Path, count: int) -> None:
    """Record by how many processes a run is trained, where that is, or was, another number than 1."""
    facts = json.loads((folder / "environment.json").read_text())
    before = facts.get("processes", [] if count > 1 else [1])
    if before[-1:] != [count]:
        facts |= {"processes": [*before, count], "threads": torch.get_num_threads()}
        write_json(folder / "environment.json", facts)


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """Of names and values of tensors; a file's bytes would not do, since their order is not fixed."""
    digest = blake2b(digest_size=8)
    for name in sorted(tensors):
        data = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}:{data.dtype}:{tuple(data.shape)}".encode())
        digest.update(data.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def processor() -> str | None:
    """The name of the processor, where torch knows it."""
    return torch.cpu.get_capabilities().get("cpu_name") if hasattr(torch.cpu, "get_capabilities") else None


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
        "processor": processor(),
        "gpu": gpu,
        "precision": config["train"]["precision"],
        "deterministic": config["train"]["deterministic"],
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
