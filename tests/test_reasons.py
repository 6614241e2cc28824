"""What is ignored, skipped or caught whatever it is has its reason beside it."""

import re
from itertools import takewhile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [path for folder in ("src", "tests") for path in sorted((ROOT / folder).rglob("*.py"))]
IGNORED = re.compile(r"# (?:noqa|type: ?ignore)(?P<rest>.*)")
REASON = re.compile(r"(?:: ?[A-Z]+\d+(?:, ?[A-Z]+\d+)*|\[[\w, -]+\])  # (?:isort: skip  # )?\w.{5,}")
CAUGHT = re.compile(r"^\s*except(?: (?:Base)?Exception\b[^:]*)?:(?!  # \w.{5,})")
SKIPPED = re.compile(r"\b(?:skip|skipif|importorskip|xfail)\((?P<rest>.*)")


def without_reason(text: str, test: bool) -> list[str]:
    """The lines that ignore, skip or catch something and do not say why.

    Args:
        text: of a file.
        test: Types are checked in `src` alone, so that a test has none to ignore.
    """
    found = []
    lines = text.splitlines()
    for number, line in enumerate(lines):
        ignored, skipped = IGNORED.search(line), SKIPPED.search(line) if test else None
        unexplained = ignored is not None and not REASON.fullmatch(ignored["rest"])
        unexplained |= test and "type: ignore[" in line
        unexplained |= CAUGHT.match(line) is not None
        if skipped is not None:
            call = skipped["rest"] or "".join(takewhile(lambda inner: inner.strip() != ")", lines[number + 1 :]))
            unexplained |= not re.search(r'reason=|  # \w|^\s*f?".{5,}"', call)
        found += [line.strip()] * unexplained
    return found


@pytest.mark.parametrize("folder", ["src", "tests"])
def test_every_exception_to_a_rule_has_its_reason(folder: str) -> None:
    files = [path for path in FILES if path.is_relative_to(ROOT / folder) and path != Path(__file__)]
    assert len(files) > 100
    found = {str(path): without_reason(path.read_text(), folder == "tests") for path in files}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "line",
    [
        "import ray  # noqa",
        "import ray  # noqa: F401",
        "import ray  # noqa: F401 - an extra",
        "f(x)  # type: ignore[arg-type]",
        "f(x)  # type: ignore[arg-type]  # a reason, of types that nobody checks",
        "    except Exception:",
        "    except Exception as error:",
        "except BaseException:",
        "except:",
        '@pytest.mark.skipif(sys.platform == "win32")',
        '@pytest.mark.skipif(\n    sys.platform == "win32",\n)',
        'pytest.importorskip("ray")',
        "@pytest.mark.xfail()",
    ],
)
def test_a_line_without_one_is_found(line: str) -> None:
    assert without_reason(line, test=True) == [line.splitlines()[0].strip()]
