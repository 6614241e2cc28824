import os
import struct
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import torchvision.datasets
from scipy.io import savemat
from tests.data.digit_files import (
    classes,
    pixels,
    write_mnist,
    write_omniglot,
    write_raw_mnist,
    write_svhn,
    write_usps,
)
from tests.data.source_tester import SourceTester

from tutelage.data import DataSource, Memory, Mnist, Omniglot, Rgb, Svhn, Usps
from tutelage.data.digits.base import ImageFiles, balanced
from tutelage.errors import UserError
from tutelage.images import resize_image
from tutelage.tasks import Classification
from tutelage.types import Task

TASKS: Mapping[str, Task] = {t: Classification(10) for t in ("mnist", "usps", "svhn", "omniglot", "digit")}


class TestMnist(SourceTester):
    size, tasks = (28, 28), TASKS

    @pytest.fixture
    def source(self, tmp_path: Path) -> DataSource:
        return Mnist(write_mnist(tmp_path))


class TestRawMnist(SourceTester):
    size, tasks = (28, 28), TASKS

    @pytest.fixture
    def source(self, tmp_path: Path) -> DataSource:
        return Mnist(write_raw_mnist(tmp_path), task="digit")


class TestUsps(SourceTester):
    size, tasks = (16, 16), TASKS

    @pytest.fixture
    def source(self, tmp_path: Path) -> DataSource:
        return Usps(write_usps(tmp_path), train=20)


class TestSvhn(SourceTester):
    size, tasks = (24, 20), TASKS

    @pytest.fixture
    def source(self, tmp_path: Path) -> DataSource:
        return Svhn(write_svhn(tmp_path), size=self.size)


class TestOmniglot(SourceTester):
    size, tasks = (32, 32), TASKS

    @pytest.fixture
    def source(self, tmp_path: Path) -> DataSource:
        return Omniglot(write_omniglot(tmp_path))


def labels(source: DataSource, split: str) -> list[int]:
    samples = source.split(split)
    [task] = source.modalities
    return [int(samples[i]["labels"][task]) for i in range(len(samples))]


@pytest.mark.parametrize("write", [write_mnist, write_raw_mnist])
def test_mnists_official_splits(write: Callable[[Path], Path], tmp_path: Path) -> None:
    source = Mnist(write(tmp_path))
    for split, n in (("train", 40), ("test", 20)):
        samples = source.split(split)
        assert labels(source, split) == classes(n).tolist()
        for i in range(n):
            expected = torch.from_numpy(pixels(n, 28, 28)[i]).float() / 255
            assert torch.equal(samples[i]["image"], expected.expand(3, -1, -1))


def test_raw_mnist_is_what_torchvision_reads(tmp_path: Path) -> None:
    samples = Mnist(write_raw_mnist(tmp_path)).split("test")
    theirs = torchvision.datasets.MNIST(tmp_path, train=False, download=False)
    assert torch.equal(samples.images[:, 0], theirs.data)
    assert torch.equal(samples.labels["mnist"], theirs.targets)


def test_usps_keeps_its_floats(tmp_path: Path) -> None:
    source = Usps(write_usps(tmp_path))
    for split, group, n in (("train", "train", 40), ("test", "test", 20)):
        with h5py.File(tmp_path / "usps.h5") as file:
            expected = torch.from_numpy(file[f"{group}/data"][:]).view(n, 16, 16)
        assert all(torch.equal(source.split(split)[i]["image"][1], expected[i]) for i in range(n))
        assert labels(source, split) == classes(n).tolist()
    image = source.split("test")[3]["image"]
    image += 1  # nobody can spoil it
    assert float(source.split("test")[3]["image"].max()) <= 1


def test_svhn_is_what_torchvision_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision.datasets.SVHN, "_check_integrity", lambda self: True)
    source = Svhn(write_svhn(tmp_path))
    for split, name in (("train", "train"), ("test", "test")):
        theirs = torchvision.datasets.SVHN(str(tmp_path), name, download=False)
        assert np.array_equal(source.split(split).images.numpy(), theirs.data)
        assert labels(source, split) == theirs.labels.tolist()
        assert 0 in labels(source, split)


def test_omniglots_classes_are_torchvisions_and_drawings_are_held_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torchvision.datasets.Omniglot, "_check_integrity", lambda self: True)
    source = Omniglot(write_omniglot(tmp_path))
    source.check(["omniglot"])
    assert source.classes == [
        "Arcadian/character01", "Arcadian/character02", "Greek/character01", "Greek/character02", "Angelic/character01",
    ]  # fmt: skip
    theirs = {}  # by name: the numbers of torchvision's classes follow the order of the file system
    for background in (True, False):
        images = torchvision.datasets.Omniglot(str(tmp_path), background, download=False)
        theirs |= {name: images._characters[c] for name, c in images._flat_character_images}
    found = {}
    for split, numbers in (("train", range(1, 16)), ("test", range(16, 21))):
        samples = source.split(split)
        assert len(samples) == 5 * len(numbers)
        for i, label in enumerate(labels(source, split)):
            path = Path(samples.where(i))
            assert int(path.stem[-2:]) in numbers
            found[path.name] = source.classes[label]
    assert found == theirs


def test_an_omniglot_image_is_its_drawing_smaller_in_bytes(tmp_path: Path) -> None:
    samples = Omniglot(write_omniglot(tmp_path), size=(30, 35)).split("test")
    image = samples[7]["image"]
    whole = Rgb().decode(Path(samples.where(7)))
    assert torch.equal(whole.unique(), torch.tensor([0.0, 1.0]))  # ink and paper
    assert (image - resize_image(whole, (30, 35))).abs().max() <= 0.5 / 255 + 1e-6
    assert torch.equal((image * 255).round() / 255, image)
    assert isinstance(samples, Memory)
    assert samples.kept[7]["image"].dtype == torch.uint8


def test_fewer_training_images_are_a_fixed_balanced_part(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    whole = Mnist(tmp_path).split("train")

    def part(train: int, seed: int = 0) -> set[int]:
        source = Mnist(tmp_path, train=train, seed=seed)
        samples = source.split("train")
        numbers = [int(samples.where(i).split("image ")[1]) for i in range(train)]
        assert numbers == sorted(numbers)
        assert all(torch.equal(samples[i]["image"], whole[k]["image"]) for i, k in enumerate(numbers))
        assert labels(source, "train") == [int(whole[k]["labels"]["mnist"]) for k in numbers]
        counts = np.bincount(labels(source, "train"), minlength=10)
        assert counts.max() - counts.min() <= 1
        assert len(source.split("test")) == 20
        return set(numbers)

    assert part(20) == part(20) != part(20, seed=1)
    assert part(7) < part(20) < part(33)
    assert part(40) == set(range(40))
    with pytest.raises(ValueError, match=r"^data.train: expected at most 40, the training images there are, found 41$"):
        part(41)


def test_where_a_class_is_rare_all_of_it_is_taken() -> None:
    many = [0] * 50 + [1] * 3 + [2] * 50
    chosen = balanced(many, 23, seed=0)
    assert [sum(many[i] == c for i in chosen) for c in range(3)] == [10, 3, 10]


SOURCES = [(Mnist, write_mnist), (Mnist, write_raw_mnist), (Usps, write_usps), (Svhn, write_svhn)]
FILES = [(*SOURCES[0], "mnist.npz"), (*SOURCES[1], "MNIST/raw/t10k-labels-idx1-ubyte"), (*SOURCES[2], "usps.h5")]
FILES += [(*SOURCES[3], "test_32x32.mat")]


@pytest.mark.parametrize(("kind", "write", "file"), FILES)
def test_a_missing_file_is_one_line_that_says_where_from(
    kind: type[ImageFiles], write: Callable[[Path], Path], file: str, tmp_path: Path
) -> None:
    source = kind(write(tmp_path))
    before = source.fingerprint()
    (tmp_path / file).unlink()
    with pytest.raises(ValueError, match=rf"^data.root: expected {file} in .*, found no such file; download ") as error:
        kind(tmp_path).check(source.modalities)
    assert "\n" not in str(error.value)
    write(tmp_path)
    assert source.fingerprint() == before


@pytest.mark.parametrize(("kind", "write", "file"), FILES)
@pytest.mark.parametrize("content", [b"", b"no such file", b"half"])
def test_a_damaged_file_is_one_line_that_names_it(
    kind: type[ImageFiles], write: Callable[[Path], Path], file: str, content: bytes, tmp_path: Path
) -> None:
    source, path = kind(write(tmp_path)), tmp_path / file
    before = source.fingerprint()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if content == b"half" else content)
    assert source.fingerprint() != before
    source.check(source.modalities)
    with pytest.raises(ValueError, match=r"expected a readable \S+ file, found .*; download it again") as error:
        source.split("train"), source.split("test")
    assert str(error.value).startswith(str(tmp_path))
    assert "\n" not in str(error.value)


def npz(root: Path, **change: np.ndarray) -> DataSource:
    arrays = {"x_train": pixels(4, 28, 28), "y_train": classes(4), "x_test": pixels(4, 28, 28), "y_test": classes(4)}
    arrays |= change
    np.savez(root / "mnist.npz", **{name: x for name, x in arrays.items() if x is not None})
    return Mnist(root)


def packed(root: Path, count: int) -> DataSource:
    """An archive that says of its images that there are so many."""
    npz(root)
    with zipfile.ZipFile(root / "mnist.npz", "w") as file, file.open("x_train.npy", "w") as member:
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, 28, 28)}
        np.lib.format.write_array_header_1_0(member, header)
    return Mnist(root)


def h5(root: Path, images: np.ndarray | tuple[int, int]) -> DataSource:
    with h5py.File(root / "usps.h5", "w") as file:
        file["train/target"] = classes(4)
        if isinstance(images, tuple):  # a shape, without values in the file
            file.create_dataset("train/data", shape=images, dtype="f4", chunks=(1000, 256))
        else:
            file["train/data"] = images
    return Usps(root)


def external(root: Path) -> DataSource:
    (root / "secret").write_bytes(b"x" * 1024)
    with h5py.File(root / "usps.h5", "w") as file:
        place = [(str(root / "secret"), 0, 1024)]
        file.create_dataset("train/data", shape=(4, 256), dtype="u1", external=place)
        file["train/target"] = classes(4)
    return Usps(root)


def linked(root: Path, link: h5py.ExternalLink) -> DataSource:
    with h5py.File(root / "usps.h5", "w") as file:
        file["train/target"], file["train/data"] = classes(4), link
    return Usps(root)


def virtual(root: Path) -> DataSource:
    layout = h5py.VirtualLayout(shape=(4, 256), dtype="u1")
    layout[:] = h5py.VirtualSource(str(root / "other.h5"), "x", shape=(4, 256))
    with h5py.File(root / "usps.h5", "w") as file:
        file["train/target"] = classes(4)
        file.create_virtual_dataset("train/data", layout)
    return Usps(root)


def packed_mat(root: Path) -> DataSource:
    """A file that says of its images that there are 400,000."""
    source = mat(root, pixels(32, 32, 3, 4), classes(4))
    path = root / "train_32x32.mat"
    content = path.read_bytes()
    shape = struct.pack("<4i", 32, 32, 3, 4)
    assert content.count(shape) == 1
    path.write_bytes(content.replace(shape, struct.pack("<4i", 32, 32, 3, 400_000)))
    return source


def mat(root: Path, images: np.ndarray, y: np.ndarray) -> DataSource:
    savemat(root / "train_32x32.mat", {"X": images, "y": y})
    return Svhn(root)


WRONG: list[tuple[str, Callable[[Path], DataSource], str]] = [
    ("no key", lambda root: npz(root, y_train=None), "no `y_train` in it"),
    ("another size", lambda root: npz(root, x_train=pixels(4, 32, 32)), r"images \[4, 1, 32, 32\] .* where \[N, 1, 28"),
    ("another number", lambda root: npz(root, y_train=classes(3)), r"images \[4, .* int64 classes \[3\]"),
    ("one hot", lambda root: npz(root, y_train=np.eye(10)[:4]), r"float64 classes \[4, 10\]"),
    ("colours", lambda root: npz(root, x_train=pixels(4, 28, 28, 3)), r"images \[4, 1, 28, 28, 3\]"),
    ("letters", lambda root: npz(root, y_train=np.arange(8, 12)), "classes from 8 to 11 where 0 to 9 belong"),
    ("a pickle", lambda root: npz(root, y_train=np.array([None] * 4)), "cannot be loaded when allow_pickle=False"),
    ("squares", lambda root: h5(root, np.zeros((4, 16, 16))), r"`train/data` \[4, 16, 16\] where \[N, 256\] belongs"),
    ("no group", lambda root: h5(root, np.zeros((4, 256))), "no `test/data` in it"),
    ("unpacked to 4 GB", lambda root: packed(root, 5_000_000), r"`x_train` \[5000000, 28, 28\] where at most"),
    ("images of another file", lambda root: external(root), "the values of `train/data` in another file"),
    ("a link", lambda root: linked(root, h5py.ExternalLink("/etc/other.h5", "x")), "a link in place of `train/data`"),
    ("a virtual data set", lambda root: virtual(root), "the values of `train/data` in another file"),
    ("too many", lambda root: h5(root, (10**7, 256)), r"`train/data` \[10000000, 256\] where at most"),
    ("no room", lambda root: packed_mat(root), r"`X` \[32, 32, 3, 400000\] where at most"),
    ("one image", lambda root: mat(root, pixels(32, 32, 3), np.ones((1, 1))), r"`X` \[32, 32, 3\] where"),
    ("classes of SVHN", lambda root: mat(root, pixels(32, 32, 3, 4), np.arange(8, 12)[:, None]), "from 0 to 11"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "message"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_other_arrays_are_one_line(make: Callable[[Path], DataSource], message: str, tmp_path: Path) -> None:
    source = make(tmp_path)
    with pytest.raises(ValueError, match=rf"expected a readable .* file, found .*{message}.*; download") as error:
        source.split("train"), source.split("test")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda root: npz(root, x_train=pixels(4, 28, 28) / 1.0),
            r"mnist.npz: expected an image in 0..1 \(or bytes\), found values from 0 to 255; divide",
        ),
        (
            lambda root: h5(root, np.full((4, 256), np.nan)),
            r"usps.h5: expected an image in 0..1 without gaps, found nan at 1024 of 1024 values; write colours there",
        ),
    ],
)
def test_images_outside_0_to_1_are_one_line(make: Callable[[Path], DataSource], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message) as error:
        make(tmp_path).split("train")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("kind", "write", "library"),
    [(Mnist, write_raw_mnist, "torchvision"), (Usps, write_usps, "h5py"), (Svhn, write_svhn, "scipy")],
)
def test_a_missing_library_is_one_line(
    kind: type[ImageFiles],
    write: Callable[[Path], Path],
    library: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = kind(write(tmp_path))
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ValueError, match=rf"^data: expected the library {library}, found none; pip install 'tutelage"):
        source.check(source.modalities), source.split("test")


@pytest.mark.parametrize("arguments", [{"train": 0}, {"size": (0, 4)}])
def test_wrong_arguments(arguments: dict) -> None:
    with pytest.raises(ValueError, match=r"^data.\w+: expected at least 1, found 0$"):
        Mnist(Path(), **arguments)


def omniglot(root: Path, what: str) -> Path:
    write_omniglot(root, drawings=12 if what == "no test" else 20)
    part = root / "omniglot-py/images_evaluation"
    if what == "half of it":
        part.rename(root / "elsewhere")
    elif what == "not unpacked":
        for path in part.rglob("*.png"):
            path.unlink()
    elif what == "another name":
        (part / "Angelic/character01/0005_03.png").rename(part / "Angelic/character01/a.png")
    elif what == "another drawing":
        (part / "Angelic/character01/0005_03.png").rename(part / "Angelic/character01/0005_21.png")
    elif what == "damaged":
        (part / "Angelic/character01/0005_03.png").write_bytes(b"no picture")
    return root


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("half of it", r"^data.root: expected a folder omniglot-py.images_evaluation in .*, found none; unpack "),
        ("not unpacked", r"images_evaluation: expected ALPHABET/characterNN/NNNN_MM.png, found none; unpack "),
        ("another name", r"a.png: expected a name NNNN_MM.png with MM from 01 to 20, found `a.png`; remove it"),
        ("another drawing", r"0005_21.png: expected a name NNNN_MM.png with MM from 01 to 20"),
        ("no test", r"expected drawings 16 to 20 for test, found none; unpack "),
        ("damaged", r"0005_03.png: expected a readable .png file"),
    ],
)
def test_a_wrong_omniglot_is_one_line(what: str, message: str, tmp_path: Path) -> None:
    source = Omniglot(omniglot(tmp_path, what))
    with pytest.raises(ValueError, match=message) as error:
        source.check(["omniglot"]), list(source.split("train"))
    assert "\n" not in str(error.value)


def test_omniglots_fingerprint_sees_files_and_not_where_they_are(tmp_path: Path) -> None:
    before = Omniglot(write_omniglot(tmp_path / "a")).fingerprint()
    (tmp_path / "a").rename(tmp_path / "b")
    assert Omniglot(tmp_path / "b").fingerprint() == before
    assert Omniglot(tmp_path / "b", size=(64, 64)).fingerprint() != before
    (tmp_path / "b/omniglot-py/images_background/Greek/character01/0001_20.png").unlink()
    assert Omniglot(tmp_path / "b").fingerprint() != before


def test_real_mnist_and_usps() -> None:
    if "TUTELAGE_DATA" not in os.environ:
        pytest.skip("set TUTELAGE_DATA to a folder with digits/mnist.npz and digits/usps.h5 to test with real images")
    root = Path(os.environ["TUTELAGE_DATA"]) / "digits"
    for source, train, test in ((Mnist(root), 60000, 10000), (Usps(root), 7291, 2007)):
        source.check(source.modalities)
        assert (len(source.split("train")), len(source.split("test"))) == (train, test)
        images, classes = source.split("train").images.double(), source.split("train").labels[source.name]
        assert len(classes.unique()) == 10
        # A one has the least ink and a zero the most, in both, and the middle of a zero is empty.
        ink = torch.stack([images[classes == c].mean() for c in range(10)])
        assert (int(ink.argmin()), int(ink.argmax())) == (1, 0)
        middle = images[:, 0, images.shape[2] // 2, images.shape[3] // 2]
        assert int(torch.stack([middle[classes == c].mean() for c in range(10)]).argmin()) == 0
