"""What tells networks of different weights apart."""

from collections.abc import Mapping
from hashlib import blake2b

import torch
from torch import Tensor


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """Of names and values of tensors; a file's bytes would not do, since their order is not fixed."""
    digest = blake2b(digest_size=8)
    for name in sorted(tensors):
        data = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}:{data.dtype}:{tuple(data.shape)}".encode())
        digest.update(data.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
