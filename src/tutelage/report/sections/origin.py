"""The page's section on how the study was made: methods, commands, versions, config."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from tutelage.layout import SINGLE, TEACHER, run_folders
from tutelage.report.results import Results
from tutelage.report.run_files import read_mapping


@dataclass(frozen=True)
class Origin:
    """What is known; what no run recorded is empty."""

    about: Mapping[str, str]  # by method
    commands: Sequence[str]
    software: str
    machine: str
    data: str
    config: str  # YAML


def origin(results: Results) -> Origin:
    """Methods, commands, versions and config."""
    folders = run_folders(results.folder, "result.json")
    facts = [fact for fact in (read_mapping(folder / "environment.json") for folder in folders) if fact]
    last = facts[-1] if facts else {}
    return Origin(
        _about(results),
        list(dict.fromkeys(str(fact["command"]) for fact in facts if "command" in fact)),
        ", ".join(f"{name} {version}" for name, version in _mapping(last, "versions").items()),
        _machine(last),
        ", ".join(sorted({str(fact["data"]) for fact in facts if "data" in fact})),
        yaml.safe_dump(results.values, sort_keys=False) if results.values else "",
    )


def _about(results: Results) -> dict[str, str]:
    about = {m: results.about(m) for m in results.methods}
    kinds = {teacher.kind for teacher in results.teachers.values()}
    if SINGLE in about:
        about[SINGLE] = "one network per task: the teachers, and the baseline of Delta"
        if kinds != {SINGLE}:
            some = ", and some of the teachers" if SINGLE in kinds else ""
            about[SINGLE] = f"one network per task, with the architecture of the students: the baseline of Delta{some}"
    if TEACHER in about:
        about[TEACHER] = "the teachers, with an architecture of their own where the study names one"
    return about


def _machine(facts: Mapping[str, Any]) -> str:
    if not facts:
        return ""
    parts = [f"Python {facts['python']}"] if "python" in facts else []
    parts.append(str(facts.get("gpu") or facts.get("processor") or "no GPU"))
    if threads := facts.get("threads"):
        parts.append(f"{threads} thread{'' if threads == 1 else 's'}")
    if "precision" in facts:
        parts.append(str(facts["precision"]))
    if isinstance(facts.get("deterministic"), dict):
        changes = "; ".join(f"{name}: {text}" for name, text in facts["deterministic"].items())
        parts.append(f"deterministic mode ({changes or 'nothing had to change'})")
    return ", ".join(parts)


def _mapping(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = values.get(key)
    return value if isinstance(value, dict) else {}
