"""What a study knows of its teacher cache: what its methods read of each teacher, and what is cached or computed.

It is in the study's folder, so that runs of all methods and seeds take the same path. A file of the same name in the
folder of a run says which outputs the run reads, so that a resumed run does again what it did.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tutelage.distill.teachers import Packing, Part
from tutelage.files import locked, write_record
from tutelage.study.store import read_record

FILE = "teacher_cache.json"


@dataclass(frozen=True)
class Needs:
    """What the methods of a study read of one teacher.

    Attributes:
        taps: that any of them reads.
        tasks: whose predictions any of them reads.
        runs: how many runs read it, for each of its networks.
    """

    taps: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    runs: int = 1

    def __or__(self, other: "Needs") -> "Needs":
        taps, tasks = sorted({*self.taps, *other.taps}), sorted({*self.tasks, *other.tasks})
        return Needs(tuple(taps), tuple(tasks), max(self.runs, other.runs))


@dataclass(frozen=True)
class Decision:
    """Whether the output of one network for one source is cached, with how its parts are stored.

    Attributes:
        cached: whether it is.
        reason: why, for the user.
        parts: how each part is stored.
    """

    cached: bool
    reason: str
    parts: Mapping[Part, Packing]


class CacheRecord:
    """The file of a study.

    Args:
        folder: of the study.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / FILE

    def needs(self) -> dict[str, Needs]:
        """By teacher, see `needs_key`."""
        return {
            name: Needs(tuple(x["taps"]), tuple(x["tasks"]), x["runs"]) for name, x in self._read()["needs"].items()
        }

    def add_needs(self, needs: Mapping[str, Needs]) -> None:
        """Add what methods need. Nothing is ever taken away: finished runs keep what they have read."""
        with locked(self.folder, wait=True):
            merged = {**(before := self.needs())}
            for name, need in needs.items():
                merged[name] = merged.get(name, Needs()) | need
            if merged != before:
                self._write({**self._read(), "needs": {name: asdict(need) for name, need in merged.items()}})

    def decision(self, digest: str) -> Decision | None:
        """What was decided for an output; None: nothing yet."""
        record = self._read()["outputs"].get(digest)
        if record is None:
            return None
        return Decision(record["cached"], record["reason"], dict(map(_part, record["parts"])))

    def decide(self, digest: str, label: str, decision: Decision) -> Decision:
        """Record a decision; the one that counts: an earlier one, with the parts that it does not have yet."""
        with locked(self.folder, wait=True):
            earlier = self.decision(digest)
            if earlier is not None:
                decision = replace(earlier, parts={**decision.parts, **earlier.parts})
            parts = [[*part, x.record()] for part, x in decision.parts.items()]
            output = {"label": label, "cached": decision.cached, "reason": decision.reason, "parts": parts}
            record = self._read()
            self._write({**record, "outputs": {**record["outputs"], digest: output}})
            return decision

    def _read(self) -> dict[str, Any]:
        if not self.path.exists():
            return {"needs": {}, "outputs": {}}
        return read_record(self.path, "needs", "outputs", remedy="delete it: what is cached is decided again")

    def _write(self, record: Mapping[str, Any]) -> None:
        write_record(self.path, record)


@dataclass(frozen=True)
class ReadOutput:
    """An output that a run reads.

    Attributes:
        digest: of all that it depends on.
        teachers: the names of its network.
        source: of the images.
        views: how many there are of them.
    """

    digest: str
    teachers: tuple[str, ...] = ()
    source: str = ""
    views: int = 0


def write_outputs(path: Path, outputs: Sequence[ReadOutput]) -> None:
    """Write which outputs a run reads."""
    write_record(path, {"read": [asdict(x) for x in outputs]})


def read_outputs(path: Path) -> list[ReadOutput]:
    """The outputs that a run has read since it began: none without a file, digests alone of an earlier version."""
    found = read_record(path, "read")["read"] if path.exists() else []
    return [ReadOutput(x) if isinstance(x, str) else ReadOutput(**{**x, "teachers": (*x["teachers"],)}) for x in found]


def _part(record: Iterable[Any]) -> tuple[Part, Packing]:
    kind, name, task, packing = record
    return Part(kind, name, task), Packing.from_record(packing)
