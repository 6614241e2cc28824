"""The page in a browser: it asks for nothing, complains of nothing, fits, and its switches work."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.report.browser import Browser, browser
from tests.report.folder import TASKS, log, write

from tutelage.report import write_report

SHOWN = "e => e.offsetParent !== null"


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write(
        tmp_path_factory.mktemp("study") / "kitchen", methods=("uniform", "kd4mtl", "probe"), seeds=(0, 1, 2)
    )
    for method in ("uniform", "kd4mtl"):
        cosines = ({"epoch": e, "gradient/cosine/segmentation/depth": 0.1, "gradient/conflicting": 0} for e in (1, 2))
        log(folder, f"{method}/seed0", *cosines)
    return write_report(folder, TASKS)


@pytest.fixture
def page(tab: Browser, report: Path) -> Browser:
    tab.open(report)
    return tab


def test_nothing_is_requested_and_nothing_complained_of(page: Browser, report: Path) -> None:
    assert page.requests[0] == report.as_uri()
    assert all(address.startswith("data:image/") for address in page.requests[1:])
    assert len(page.requests) > 1
    assert page.complaints == []


def test_the_policy_stops_other_scripts_and_requests(page: Browser) -> None:
    page.run(
        "document.body.insertAdjacentHTML('beforeend', '<img src=https://example.org/x.png onerror=stolen=1>');"
        "document.body.append(Object.assign(document.createElement('script'), {text: 'stolen = 1'}))"
    )
    assert page.run("typeof stolen") == "undefined"
    assert sum("violates the following Content Security Policy" in text for text in page.complaints) >= 2


@pytest.mark.parametrize("width", [320, 420, 1200])
def test_no_page_is_wider_than_its_window(tab: Browser, report: Path, width: int) -> None:
    tab.open(report, width)
    assert tab.run("document.documentElement.scrollWidth") <= width
    cut = "[...document.querySelectorAll('img, svg, p')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
    assert tab.run(f"{cut}.filter(e => innerWidth < 600 || !e.closest('.wide')).length") == 0


@pytest.mark.parametrize("dark", [False, True])
def test_the_theme_is_that_of_the_system_until_it_is_chosen(tab: Browser, report: Path, dark: bool) -> None:
    def brightness() -> float:
        colour = str(tab.run("getComputedStyle(document.body).backgroundColor"))
        return sum(map(float, re.findall(r"[\d.]+", colour)))

    tab.run("localStorage.clear()")
    tab.open(report, dark=dark)
    assert (brightness() < 200) == dark
    tab.run(f"document.querySelector('[name=theme][value={'light' if dark else 'dark'}]').click()")
    assert (brightness() < 200) != dark
    tab.open(report, dark=dark)
    assert (brightness() < 200) != dark  # it is remembered
    tab.run("document.querySelector('[name=theme][value=auto]').click()")
    assert (brightness() < 200) == dark


def test_one_delta_and_one_protocol_are_shown_at_a_time(page: Browser) -> None:
    def shown(name: str) -> set[str]:
        elements = (
            f"[...document.querySelectorAll('td[data-delta], [data-protocol] > div[data-delta]')].filter({SHOWN})"
        )
        value = "e.dataset.delta" if name == "delta" else "e.closest('[data-protocol]').dataset.protocol"
        return set(page.run(f"{elements}.map(e => {value})"))

    assert (shown("delta"), shown("protocol")) == ({"main"}, {"dataset"})
    page.run("document.querySelector('[name=delta][value=all_metrics]').click()")
    page.run("document.querySelector('[name=protocol][value=image]').click()")
    assert (shown("delta"), shown("protocol")) == ({"all_metrics"}, {"image"})


def test_without_a_script_everything_is_shown(tab: Browser, report: Path) -> None:
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    tab.open(report)
    assert tab.run("document.querySelectorAll('[hidden]').length") == 0
    assert tab.run(f"[...document.querySelectorAll('fieldset.switch, .picker button')].filter({SHOWN}).length") == 0
    tab.call("Emulation.setScriptExecutionDisabled", value=False)


def test_a_click_sorts_the_best_to_the_top_and_the_third_restores(page: Browser) -> None:
    page.run("table = document.querySelector('table.numbers')")

    def click(column: str) -> list[str]:
        heads = f"[...table.querySelectorAll('thead tr:last-child th')].find(e => e.textContent.startsWith('{column}'))"
        page.run(f"{heads}.querySelector('button').click()")
        names: list[str] = page.run("[...table.tBodies[0].rows].map(row => row.cells[0].textContent)")
        return names

    before = ["single", "uniform", "kd4mtl", "probe"]
    assert click("miou") == ["kd4mtl", "probe", "single", "uniform"]  # higher is better
    assert click("miou") == ["uniform", "single", "probe", "kd4mtl"]
    assert click("miou") == before
    assert click("abs_err")[0] == "kd4mtl"  # lower is better
    assert click("method") == ["kd4mtl", "probe", "single", "uniform"]
    assert page.run("table.querySelectorAll('[aria-sort]').length") == 1


def test_the_picker_hides_the_curves_of_a_method(page: Browser) -> None:
    def visible() -> dict[str, int]:
        counts: dict[str, int] = page.run(
            "Object.fromEntries([...document.querySelectorAll('.picker label')].map(e => [e.textContent.trim(),"
            "[...document.querySelectorAll(`.curves [id$='-curve-${e.querySelector('input').value}']`)]"
            ".filter(line => line.getBoundingClientRect().width > 0).length]))"
        )
        return counts

    before = visible()
    assert min(before.values()) >= 2
    page.run("[...document.querySelectorAll('.picker label')].find(e => e.textContent.includes('kd4mtl')).click()")
    assert visible() == {**before, "kd4mtl": 0}
    page.run("document.querySelector('.picker [value=none]').click()")
    assert set(visible().values()) == {0}
    page.run("document.querySelector('.picker [value=all]').click()")
    assert visible() == before


def test_a_picture_is_larger_on_a_click_and_arrows_lead_on(page: Browser) -> None:
    page.run("button = [...document.querySelectorAll('.zoom')].find(e => e.title.startsWith('segmentation, kd4mtl'))")
    page.run("button.click()")
    assert page.run("viewer.open && viewer.querySelector('img').width > 2 * button.querySelector('img').width")
    assert "segmentation, kd4mtl: miou" in page.run("viewer.textContent")
    assert "class 3" in page.run("viewer.textContent")  # with its legend
    page.run("viewer.querySelector('[value=\"1\"]').click()")
    assert "kd4mtl" not in page.run("viewer.querySelector('figcaption').textContent")
    page.run("viewer.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowLeft'}))")
    assert "segmentation, kd4mtl" in page.run("viewer.querySelector('figcaption').textContent")
    page.run("viewer.querySelector('[value=\"0\"]').click()")
    page.wait("!viewer.open && document.activeElement === button")
    assert page.complaints == []
