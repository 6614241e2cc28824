import errno
import os
import pickle
from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from tutelage import files
from tutelage.errors import UserError
from tutelage.files import write_atomically
from tutelage.train import load_checkpoint, save_checkpoint


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


@pytest.mark.parametrize("at", [0, 1, 3, 10, 40, 100, 1000])
def test_a_full_disk_is_the_systems_error_with_the_files_name(
    at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = files._create

    class Full:
        """A file that takes some writes; torch hides the error of the one that fails."""

        def __init__(self, part: Path) -> None:
            self.file, self.left = create(part), at

        def write(self, data: bytes) -> int:
            self.left -= 1
            if self.left < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return self.file.write(data)

        def __enter__(self) -> "Full":
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def __getattr__(self, name: str) -> object:
            return getattr(self.file, name)

    state = {f"layer{i}": torch.rand(100) for i in range(30)}
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"step": 1})
    monkeypatch.setattr(files, "_create", Full)
    if at == 1000:  # more than it needs
        save_checkpoint(path, state)
        return
    with pytest.raises(OSError, match=r"No space left on device.*checkpoint.pt") as error:
        save_checkpoint(path, state)
    assert error.value.errno == errno.ENOSPC
    monkeypatch.undo()
    assert load_checkpoint(path) == {"step": 1}  # the old one is whole
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


@pytest.mark.parametrize(
    ("value", "found"), [(np.float64(1), "numpy.float64"), (Path("a"), "pathlib.PosixPath"), (lambda: 0, "function")]
)
def test_what_could_not_be_loaded_is_not_saved(tmp_path: Path, value: object, found: str) -> None:
    (tmp_path / "c.pt").write_bytes(b"the last one")
    with pytest.raises(UserError, match=rf"c.pt: expected tensors.* in `callbacks.0.best`, found .*{found}; change"):
        save_checkpoint(tmp_path / "c.pt", {"step": 3, "callbacks": [{"best": value}]})
    assert (tmp_path / "c.pt").read_bytes() == b"the last one"


SCHEDULERS = {
    "MultiStepLR": partial(lr_scheduler.MultiStepLR, milestones=[1, 2]),  # which counts them
    "LambdaLR": partial(lr_scheduler.LambdaLR, lr_lambda=lambda epoch: 1.0),
    "CyclicLR": partial(lr_scheduler.CyclicLR, base_lr=0.1, max_lr=0.2, cycle_momentum=False),
    "OneCycleLR": partial(lr_scheduler.OneCycleLR, max_lr=0.1, total_steps=5),
    "ReduceLROnPlateau": lr_scheduler.ReduceLROnPlateau,
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_state_of_a_scheduler_is_saved(tmp_path: Path, name: str) -> None:
    state = SCHEDULERS[name](torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)).state_dict()
    save_checkpoint(tmp_path / "c.pt", {"schedulers": {"student": state}})
    assert load_checkpoint(tmp_path / "c.pt")["schedulers"]["student"] == state


def test_what_torch_knows_to_be_safe_is_saved(tmp_path: Path) -> None:
    state = {"net": OrderedDict(a=torch.ones(1)), "size": torch.Size([2]), "dtype": torch.bfloat16, "set": {1}}
    save_checkpoint(tmp_path / "c.pt", state)
    assert load_checkpoint(tmp_path / "c.pt")["size"] == torch.Size([2])
