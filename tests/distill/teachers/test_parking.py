"""A parked network computes what it did before, from a file that takes no memory until then."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.distill import tiny
from torch import nn

from tutelage.distill.teachers import Teachers
from tutelage.distill.teachers.parking import park
from tutelage.nets import SegNet

IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def resident(start: int) -> int:
    """KiB in memory of the mapping that begins at an address."""
    lines = iter(Path("/proc/self/smaps").read_text().splitlines())
    for line in lines:
        if "-" in line.split()[0] and ":" not in line.split()[0]:
            low, high = (int(x, 16) for x in line.split()[0].split("-"))
            if low <= start < high:
                return next(int(x.split()[1]) for x in lines if x.startswith("Rss:"))
    raise AssertionError("no such mapping")


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_it_keeps_bits_layout_and_identity(layout: torch.memory_format, tmp_path: Path) -> None:
    net = SegNet({"depth": 1}, width=0.25).to(memory_format=layout).eval()
    before, named = net(IMAGES).predictions["depth"], dict(net.named_parameters())
    strides = {name: x.stride() for name, x in net.state_dict().items()}
    size = park(net, tmp_path)
    assert size >= sum(x.nbytes for x in (*net.parameters(), *net.buffers()))
    assert {x.untyped_storage().data_ptr() for x in net.state_dict().values()} == {
        next(net.parameters()).untyped_storage().data_ptr()
    }
    assert {name: x.stride() for name, x in net.state_dict().items()} == strides
    assert all(x is named[name] for name, x in net.named_parameters())
    assert torch.equal(net(IMAGES).predictions["depth"], before)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs /proc/self/smaps, which Linux has")
def test_it_takes_memory_only_when_it_runs(tmp_path: Path) -> None:
    net = SegNet({"depth": 1}, width=0.5).eval()
    size = park(net, tmp_path)
    start = next(net.parameters()).untyped_storage().data_ptr()
    assert resident(start) * 1024 < size / 20
    net(IMAGES)
    assert resident(start) * 1024 > size / 2


def test_tied_and_empty_tensors_stay_what_they_are(tmp_path: Path) -> None:
    net = tiny.Tiny(tiny.WIDTHS)
    net.heads["again"] = net.heads["height"]
    net.register_buffer("nothing", torch.empty(0, 3))
    net.register_buffer("spread", torch.arange(3.0).expand(4, 3))
    park(net, tmp_path)
    assert net.heads["again"].weight is net.heads["height"].weight
    assert net.nothing.shape == (0, 3)
    assert torch.equal(net.spread, torch.arange(3.0).expand(4, 3))
    assert park(nn.ReLU(), tmp_path) == 0


def test_a_folder_that_cannot_be_written_leaves_the_network_as_it_is(tmp_path: Path) -> None:
    net = tiny.Tiny(tiny.WIDTHS)
    before = {name: x.data_ptr() for name, x in net.state_dict().items()}
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        park(net, tmp_path / "file" / "folder")
    assert {name: x.data_ptr() for name, x in net.state_dict().items()} == before


def test_a_teacher_that_runs_after_all_comes_to_the_device_of_its_images(tmp_path: Path) -> None:
    teachers = Teachers(tiny.teachers())
    network = teachers.networks["height"]
    teachers.passes.request(network, ["last"])
    teachers.passes.park(network, tmp_path)
    batch = replace(tiny.batch(), images=tiny.batch().images.to("meta"))
    with teachers.passes.batch():
        assert teachers.read(batch, "height").output.taps["last"].device.type == "meta"
    teachers.to_empty(device="cpu")
    teachers.passes.park(network, tmp_path)
    assert teachers(batch.images, "height")["last"].device.type == "meta"


def test_one_that_was_not_parked_stays_where_its_owner_has_put_it() -> None:
    teachers = Teachers(tiny.teachers())
    with pytest.raises(RuntimeError):
        teachers(tiny.batch().images.to("meta"), "height")


def test_what_the_system_does_not_map_stays_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def from_file(*args: object, **kwargs: object) -> torch.Tensor:
        raise RuntimeError("unable to mmap 4 bytes from file: No such device (19)")

    monkeypatch.setattr(torch, "from_file", from_file)
    net = SegNet({"depth": 1}, width=0.25).eval()
    before = net(IMAGES).predictions["depth"]
    with pytest.raises(OSError, match="unable to mmap"):
        park(net, tmp_path)
    assert torch.equal(net(IMAGES).predictions["depth"], before)
