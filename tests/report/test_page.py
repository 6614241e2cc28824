import io
import json
import re
import shutil
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path

import pytest
import safetensors.torch
import torch
from PIL import Image
from tests.report.folder import TASKS, write

from tutelage.report import write_report
from tutelage.report.pictures import Predictions

VOID = {"meta", "img", "br", "path", "use"}


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
        self.text += data


def page(folder: Path) -> Page:
    path = write_report(folder, TASKS)
    assert path == folder / "report.html"
    assert [p.name for p in folder.glob(".report*")] == []
    return Page(path.read_text())


def test_the_page_shows_everything(tmp_path: Path) -> None:
    shown = page(write(tmp_path))
    for expected in ("kitchen", "kd4mtl", "about kd4mtl", "miou", "+4.17", "42.00", "Predictions", "Training", "Losses",
                     "Distances to the teachers", "Weights", "tutelage run kd4mtl <b>", "torch 2.15", "f1ng3r",
                     "no interval can be given", "task_mean", "image protocol"):  # fmt: skip
        assert expected in shown.text, expected
    assert sum(tag == "svg" for tag, _ in shown.tags) == 4  # Delta, losses, distances, weights
    assert sum(tag == "table" and of.get("class") == "numbers" for tag, of in shown.tags) == 2  # both protocols


def test_pictures_are_those_of_the_runs(tmp_path: Path) -> None:
    shown = [of for tag, of in page(write(tmp_path)).tags if tag == "img"]
    images = [of["src"] for of in shown]
    # Two scenes: an image, and two tasks of truth and three methods; the second scene has no truth.
    assert len(images) == 2 * (1 + 2 * 4) - 2
    names = {f"{t}, {m}" for t in TASKS for m in ("truth", "single", "uniform", "kd4mtl")}
    assert {of["alt"] for of in shown} == names | {"image 1", "image 2"}
    for source in images:
        with Image.open(io.BytesIO(b64decode(source.split(",")[1]))) as picture:
            assert picture.size == (12, 8)


def test_the_page_is_self_contained(tmp_path: Path) -> None:
    shown = page(write(tmp_path))
    assert not {tag for tag, _ in shown.tags} & {"script", "link", "iframe", "object", "form"}
    for _, of in shown.tags:
        for name, value in of.items():
            assert not name.startswith("on")
            if name in ("src", "href", "xlink:href"):
                assert value.startswith(("data:image/", "#"))
    assert "default-src 'none'" in (tmp_path / "report.html").read_text()


def test_names_cannot_become_html(tmp_path: Path) -> None:
    name = 'a"><script>alert(1)<\\script>$x$'  # a folder's name holds no slash
    shown = page(write(tmp_path, methods=[name]))
    assert "script" not in {tag for tag, _ in shown.tags}
    assert name in shown.text


def test_a_tasks_name_cannot_either(tmp_path: Path) -> None:
    name = "<script>t</script>"
    path = write_report(write(tmp_path), {name: TASKS["depth"], "depth": TASKS["depth"]})
    shown = Page(path.read_text())
    assert "script" not in {tag for tag, _ in shown.tags}
    assert name in shown.text


def test_light_and_dark_and_narrow(tmp_path: Path) -> None:
    page(write(tmp_path))
    text = (tmp_path / "report.html").read_text()
    assert "prefers-color-scheme: dark" in text
    assert '<meta name="viewport"' in text
    assert not re.search(r"(fill|stroke): ?#(000000|ffffff)(?!.*opacity)", text)  # no chart is drawn in ink or paper


@pytest.mark.parametrize("missing", ["predictions.safetensors", "log.jsonl", "environment.json"])
@pytest.mark.parametrize("how", ["gone", "broken"])
def test_what_is_missing_is_left_out(tmp_path: Path, missing: str, how: str) -> None:
    write(tmp_path)
    for path in tmp_path.glob(f"**/{missing}"):
        if how == "gone" or missing == "environment.json":
            path.unlink()
        else:
            path.write_text("{")
    shown = page(tmp_path)
    assert "42.00" in shown.text
    gone = {"predictions.safetensors": "Predictions", "log.jsonl": "Losses", "environment.json": "Made by"}[missing]
    assert gone not in shown.text


def test_a_study_that_has_only_begun(tmp_path: Path) -> None:
    write(tmp_path)
    shutil.rmtree(tmp_path / "kd4mtl")
    (tmp_path / "study.yaml").unlink()
    assert "kd4mtl" in page(tmp_path).text
    (tmp_path / "results.json").write_text('{"study": "kitchen", "rows": []}')
    assert "nothing to compare" in page(tmp_path).text


def test_health_of_distillation(tmp_path: Path) -> None:
    shown = page(write(tmp_path)).text
    text = " ".join(shown[shown.index("Health of distillation") :].split())
    assert "The teachers by themselves: segmentation miou 40.00 %; depth abs_err 0.6000 m." in text
    line = text[text.index("kd4mtl", text.index("rank")) :]
    assert line.startswith("kd4mtldepthlast1.5000.5000.3750.380.4")  # distance 1.5 -> 0.5; dead, norm, rank 3 / 8


def test_nothing_distilled_has_no_health(tmp_path: Path) -> None:
    assert "Health of distillation" not in page(write(tmp_path, methods=["uniform"])).text


def test_paired_differences_are_in_both_protocols_and_all_conventions(tmp_path: Path) -> None:
    shown = page(write(tmp_path, methods=("uniform", "kd4mtl", "probe"), seeds=(0, 1, 2)))
    assert "Paired differences" in shown.text
    assert sum(of.get("class") == "numbers plain" for _, of in shown.tags) == 6 + 1  # and health
    for convention in ("main", "task_mean", "all_metrics"):
        for protocol in ("dataset", "image"):
            first = (convention, protocol) == ("main", "dataset")
            assert first or f"Delta {convention}, {protocol} protocol" in shown.text
    assert "minusprobe" not in shown.text  # a control is compared, and compared with nothing
    assert "Paired differences" not in page(write(tmp_path / "one", methods=["uniform"])).text


def test_the_page_says_where_values_come_from_and_what_was_forced(tmp_path: Path) -> None:
    write(tmp_path, methods=("uniform", "probe"))
    for path in tmp_path.glob("**/environment.json"):
        forced = {"precision": "32-true", "deterministic": {"max_unpool2d": "scatter in its <place>"}, "threads": 1}
        path.write_text(json.dumps({**json.loads(path.read_text()), **forced}))
    text = page(tmp_path).text
    assert "probecontrol" in text
    assert "1 thread, 32-true, deterministic mode (max_unpool2d: scatter in its <place>)" in text


def test_every_source_has_its_own_tables(tmp_path: Path) -> None:
    folder = write(tmp_path / "runs")
    for path in folder.rglob("predictions.safetensors"):
        tensors = safetensors.torch.load_file(path)
        parts = {f"<indoor>/{name}": x for name, x in tensors.items()}
        parts |= {f"streets/{n}": x.clone() for n, x in tensors.items() if not n.endswith("/segmentation")}
        parts["bare/image"] = tensors["image"].clone()  # without a label of any task
        safetensors.torch.save_file(parts, path)
    tables = write_report(folder, TASKS).read_text().split("<h2>Predictions</h2>")[1].split("<h2>")[0]
    assert re.findall(r"<h3>(.*?)</h3>", tables) == ["&lt;indoor&gt;", "streets"]
    assert tables.count("<table") == 2 * len(tensors["image"])


def test_a_task_may_be_called_image(tmp_path: Path) -> None:
    tensors = {"image": torch.zeros(2, 3, 4, 4, dtype=torch.uint8), "prediction/image": torch.zeros(2)}
    safetensors.torch.save_file(tensors, tmp_path / "predictions.safetensors")
    assert Predictions(tmp_path / "predictions.safetensors").sources == [""]
