"""A study's folder as a run leaves it, without training anything."""

import json
from collections.abc import Iterable
from pathlib import Path

import safetensors.torch
import torch
import yaml

from tutelage.metrics import deltas
from tutelage.tasks import Depth, Segmentation
from tutelage.types import Task

SOURCES = {"single": "study", "uniform": "study", "kd4mtl": "paper"}
TASKS: dict[str, Task] = {"segmentation": Segmentation(classes=4), "depth": Depth()}


def values(method: str, seed: int) -> dict[str, dict[str, float]]:
    gain = {"single": 0.0, "uniform": -1.0, "kd4mtl": 2.0}.get(method, 0.5) + 0.25 * seed
    return {
        "segmentation": {"miou": 40 + gain, "pixel_accuracy": 60 + gain},
        "depth": {"abs_err": 0.6 - 0.01 * gain, "rel_err": 0.3 - 0.01 * gain},
    }


def write(folder: Path, methods: Iterable[str] = ("uniform", "kd4mtl"), seeds: Iterable[int] = (0,)) -> Path:
    folder.mkdir(exist_ok=True)
    rows = []
    for method in ("single", *methods):
        for seed in seeds:
            for protocol in ("dataset", "image"):
                metrics = values(method, seed)
                delta = deltas(metrics, values("single", seed), TASKS)
                rows.append(
                    {"method": method, "seed": seed, "split": "val", "protocol": protocol, "metrics": metrics,
                     "delta": delta, "parameters": 1234, "seconds": 60.0, "values": SOURCES.get(method, "control")}
                )  # fmt: skip
            for run in [folder / method / t / f"seed{seed}" for t in TASKS] if method == "single" else [
                folder / method / f"seed{seed}"
            ]:  # fmt: skip
                _run(run, [run.parent.name] if method == "single" else list(TASKS), method)
    (folder / "results.json").write_text(json.dumps({"study": "kitchen", "rows": rows}))
    (folder / "study.yaml").write_text(yaml.safe_dump({"study": "kitchen"}))
    return folder


def _run(run: Path, tasks: list[str], method: str) -> None:
    run.mkdir(parents=True)
    log = []
    for step in (1, 2, 3):
        line = {"step": step, "epoch": step / 2, **{f"loss/{t}": 1 / step for t in tasks}}
        if method == "kd4mtl":
            line |= {f"distance/{t}/last": 1.5 / step for t in tasks} | {f"weight/{t}": step for t in tasks}
            line |= {f"{name}/depth/last": step / 8 for name in ("dead", "norm", "rank")}
        log.append(line)
    (run / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    (run / "result.json").write_text("{}")
    (run / "config.yaml").write_text(yaml.safe_dump({"method": {method: {"about": f"about {method}"}}}))
    environment = {"command": f"tutelage run {method} <b>", "versions": {"torch": "2.15"}, "python": "3.11"}
    environment |= {"gpu": None, "threads": 2, "data": "f1ng3r"}
    (run / "environment.json").write_text(json.dumps(environment))
    tensors = {"image": torch.randint(0, 256, (2, 3, 8, 12), dtype=torch.uint8)}
    for t in tasks:
        value = torch.randint(0, 4, (2, 8, 12)).short() if t == "segmentation" else torch.rand(2, 1, 8, 12).half()
        valid = torch.ones(2, 8, 12, dtype=torch.bool)
        valid[1] = False  # an image without a label
        tensors |= {f"prediction/{t}": value, f"target/{t}": value.clone(), f"valid/{t}": valid}
    safetensors.torch.save_file(tensors, run / "predictions.safetensors")
