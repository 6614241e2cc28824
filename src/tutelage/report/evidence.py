"""What a study says about one of its networks, for the card that goes with it to the hub."""

import os
from collections.abc import Mapping
from pathlib import Path

import yaml

from tutelage.deploy.card import Evidence, Metric
from tutelage.errors import UserError
from tutelage.layout import SINGLE, parse_run_id
from tutelage.report.public import command_without_folders, without_folders
from tutelage.report.results import Results
from tutelage.report.run_files import read_mapping
from tutelage.report.sections.origin import origin
from tutelage.report.statistics import Summary
from tutelage.types import Task


def evidence(run: str | Path, tasks: Mapping[str, Task]) -> Evidence | None:
    """What the study of a run says about its network; None where no study is around it.

    Of absolute paths only the last part is kept: a card is public.

    Args:
        run: The folder of the run, or its student.safetensors.
        tasks: Name -> task, of the network.

    Raises:
        UserError: The study has no results of this run.
    """
    run = Path(run) if Path(run).is_dir() else Path(run).parent
    run = Path(os.path.abspath(run))  # without following links, nor with `..`
    study = next((parent for parent in list(run.parents)[1:3] if (parent / "study.yaml").is_file()), None)
    if study is None:
        return None
    results, seed = Results(study, tasks), run.name.removeprefix("seed")
    method, _ = parse_run_id(run.relative_to(study).as_posix())
    rows = {str(row.seed): row for row in results.of(method, results.protocol)}
    if seed not in rows:
        raise UserError(
            f"{study / 'results.json'}: expected results of {method} with seed {seed}, found none; finish the study "
            "with `tutelage run`"
        )
    row, made = rows[seed], origin(results)
    delta = results.delta(method, results.protocol, "main") if method != SINGLE else Summary(float("nan"), None, 0)
    about = f"{method} ({made.about[method]})" if made.about.get(method) else method
    return Evidence(
        results.study,
        about,
        row.seed,
        [row.seed for row in rows.values()],
        row.split,
        results.protocol,
        [metric for t in tasks for metric in _metrics(results, method, t, row.metrics.get(t, {}))],
        "" if delta.text("%") == "-" else delta.text("%", signed=True),
        yaml.safe_dump(without_folders(results.values.get("data")), sort_keys=False, allow_unicode=True),
        [command_without_folders(command) for command in _commands(run) or made.commands],
        made.software,
    )


def _metrics(results: Results, method: str, task: str, values: Mapping[str, float | None]) -> list[Metric]:
    metrics = []
    for name, info in results.tasks[task].metric_info.items():
        better = "↑" if info.higher_is_better else "↓"
        seeds, single = (results.metric(m, results.protocol, task, name) for m in (method, SINGLE))
        value = values.get(name)
        own = Summary(float("nan") if value is None else value, None, 1)
        beside = "" if method == SINGLE or SINGLE not in results.methods else single.text(info.unit)
        label = f"{name} ({info.unit}) {better}" if info.unit else f"{name} {better}"
        metrics.append(Metric(task, label, own.text(info.unit), seeds.text(info.unit), beside))
    return metrics


def _commands(run: Path) -> list[str]:
    command = read_mapping(run / "environment.json").get("command")
    return [command] if isinstance(command, str) else []
