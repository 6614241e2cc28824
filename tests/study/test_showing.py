import json
import shutil
from pathlib import Path

import pytest
import torch
from tests.study.conftest import tiny
from torch import nn

from tutelage.files import locked, write_json
from tutelage.study import plan, save_showing
from tutelage.study.cost import cost
from tutelage.study.teachers import load_tensors
from tutelage.types import MultiTaskNet, Output


class Plain(MultiTaskNet):
    """Two convolutions: 3 -> 4 -> 1 channels, 3x3."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, images: torch.Tensor, tasks: object = None) -> Output:
        return Output({"depth": self.second(self.first(images).relu())}, {})

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        return []

    def shared_parameters(self) -> list[nn.Parameter]:
        return []


def test_costs_are_those_of_the_formula() -> None:
    net = Plain().train()
    measured = cost(net, torch.rand(1, 3, 8, 10))
    assert net.training
    assert measured["parameters"] == 4 * 28 + 37
    assert measured["multiply_adds"] == 80 * (4 * 27 + 36)
    assert measured["weights"] == 4 * measured["parameters"]
    assert measured["activations"] == 4 * 80 * 8  # before and after relu, 4 channels each: more than with the output
    assert measured["milliseconds"] > 0
    assert (measured["size"], measured["device"]) == ([8, 10], "CPU")


def test_weights_are_no_activations() -> None:
    class Linear(Plain):
        def forward(self, images: torch.Tensor, tasks: object = None) -> Output:
            return Output({"depth": self.last(images[:, :, 0].flatten(1))}, {})

    net = Linear()
    net.last = nn.Linear(3 * 10, 50)  # whose transpose is a view of the weights
    assert cost(net, torch.rand(1, 3, 8, 10))["activations"] == 4 * 50 + 4 * 30


@pytest.fixture(scope="module")
def alone(finished: tuple, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bool]]:
    """The folder of a study that was shown; file -> whether another process could not write beside it meanwhile."""
    folder, written = tmp_path_factory.mktemp("showing") / "runs", dict[str, bool]()
    shutil.copytree(finished[0], folder)

    def write(path: Path, value: object) -> None:
        with locked(path.parent) as free:
            written[path.name] = written.get(path.name, True) and not free
        write_json(path, value)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tutelage.study.showing.write_json", write)
        save_showing(tiny(folder), print)
    return folder, written


@pytest.fixture
def shown(alone: tuple[Path, dict[str, bool]]) -> Path:
    return alone[0]


def test_every_network_predicts_the_best_and_the_worst_image(shown: Path) -> None:
    record = json.loads((shown / "extremes.json").read_text())
    assert (record["method"], record["of"]) == ("kd4mtl", 6)
    [best], [worst] = record["best"], record["worst"]
    assert best != worst
    study = tiny(shown)
    samples = study.objects.data.split("test")
    for spec in plan(study.values):
        for index in (best, worst):
            tensors = load_tensors(shown / spec.id / f"test-{index}.safetensors")
            assert torch.equal(tensors["image"][0], (samples[index]["image"] * 255).round().byte())
            assert {f"prediction/{t}" for t in spec.tasks} <= tensors.keys()


def test_a_network_predicts_as_it_did_after_its_training(shown: Path) -> None:
    [best] = json.loads((shown / "extremes.json").read_text())["best"]
    before, again = (load_tensors(shown / "kd4mtl/seed0" / f"{n}.safetensors") for n in ("predictions", f"test-{best}"))
    for name in ("prediction/segmentation", "prediction/depth"):
        one, other = before[name][best].float(), again[name][0].float()  # all six images are kept
        assert (one - other).abs().float().quantile(0.9) < 1e-2  # one image or six at a time round differently


def test_what_is_there_is_kept(shown: Path) -> None:
    files = {path: path.stat().st_mtime_ns for path in shown.rglob("*") if path.name.startswith(("cost", "test-"))}
    assert len(files) == 3 * len(plan(tiny(shown).values))
    save_showing(tiny(shown), print)
    assert files == {path: path.stat().st_mtime_ns for path in files}


def test_no_other_process_writes_to_a_folder_meanwhile(alone: tuple[Path, dict[str, bool]]) -> None:
    assert alone[1] == {"cost.json": True, "extremes.json": True}


def test_an_unfinished_study_shows_nothing(finished: tuple, tmp_path: Path) -> None:
    shutil.copytree(finished[0], tmp_path / "runs")
    (tmp_path / "runs/url/seed0/result.json").unlink()
    save_showing(tiny(tmp_path / "runs"), print)
    assert not list((tmp_path / "runs").rglob("cost.json"))


def test_a_damaged_network_costs_the_page_its_pictures_alone(finished: tuple, tmp_path: Path) -> None:
    shutil.copytree(finished[0], tmp_path / "runs")
    (tmp_path / "runs/url/seed0/student.safetensors").write_bytes(b"")
    notes: list[str] = []
    save_showing(tiny(tmp_path / "runs"), notes.append)
    [note] = notes
    assert note.startswith("the page lacks costs or images: ")
    assert "student.safetensors" in note


def test_the_best_and_worst_of_a_run_that_was_trained_again_are_found_again(shown: Path) -> None:
    result = shown / "kd4mtl/seed0/result.json"
    before = json.loads((shown / "extremes.json").read_text())
    assert before["weights"] == json.loads(result.read_text())["weights"]
    write_json(shown / "extremes.json", before | {"weights": "of other weights", "best": [5], "worst": [5]})
    save_showing(tiny(shown), print)
    assert json.loads((shown / "extremes.json").read_text()) == before
