"""The card of a predictor on the hub: what it does, how well, how it was made, and what it is for."""

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from tutelage.deploy.predictor import Predictor
from tutelage.errors import UserError
from tutelage.types import Task

_LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]*")  # the hub's names: mit, apache-2.0, cc-by-nc-4.0, other


@dataclass(frozen=True)
class Metric:
    """A metric of a network, as text.

    Attributes:
        task: The task.
        name: The metric with its unit and an arrow to where it is better.
        value: Of this network.
        seeds: Mean and interval over the seeds of its method; "" where there is one seed.
        single: The same of single-task networks; "" where they were not trained, or this is one.
    """

    task: str
    name: str
    value: str
    seeds: str
    single: str


@dataclass(frozen=True)
class Evidence:
    """What a study says about one of its networks; `report.evidence` reads it.

    Attributes:
        study: The study's name.
        method: That of the network, with the sentence about it.
        seed: The network's.
        seeds: All that the method was trained with.
        split: What the metrics were measured on.
        protocol: What they average over: `dataset` or `image`.
        metrics: The metrics.
        delta: Delta main against single-task networks, mean and interval in percent; "" where there is none.
        data: The data as YAML.
        commands: The commands that trained it.
        software: Versions.
    """

    study: str
    method: str
    seed: int
    seeds: Sequence[int]
    split: str
    protocol: str
    metrics: Sequence[Metric]
    delta: str
    data: str
    commands: Sequence[str]
    software: str


def model_card(predictor: Predictor, repo_id: str, license: str, evidence: Evidence | None = None) -> str:
    """README.md of a predictor on the hub.

    Args:
        predictor: The predictor.
        repo_id: USER/NAME.
        license: The hub's name of the licence, such as `mit`, `apache-2.0`, `cc-by-nc-4.0` or `other`.
        evidence: What a study says about it; None: the card says that nothing is known.

    Raises:
        UserError: `license` is no such name.
    """
    if not _LICENCE.fullmatch(license):
        raise UserError(
            f"license: expected the hub's name of a licence, such as mit, apache-2.0 or other, found `{license}`"
        )
    head = {"license": license, "library_name": "tutelage", "tags": ["multi-task-learning", *predictor.tasks]}
    environment = Environment(
        loader=PackageLoader("tutelage.deploy"),
        undefined=StrictUndefined,
        finalize=_plain,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["code"] = _Code
    return environment.get_template("card.md").render(
        head=yaml.safe_dump(head, sort_keys=False).strip(),
        name=repo_id.rpartition("/")[2],
        repo_id=repo_id,
        license=license,
        network=type(predictor.net).__name__,
        parameters=f"{sum(p.numel() for p in predictor.net.parameters()):,}",
        tasks=[_described(name, task) for name, task in predictor.tasks.items()],
        size=predictor.size,
        evidence=evidence,
    )


def _described(name: str, task: Task) -> dict[str, Any]:
    """A task with the first sentence of its documentation, and its classes where they have names."""
    text = " ".join((inspect.getdoc(type(task)) or type(task).__name__).split("\n\n")[0].split())
    return {"name": name, "about": f"{text.split('. ')[0].rstrip('.:')}.", "classes": getattr(task, "names", None)}


class _Code(str):
    """Text of a fenced block."""

    __slots__ = ()


def _plain(value: object) -> str:
    """What the template puts into the card: text that is no markup, neither the end of a cell nor a tag."""
    if isinstance(value, _Code):
        return value.strip().replace("```", "'''")
    return " ".join(str(value).split()).replace("|", "\\|").replace("`", "'").replace("<", "&lt;")
