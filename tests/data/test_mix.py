from collections.abc import Collection
from pathlib import Path

import pytest
import torch
from tests.data.plain import KINDS, Plain
from tests.data.source_tester import SourceTester

from tutelage.data import DataSource, HideLabels, HoldOut, Mix, NYUv2
from tutelage.errors import UserError


def mix(weights: dict[str, float] | None = None, **changes: Plain) -> Mix:
    sources = {
        "indoor": Plain(6, 3, tasks=["segmentation", "depth"], name="rooms"),
        "streets": Plain(4, 2, size=(10, 6), tasks=["depth", "normals"], seed=1, name="roads"),
    }
    return Mix({**sources, **changes}, weights)


class TestMix(SourceTester):
    @pytest.fixture
    def source(self) -> DataSource:
        half = {"tasks": ["segmentation", "normals"], "lacks": {"normals": [1]}}
        return Mix({"one": Plain(3, 2, self.size), "other": Plain(2, 2, self.size, seed=1, **half)})


class TestMixHeldOut(SourceTester):
    @pytest.fixture
    def source(self) -> DataSource:
        return HoldOut(Mix({"one": Plain(5, 2, self.size), "other": Plain(6, 2, self.size, seed=1)}), part=0.4)


def test_its_parts_are_the_sources_themselves_by_their_names_in_the_mix() -> None:
    found = mix()
    assert list(found.parts()) == ["indoor", "streets"]
    assert all(part.source is found.sources[name] for name, part in found.parts().items())
    assert set(found.modalities) == {"segmentation", "depth", "normals"}


def test_a_split_is_source_after_source() -> None:
    found = mix()
    train = found.split("train")
    assert len(train) == 10
    sizes = [tuple(train[i]["image"].shape[1:]) for i in range(10)]
    assert sizes == [(8, 12)] * 6 + [(10, 6)] * 4
    assert torch.equal(train[7]["image"], found.sources["streets"].split("train")[1]["image"])
    assert (train.where(5), train.where(6)) == ("rooms: train image 5", "roads: train image 0")
    assert (train.tasks(5), train.tasks(6)) == (["segmentation", "depth"], ["depth", "normals"])
    for index in (-1, 10):
        with pytest.raises(IndexError):
            train[index]


def test_a_source_without_a_weight_has_1_and_without_any_all_are_by_their_images() -> None:
    assert [part.weight for part in mix().parts().values()] == [None, None]
    assert [part.weight for part in mix({"streets": 3.0}).parts().values()] == [1.0, 3.0]
    assert [part.weight for part in mix({}).parts().values()] == [1.0, 1.0]


def test_it_is_trusted_where_all_of_its_sources_are() -> None:
    trusted = [Plain(), Plain()]
    for source in trusted:
        source.trusted = True
    assert not mix().trusted
    assert not mix(indoor=trusted[0]).trusted
    assert mix(indoor=trusted[0], streets=trusted[1]).trusted


def test_the_fingerprint_has_every_source_and_its_name() -> None:
    one, other = Plain(seed=2), Plain(seed=3)
    found = [mix(), mix(indoor=one), mix(streets=one), mix(streets=other), mix(third=one), Mix({"a": one, "b": other})]
    found += [Mix({"a": other, "b": one}), Mix({"a": one, "c": other})]
    assert len({source.fingerprint() for source in found}) == len(found)
    assert mix({"streets": 2.0}).fingerprint() == mix().fingerprint()  # the same data


@pytest.mark.parametrize(
    ("sources", "weights", "message"),
    [
        ({}, None, r"^data.sources: expected two sources or more, found 0; name one as `data`$"),
        ({"a": Plain()}, None, r"^data.sources: expected two sources or more, found 1; name one as `data`$"),
        (
            {"a": Plain(), "b": mix()},
            None,
            r"^data.sources.b: expected a single source .*, found Mix; name its sources",
        ),
        ({"a": HoldOut(mix()), "b": Plain()}, None, r"^data.sources.a: expected a single source .*, found HoldOut;"),
        ({"a/b": Plain(), "c": Plain()}, None, r"^data.sources.a/b: expected .* a name without `/`"),
        ({"a": Plain(), "b": Plain()}, {"c": 1.0}, r"^data.weights.c: expected one of the sources, a, b; found `c`$"),
        ({"a": Plain(), "b": Plain()}, {"b": 0.0}, r"^data.weights.b: expected a positive number, found 0.0$"),
        ({"a": Plain(), "b": Plain()}, {"b": -1.0}, r"^data.weights.b: expected a positive number, found -1.0$"),
        ({"a": Plain(), "b": Plain()}, {"a": float("nan")}, r"^data.weights.a: expected a positive number, found nan$"),
        ({"a": Plain(), "b": Plain()}, {"a": float("inf")}, r"^data.weights.a: expected a positive number, found inf$"),
    ],
)
def test_sources_and_weights_that_do_not_fit(
    sources: dict[str, DataSource], weights: dict[str, float] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Mix(sources, weights)


def test_a_task_has_labels_of_one_kind() -> None:
    class Other(Plain):
        """Its depth is a class."""

        def __init__(self) -> None:
            super().__init__()
            self.modalities = {"depth": KINDS["segmentation"]}

    message = r"^data.sources.b: expected labels of the kind DepthLabel for `depth`, as `a` has, found ClassesLabel; "
    with pytest.raises(ValueError, match=message):
        Mix({"a": Plain(), "b": Other()})


def test_every_source_is_checked_for_the_tasks_that_it_has() -> None:
    asked: dict[str, Collection[str]] = {}

    class Asked(Plain):
        def check(self, tasks: Collection[str]) -> None:
            asked[self.name] = tasks

    found = mix(indoor=Asked(name="a"), streets=Asked(name="b", tasks=["normals"]))
    found.check(["depth", "normals"])
    assert asked == {"a": ["depth"], "b": ["normals"]}
    with pytest.raises(
        ValueError, match=r"^tasks.albedo: expected .* \(segmentation, depth, normals\), found `albedo`"
    ):
        found.check(["depth", "albedo"])


class Wrong(Plain):
    def check(self, tasks: Collection[str]) -> None:
        raise UserError(self.name)


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("data.root: expected a folder, found none", "data.sources.b.root: expected a folder, found none"),
        ("/x/a.png: expected 3, found 2; set data.size", "/x/a.png: expected 3, found 2; set data.sources.b.size"),
        ("/my.data.old/a.png: expected 3, found 2", "/my.data.old/a.png: expected 3, found 2"),
        ("data.v2/a.png: expected 3, found 2", "data.v2/a.png: expected 3, found 2"),
    ],
)
def test_the_error_of_a_source_names_its_key_and_leaves_files_as_they_are(said: str, line: str) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        mix(b=Wrong(name=said)).check(["depth"])
    assert str(error.value) == line


def test_a_source_of_files_names_its_key(tmp_path: Path) -> None:
    found = Mix({"plain": Plain(), "photos": NYUv2(tmp_path / "nowhere")})
    with pytest.raises(ValueError, match=r"^data.sources.photos.root: expected a folder with .*, found no folder "):
        found.check(["normals"])


def test_holding_out_takes_a_part_of_each_source_and_never_reads_val() -> None:
    sources = {"indoor": Plain(10, forbidden="test"), "streets": Plain(5, seed=1, forbidden="test", tasks=["normals"])}
    held = HoldOut(mix({"indoor": 2.0}, **sources), part=0.4)
    held.check(["depth", "normals"])
    parts = held.parts()
    assert {name: part.weight for name, part in parts.items()} == {"indoor": 2.0, "streets": 1.0}
    assert (len(held.split("train")), len(held.split("test"))) == (9, 6)
    for name, part in parts.items():
        alone = HoldOut(sources[name], part=0.4)
        assert list(part.source.modalities) == list(sources[name].modalities)
        found = [
            part.source.split(split).where(i) for split in ("train", "test") for i in range(len(alone.split(split)))
        ]
        assert found == [
            alone.split(split).where(i) for split in ("train", "test") for i in range(len(alone.split(split)))
        ]
        assert len(set(found)) == sources[name].lengths["train"]


def test_each_source_needs_samples_for_both_parts() -> None:
    with pytest.raises(ValueError, match=r"^data.part: expected samples for test, found none: 0.2 of 2 .* are 0; add"):
        HoldOut(mix(streets=Plain(2))).check(["depth"])


def test_hiding_labels_hides_those_of_each_source_and_leaves_val_as_it_is() -> None:
    sources = {"indoor": Plain(10), "streets": Plain(4, seed=1, tasks=["normals"])}
    hidden = HideLabels(mix({"indoor": 2.0}, **sources), {"depth": 0.5, "normals": 0.25})
    hidden.check(["depth", "normals"])
    parts = hidden.parts()
    assert {name: part.weight for name, part in parts.items()} == {"indoor": 2.0, "streets": 1.0}
    train = {name: [set(x["labels"]) for x in part.source.split("train")] for name, part in parts.items()}
    assert sum("depth" in has for has in train["indoor"]) == 5
    assert all("segmentation" in has for has in train["indoor"])
    assert sum("normals" in has for has in train["streets"]) == 1
    assert [set(x["labels"]) for x in hidden.split("test")] == [{"segmentation", "depth"}] * 3 + [{"normals"}] * 3
    assert [set(x["labels"]) for x in hidden.split("train")] == train["indoor"] + train["streets"]


def test_hiding_labels_looks_at_training_images_alone() -> None:
    sources = {"indoor": Plain(10, forbidden="test"), "streets": Plain(4, forbidden="test", tasks=["normals"])}
    hidden = HideLabels(mix(**sources), {"depth": 0.5})
    hidden.check(["depth", "normals"])
    assert len(hidden.split("train")) == 14
    assert len(hidden.fingerprint()) == 16
