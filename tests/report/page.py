"""The page as a test sees it."""

from html.parser import HTMLParser
from pathlib import Path

from tests.report.folder import TASKS

from tutelage.report import write_report

VOID = {"meta", "img", "input", "br", "path", "use"}


class Page(HTMLParser):
    """Elements, attributes and text; raises where tags do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.text += data

    @property
    def scripts(self) -> int:
        """How many scripts there are: the page's own is one."""
        return sum(tag == "script" for tag, _ in self.tags)


def page(folder: Path) -> Page:
    path = write_report(folder, TASKS)
    assert path == folder / "report.html"
    assert [p.name for p in folder.glob(".report*")] == []
    return Page(path.read_text())
