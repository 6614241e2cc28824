import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from lightning_fabric import Fabric
from safetensors import safe_open
from tests.deploy.conftest import DENSE, NETS, config, make
from torch import Tensor

import tutelage
from tutelage.deploy import Predictor, build, load, save, write_bundle
from tutelage.nets import SegNet
from tutelage.study import Study
from tutelage.study.teachers import load_weights
from tutelage.tasks import Depth
from tutelage.train import make_batch, predict


@pytest.mark.parametrize("name", NETS)
def test_what_is_saved_is_loaded_bit_for_bit(name: str, tmp_path: Path, images: Tensor) -> None:
    predictor = make(name)
    file = save(predictor, tmp_path / "there")
    assert file == tmp_path / "there/predictor.safetensors"
    state = torch.random.get_rng_state()
    again = tutelage.load(file)
    assert again.size == (32, 64)
    assert again.config == predictor.config
    torch.testing.assert_close(again.predict(images), predictor.predict(images), rtol=0, atol=0)
    assert torch.equal(torch.random.get_rng_state(), state)
    with safe_open(file, "pt") as one, safe_open(save(again, tmp_path / "again.safetensors"), "pt") as other:
        assert one.metadata() == other.metadata()


def test_a_folder_stands_for_its_file(tmp_path: Path, images: Tensor) -> None:
    predictor = make()
    save(predictor, tmp_path)
    for path in (tmp_path, str(tmp_path)):
        torch.testing.assert_close(tutelage.load(path).predict(images), predictor.predict(images), rtol=0, atol=0)


def test_a_run_becomes_what_its_study_evaluated(distilled: Study, tmp_path: Path) -> None:
    run = distilled.folder / "kd4mtl/seed0"
    config, tasks = distilled.objects, distilled.objects.tasks
    net = config.net({t: task.width for t, task in tasks.items()})
    net.load_state_dict(safetensors.torch.load_file(run / "student.safetensors"))
    samples = config.data.split("test")
    batch = make_batch([samples[i] for i in range(len(samples))], tasks)
    expected = predict(Fabric(accelerator="cpu", precision="32-true"), net, tasks, batch)
    predictor = load(run)
    assert predictor.size == (32, 48)
    small = load(save(predictor, tmp_path))
    for actual in (predictor(batch.images), predictor.predict(batch.images), small.predict(batch.images)):
        for t, value in expected.items():
            torch.testing.assert_close(actual[t].detach(), value, rtol=0, atol=0)
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
    load_weights(net, save(predictor, tmp_path))
    torch.testing.assert_close(net.state_dict(), predictor.net.state_dict(), rtol=0, atol=0)


def test_importing_tutelage_imports_no_torch() -> None:
    code = "import sys, tutelage; assert 'torch' not in sys.modules; tutelage.load; assert 'torch' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        tutelage.nothing  # noqa: B018  # asking is what raises


def test_the_size_can_be_another(tmp_path: Path) -> None:
    file = save(make(), tmp_path)
    assert load(file).size == (32, 64)
    assert load(file, size="keep").size is None
    assert load(file, size=(64, 96)).size == (64, 96)


def source(name: str, **arguments: Any) -> dict[str, Any]:
    return {"class_path": f"tutelage.data.{name}", "init_args": arguments}


ROOMS = source("Rooms", train=8, size=[32, 64])
SMALL = source("Rooms", size=[16, 32])
AS_THEY_ARE = source("Rooms", size=None)


def old_run(file: Path, predictor: Predictor, **values: Any) -> Path:
    """What a run wrote before it wrote what `save` writes: the config of its study."""
    metadata = {"format": "tutelage-student-1", "config": json.dumps({**config("SegNet", None), **values})}
    file.parent.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_file(predictor.net.state_dict(), file, metadata)
    return file


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (ROOMS, (32, 64)),
        (AS_THEY_ARE, None),
        (None, None),
        (source("HideLabels", source=ROOMS, keep={"depth": 0.25}), (32, 64)),
        (source("HoldOut", source=source("HideLabels", source=ROOMS)), (32, 64)),
        (source("Mix", sources={"a": ROOMS, "b": source("HideLabels", source=ROOMS)}), (32, 64)),
        (source("HideLabels", source=source("Mix", sources={"a": ROOMS, "b": ROOMS})), (32, 64)),
        (source("Mix", sources={"a": ROOMS, "b": SMALL}), None),
        (source("Mix", sources={"a": ROOMS, "b": AS_THEY_ARE}), None),
    ],
)
def test_the_trained_size_of_an_old_run(data: Any, size: tuple[int, int] | None, tmp_path: Path) -> None:
    assert load(old_run(tmp_path / "x.safetensors", make(), data=data)).size == size


def test_a_run_predicts_where_nothing_of_its_training_is_left(tmp_path: Path, images: Tensor) -> None:
    predictor = make(size=None)
    away = str(tmp_path / "moved")
    training = {
        "data": source("Folders", root=away, size=None),
        "train": {"accelerator": "cuda", "precision": "bf16-mixed"},
        "teachers": {"depth": f"{away}/teacher.safetensors"},
        "teacher_net": {"depth": {"class_path": "their_nets.Moved"}},
        "method": {"kd4mtl": {"distiller": {"class_path": "their_methods.Moved"}}},
    }
    old_run(tmp_path / "run/student.safetensors", predictor, **training)
    np.save(tmp_path / "image.npy", images[0].permute(1, 2, 0).numpy())
    code = f"""
import sys
from pathlib import Path
from tutelage.cli import main
run, image, out = {str(tmp_path / "run")!r}, {str(tmp_path / "image.npy")!r}, {str(tmp_path)!r}
assert main(["predict", run, image, "--out", out, "--write", "array", "--device", "cpu"]) == 0
training = ("tutelage.study", "tutelage.train", "tutelage.data", "tutelage.distill", "tutelage.balance")
assert not [name for name in sys.modules if name.startswith(training)]
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    expected = predictor.predict(images[0])["depth"].numpy()
    assert np.array_equal(np.load(tmp_path / "image.depth.npy"), expected)


def test_a_bundle_of_plain_values_is_what_save_writes(tmp_path: Path, images: Tensor) -> None:
    predictor = make("EncoderDecoder")
    net, tasks, _ = config("EncoderDecoder", None).values()
    net["init_args"]["encoder_args"] = {"pretrained_cfg_overlay": {"file": "/home/me/weights.pth"}}
    run = tmp_path / "run/student.safetensors"
    tensors = predictor.net.state_dict()
    tensors["mean"] = tensors["std"] = tensors["mean"].expand_as(tensors["mean"])  # one memory
    write_bundle(run, net, tasks, (32, 64), tensors, {"run": "its resolved config"})
    with safe_open(run, "pt") as file:
        metadata = file.metadata()
    assert metadata.keys() == {"format", "config", "digest", "run"}
    assert metadata["run"] == "its resolved config"
    assert "/home/me" not in metadata["config"]
    assert '"pretrained": false' in metadata["config"]
    loaded = load(run.parent)
    assert loaded.size == (32, 64)
    assert loaded.predict(images)["depth"].shape == (2, 1, 32, 64)
    with safe_open(save(loaded, tmp_path / "again"), "pt") as file:
        assert file.metadata() == {key: metadata[key] for key in ("format", "config", "digest")}
    with pytest.raises(AssertionError):
        write_bundle(run, net, tasks, None, tensors, {"config": "{}"})


def test_a_predictor_made_of_objects_is_saved_with_its_config(tmp_path: Path, images: Tensor) -> None:
    net = SegNet({"depth": 1}, filters=(4, 4, 4, 4, 4))
    predictor = Predictor(net, {"depth": Depth()}, (32, 64))
    with pytest.raises(ValueError, match="config: expected"):
        save(predictor, tmp_path)
    described = {
        "net": {"class_path": "tutelage.nets.SegNet", "init_args": {"filters": [4, 4, 4, 4, 4]}},
        "tasks": {"depth": {"class_path": "tutelage.tasks.Depth"}},
    }
    actual = load(save(predictor, tmp_path, described))
    torch.testing.assert_close(actual.predict(images), predictor.predict(images), rtol=0, atol=0)
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


def test_a_mistaken_file_is_one_line(tmp_path: Path) -> None:
    predictor = make()
    state, good = predictor.net.state_dict(), json.dumps(config("SegNet", [32, 64]))

    def written(name: str, metadata: dict[str, str] | None, tensors: dict[str, Tensor] = state) -> Path:
        safetensors.torch.save_file(tensors, tmp_path / name, metadata)
        return tmp_path / name

    torch.save(state, tmp_path / "pickle.safetensors")
    kind = "tutelage-predictor-1"
    less = {name: x for name, x in state.items() if not name.startswith("heads.depth")}
    study = old_run(tmp_path / "study/kd4mtl/seed0/student.safetensors", predictor).parents[2]
    old_run(study / "kd4mtl/seed1/student.safetensors", predictor)
    whole = save(predictor, tmp_path / "whole.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:-100])
    (tmp_path / "both").mkdir()
    for name in ("predictor", "student"):
        (tmp_path / "both" / f"{name}.safetensors").write_bytes(whole)
    (tmp_path / "empty").mkdir()
    deep = '{"net": ' + "[" * 900 + "]" * 900 + ', "tasks": {}}'
    gaps = {name: torch.full_like(x, torch.nan) if x.is_floating_point() else x for name, x in state.items()}
    other = good.replace('"range": [0.5, 8.0]', '"far": 8.0')
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
        (
            written("more.safetensors", {"format": kind, "config": other}),
            "expected arguments of Depth that fit, found",
        ),
        (
            written("nan.safetensors", {"format": kind, "config": good}, gaps),
            "expected finite numbers, found",
        ),
        (written("keys.safetensors", {"format": kind, "config": "{}"}), "tasks: expected names and classes"),
        (written("path.safetensors", {"format": kind, "config": evil}), "net: expected a class_path such as"),
        (written("escape.safetensors", {"format": "\x1b[2J\n"}), "the version of tutelage that wrote it"),
        (tmp_path / "both", "found both"),
        (tmp_path / "empty", "give another folder"),
        (study, "expected one trained network in it, found 2; give one: .*seed0, .*seed1"),
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
