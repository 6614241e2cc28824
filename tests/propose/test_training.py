"""Network, size and length for data sets of different sizes, and where pretrained weights come from."""

from importlib.machinery import ModuleSpec
from types import SimpleNamespace

import huggingface_hub
import pytest

from tutelage.propose import training
from tutelage.propose.training import choose_training
from tutelage.propose.weights import find_weights


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A hub that has the weights, and a cache that has not."""
    fake = SimpleNamespace(asked=[], answer=SimpleNamespace(size=44_700_000), cached=None)

    def metadata(url: str, timeout: float) -> object:
        fake.asked.append(url)
        if isinstance(fake.answer, Exception):
            raise fake.answer
        return fake.answer

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", metadata)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: fake.cached)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(training, "find_spec", lambda name: ModuleSpec(name, None))
    return fake


def test_weights_are_looked_for_and_not_fetched(hub: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_weights() == "The weights, 45 MB, are fetched from huggingface.co, once."
    assert hub.asked == ["https://huggingface.co/timm/resnet18.a1_in1k/resolve/main/model.safetensors"]
    hub.answer = OSError("no route to host")
    assert find_weights() is None
    hub.asked.clear()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert find_weights() is None
    hub.cached = "/cache/model.safetensors"
    assert find_weights() == "The weights are in the cache."
    assert hub.asked == []


def test_pretrained_weights_are_taken_where_they_are(hub: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = [(480, 640)] * 40
    dense = choose_training(sizes, 32, 2, dense=True, gpu=False)
    assert dense.net["class_path"] == "tutelage.nets.EncoderDecoder"
    assert dense.net["init_args"]["pretrained"] is True
    assert "fetched" in dense.about_net[-1]
    whole = choose_training(sizes, 32, 2, dense=False, gpu=False)
    assert whole.net["class_path"] == "tutelage.nets.TappedModule"
    hub.answer = OSError("no route to host")
    without = choose_training(sizes, 32, 2, dense=True, gpu=False)
    assert without.net["class_path"] == "tutelage.nets.SegNet"
    assert "huggingface.co" in without.about_net[-1]
    monkeypatch.setattr(training, "find_spec", lambda name: None)
    assert "pip install 'tutelage[nets]'" in choose_training(sizes, 32, 2, dense=False, gpu=False).about_net[-1]


@pytest.mark.parametrize(
    ("size", "gpu", "expected"),
    [
        ((480, 640), False, (96, 128)),
        ((480, 640), True, (256, 336)),
        ((640, 480), False, (128, 96)),
        ((28, 28), False, (32, 32)),
        ((20, 400), False, (32, 400)),
    ],
)
def test_sizes(hub: SimpleNamespace, size: tuple[int, int], gpu: bool, expected: tuple[int, int]) -> None:
    assert choose_training([size] * 9, 8, 2, dense=True, gpu=gpu).size == expected


@pytest.mark.parametrize(
    ("train", "batch", "epochs"), [(1, 1, 100), (2, 1, 100), (15, 4, 100), (800, 8, 20), (100_000, 8, 5)]
)
def test_lengths(hub: SimpleNamespace, train: int, batch: int, epochs: int) -> None:
    chosen = choose_training([(480, 640)] * train, train, 2, dense=True, gpu=False)
    assert (chosen.batch_size, chosen.epochs) == (batch, epochs)
    assert chosen.cache == (train < 10_000)
    assert bool(chosen.workers) != chosen.cache


def test_left_and_right_are_kept_where_a_label_may_depend_on_them(hub: SimpleNamespace) -> None:
    assert choose_training([(64, 64)] * 9, 8, 1, dense=False, gpu=False).augment == {"flip": 0.0}
    assert choose_training([(64, 64)] * 9, 8, 1, dense=True, gpu=False).augment == {}
