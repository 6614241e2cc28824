"""Data folders that are wrong in ways that nobody thought of: small ones, with a fixed seed, mutated."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml
from PIL import Image
from tests.data.test_folders import numbers, write
from tests.wrong import LABELS, base

Mutate = Callable[[Path, random.Random], object]  # (a file of the folder, random numbers)
NAMES = ["a b.png", "é.png", "①.png", "x" * 200 + ".png", "-rf.png", "\x1b[31m.png", "a\nb.png", ".hidden.png", "0.PNG",
         "0.jpeg", "0.tif", "0.txt", "0", "Thumbs.db", ".DS_Store", "%s.png", "{0}.png", "*.png"]  # fmt: skip
DTYPES = [
    "uint8", "int8", "uint16", "int16", "int32", "int64", "uint64", "float16", "float32", "float64", "bool",
    "complex64", ">f4", ">u2", "U3", "M8[s]",
]  # fmt: skip
MODES = ["1", "L", "P", "RGB", "RGBA", "CMYK", "I", "I;16", "F", "LA"]


def _cut(file: Path, dice: random.Random) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: dice.randrange(len(content))])


def _flip(file: Path, dice: random.Random) -> None:
    content = bytearray(file.read_bytes())
    for _ in range(dice.choice([1, 8, 64])):
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    file.write_bytes(content)


def _bytes(file: Path, dice: random.Random) -> None:
    file.write_bytes(
        dice.choice([b"", b"\0", b"\xff" * 100, b"GIF89a", b"\x93NUMPY", b"%PDF-1.4", dice.randbytes(500)])
    )


def _folder(file: Path, dice: random.Random) -> None:
    file.unlink()
    file.mkdir()


def _link(file: Path, dice: random.Random) -> None:
    target = dice.choice([file, file.parent, Path("nowhere"), Path("/dev/zero"), Path("/dev/null"), file.parent.parent])
    file.unlink()
    file.symlink_to(target)


def _pipe(file: Path, dice: random.Random) -> None:
    file.unlink()
    os.mkfifo(file)


def _rename(file: Path, dice: random.Random) -> None:
    file.rename(file.with_name(dice.choice(NAMES)))


def _bytes_in_name(file: Path, dice: random.Random) -> None:
    os.rename(os.fsencode(file), os.fsencode(file.parent) + b"/\xff\xfe.png")


def _copy(file: Path, dice: random.Random) -> None:
    shutil.copy(file, file.with_name(dice.choice(NAMES)))


def _remove(file: Path, dice: random.Random) -> None:
    file.unlink()


def _remove_folder(file: Path, dice: random.Random) -> None:
    shutil.rmtree(dice.choice([file.parent, file.parent.parent]))


def _nest(file: Path, dice: random.Random) -> None:
    below = file.parent / "below"
    below.mkdir(exist_ok=True)
    for path in list(file.parent.glob("*.*")):
        path.rename(below / path.name)


def _swap(file: Path, dice: random.Random) -> None:
    """Another picture of the data in its place, of an image for a label, for example."""
    shutil.copy(dice.choice(sorted(p for p in file.parents[1].glob("*/*") if p.is_file() and p != file)), file)


def _mode(file: Path, dice: random.Random) -> None:
    image = Image.new(dice.choice(MODES), (44, 36))
    image.save(file, format="TIFF") if image.mode in ("F", "I", "CMYK") else image.save(file, format="PNG")


def _size(file: Path, dice: random.Random) -> None:
    size = dice.choice([(1, 1), (36, 44), (44, 1), (2000, 3), (45, 36), (22, 18)])
    Image.fromarray(np.full((*size, 3), 7, np.uint8)).save(file, format="PNG")


def _values(file: Path, dice: random.Random) -> None:
    value = dice.choice([0, 1, 12, 13, 127, 255])
    for path in file.parent.glob("*.png") if dice.random() < 0.5 else [file]:
        Image.fromarray(np.full((36, 44), value, np.uint8)).save(path, format="PNG")


def _array(file: Path, dice: random.Random) -> None:
    """A .npy in its place, of any type, shape and value."""
    file.unlink()
    shape = dice.choice([(36, 44), (36, 44, 3), (3, 36, 44), (36, 44, 1), (0, 44), (1,), (), (2, 2, 2, 2)])
    values = np.full(shape, dice.choice([0, 1, -1, 300, float("nan"), float("inf"), 1e30]))
    with np.errstate(invalid="ignore", over="ignore"):
        np.save(file.with_suffix(".npy"), values.astype(dice.choice(DTYPES)))


def _objects(file: Path, dice: random.Random) -> None:
    file.unlink()
    np.save(file.with_suffix(".npy"), np.array([{"a": 1}, None], dtype=object), allow_pickle=True)


def _header(file: Path, dice: random.Random) -> None:
    """A .npy that claims more than it has."""
    file.unlink()
    shape = dice.choice(["(36, 44)", "(99999999999,)", "(-1, 44)", "(10**9, 10**9)", "'x'"])
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    file.with_suffix(".npy").write_bytes(
        b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + b"\0" * 64
    )


MUTATIONS: list[Mutate] = [
    _cut, _flip, _bytes, _folder, _link, _pipe, _rename, _bytes_in_name, _copy, _remove, _remove_folder, _nest, _swap,
    _mode, _size, _values, _array, _objects, _header,
]  # fmt: skip


def mutant_folder(number: int, folder: Path) -> tuple[list[str], set[str]]:
    """Write the data of that number; the command, and every word that its line may name."""
    dice = random.Random(number)
    shutil.rmtree(folder / "data", ignore_errors=True)
    train = write(folder / "data/train", numbers(6), npy=dice.random() < 0.2, size=(36, 44))
    write(folder / "data/val", numbers(2), npy=next(train.glob("image/*")).suffix == ".npy", size=(36, 44))
    nyu = dice.random() < 0.3
    arguments = {"size": [32, 40]} if nyu else {"labels": LABELS, "partial": dice.random() < 0.3}
    data = {"class_path": f"tutelage.data.{'NYUv2' if nyu else 'Folders'}", "init_args": {"root": "data", **arguments}}
    (folder / "study.yaml").write_text(yaml.safe_dump(base(data=data)))
    for _ in range(dice.choice([1, 1, 2, 4])):
        files = sorted(path for path in (folder / "data").glob("*/*/*") if path.is_file() and not path.is_symlink())
        if files:
            dice.choice(MUTATIONS)(dice.choice(files), dice)
    words = {"data", "train", "val", "test", "image", "label", "depth", "normal", *LABELS, "study", "root", "yaml"}
    commands = [["run", "study.yaml", "--dry-run"]] * 3 + [["inspect", "study.yaml"], ["inspect", "data"]]
    return dice.choice([*commands, ["init", "data", "--overwrite"]]), words
