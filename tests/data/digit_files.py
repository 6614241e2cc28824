"""Tiny files of the structure in which sets of digits and characters are published."""

import struct
from pathlib import Path

import h5py
import numpy as np
from PIL import Image
from scipy.io import savemat


def classes(n: int) -> np.ndarray:
    """0..9 in turn, in an order of their own."""
    return (np.arange(n) * 7 + n) % 10


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(0, 256, shape, dtype=np.uint8)


def write_mnist(root: Path, train: int = 40, test: int = 20) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    arrays = {"x_train": pixels(train, 28, 28), "x_test": pixels(test, 28, 28)}
    labels = {"y_train": classes(train).astype(np.uint8), "y_test": classes(test).astype(np.uint8)}
    np.savez(root / "mnist.npz", **arrays, **labels)
    return root


def write_raw_mnist(root: Path, train: int = 40, test: int = 20) -> Path:
    """The original files, where torchvision has them."""
    raw = root / "MNIST/raw"
    raw.mkdir(parents=True, exist_ok=True)
    for name, n in (("train", train), ("t10k", test)):
        images = struct.pack(">IIII", 0x803, n, 28, 28) + pixels(n, 28, 28).tobytes()
        (raw / f"{name}-images-idx3-ubyte").write_bytes(images)
        labels = struct.pack(">II", 0x801, n) + classes(n).astype(np.uint8).tobytes()
        (raw / f"{name}-labels-idx1-ubyte").write_bytes(labels)
    return root


def write_usps(root: Path, train: int = 40, test: int = 20) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    with h5py.File(root / "usps.h5", "w") as file:
        for name, n in (("train", train), ("test", test)):
            file[f"{name}/data"] = np.random.default_rng(n).random((n, 256), dtype=np.float32)
            file[f"{name}/target"] = classes(n).astype(np.int32)
    return root


def write_svhn(root: Path, train: int = 40, test: int = 20) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for name, n in (("train", train), ("test", test)):
        labels = np.where(classes(n) == 0, 10, classes(n)).astype(np.uint8)[:, None]
        savemat(root / f"{name}_32x32.mat", {"X": pixels(32, 32, 3, n), "y": labels})
    return root


def write_omniglot(root: Path, drawings: int = 20) -> Path:
    """Two alphabets of two characters, and one of one, black ink on white in 1 bit, 105x105."""
    characters = [
        ("images_background", "Greek", "character01"),
        ("images_background", "Greek", "character02"),
        ("images_background", "Arcadian", "character01"),
        ("images_background", "Arcadian", "character02"),
        ("images_evaluation", "Angelic", "character01"),
    ]
    for number, (part, alphabet, character) in enumerate(characters, 1):
        folder = root / "omniglot-py" / part / alphabet / character
        folder.mkdir(parents=True)
        for drawing in range(1, drawings + 1):
            paper = np.full((105, 105), 255, np.uint8)
            paper[10 * number : 10 * number + 5, drawing : drawing + 60] = 0
            Image.fromarray(paper).convert("1").save(folder / f"{number:04}_{drawing:02}.png")
    return root
