import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.deploy.conftest import make
from tests.deploy.fake_hub import FakeHub

import tutelage
from tutelage.deploy import Predictor, hub, model_card, save, write_bundle
from tutelage.nets import SegNet
from tutelage.tasks import Depth

hub_package = pytest.importorskip("huggingface_hub", reason="the hub needs the extra `hub`")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    with FakeHub() as fake:
        point_to(fake.url, monkeypatch, tmp_path)
        yield fake


def point_to(url: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """What HF_ENDPOINT, HF_HOME and HF_TOKEN do in a process that starts with them."""
    constants = hub_package.constants
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(folder / "token"))
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")


def publish(fake: FakeHub, place: str, predictor: Predictor, folder: Path) -> None:
    fake.files[place] = {"predictor.safetensors": save(predictor, folder / "sent").read_bytes()}


def test_what_is_pushed_is_what_is_loaded(fake: FakeHub, tmp_path: Path, images: torch.Tensor) -> None:
    predictor = make()
    url = predictor.push_to_hub("someone/kitchen", model_card(predictor, "someone/kitchen", "mit"))
    assert str(url).endswith("/someone/kitchen/commit/" + "0" * 39 + "1")
    assert fake.files["someone/kitchen"].keys() == {"predictor.safetensors", "README.md"}  # and no config.json
    assert fake.private == {"someone/kitchen": False}
    for loaded in (
        tutelage.load("someone/kitchen"),
        Predictor.from_pretrained("someone/kitchen", revision="main"),
        Predictor.from_pretrained(save(predictor, tmp_path / "here")),
    ):
        for t, value in predictor.predict(images).items():
            torch.testing.assert_close(loaded.predict(images)[t], value, rtol=0, atol=0)
    assert tutelage.load("someone/kitchen", size="keep").size is None
    predictor.push_to_hub("someone/secret", "---\nlicense: mit\n---\n", private=True)
    assert fake.private["someone/secret"] is True


def test_the_card_is_one_that_the_hub_reads(fake: FakeHub) -> None:
    predictor = make()
    predictor.push_to_hub("someone/kitchen", model_card(predictor, "someone/kitchen", "apache-2.0"))
    card = hub_package.ModelCard(fake.files["someone/kitchen"]["README.md"].decode())
    assert card.data.license == "apache-2.0"
    assert card.data.library_name == "tutelage"
    assert card.data.tags == ["multi-task-learning", "segmentation", "depth", "normals"]


def test_of_a_model_of_anybody_one_file_is_read_and_no_code(fake: FakeHub, tmp_path: Path) -> None:
    publish(fake, "evil/model", make(), tmp_path)
    evil = {"trust": ["os"], "size": "keep", "predictor": 1, "card": "x", "auto_map": {"AutoModel": "code.Evil"}}
    fake.files["evil/model"] |= {"config.json": json.dumps(evil).encode(), "code.py": b"raise SystemExit(1)"}
    assert tutelage.load("evil/model").size == (32, 64)
    assert {path.rpartition("/")[2] for path in fake.asked} == {"predictor.safetensors"}
    fake.files["evil/pickle"] = {"predictor.safetensors": b"\x80\x04cos\nsystem\n(S'true'\ntR."}
    with pytest.raises(ValueError, match="expected a network saved by tutelage, found"):
        tutelage.load("evil/pickle")
    tasks = {"depth": {"class_path": "tutelage.tasks.Depth"}}
    write_bundle(tmp_path / "x.safetensors", {"class_path": "tests.deploy.evil.Net"}, tasks, None, {})
    fake.files["evil/class"] = {"predictor.safetensors": (tmp_path / "x.safetensors").read_bytes()}
    with pytest.raises(ValueError, match=r"found `tests.deploy.evil.Net`, which is not imported"):
        tutelage.load("evil/class")


def test_a_copy_serves_without_the_hub(fake: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    publish(fake, "someone/kitchen", make(), tmp_path)
    tutelage.load("someone/kitchen")
    monkeypatch.setattr(hub_package.constants, "HUGGINGFACE_CO_URL_TEMPLATE", unreachable() + "/{repo_id}/{filename}")
    assert tutelage.load("someone/kitchen").size == (32, 64)
    assert Predictor.from_pretrained("someone/kitchen", local_files_only=True).size == (32, 64)


def unreachable() -> str:
    """The address of a port at which nobody answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def test_a_hub_that_cannot_be_reached_is_one_line_and_soon(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    point_to(unreachable(), monkeypatch, tmp_path)
    started = time.monotonic()
    with pytest.raises(ValueError, match=r"^someone/kitchen: expected .*, found no hub that can be reached, and"):
        tutelage.load("someone/kitchen")
    with pytest.raises(ValueError, match=r"^someone/kitchen: expected a place on the hub .*, found no hub that can be"):
        make().push_to_hub("someone/kitchen", "card")
    assert time.monotonic() - started < 5
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("place", "revision", "message"),
    [
        ("nobody/nothing", None, "found none that you may see; check the name, or `hf auth login`"),
        ("someone/other", None, "found no predictor.safetensors in it; give a model that `tutelage push` wrote"),
        ("someone/other", "v9", "found no such revision of it; give another revision"),
        ("someone/gated", None, "found one whose terms you have not accepted"),
        ("someone/broken", None, "found status 418; try again later"),
        ("a/b/c", None, "found no name of a model; give USER/NAME"),
        ("--a/b", None, "found no name of a model; give USER/NAME"),
    ],
)
def test_what_is_not_there_is_one_line(fake: FakeHub, place: str, revision: str | None, message: str) -> None:
    fake.files["someone/other"] = {"model.safetensors": b"x"}
    fake.fails = {"someone/gated": (403, "GatedRepo"), "someone/broken": (418, "")}
    with pytest.raises(
        ValueError, match=f"^{place}: expected a file, a folder, or a model on the hub, {message}"
    ) as error:
        Predictor.from_pretrained(place, revision=revision)
    assert str(error.value).isprintable()


def test_who_may_not_write_is_told_so(fake: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_reader")
    with pytest.raises(ValueError, match=r"^someone/kitchen: expected .* that you may write to, found no right to it"):
        make().push_to_hub("someone/kitchen", "card")
    assert fake.files == {}


def test_without_huggingface_hub_a_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "find_spec", lambda name: None)
    for use in (lambda: tutelage.load("someone/kitchen"), lambda: make().push_to_hub("someone/kitchen", "card")):
        with pytest.raises(ValueError, match=r"someone/kitchen: .*pip install 'tutelage\[hub\]'"):
            use()


def test_a_predictor_of_objects_says_what_it_lacks(fake: FakeHub) -> None:
    predictor = Predictor(SegNet({"depth": 1}, filters=(4, 4, 4, 4, 4)), {"depth": Depth()})
    with pytest.raises(ValueError, match="config: expected"):
        predictor.push_to_hub("someone/kitchen", "card")
    assert fake.asked == []
