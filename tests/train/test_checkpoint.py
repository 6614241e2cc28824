import pickle
from pathlib import Path
from typing import IO

import pytest
import torch

from tutelage.train import load_checkpoint, save_checkpoint, write_atomically


def test_round_trip(tmp_path: Path) -> None:
    state = {"step": 3, "tensors": {"a": torch.arange(3)}, "list": [1.5, None, True]}
    save_checkpoint(tmp_path / "c.pt", state)
    found = load_checkpoint(tmp_path / "c.pt")
    assert found["step"] == 3
    assert torch.equal(found["tensors"]["a"], torch.arange(3))
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]


def test_a_failed_write_leaves_the_last_file(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    save_checkpoint(path, {"step": 1})

    def fail(file: IO[bytes]) -> None:
        file.write(b"half")
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        write_atomically(path, fail)
    assert load_checkpoint(path) == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["c.pt"]


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (pytest.fail, ("code in a checkpoint was run",))


@pytest.mark.parametrize("content", [pickle.dumps({"step": Evil()}), b"", b"half a checkpoint"])
def test_a_file_that_is_no_checkpoint_is_refused_without_running_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.pt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="expected a checkpoint of tutelage") as error:
        load_checkpoint(path)
    assert "\n" not in str(error.value)


def test_code_inside_a_torch_file_is_not_run(tmp_path: Path) -> None:
    torch.save({"step": Evil()}, tmp_path / "c.pt")
    with pytest.raises(ValueError, match="expected a checkpoint of tutelage"):
        load_checkpoint(tmp_path / "c.pt")
