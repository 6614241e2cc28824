from io import StringIO

from rich.console import Console

from tutelage.bench import Cost, Spread, markdown, table

SLOW = Cost("balancing", "5 tasks, distilled", "mtl_backward, 1 by 1", 12.5, "x", 11.25, 13.75, 1.0, 1.1)
FAST = Cost(
    "data", "288x384", "from shards, in one process", 12345.0, "images/s", 12000, 13000, limit=10_000, least=True
)


def shown(*costs: Cost, width: int = 80) -> str:
    console = Console(file=StringIO(), width=width)
    console.print(table(costs))
    return console.file.getvalue()


def test_no_figure_is_cut_off_on_a_narrow_terminal() -> None:
    text = shown(SLOW, FAST)
    words = ("balancing: 5 tasks, distilled", "mtl_backward, 1 by 1", "12.5", "11.2-13.8", "1.00", "<= 1.10")
    assert all(word in text for word in words)
    assert all(word in text for word in ("12,345 images/s", "12,000-13,000", ">= 10,000"))


def test_what_misses_its_limit_is_marked() -> None:
    assert SLOW.missed
    assert not FAST.missed
    assert Cost("", "", "", 9_999, limit=10_000, least=True).missed
    assert not Cost("", "", "", 9_999).missed  # it has none
    text = markdown([SLOW, FAST])
    assert "| **12.5** | 11.2-13.8 | 1.00 | <= 1.10 |" in text
    assert "| 12,345 images/s |" in text
    assert text.count("### ") == 2


def test_a_ratio_is_taken_round_by_round() -> None:
    """A machine that slows down in between changes both sides of a ratio."""
    spread = Spread.ratio([1.0, 2.0, 30.0], [1.0, 1.0, 10.0])
    assert spread == (2.0, 1.5, 2.5)
    assert Spread.of([3.0]) == (3.0, 3.0, 3.0)


def test_milliseconds_scale_the_floor_too() -> None:
    cost = Cost.of("", "", "", Spread(0.5, 0.4, 0.6), "ms", floor=0.1)
    assert (cost.value, cost.low, cost.high, cost.floor) == (500, 400, 600, 100)
