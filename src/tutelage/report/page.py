"""One HTML page that explains a study: no script, nothing loaded, every name escaped."""

import json
from collections.abc import Mapping
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from tutelage.files import write_text
from tutelage.report.conflict import conflict
from tutelage.report.health import health
from tutelage.report.numbers import results
from tutelage.report.pictures import pictures
from tutelage.report.results import SINGLE, TEACHER, Results
from tutelage.report.training import training
from tutelage.types import Task

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{name} · tutelage</title>
<style>
{style}</style>
</head>
<body>
<h1>{name}</h1>
{body}</body>
</html>
"""


def write_report(folder: Path, tasks: Mapping[str, Task]) -> Path:
    """Write `report.html` from results.json and what the runs left; what is missing is left out.

    Returns:
        The page's path.

    Raises:
        ValueError: There is no results.json.
    """
    found = Results(folder, tasks)
    style = resources.files("tutelage.report").joinpath("page.css").read_text()
    parts = (results, pictures, training, conflict, health, _making)
    body = "".join(part(found) for part in parts)
    path = folder / "report.html"
    write_text(path, _PAGE.format(name=escape(found.study), style=style, body=body))
    return path


def _facts(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _making(found: Results) -> str:
    """Methods, commands, versions, config."""
    about = {m: found.about(m) for m in found.methods}
    about[SINGLE] = "one network a task: the teachers, and what Delta compares with"
    kinds = set(found.teachers.values())
    if kinds != {SINGLE}:
        some = ", and some of the teachers" if SINGLE in kinds else ""
        about[SINGLE] = f"one network a task, of the same kind as the students: what Delta compares with{some}"
        about[TEACHER] = "the teachers, one network a task, of a kind of their own where the study gives one"
    lines = "".join(f"<dt>{escape(m)}</dt><dd>{escape(about[m])}</dd>" for m in found.methods)
    parts = [f"<h2>How it was made</h2>\n<dl>{lines}</dl>\n"]
    folders = sorted(path.parent for p in ("*/seed*", "*/*/seed*") for path in found.folder.glob(f"{p}/result.json"))
    facts = [fact for fact in (_facts(folder / "environment.json") for folder in folders) if fact]
    if facts:
        commands = "\n".join(dict.fromkeys(str(fact["command"]) for fact in facts))
        last = facts[-1]
        versions = ", ".join(f"{name} {version}" for name, version in last["versions"].items())
        machine = f"Python {last['python']}, {last['gpu'] or last.get('processor') or 'no GPU'}, {_threads(last)}"
        machine += "".join(f", {last[key]}" for key in ("precision",) if key in last)
        if isinstance(last.get("deterministic"), dict):
            forced = "; ".join(f"{name}: {text}" for name, text in last["deterministic"].items())
            machine += f", deterministic mode ({forced or 'nothing had to change'})"
        data = ", ".join(sorted({str(fact["data"]) for fact in facts}))
        parts.append(
            f"<p>Made by</p>\n<pre>{escape(commands)}</pre>\n"
            f'<p class="soft">{escape(versions)}; {escape(machine)}. Fingerprint of the data: {escape(data)}.</p>\n'
        )
    if found.values:
        config = escape(yaml.safe_dump(found.values, sort_keys=False))
        parts.append(f"<details><summary>The resolved study (YAML)</summary><pre>{config}</pre></details>\n")
    return "".join(parts)


def _threads(facts: Mapping[str, Any]) -> str:
    return f"{facts['threads']} thread{'' if facts['threads'] == 1 else 's'}"
