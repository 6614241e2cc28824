"""Datasets of HDF5 files from anybody, whose values may lie in any other file of the machine."""

from typing import Any


def own_dataset(file: Any, name: str) -> Any:
    """The dataset of an opened file of h5py with this path.

    Raises:
        ValueError: There is none, or it is a link, or its values lie in another file.
    """
    import h5py

    node = file
    for part in name.split("/"):
        link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
        if link is None:
            raise ValueError(f"no `{name}` in it")
        if not isinstance(link, h5py.HardLink):
            raise ValueError(f"a link in place of `{name}`")
        node = node[part]
    if not isinstance(node, h5py.Dataset):
        raise ValueError(f"a group in place of `{name}`")
    check_own(node, name)
    return node


def check_own(dataset: Any, name: str) -> None:
    """Raise a ValueError where the values of a dataset lie in another file."""
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"the values of `{name}` in another file")
