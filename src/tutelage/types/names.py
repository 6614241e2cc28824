"""Names that tasks and teachers may have."""

from torch import nn


def is_reserved(name: str) -> bool:
    """Whether torch's containers, which keep modules and parameters under names, have an attribute of that name."""
    return any(hasattr(container(), name) for container in (nn.ModuleDict, nn.ParameterDict))
