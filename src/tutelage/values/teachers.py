"""What teaches in a study: YAML has several ways to say it, everything else reads this one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.errors import UserError, did_you_mean
from tutelage.layout import FEATURES, SINGLE, TEACHER


@dataclass(frozen=True)
class TeacherSpec:
    """One teacher, complete.

    Attributes:
        name: in the study; by default the task that it teaches.
        tasks: what it teaches; empty: none in particular.
        kind: `single`: the single-task network of its task; `teacher`: a run of its own; `features`: no run trains it;
            `student`: the network of another method, for a method that is `taught_by` it.
        net: plain values of its network; None: the study's `net`.
        key: where the study names its network.
        file: weights trained elsewhere; None: the study trains it, or it is used as it is built.
        match: {student's tap: teacher's tap} in place of the distiller's.
        sees: `all` or `own`, in place of the distiller's `teach`.
        weight: a factor for its terms.
        size: height and width to which images are resized for it.
        run: id of the run that trains or evaluates it, for the seed of one student; None: there is none.
    """

    name: str
    tasks: tuple[str, ...]
    kind: str
    net: Mapping[str, Any] | None = None
    key: str = "net"
    file: str | None = None
    match: Mapping[str, Any] | None = None
    sees: Any = None
    weight: float = 1.0
    size: tuple[int, int] | None = None
    run: str | None = None


def teacher_specs(values: Mapping[str, Any]) -> dict[str, TeacherSpec]:
    """Every teacher of a study by name: those of its tasks first, in their order.

    A task that no named teacher teaches has the default teacher of its name.
    """
    nets, tasks = values.get("teacher_net") or {}, list(values.get("tasks") or {})
    if not isinstance(nets, Mapping):
        raise UserError(
            f"teacher_net: expected a network, or one by task, found {type(nets).__name__}; give class_path and "
            "init_args"
        )
    named: dict[str, dict[str, Any]] = {}
    for name, keys in (values.get("teachers") or {}).items():
        keys = dict(keys) if isinstance(keys, Mapping) else {"file": keys}
        named[name] = {**keys, "tasks": [name] if keys.get("tasks") is None else list(keys["tasks"])}
        if wrong := [t for t in named[name]["tasks"] if not isinstance(t, str)]:
            raise UserError(f"teachers.{name}.tasks: expected names of tasks, found {wrong[0]!r}; correct it")
    taught = {t for keys in named.values() for t in keys["tasks"]}
    names = [t for t in tasks if t in named or t not in taught]
    names += [name for name in named if name not in names]
    return {name: _spec(name, named.get(name, {"tasks": [name]}), nets.get(name)) for name in names}


def taught_by(value: str | Sequence[str] | None) -> list[str]:
    """What a method's `taught_by` names: methods whose students teach, and `teachers` for those of the study."""
    return list(dict.fromkeys([value] if isinstance(value, str) else value or []))


def check_names(values: Mapping[str, Any]) -> None:
    """Check that every teacher without `tasks` has the name of a task.

    Raises:
        UserError: one has not.
    """
    tasks = list(values.get("tasks") or {})
    for name, keys in (values.get("teachers") or {}).items():
        if name in tasks or (isinstance(keys, Mapping) and keys.get("tasks") is not None):
            continue
        known, near = ", ".join(tasks), did_you_mean(name, tasks)
        if isinstance(keys, Mapping):
            raise UserError(
                f"teachers.{name}.tasks: expected what it teaches, some of {known}, or [] for its features, found "
                f"none; only a teacher that is named after a task needs no `tasks`{near}"
            )
        raise UserError(f"teachers.{name}: expected one of the study's tasks, {known}; found `{name}`{near}")


def _spec(name: str, keys: Mapping[str, Any], teacher_net: Any) -> TeacherSpec:
    own, file = keys.get("net"), keys.get("file")
    net = own or teacher_net
    if file == FEATURES or not keys["tasks"]:
        kind = FEATURES
    else:
        kind = SINGLE if net is None and keys["tasks"] == [name] else TEACHER
    return TeacherSpec(
        name,
        tuple(keys["tasks"]),
        kind,
        net,
        f"teachers.{name}.net" if own else f"teacher_net.{name}" if net else "net",
        None if file in (None, FEATURES) else str(file),
        keys.get("match"),
        keys.get("sees"),
        keys.get("weight", 1.0),
        None if keys.get("size") is None else tuple(keys["size"]),
    )
