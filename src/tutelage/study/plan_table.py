"""What a study would train and cost, in words."""

from collections.abc import Sequence

from rich.filesize import decimal

from tutelage.cache import cache_root, free_bytes
from tutelage.study.duration import duration
from tutelage.study.estimate import Estimate

_COLUMNS = ("runs", "params", "epochs", "batch", "rate", "steps", "time", "disk", "cache")


def plan_lines(
    study: str, seeds: Sequence[int], kinds: Sequence[Estimate], seconds: float, width: int = 80, how: str = ""
) -> list[str]:
    """What a study would train and cost: the figures of one run of each kind, and the sums over all runs.

    Args:
        study: its name.
        seeds: of its runs.
        kinds: its runs by kind.
        seconds: until the last of them has ended.
        width: in characters; where names and figures do not fit into one line, each name has its own.
        how: the runs are executed, for the title.
    """
    rows = [_cells(kind) for kind in kinds]
    rows.append(
        [
            f"{sum(kind.runs for kind in kinds):,}", "", "", "", "",
            _thousands(sum(kind.runs * kind.steps for kind in kinds)),
            _time(seconds),
            _size(sum(kind.runs * kind.disk_bytes for kind in kinds)),
            _size(len(seeds) * max((kind.cache_bytes for kind in kinds), default=0)),
        ]
    )  # fmt: skip
    widths = [max(map(len, column)) for column in zip(_COLUMNS, *rows, strict=True)]
    figures = [" ".join(map(str.rjust, row, widths)) for row in (_COLUMNS, *rows)]
    names = ["one run", *(kind.name for kind in kinds), "all runs"]
    margin = max(map(len, names))
    title = f"Plan of {study}: seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}{how and f'; {how}'}"
    if margin + 2 + len(figures[0]) <= width:
        return [title, "", *(f"{name:<{margin}}  {line}".rstrip() for name, line in zip(names, figures, strict=True))]
    return [title, "", *(line for pair in zip(names, figures, strict=True) for line in pair)]


def cache_line(seeds: Sequence[int], kinds: Sequence[Estimate]) -> str | None:
    """What the teachers' cache would take, in words; None: nothing is cached."""
    largest = max(kinds, key=lambda kind: kind.cache_bytes, default=None)
    if largest is None or not largest.cache_bytes:
        return None
    size, free = decimal(largest.cache_bytes), decimal(free_bytes(cache_root()))
    return (
        f"Where that saves time, teachers are cached: up to {size} for each of {len(seeds)} seeds, filled in about "
        f"{duration(largest.cache_seconds)}; {free} are free in {cache_root()}."
    )


def _cells(kind: Estimate) -> list[str]:
    return [
        f"{kind.runs:,}",
        _thousands(kind.parameters),
        f"{kind.epochs:.3g}",
        kind.batch,
        f"{kind.rate:.2g}",
        _thousands(kind.steps),
        _time(kind.seconds),
        _size(kind.disk_bytes),
        _size(kind.cache_bytes),
    ]


def _thousands(count: float) -> str:
    """A count in four characters or so.

    >>> [_thousands(x) for x in (48, 1760, 158000, 24_900_000)]
    ['48', '1760', '158k', '24.9M']
    """
    return str(int(count)) if count < 10_000 else "{:.3g}{}".format(*_scaled(count))


def _scaled(count: float) -> tuple[float, str]:
    units = ["", "k", "M", "G", "T"]
    while count >= 999.5 and units[1:]:
        count, units = count / 1000, units[1:]
    return count, units[0]


def _time(seconds: float) -> str:
    """A duration in six characters or so.

    >>> [_time(x) for x in (42, 310, 7260, 400_000)]
    ['42 s', '5 min', '2.0 h', '4.6 d']
    """
    if seconds < 7200:
        return duration(seconds)
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} d"


def _size(count: int) -> str:
    """Bytes in six characters or so.

    >>> [_size(x) for x in (0, 9_400, 300_000_000)]
    ['-', '9.4 kB', '300 MB']
    """
    return "{:.3g} {}B".format(*_scaled(count)) if count else "-"
