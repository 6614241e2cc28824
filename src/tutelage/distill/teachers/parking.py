"""A network that need not run: its tensors lie in a file that is mapped into memory, until somebody runs it."""

import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn

_ALIGNED = 64  # bytes


@torch.no_grad()
def park(network: nn.Module, folder: Path) -> int:
    """Move the tensors of a network to a file, which takes no memory until the network runs; they keep their bits.

    Nothing else changes: the network can run at any time, and the system then reads the file. That of a GPU goes to the
    host. The file has no name: it is gone with the network, and after a crash, too.

    Args:
        network: one that nobody trains.
        folder: on the disk where the file is written.

    Returns:
        The bytes of the file; 0 where the system has no such files, as Windows.

    Raises:
        OSError: the disk is full, for example, or does not map files; the network is as it was, but on the host.
    """
    network.to("cpu")
    tensors = {id(x): x for x in (*network.parameters(), *network.buffers()) if _is_plain(x)}
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        places: list[tuple[Tensor, int, tuple[int, ...]]] = []
        for x in tensors.values():
            dense = x.detach().clone()  # in the same memory layout, and nothing but its numbers
            places.append((x, file.tell(), dense.stride()))
            file.write(dense.as_strided((dense.numel(),), (1,)).view(torch.uint8).numpy().data)
            file.write(bytes(-file.tell() % _ALIGNED))
        file.flush()
        name = Path(f"/dev/fd/{file.fileno()}")
        if not places or not name.exists():
            return 0
        try:
            mapped = torch.from_file(str(name), shared=False, size=file.tell(), dtype=torch.uint8)
        except RuntimeError as error:  # of torch, for what the system refuses: a disk whose files cannot be mapped
            raise OSError(str(error)) from error
    for x, start, stride in places:
        x.data = mapped[start : start + x.nbytes].view(x.dtype).as_strided(x.shape, stride)
    return len(mapped)


def _is_plain(x: Tensor) -> bool:
    return type(x.data) is Tensor and x.layout == torch.strided and x.numel() > 0
