import pytest
import torch

from tutelage.deploy import find_device


def test_names_are_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert find_device() == torch.device("cuda")
    assert find_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ValueError, match="expected one of the 2 GPUs that PyTorch sees, found `cuda:2`"):
        find_device("cuda:2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert find_device() == torch.device("cpu")
    with pytest.raises(ValueError, match="found `cuda`"):
        find_device("cuda")


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "CPU", "cpu:0", "", "meta"])
def test_other_names_are_one_line(name: str) -> None:
    with pytest.raises(ValueError, match=f"--device: expected auto, cpu, .*found `{name}`"):
        find_device(name)
