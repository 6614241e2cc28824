"""Which feature of a teacher pulls on which feature of the student."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from math import inf

from tutelage.distill.match import Match, TapMatch
from tutelage.distill.taps import Taps
from tutelage.distill.teachers.teacher import Teacher, list_names
from tutelage.errors import UserError
from tutelage.types import is_reserved


@dataclass(frozen=True)
class Link:
    """One tap of a teacher that is matched to one tap of the student, with an adaptor of its own.

    Attributes:
        teacher: The teacher's name.
        term: The key of the term that the distance belongs to: the teacher's name, or `teacher/task` for a feature of
            one task of a teacher of several.
        task: The task whose feature is read where a tap has one per task; None: both taps are shared by all tasks.
        tap: The student's tap.
        match: The teacher's tap, and what differs for this pair of taps.
    """

    teacher: str
    term: str
    task: str | None
    tap: str
    match: TapMatch

    @property
    def name(self) -> str:
        """What the log calls it."""
        return f"{self.term}/{self.tap}"

    @property
    def teacher_tap(self) -> str:
        """The teacher's tap."""
        return self.match.tap


def match_key(teacher: Teacher, owner: str) -> str:
    """Where the match of a teacher is configured: at the teacher itself, or at the distiller of the class `owner`."""
    return f"{owner}.match" if teacher.match is None else f"teachers.{teacher.name}.match"


def resolve_matches(
    teachers: Mapping[str, Teacher], match: Match, taps: Collection[str] | None, owner: str
) -> dict[str, dict[str, TapMatch]]:
    """{student's tap: match} of every teacher: its own `match`, or the distiller's.

    Args:
        teachers: By name.
        match: For the teachers without a `match` of their own.
        taps: The student's taps that are used; None: all.
        owner: The distiller's class, for messages.

    Raises:
        ValueError: If there is no match, `taps` names a tap of none or leaves a teacher nothing, or a weight is
            negative or not finite.
    """
    configured = {name: match if teacher.match is None else teacher.match for name, teacher in teachers.items()}
    if not match and not all(configured.values()):
        raise UserError(f"{owner}.match: expected {{student's tap: teacher's tap}}, found none")
    student_taps = dict.fromkeys(k for pairs in (match, *configured.values()) for k in pairs)
    for k in taps or ():
        if k not in student_taps:
            raise UserError(f"{owner}.taps: expected taps of `match` ({list_names(student_taps)}), found `{k}`")
    resolved: dict[str, dict[str, TapMatch]] = {}
    for name, pairs in configured.items():
        selected = {k: pair for k, pair in pairs.items() if taps is None or k in taps}
        if not selected:
            raise UserError(
                f"{owner}.taps: expected one of the taps that the teacher `{name}` is matched to "
                f"({list_names(pairs)}), found {list_names(taps or ())}"
            )
        resolved[name] = {k: TapMatch(pair) if isinstance(pair, str) else pair for k, pair in selected.items()}
        for k, pair in resolved[name].items():
            if not 0 <= pair.weight < inf:
                key = match_key(teachers[name], owner)
                raise UserError(f"{key}.{k}.weight: expected a number of at least 0, found {pair.weight}")
    return resolved


def build_links(
    teacher: Teacher, matches: Mapping[str, TapMatch], student: Taps, taught: Taps, owner: str
) -> list[Link]:
    """The links of one teacher, in the order of `matches`.

    A teacher of one task reads that task's feature of a tap that has one per task. A teacher of several tasks has one
    link for a pair of taps that are both shared, and one link per task otherwise.

    Args:
        teacher: The teacher.
        matches: {student's tap: match} of this teacher.
        student: The taps of the student.
        taught: The taps of the teacher.
        owner: The distiller's class, for messages.

    Raises:
        ValueError: If a network lacks a tap, a tap's name cannot name a module, or a tap has one feature per task but
            none of this teacher's task.
    """
    key, teacher_label = match_key(teacher, owner), f"the teacher `{teacher.name}`"
    links: list[Link] = []
    for k, match in matches.items():
        _check_tap(key, k, student, "the student")
        _check_tap(key, match.tap, taught, teacher_label)
        per_task = [name for name, tap in ((k, student[k]), (match.tap, taught[match.tap])) if isinstance(tap, dict)]
        if per_task and not teacher.tasks:
            raise UserError(
                f"{key}: expected taps that all tasks share for {teacher_label}, which has no tasks, found "
                f"`{per_task[0]}` with one feature per task; match another tap"
            )
        tasks = teacher.tasks if per_task or len(teacher.tasks) == 1 else (None,)
        for task in tasks:
            _check_task(key, task, k, student, "the student")
            _check_task(key, task, match.tap, taught, teacher_label)
            term = teacher.name if task is None else teacher.term(task)
            links.append(Link(teacher.name, term, task, k, match))
    return links


def _check_tap(key: str, name: str, taps: Taps, network: str) -> None:
    if name not in taps:
        raise UserError(f"{key}: expected taps of {network} ({list_names(taps)}), found `{name}`")
    if is_reserved(name):
        raise UserError(
            f"{key}: expected taps of {network} whose names torch's modules have no other use for, found `{name}`; "
            "rename the tap in the network"
        )


def _check_task(key: str, task: str | None, name: str, taps: Taps, network: str) -> None:
    tap = taps[name]
    if isinstance(tap, dict) and task is not None and task not in tap:
        raise UserError(
            f"{key}: expected a feature of `{task}` at the tap `{name}` of {network}, found features of "
            f"{list_names(tap)}"
        )


def links_by_term(links: Iterable[Link]) -> dict[str, list[Link]]:
    """The links by the key of their term."""
    grouped: dict[str, list[Link]] = {}
    for link in links:
        grouped.setdefault(link.term, []).append(link)
    return grouped
