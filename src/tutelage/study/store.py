"""The folder of a run: what it was made with, whether it is finished, and what it was made on."""

import importlib.metadata
import json
import os
import platform
import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
import yaml

from tutelage.train import write_atomically

# What cannot change a result: where files are, how they are loaded, what is written when.
_FREE = ("study", "out", "methods", "seeds", "train.workers", "train.checkpoint_seconds", "train.checkpoint_steps",
         "train.log_steps", "data.init_args.root", "data.init_args.cache")  # fmt: skip


def refuse_mixing(folder: Path, config: Mapping[str, Any], data: str) -> None:
    """Raise a ValueError that says what differs, if `folder` holds a run of another config or of other data."""
    path, facts = folder / "config.yaml", folder / "environment.json"
    if not (path.exists() and facts.exists()):
        return
    before, now = _flat(yaml.safe_load(path.read_text())), _flat(config)
    before["data"], now["data"] = json.loads(facts.read_text()).get("data"), data
    first, *more = [key for key in sorted({**before, **now}) if before.get(key) != now.get(key) and not _free(key)] or [
        ""
    ]
    if first:
        also = f" (and {', '.join(more[:3])}{', ...' if more[3:] else ''})" if more else ""
        raise ValueError(
            f"{folder}: expected the config that its run was made with, {first} = {_short(before.get(first))}; found "
            f"{_short(now.get(first))}{also}; give another folder with --out, or remove this one"
        )


def claim(folder: Path, config: Mapping[str, Any], data: str) -> None:
    """Make `folder` the folder of the run with this config and these data."""
    refuse_mixing(folder, config, data)
    if not (folder / "config.yaml").exists():
        write_text(folder / "environment.json", json.dumps(environment(config, data), indent=2) + "\n")
        write_text(folder / "config.yaml", yaml.safe_dump(dict(config), sort_keys=False))


def run_folders(study: Path, file: str) -> list[Path]:
    """The folders of a study's runs that have this file."""
    return sorted(path.parent for pattern in ("*/seed*", "*/*/seed*") for path in study.glob(f"{pattern}/{file}"))


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) and value else {f"{prefix}{key}": value}
    return flat


def _free(key: str) -> bool:
    return key in _FREE or key.startswith("about") or key.endswith(".about")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def environment(config: Mapping[str, Any], data: str) -> dict[str, Any]:
    """What a run was made with and on."""
    names = ("tutelage", "torch", "lightning-fabric", "torchmetrics", "jsonargparse", "numpy")
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
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    write_atomically(path, lambda file: file.write(text.encode()))
