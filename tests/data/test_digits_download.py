"""What is missing is fetched through torchvision, once, where that is wanted."""

from pathlib import Path
from urllib.error import URLError

import pytest
import torchvision
from tests.data.digit_files import write_omniglot, write_svhn

from tutelage.data import SvhnOmniglot


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """What torchvision is asked for; it gives tiny files of the same structure."""
    calls: list[dict] = []

    def svhn(root: str, **arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == 2:  # of both splits
            write_svhn(Path(root))

    def omniglot(root: str, **arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == 3:
            write_omniglot(Path(root))

    monkeypatch.setattr(torchvision.datasets, "SVHN", svhn)
    monkeypatch.setattr(torchvision.datasets, "Omniglot", omniglot)
    return calls


def test_only_what_is_missing_is_fetched(tmp_path: Path, asked: list[dict]) -> None:
    source = SvhnOmniglot(tmp_path, download=True)
    assert asked == []
    source.check(["svhn", "omniglot"])
    assert asked == [
        {"download": True, "split": "train"},
        {"download": True, "split": "test"},
        {"download": True, "background": True},
    ]
    source.check(["svhn", "omniglot"])
    assert len(asked) == 3
    assert {name: len(part.source.split("train")) for name, part in source.parts().items()} == {
        "svhn": 40,
        "omniglot": 75,
    }


def test_nothing_is_fetched_unless_that_is_wanted(tmp_path: Path, asked: list[dict]) -> None:
    with pytest.raises(ValueError, match=r"data.root: expected train_32x32.mat"):
        SvhnOmniglot(tmp_path).check(["svhn", "omniglot"])
    assert asked == []


def test_what_cannot_be_fetched_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(torchvision.datasets, "SVHN", unreachable)
    with pytest.raises(ValueError, match=r"^data.download: expected torchvision to fetch SVHN into .*no route.*; try"):
        SvhnOmniglot(tmp_path, download=True).check(["svhn", "omniglot"])
