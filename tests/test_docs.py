"""What README and docs say exists, exists; what they show runs."""

import os
import re
import subprocess
import sys
from decimal import ROUND_HALF_UP, Decimal
from inspect import isabstract
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tests.distill.tiny import Tiny
from tests.pages import PAGES, ROOT, blocks, name_of
from tests.train.fixture import Run

from tutelage import distill
from tutelage.distill import Adaptor, Distance
from tutelage.study import TeacherConfig, load_study, methods, presets, read_values
from tutelage.train import TrainConfig
from tutelage.types import Distiller, MultiTaskNet


def yaml_blocks(page: str) -> list[dict[str, Any]]:
    """What the YAML of a page holds."""
    text = (ROOT / "docs" / page).read_text()
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)]


def headings(page: Path) -> set[str]:
    """The anchors of a page."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?[^)]*\)", page.read_text()):
        if not target.startswith("http"):
            file = page.parent / target if target else page
            assert file.exists(), target
            assert not anchor or "." in anchor or anchor in headings(file), f"{target}#{anchor}"  # mkdocs checks names


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_places_in_the_code_exist(page: Path) -> None:
    for file, symbol in re.findall(r"`([\w/]+\.py)(?::([\w.]+))?`", page.read_text()):
        paths = [p for p in (ROOT / "src/tutelage" / file, ROOT / file) if p.exists()]
        paths = paths or list((ROOT / "src/tutelage").rglob(file))  # a name within the package that the text is about
        assert len(paths) == 1, file
        (path,) = paths
        for name in filter(None, symbol.split(".")):
            assert re.search(rf"\b{name}\b", path.read_text()), f"{file}:{symbol}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_name_presets(page: Path) -> None:
    for source in re.findall(r"tutelage run ([\w-]+)(?!\.yaml)\b(?!\.)", page.read_text()):
        assert source in presets(), source


def test_the_results_of_the_readme_are_those_of_the_docs() -> None:
    rows = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("|") and "±" in line]
    results = (ROOT / "docs/results.md").read_text().splitlines()
    assert len(rows) >= 3
    assert not set(rows) - set(results)


def test_the_numbers_of_the_page_on_when_it_helps_are_those_of_the_results() -> None:
    number = r"(\d+(?:\.\d+)?) ± (\d+(?:\.\d+)?)"
    results = [(ROOT / f"docs/{page}.md").read_text() for page in ("results", "from-scratch")]
    measured = [pair for page in results for pair in re.findall(number, page)]
    shown = re.findall(number, (ROOT / "docs/when.md").read_text())
    assert len(shown) > 20
    for pair in shown:  # as it stands there, or rounded
        digits = [len(x.partition(".")[2]) for x in pair]
        assert any(all(round_as(x, n) == y for x, n, y in zip(m, digits, pair, strict=True)) for m in measured), pair


def round_as(number: str, digits: int) -> str:
    return str(Decimal(number).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP))


def test_the_readme_names_every_method() -> None:
    text = (ROOT / "README.md").read_text()
    assert all(f"`{name}`" in text for name in methods())


def test_the_python_of_the_readme_runs_and_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study, loop = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    for block in (study, loop):
        assert len([line for line in block.splitlines() if line.strip()]) < 15
    names: dict[str, Any] = {}
    exec(study.replace("train=64, test=16", "train=8, test=2"), names)
    assert names["results"].methods == ["single", "uniform", "kd4mtl"]
    names = {}
    exec(loop, names)
    assert all(p.grad is not None for p in names["student"].decoder.parameters())
    assert all(p.grad is None for t in names["teachers"].values() for p in t.parameters())


def test_the_script_of_the_page_on_scaling_runs(tmp_path: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/scaling.md").read_text(), flags=re.DOTALL)
    flags = ["--epochs", "1", "--data.train", "16", "--data.test", "6", "--methods", "single", "--out", "runs"]
    assert block.count('"0,1"]') == 1
    (tmp_path / "script.py").write_text(block.replace('"0,1"]', f'"0,1", *{flags}]'))
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    subprocess.run([sys.executable, "script.py"], cwd=tmp_path, env=environment, check=True, timeout=300)
    assert (tmp_path / "runs/single/depth/seed1/result.json").exists()


def test_the_method_of_the_docs_is_short_and_works() -> None:
    text = (ROOT / "docs/balancing.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len([line for line in block.splitlines() if line.strip()]) <= 20
    names: dict[str, Any] = {}
    exec(block, names)
    setup = Run(TrainConfig(epochs=3, batch_size=4, log_steps=1), names["Steady"])
    run = setup.fit(setup.build())
    mean = run.balancer.state_dict()["_extra_state"]["memory"]["task"]["mean"]
    assert (mean != 1).all()
    assert mean.isfinite().all()


def test_the_methods_of_the_page_on_distilling_build(tmp_path: Path) -> None:
    blocks = yaml_blocks("distillation.md")
    shown = [pair for block in blocks for pair in block.get("method", {}).items()]
    file = tmp_path / "study.yaml"
    file.write_text(
        yaml.safe_dump(
            read_values("rooms-tiny") | {"methods": ["kd4mtl", *(n for n, _ in shown)], "method": dict(shown)}
        )
    )
    config = load_study(file).objects  # a name that is shown twice is an error
    teachers: dict[str, MultiTaskNet] = {t: Tiny({t: task.width}) for t, task in config.tasks.items()}
    student = Tiny({t: task.width for t, task in config.tasks.items()})
    for name, _ in shown:
        make = config.method[name].distiller
        assert make is not None, name
        assert isinstance(make(student, teachers, torch.zeros(1, 3, 4, 6)), Distiller), name


@pytest.mark.parametrize("page", ["balancing.md", "studies.md"])
def test_the_yaml_of_the_docs_is_a_study(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for shown in (block for block in yaml_blocks(page) if "teachers" not in block):
        if "data" in shown:
            shown["data"]["init_args"]["root"] = str(tmp_path)
        study = shown if "study" in shown else read_values("rooms-tiny") | shown
        Path("study.yaml").write_text(yaml.safe_dump(study))
        assert load_study("study.yaml").methods == study.get("methods", load_study("rooms-tiny").methods)


def test_the_python_of_the_page_on_studies_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = blocks(ROOT / "docs/studies.md", "python")
    names: dict[str, Any] = {}
    exec(block.text, names)
    assert names["net"](torch.rand(1, 3, 32, 32)).predictions.keys() == {"segmentation", "depth", "normals"}


@pytest.mark.parametrize("page", ["distillation.md", "studies.md"])
def test_the_teachers_of_the_docs_build(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for shown in (block for block in yaml_blocks(page) if "teachers" in block):
        assert_teachers_build(shown)


def assert_teachers_build(shown: dict[str, Any]) -> None:
    for teacher in shown["teachers"].values():
        file = teacher if isinstance(teacher, str) else teacher.get("file")
        if file is not None:
            Path(file).touch()
    Path("study.yaml").write_text(yaml.safe_dump(read_values("rooms-tiny") | {"methods": ["kd4mtl"]} | shown))
    objects = load_study("study.yaml").objects
    assert objects.teachers.keys() == shown["teachers"].keys()
    for name, teacher in objects.teachers.items():
        if isinstance(teacher, TeacherConfig):
            make = teacher.net or objects.net
            net = make({t: objects.tasks[t].width for t in teacher.tasks})
            taps = net.eval()(torch.rand(1, 3, 32, 48)).taps
            assert set((teacher.match or {}).values()) <= taps.keys(), name


def test_the_page_on_distilling_names_every_distance_and_adaptor() -> None:
    text = (ROOT / "docs/distillation.md").read_text()
    for base in (Distance, Adaptor):
        for kind in (getattr(distill, name) for name in distill.__all__):
            if isinstance(kind, type) and issubclass(kind, base) and not isabstract(kind):
                assert f"class_path: tutelage.distill.{kind.__name__}" in text


def test_the_distance_of_the_docs_works() -> None:
    text = (ROOT / "docs/distillation.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(block, names)
    a, b = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5)
    torch.testing.assert_close(names["L1"]()(a, b), torch.stack([(a[i] - b[i]).abs().mean() for i in range(2)]))
