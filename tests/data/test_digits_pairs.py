from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from tests.data.digit_files import write_mnist, write_omniglot, write_svhn, write_usps
from tests.data.source_tester import SourceTester

from tutelage.data import DataSource, Mix, Mnist, MnistUsps, SvhnOmniglot, Usps
from tutelage.tasks import Classification
from tutelage.types import Task

TASKS: Mapping[str, Task] = {t: Classification(10) for t in ("mnist", "usps", "svhn", "omniglot")}


class TestSvhnOmniglot(SourceTester):
    size, tasks = (24, 24), TASKS

    @pytest.fixture
    def source(self, tmp_path: Path) -> DataSource:
        return SvhnOmniglot(write_omniglot(write_svhn(tmp_path)), size=self.size)


def test_a_pair_is_a_mix_of_both(tmp_path: Path) -> None:
    write_usps(write_mnist(tmp_path), train=35)
    pair = MnistUsps(tmp_path, train=30, seed=1, weights={"usps": 2.0})
    pair.check(["mnist", "usps"])
    assert isinstance(pair, Mix)
    assert (pair.name, list(pair.modalities)) == ("mnist-usps", ["mnist", "usps"])
    assert {name: part.weight for name, part in pair.parts().items()} == {"mnist": 1.0, "usps": 2.0}
    sources = [Mnist(tmp_path, train=30, seed=1), Usps(tmp_path, train=30, seed=1)]
    for part, source, size in zip(pair.parts().values(), sources, (28, 16), strict=True):
        for split, n in (("train", 30), ("test", 20)):
            samples = part.source.split(split)
            assert len(samples) == n
            assert samples[0]["image"].shape == (3, size, size)
            assert list(samples[0]["labels"]) == [source.name]
            assert all(torch.equal(samples[i]["image"], source.split(split)[i]["image"]) for i in range(n))
    pair.check(["usps"])


def test_mistakes_name_the_pairs_own_keys(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    with pytest.raises(ValueError, match=r"^data.root: expected usps.h5 in .*, found no such file; download "):
        MnistUsps(tmp_path).check(["mnist", "usps"])
    MnistUsps(tmp_path).sources["mnist"].check(["mnist"])
    with pytest.raises(ValueError, match=r"^data.weights.svhn: expected one of the sources, mnist, usps"):
        MnistUsps(tmp_path, weights={"svhn": 1.0})
    with pytest.raises(ValueError, match=r"^data.root: expected a folder omniglot-py.images_background in "):
        SvhnOmniglot(write_svhn(tmp_path)).check(["svhn", "omniglot"])


def test_the_fingerprint_has_both(tmp_path: Path) -> None:
    write_usps(write_mnist(tmp_path))
    found = {MnistUsps(tmp_path).fingerprint(), MnistUsps(tmp_path, train=9).fingerprint()}
    write_usps(tmp_path, train=41)
    assert len(found | {MnistUsps(tmp_path).fingerprint()}) == 3
