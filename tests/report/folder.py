"""A study's folder as runs leave it, without training anything; without spec.json, as earlier versions left it."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

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
                _run(run, [run.parent.name] if method == "single" else list(TASKS), method, seed)
    (folder / "results.json").write_text(json.dumps({"study": "kitchen", "rows": rows}))
    (folder / "study.yaml").write_text(yaml.safe_dump({"study": "kitchen"}))
    return folder


def _run(run: Path, tasks: list[str], method: str, seed: int) -> None:
    run.mkdir(parents=True)
    log = []
    for step in (1, 2, 3):
        line = {"step": step, "epoch": step / 2, **{f"loss/{t}": 1 / step for t in tasks}}
        if method == "kd4mtl":
            line |= {f"distance/{t}/last": 1.5 / step for t in tasks} | {f"weight/{t}": step for t in tasks}
            line |= {f"{name}/depth/last": step / 8 for name in ("dead", "norm", "rank")}
        log.append(line)
    (run / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    of_run = {t: values(method, seed)[t] for t in tasks}
    (run / "result.json").write_text(json.dumps({"metrics": {"dataset": of_run, "image": of_run}}))
    config: dict[str, Any] = {"tasks": dict.fromkeys(tasks), "teacher_net": {}, "teachers": {}}
    config["method"] = {method: {"about": f"about {method}"}}
    if method == "kd4mtl":
        config["method"][method]["distiller"] = {"class_path": "tutelage.distill.FeatureDistiller"}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    environment = {"command": f"tutelage run {method} <b>", "versions": {"torch": "2.15"}, "python": "3.11"}
    environment |= {"gpu": None, "threads": 2, "data": "f1ng3r"}
    (run / "environment.json").write_text(json.dumps(environment))
    tensors = {"image": torch.randint(0, 256, (2, 3, 8, 12), dtype=torch.uint8)}
    for t in tasks:
        value = torch.randint(0, 4, (2, 8, 12)).short() if t == "segmentation" else torch.rand(2, 1, 8, 12).half()
        valid = torch.ones(2, 8, 12, dtype=torch.bool)
        valid[1] = False  # an image without a label
        tensors |= {f"score/{t}": torch.tensor([0.5, torch.nan])}
        tensors |= {f"prediction/{t}": value, f"target/{t}": value.clone(), f"valid/{t}": valid}
    safetensors.torch.save_file(tensors, run / "predictions.safetensors")


def specify(folder: Path, method: str, teachers: Mapping[str, Mapping[str, Any]], seed: int = 0) -> None:
    """Write the spec.json of a method's run: teacher -> tasks, kind, run."""
    run = f"{method}/seed{seed}"
    spec = {"format": 1, "id": run, "method": method, "task": None, "seed": seed, "tasks": list(TASKS)}
    (folder / run / "spec.json").write_text(json.dumps({**spec, "values": "paper", "needs": [], "teachers": teachers}))


def log(folder: Path, run: str, *lines: Mapping[str, float]) -> None:
    """Append lines to the log of a run."""
    with (folder / run / "log.jsonl").open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def change_rows(folder: Path, change: Any) -> None:
    """Apply `change` to every row of results.json."""
    path = folder / "results.json"
    results = json.loads(path.read_text())
    for row in results["rows"]:
        change(row)
    path.write_text(json.dumps(results))
