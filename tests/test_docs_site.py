"""The site: what mkdocs makes of the pages asks nobody for anything, and shows formulas, notebooks and signatures."""

import inspect
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest
from tests.pages import ROOT

from tutelage import balance, data, deploy, distill, metrics, nets, report, study, tasks, train, types

LOADS = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


class Loads(HTMLParser):
    """The addresses that a page loads by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value for name, value in attrs if value and LOADS.get(tag) == name]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("material", reason="the site needs mkdocs-material: pip install --group dev")
    site = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(site)]
    subprocess.run(words, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, check=True)
    return site


pytestmark = pytest.mark.slow  # `make check` builds the site


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        loads = Loads()
        loads.feed(page.read_text())
        assert loads.addresses
        assert not [x for x in loads.addresses if re.match(r"(\w+:)?//", x)], page


def test_formulas_are_mathml(site: Path) -> None:
    page = (site / "paper/index.html").read_text()
    assert page.count("<math") > 20
    assert "arithmatex" not in page
    assert "\\lambda" not in page


def test_the_notebook_is_a_page_with_its_outputs(site: Path) -> None:
    page = (site / "tutorials/notebook/index.html").read_text()
    pictures = re.findall(r'src="([^"]+\.png)"', page)
    assert len(pictures) == 2
    assert all((site / "tutorials/notebook" / picture).exists() for picture in pictures)
    assert "kd4mtl against uniform" in page


@pytest.mark.parametrize(
    "package", [balance, data, deploy, distill, metrics, nets, report, study, tasks, train, types],
    ids=lambda package: package.__name__,
)  # fmt: skip
def test_the_reference_has_every_public_name(package: ModuleType, site: Path) -> None:
    name = package.__name__
    page = (site / "reference" / name.rpartition(".")[2] / "index.html").read_text()
    objects = {public: getattr(package, public) for public in package.__all__}
    for public, thing in objects.items():
        if inspect.isclass(thing) or inspect.isfunction(thing):  # a function of its module's name has the whole path
            paths = (f"{name}.{public}", f"{thing.__module__}.{thing.__qualname__}")
            assert any(f'id="{path}"' in page for path in paths), public
