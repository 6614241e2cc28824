"""The pages of the docs as their readers meet them: blocks of code, files that a page shows, and commands."""

import re
import runpy
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage.cli import main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(
    r'^```(?P<language>\w*)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$', re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the file that it shows ("" for none), and its text."""

    language: str
    title: str
    text: str


def name_of(page: Path) -> str:
    """The page's path in the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> list[Block]:
    """The blocks of a page, of some languages or of all."""
    found = [Block(*match.groups(default="")) for match in _FENCE.finditer(page.read_text())]
    return [block for block in found if not languages or block.language in languages]


def lines(page: Path) -> list[list[str]]:
    """The words of every line of a page's shell blocks, without comments."""
    text = "".join(block.text for block in blocks(page, "", "bash"))
    return [words for line in text.splitlines() if (words := _split(line))]


def commands(page: Path) -> list[list[str]]:
    """The words of every `tutelage ...`, without what stands before: NAME=VALUE, srun, torchrun."""
    return [words[words.index("tutelage") + 1 :] for words in lines(page) if "tutelage" in words]


def follow(page: Path, capsys: Any) -> None:
    """Do in the working folder what a page shows, in its order: write its files, run its commands and its Python.

    Args:
        page: the page.
        capsys: of pytest: a `text` block has to be what was printed just before.
    """
    names: dict[str, Any] = {}
    shown = ""
    for block in blocks(page):
        if block.title:
            Path(block.title).write_text(block.text)
        elif block.language == "python":
            exec(compile(block.text, str(page), "exec"), names)
        elif block.language == "text":
            assert block.text == shown
        elif block.language == "bash":
            capsys.readouterr()
            for words in filter(None, map(_split, block.text.splitlines())):
                if words[0] == "python":
                    runpy.run_path(words[1])
                else:
                    assert words[0] == "tutelage", words
                    status = main(words[1:])
                    assert status == 0, (words, capsys.readouterr().err)
            shown = capsys.readouterr().out


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:  # an apostrophe in what a block without a language shows: no command
        return []
