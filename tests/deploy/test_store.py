import json
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from lightning_fabric import Fabric
from safetensors import safe_open
from tests.deploy.conftest import DENSE, NETS, config, make
from torch import Tensor

import tutelage
from tutelage.deploy import Predictor, build, load, save
from tutelage.nets import SegNet
from tutelage.study import Study
from tutelage.study.build import load_given
from tutelage.tasks import Depth
from tutelage.train import make_batch, predict


@pytest.mark.parametrize("name", NETS)
def test_what_is_saved_is_loaded_bit_for_bit(name: str, tmp_path: Path, images: Tensor) -> None:
    predictor = make(name)
    file = save(predictor, tmp_path / "there")
    assert file == tmp_path / "there/predictor.safetensors"
    state = torch.random.get_rng_state()
    for path in (file, str(tmp_path / "there")):
        again = tutelage.load(path)
        assert again.size == (32, 64)
        assert again.config == predictor.config
        for t, value in predictor.predict(images).items():
            torch.testing.assert_close(again.predict(images)[t], value, rtol=0, atol=0)
    assert torch.equal(torch.random.get_rng_state(), state)
    with safe_open(file, "pt") as one, safe_open(save(again, tmp_path / "again.safetensors"), "pt") as other:
        assert one.metadata() == other.metadata()


def test_a_run_becomes_what_its_study_evaluated(distilled: Study, tmp_path: Path) -> None:
    run = distilled.folder / "kd4mtl/seed0"
    config, tasks = distilled.config, distilled.config.tasks
    net = config.net({t: task.width for t, task in tasks.items()})
    net.load_state_dict(safetensors.torch.load_file(run / "student.safetensors"))
    samples = config.data.split("test")
    batch = make_batch([samples[i] for i in range(len(samples))], tasks)
    expected = predict(Fabric(accelerator="cpu", precision="32-true"), net, tasks, batch)
    predictor = load(run)
    assert predictor.size == (32, 48)
    small = load(save(predictor, tmp_path))
    for found in (predictor(batch.images), predictor.predict(batch.images), small.predict(batch.images)):
        for t, value in expected.items():
            torch.testing.assert_close(found[t].detach(), value, rtol=0, atol=0)
    count = sum(p.numel() for p in net.parameters())
    with safe_open(tmp_path / "predictor.safetensors", "pt") as file:
        assert set(file.keys()) == set(net.state_dict())  # no adaptor, no teacher
        assert "study" not in file.metadata()["config"]
    assert sum(p.numel() for p in predictor.parameters()) == sum(p.numel() for p in small.parameters()) == count
    single = load(distilled.folder / "single/depth/seed0")
    assert list(single.predict(batch.images)) == ["depth"]


def test_a_predictors_file_is_a_studys_teacher(tmp_path: Path) -> None:
    tasks = {"depth": DENSE["depth"]}
    predictor = build({**config("SegNet", [32, 48]), "tasks": tasks})
    net = SegNet({"depth": 1}, filters=(4, 4, 4, 4, 4))
    load_given(net, save(predictor, tmp_path))
    torch.testing.assert_close(net.state_dict(), predictor.net.state_dict(), rtol=0, atol=0)


def test_importing_tutelage_imports_no_torch() -> None:
    code = "import sys, tutelage; assert 'torch' not in sys.modules; tutelage.load; assert 'torch' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        tutelage.nothing  # noqa: B018, asking is what raises


def test_the_size_can_be_another(distilled: Study) -> None:
    run = distilled.folder / "kd4mtl/seed0/student.safetensors"
    assert load(run, size="keep").size is None
    assert load(run, size=(64, 96)).size == (64, 96)


def test_the_size_of_several_sources_is_the_one_they_share(tmp_path: Path) -> None:
    predictor = make()
    for sizes, expected in (([[32, 64], [32, 64]], (32, 64)), ([[32, 64], None], None)):
        sources = {str(k): {"class_path": "x.Y", "init_args": {"size": size}} for k, size in enumerate(sizes)}
        values = {**config("SegNet", None), "data": {"class_path": "x.Mix", "init_args": {"sources": sources}}}
        text = {"format": "tutelage-student-1", "config": json.dumps(values)}
        safetensors.torch.save_file(predictor.net.state_dict(), tmp_path / "x.safetensors", text)
        assert load(tmp_path / "x.safetensors").size == expected


def test_a_predictor_made_of_objects_is_saved_with_its_config(tmp_path: Path, images: Tensor) -> None:
    net = SegNet({"depth": 1}, filters=(4, 4, 4, 4, 4))
    predictor = Predictor(net, {"depth": Depth()}, (32, 64))
    with pytest.raises(ValueError, match="config: expected"):
        save(predictor, tmp_path)
    described = {
        "net": {"class_path": "tutelage.nets.SegNet", "init_args": {"filters": [4, 4, 4, 4, 4]}},
        "tasks": {"depth": {"class_path": "tutelage.tasks.Depth"}},
    }
    found = load(save(predictor, tmp_path, described))
    torch.testing.assert_close(found.predict(images), predictor.predict(images), rtol=0, atol=0)
    wider = {**described, "net": {"class_path": "tutelage.nets.SegNet", "init_args": {"width": 0.1}}}
    mtan = {**described, "net": {"class_path": "tutelage.nets.MTAN", "init_args": {"width": 0.1}}}
    for wrong, message in (
        (wider, "size mismatch"),
        (mtan, "config.net: expected SegNet"),
        (config("SegNet", None), "tasks"),
    ):
        with pytest.raises(ValueError, match=message):
            save(predictor, tmp_path / "wrong", wrong)
    assert not (tmp_path / "wrong").exists()


def test_a_mistaken_file_is_one_line(distilled: Study, tmp_path: Path) -> None:
    predictor = make()
    state, good = predictor.net.state_dict(), json.dumps(config("SegNet", [32, 64]))

    def written(name: str, metadata: dict[str, str] | None, tensors: dict[str, Tensor] = state) -> Path:
        safetensors.torch.save_file(tensors, tmp_path / name, metadata)
        return tmp_path / name

    torch.save(state, tmp_path / "pickle.safetensors")
    kind = "tutelage-predictor-1"
    less = {name: x for name, x in state.items() if not name.startswith("heads.depth")}
    whole = save(predictor, tmp_path / "whole.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:-100])
    (tmp_path / "both").mkdir()
    for name in ("predictor", "student"):
        (tmp_path / "both" / f"{name}.safetensors").write_bytes(whole)
    (tmp_path / "empty").mkdir()
    deep = '{"net": ' + "[" * 900 + "]" * 900 + ', "tasks": {}}'
    evil = json.dumps({**config("SegNet", None), "net": {"class_path": "\x1b[2J\nx.y"}})
    for path, message in (
        (tmp_path / "nowhere.safetensors", "found No such file"),
        (tmp_path / "pickle.safetensors", "expected a network saved by tutelage, found"),
        (tmp_path / "cut.safetensors", "expected a network saved by tutelage, found"),
        (written("none.safetensors", None), "found safetensors without our metadata"),
        (written("new.safetensors", {"format": "tutelage-predictor-9"}), "the format `tutelage-predictor-9`"),
        (written("empty.safetensors", {"format": kind}), "found no config"),
        (written("bad.safetensors", {"format": kind, "config": "{"}), "found no config"),
        (written("list.safetensors", {"format": kind, "config": "[]"}), "found no config"),
        (written("deep.safetensors", {"format": kind, "config": deep}), "deep.safetensors: "),
        (written("less.safetensors", {"format": kind, "config": good}, less), "weights: .*Missing key"),
        (written("keys.safetensors", {"format": kind, "config": "{}"}), "tasks: expected names and classes"),
        (written("path.safetensors", {"format": kind, "config": evil}), "net: expected a class_path such as"),
        (written("escape.safetensors", {"format": "\x1b[2J\n"}), "another version"),
        (tmp_path / "both", "found both"),
        (tmp_path / "empty", "give another folder"),
        (distilled.folder, "give the folder of one run, such as .*seed0"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            load(path)
        assert str(caught.value).isprintable()
        assert str(caught.value).startswith(str(path))


def test_a_size_that_is_none_is_refused() -> None:
    for size in ([32], [0, 32], ["32", 32], [True, 32], "x", 32):
        with pytest.raises(ValueError, match="size: expected height and width"):
            build({**config("SegNet", None), "size": size})
    with pytest.raises(ValueError, match="tasks: expected names"):
        build({**config("SegNet", None), "tasks": {"../x": DENSE["depth"]}})
