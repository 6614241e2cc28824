"""Images, labels and folders of runs that are wrong: name -> how, and the line that says so."""

import os
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from tests.wrong import LABELS, Make, copied, everywhere, flags, holding, images, key, nothing, removed, renamed, runs

UNFINISHED = removed("url/seed0/result.json")
CHECKPOINT, TEACHER = "url/seed0/checkpoint.pt", "single/depth/seed0/student.safetensors"


def of_another_size(train: Path, stem: str) -> None:
    shapes = {"image": (40, 48, 3), "label": (40, 48), "depth": (40, 48), "normal": (40, 48, 3)}
    for name, shape in shapes.items():
        holding(f"{name}/{stem}.png", np.ones(shape, np.uint8))(train)


DATA: dict[str, tuple[Make, str]] = {
    "no data folder": (
        flags("--data", "tutelage.data.NYUv2", "--data.root", "nowhere"),
        r"data.root: expected a file or folder, found none at nowhere",
    ),
    "no folder": (images(removed("depth")), r"data/train/depth: expected a folder, found none; see"),
    "nothing in common": (
        images(renamed("depth")),
        r"train/depth: expected files named like .* train \(1, ...\), found none in common \(x0, ...\); rename",
    ),
    "no file": (
        images(removed(*(f"depth/{i}.png" for i in range(10)))),
        r"train/depth: expected pictures .* or .npy files, found none",
    ),
    "a file is missing": (
        images(removed("depth/3.png")),
        r"train/depth: expected a file for each of the 8 images .* missing are 3; add .* data.init_args.partial: true",
    ),
    "a pipe": (
        images(lambda train: ((train / "depth/3.png").unlink(), os.mkfifo(train / "depth/3.png"))),
        r"train/depth/3.png: expected a file, found a pipe; replace or remove it",
    ),
    "a name in other bytes": (
        images(lambda train: os.rename(train / "depth/3.png", os.fsencode(train / "depth") + b"/\xff.png")),
        r"train/depth/\\xff.png: expected a name in UTF-8, found other bytes in it; rename the file",
    ),
    "a device": (
        images(lambda train: ((train / "image/3.png").unlink(), (train / "image/3.png").symlink_to("/dev/zero"))),
        r"train/image/3.png: expected a file, found a device; replace or remove it",
    ),
    "two files": (
        images(holding("depth/3.jpg", "")),
        r"depth/3.png: expected one file with this stem, found 3.jpg, too; ",
    ),
    "half an image": (
        images(holding("image/3.png", b"\x89PNG half")),
        r"image/3.png: expected a readable .png file, found",
    ),
    "half a label": (
        images(holding("depth/3.npy", b"half"), npy=True),
        r"depth/3.npy: expected a readable .npy .* replace",
    ),
    "another size": (
        images(holding("depth/3.png", np.ones((30, 40), np.uint8))),
        r"depth/3.png: expected the size of its image, 36x44, found 30x40; resize",
    ),
    "channels": (
        images(holding("depth/3.png", np.ones((36, 44, 3), np.uint8))),
        r"depth/3.png: expected distances \[H, W\], found an array \[36, 44, 3\] of a picture in mode RGB; save",
    ),
    "a class too many": (
        images(nothing, "--tasks.segmentation.classes", "5", "--tasks.segmentation.names", "null"),
        r"label/1.png: expected .* 0..4, .*found 5, 6,",
    ),
    "a negative class": (
        images(holding("label/3.npy", np.full((36, 44), -2.0)), npy=True),
        r"label/3.npy: expected classes 0..12, or -1 where unlabelled, found -2; set",
    ),
    "half a class": (
        images(holding("label/3.npy", np.full((36, 44), 2.5)), npy=True),
        r"label/3.npy: expected whole class numbers, found 2.5;",
    ),
    "millimetres": (
        images(holding("depth/3.npy", np.full((36, 44), 2500.0)), npy=True),
        r"depth/3.npy: expected depths in metres, .*, found a median of 2500; set the label's `scale`, .* 0.001",
    ),
    "no depth at all": (
        images(everywhere("depth", 0)),
        r"depth/1.png: .*`depth` somewhere in train, found none in 8",
    ),
    "no class at all": (
        images(everywhere("label", 255)),
        r"label/1.png: .*`segmentation` somewhere in train, found none",
    ),
    "no normal at all": (
        images(everywhere("normal", 0, (36, 44, 3))),
        r"normal/1.png: .*`normals` somewhere in train, found none in 8",
    ),
    "labels of another kind": (
        images(nothing, labels={**LABELS, "depth": LABELS["segmentation"]}),
        r"tasks.depth: expected labels of depth for Depth, found classes \(ClassesLabel\) in data; give",
    ),
    "inverse depth for depth": (
        images(nothing, labels={**LABELS, "depth": {"folder": "depth", "kind": "tutelage.data.InverseDepthLabel"}}),
        r"tasks.depth: expected labels of depth for Depth, found inverse depth \(InverseDepthLabel\) in data; give",
    ),
    "two folders of test images": (
        images(lambda train: [(train.parent / name).mkdir() for name in ("val", "test")]),
        r"data: expected one of the folders test and val, .*, found both; rename or remove the other one",
    ),
    "sixteen bits": (
        images(holding("image/3.png", np.ones((36, 44), np.uint16))),
        r"image/3.png: expected 8 bits a channel, found 16 bits .*I;16\), .*; map its values to 0..255 and save 8 bits",
    ),
    "sizes in a batch": (
        images(lambda train: of_another_size(train, "4"), labels=LABELS),
        r"image/4.png: expected 36x44, the size of data/train/image/1.png .*, found 40x48; set data.size, or .*: 1",
    ),
    "impossible crop": (
        flags("--train.augment.scales", "[99]"),
        r"augment.scales: .*32x32, found 0x0 at scale 99; lower it",
    ),
    "images too small": (
        key("data.init_args.size", [16, 48]),
        r"SegNet: expected images of at least 32x32, found \(16, 48\)",
    ),
}

RUNS: dict[str, tuple[Make, str]] = {
    "a file for a folder": (
        flags("--out", "study.yaml"),
        r"out: expected a folder, found the file study.yaml; give another",
    ),
    "another config": (
        runs(words=["--epochs", "2"]),
        r"runs/single/depth/seed0: .*train.epochs = 1; found 2; give another",
    ),
    "other data": (runs(words=["--data.seed", "2"]), r"runs/single/depth/seed0: expected .*, data = \w+; found \w+ \("),
    "damaged checkpoint": (
        runs(UNFINISHED, holding(CHECKPOINT, "half")),
        r"runs/url/seed0/checkpoint.pt: expected a checkpoint of tutelage, found .*; delete it",
    ),
    "checkpoint of another run": (
        runs(UNFINISHED, copied("single/depth/seed0/checkpoint.pt", CHECKPOINT)),
        r"runs/url/seed0/checkpoint.pt: expected .* of this run, found one that does not fit \(.*\); delete it",
    ),
    "a list as checkpoint": (
        runs(UNFINISHED, lambda folder: torch.save([1], folder / CHECKPOINT)),
        r"checkpoint.pt: expected a checkpoint of tutelage, found list; delete it",
    ),
    "damaged teacher": (
        runs(UNFINISHED, holding(TEACHER, "half")),
        rf"{TEACHER}: expected a network .*, found .*; remove",
    ),
    "missing teacher": (
        runs(UNFINISHED, removed(TEACHER)),
        rf"{TEACHER}: expected a network saved .*, found No such file",
    ),
    "another teacher": (
        runs(UNFINISHED, holding(TEACHER, safetensors.torch.save({"weight": torch.zeros(1)}))),
        rf"{TEACHER}: expected the weights of this study's network for `depth`, found another's; remove",
    ),
    "damaged result": (
        runs(holding("url/seed0/result.json", "{")),
        r"url/seed0/result.json: expected .*, found .*; remove",
    ),
    "damaged config": (
        runs(holding("url/seed0/config.yaml", "[")),
        r"url/seed0/config.yaml: expected .*, found .*; remove",
    ),
    "damaged results": (
        runs(holding("results.json", '{"study": "a"}'), report=True),
        r"runs/results.json: expected the results of a study, found something else \('rows'\); run",
    ),
    "half a row": (
        runs(holding("results.json", '{"study": "a", "rows": [{"method": "b"}]}'), report=True),
        r"runs/results.json: expected the results of a study, found something else \(row 1: no 'delta'\); run",
    ),
    "no results": (runs(removed("results.json"), report=True), r"runs/results.json: expected .*, found no file; run"),
}
