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

from tutelage.errors import UserError, one_line
from tutelage.files import DIGEST, remove_parts, write_record, write_text
from tutelage.reading import RECORD, read_limited
from tutelage.study.plan import RunSpec
from tutelage.values import dump_yaml, parse

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
        write_record(folder / "environment.json", facts)
        write_text(folder / "config.yaml", dump_yaml(config))


def write_spec(folder: Path, spec: RunSpec) -> None:
    """Write spec.json: what the run is, and what teaches it."""
    write_record(folder / "spec.json", spec.record())


def has_spec(folder: Path, spec: RunSpec) -> bool:
    """Whether spec.json is there, whole, and with the keys that `write_spec` would write."""
    try:
        record = read_record(folder / "spec.json")
    except UserError:
        return False
    return record.keys() - {DIGEST} == spec.record().keys()


def is_finished(folder: Path) -> bool:
    """Whether the result of a run is there."""
    return (folder / "result.json").exists()


def read_record(path: Path, *keys: str, remedy: str = "") -> dict[str, Any]:
    """What a file of a run holds: JSON, or YAML, by its suffix.

    Args:
        path: the file.
        keys: that it has to have.
        remedy: what to do; by default the run is repeated.

    Raises:
        UserError: it is missing or damaged, or lacks one of `keys`.
    """
    try:
        record = parse(read_limited(path, RECORD).decode(), path.suffix)
        missing = [key for key in keys if key not in record]
        if isinstance(record, dict) and not missing:
            return record
        problem = f"none of `{missing[0]}`" if isinstance(record, dict) else type(record).__name__
    except FileNotFoundError:
        problem = "none"
    except (TypeError, ValueError) as error:
        problem = f"what cannot be read ({one_line(error, 80)})"
    remedy = remedy or f"remove the run's folder {path.parent}"
    raise UserError(f"{path}: expected the record of a run, found {problem}; {remedy}")


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
    facts = read_record(folder / "environment.json")
    if facts.get(name) != value:
        write_record(folder / "environment.json", {**facts, name: value})


def note_determinism(folder: Path, forced: Mapping[str, str], note: Callable[[str], None]) -> None:
    """Record what deterministic mode meant for a run, and say what remains open."""
    record_fact(folder, "deterministic", dict(forced))
    for operation, became in forced.items():
        note(f"deterministic: {operation}: {became}")


def note_processes(folder: Path, count: int) -> None:
    """Record by how many processes a run is trained, where that is, or was, another number than 1."""
    facts = read_record(folder / "environment.json")
    before = facts.get("processes", [] if count > 1 else [1])
    if before[-1:] != [count]:
        facts |= {"processes": [*before, count], "threads": torch.get_num_threads()}
        write_record(folder / "environment.json", facts)


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
