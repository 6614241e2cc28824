"""Every command of the README and the docs is one that the command understands, and does what it says."""

import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Sequence
from functools import reduce
from pathlib import Path

import pytest
import yaml
from tests.data.digit_files import write_mnist, write_usps
from tests.deploy.files import picture, reads_video, video
from tests.pages import PAGES, ROOT, blocks, commands, lines, name_of
from tests.test_docs_data import write_scenes

from tutelage.cli import main
from tutelage.cli.command import parser
from tutelage.study import load_study
from tutelage.values import read_draft, read_values

TUTORIALS = ROOT / "docs/tutorials"  # tests/test_docs_tutorials.py
COMMANDS = list(dict.fromkeys(tuple(words) for page in PAGES if page.parent != TUTORIALS for words in commands(page)))
STUDIES = [words for words in COMMANDS if words[0] in ("run", "tune") and "--help" not in words]
# Not executed here, with what does it instead.
ELSEWHERE = {
    "app": "it serves until it is stopped: tests/cli/test_app.py",
    "bench": "it measures for minutes: tests/bench",
    "prepare": "it needs official downloads: tests/prepare",
    "tune": "it trains: tests/study/test_tune.py",
}
OTHERS = [words for words in COMMANDS if words[0] not in ("run", *ELSEWHERE)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the commands find what they name: data, studies, overlays."""
    place = tmp_path_factory.mktemp("docs")
    data = place / "DIR"
    write_scenes(data)
    write_mnist(data)
    write_usps(data)
    (place / "shared").mkdir()
    (place / "shared/nyuv2").symlink_to(data)
    values = read_values("rooms-tiny")
    nyuv2 = {"class_path": "tutelage.data.NYUv2", "init_args": {"root": str(data), "size": [32, 48]}}
    (place / "my_study.yaml").write_text(yaml.safe_dump({**values, "study": "my_study", "data": nyuv2}))
    (place / "photos.yaml").write_text(yaml.safe_dump({**values, "study": "photos", "data": nyuv2}))
    for page in PAGES:
        for block in blocks(page, "yaml"):
            if block.title:
                (place / block.title).write_text(block.text.replace("/models/", f"{place}/models/"))
    for block in blocks(ROOT / "docs/tasks.md", "yaml"):
        tasks = yaml.safe_load(block.text)["tasks"]
        (place / f"{next(iter(tasks))}.yaml").write_text(block.text)
    (place / "segmentation.yaml").rename(place / "scenes.yaml")
    (place / "scenes").mkdir()
    for study in ("rooms", "nyuv2-segnet-small"):
        (place / f"runs/{study}/tune").mkdir(parents=True)
        (place / f"runs/{study}/tune/tuned.yaml").write_text("method: {uniform: {values: tuned, lr: 0.002}}\n")
    return place


@pytest.fixture
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(place)
    return place


def local(words: Sequence[str], place: Path) -> list[str]:
    """The words with the paths of a cluster in the folder of the test."""
    paths = {"/shared/": f"{place}/shared/", "s3://bucket": f"file://{place}/bucket"}
    return [reduce(lambda text, path: text.replace(*path), paths.items(), word) for word in words]


@pytest.mark.parametrize("words", COMMANDS, ids=shlex.join)
def test_it_is_understood(words: Sequence[str], here: Path) -> None:
    args = parser().parse_args(local(words, here))
    if words in STUDIES:
        assert read_draft(args.study, args.flags).laid["net"]


@pytest.mark.slow  # half a second each; tests/test_docs_tasks.py has the data of scenes.yaml
@pytest.mark.parametrize("words", [words for words in STUDIES if "scenes.yaml" not in words], ids=shlex.join)
def test_its_study_is_valid(words: Sequence[str], here: Path) -> None:
    args = parser().parse_args(local(words, here))
    if "wandb" in shlex.join(words):
        pytest.importorskip("wandb", reason="--logger wandb: pip install 'tutelage[wandb]'")
    study = load_study(args.study, args.flags)
    study.objects.data.check(study.objects.tasks)


RECIPES = [words for words in map(tuple, commands(ROOT / "docs/recipes.md")) if words[0] == "run"]


@pytest.mark.slow  # seconds each: a few steps of every kind of run
@pytest.mark.parametrize("words", RECIPES, ids=shlex.join)
def test_the_recipes_plan(
    words: Sequence[str], here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if "wandb" in shlex.join(words):
        pytest.importorskip("wandb", reason="--logger wandb: pip install 'tutelage[wandb]'")
    monkeypatch.setattr("timm.models._builder.load_pretrained", lambda *args, **kwargs: None)  # no network
    assert main([*local(words, here), "--dry-run"]) == 0, capsys.readouterr().err
    assert "The study is valid" in capsys.readouterr().out


@pytest.fixture(scope="module")
def trained(place: Path) -> Path:
    """The same with what the commands that train would have left."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        short = ["--max-steps", "1", "--data.train", "16", "--data.test", "6", "--precision", "32-true"]
        assert main(["run", "rooms-tiny", *short, "--methods", "uniform,kd4mtl", "--out", "runs/photos"]) == 0
        named = {words[i] for words in COMMANDS for i in range(len(words)) if words[i].startswith("runs/")}
        for study in {Path(*Path(name).parts[:2]) for name in named} - {Path("runs/photos")}:
            shutil.copytree("runs/photos", study, dirs_exist_ok=True)
        for folder in ("photos", "new", "more/deep"):
            picture(Path(folder, "a.jpg"))
            picture(Path(folder, "b.png"))
        picture(Path("photo.jpg"))
        video(Path("clip.mp4"))
    return place


@pytest.mark.slow  # a study is trained once for all of them
@pytest.mark.parametrize("words", OTHERS, ids=shlex.join)
@reads_video
def test_it_runs(
    words: Sequence[str], trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(trained)
    if words[0] == "push" and "--save" not in words:
        words = [*words, "--save", "card"]  # what it would upload
    if words[0] == "init":  # a folder that holds labels, too
        shutil.rmtree("init", ignore_errors=True)
        write_scenes(Path("init/photos"))
        monkeypatch.chdir("init")
    for written in ("predictions", "card", "look"):
        shutil.rmtree(written, ignore_errors=True)
    Path("student.onnx").unlink(missing_ok=True)
    status = main(list(words))
    assert status == 0, capsys.readouterr().err


def test_make_and_pip_have_what_the_pages_name() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"].keys()
    named = [words for page in PAGES for words in lines(page)]
    assert {words[1] for words in named if words[0] == "make"} <= targets
    installs = [re.search(r"\[([\w,]+)\]", words[2]) for words in named if words[:2] == ["pip", "install"]]
    assert {extra for match in installs if match for extra in match[1].split(",")} <= extras


@pytest.mark.parametrize("target", ["nyuv2-lite", "nyuv2-lite-quarter", "nyuv2-lite-teachers", "nyuv2-segnet"])
def test_make_runs_studies_with_flags_that_they_have(target: str, tmp_path: Path) -> None:
    words = ["make", "-n", target, f"DATA={tmp_path}", f"WEIGHTS={tmp_path}"]
    printed = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    (command,) = [shlex.split(line) for line in printed.splitlines() if "tutelage run" in line]
    flags = command[3 : command.index("--jobs") if "--jobs" in command else None]  # which no study has
    study = load_study(command[2], flags)
    weights = str(tmp_path / "tf_efficientnet_lite")
    assert str(study.values).count(weights) == {"nyuv2-lite-teachers": 4, "nyuv2-segnet": 0}.get(target, 1)
    assert "recommended" in study.objects.methods


def test_no_command_is_overlooked() -> None:
    for page in PAGES:
        text = "".join(block.text for block in blocks(page, "", "bash"))
        shown = re.findall(r"^(?:[A-Z_]+=\S+ |srun .*|torchrun .*)?tutelage \w", text, re.MULTILINE)
        assert len(shown) == len(commands(page)), name_of(page)


def test_what_is_not_executed_here_has_a_test() -> None:
    for reason in ELSEWHERE.values():
        assert (ROOT / reason.rpartition(" ")[2]).exists()
