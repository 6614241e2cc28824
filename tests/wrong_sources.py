"""Studies of several sources and of hidden labels that are wrong: name -> how, and the line that says so."""

from typing import Any

from tests.wrong import ROOMS, Make, flags

STREETS = {"class_path": "tutelage.data.Rooms", "init_args": {"train": 6, "test": 2, "size": [32, 48], "seed": 1}}
NOWHERE = {"class_path": "tutelage.data.NYUv2", "init_args": {"root": "nowhere"}}


def mix(*words: str, weights: object = None, **sources: object) -> Make:
    """The smallest study on a mix of these sources, by default of two that are right."""
    found = {"rooms": ROOMS, "streets": STREETS, **sources}
    found = {name: source for name, source in found.items() if source is not None}
    return flags(*words, data={"class_path": "tutelage.data.Mix", "init_args": {"sources": found, "weights": weights}})


def hidden(*words: str, source: object = ROOMS, **arguments: Any) -> Make:
    """The smallest study without some labels of a source, by default of four images."""
    data = {"class_path": "tutelage.data.HideLabels", "init_args": {"source": source, **arguments}}
    return flags(*words, data=data)


def rooms(**changes: object) -> dict[str, Any]:
    return {**STREETS, "init_args": {**STREETS["init_args"], **changes}}


BOTH = {"class_path": "tutelage.data.Mix", "init_args": {"sources": {"rooms": ROOMS, "streets": STREETS}}}
HELD = {"class_path": "tutelage.data.HoldOut", "init_args": {"source": ROOMS, "part": 0.1}}

SOURCES: dict[str, tuple[Make, str]] = {
    # Sources.
    "one source": (mix(streets=None), r"data.sources: expected two sources or more, found 1; name one as `data`$"),
    "no source": (mix(rooms=None, streets=None), r"data.sources: expected two sources or more, found 0;"),
    "a mix in a mix": (mix(more=BOTH), r"data.sources.more: expected a single source .*, found Mix; name its sources"),
    "a source's name": (mix(**{"a/b": ROOMS}), r"data.sources.a/b: expected .* a name without `/`, found Rooms; "),
    "a source in a word": (
        mix(streets="rooms"),
        r"data.sources.streets: expected a class_path, found `rooms`; did you mean `tutelage.data.Rooms`",
    ),
    "sources in a list": (
        flags(data={"class_path": "tutelage.data.Mix", "init_args": {"sources": [ROOMS, STREETS]}}),
        r"data.sources: expected keys and values, found ",
    ),
    "a task for a source": (
        mix(streets={"class_path": "tutelage.tasks.Depth"}),
        r"data: tutelage.data.Mix: sources: expected a subclass of DataSource, found tutelage.tasks.Depth",
    ),
    "an unknown argument of a source": (
        mix(streets=rooms(sise=3)),
        r"data.sources.streets: expected a known key, found `sise`; did you mean `size`",
    ),
    "no root of a source": (
        mix(photos=NOWHERE),
        r"data.sources.photos.root: expected a file or folder, found none at nowhere",
    ),
    "no image of a source": (mix(streets=rooms(train=0)), r"train: expected at least 1, found 0$"),
    "a task that no source has": (
        mix("--tasks.albedo", "tutelage.tasks.Depth"),
        r"tasks.albedo: expected the name of a label of the data \(segmentation, depth, normals\), found `albedo`",
    ),
    "a held-out part of no image of a source": (
        mix(streets=HELD),
        r"data.sources.streets.part: expected samples for test, found none: 0.1 of 4 training samples are 0; add",
    ),
    "labels of other kinds": (
        mix(written={"class_path": "tutelage.data.Mnist", "init_args": {"root": ".", "task": "depth"}}),
        r"data.sources.written: expected labels of the kind DepthLabel for `depth`, as `rooms` has, found ClassLabel;",
    ),
    # Weights and numbers of images.
    "a weight of no source": (
        mix(weights={"roads": 1}),
        r"data.weights.roads: expected one of the sources, rooms, streets; found `roads`",
    ),
    "a weight of nothing": (mix(weights={"rooms": 0}), r"data.weights.rooms: expected a positive number, found 0"),
    "a weight without end": (mix(weights={"rooms": float("inf")}), r"data.weights.rooms: expected a pos.* found inf"),
    "a weight in a word": (mix(weights={"rooms": "all"}), r"data.weights.rooms: expected a number, found `all`"),
    "more sources than images": (
        mix("--batch-size", "1"),
        r"train.batch_size: expected one image or more of each of the 2 sources, found 1; raise it$",
    ),
    "too few images of a source": (
        mix("--batch-size", "8", weights={"rooms": 3}),
        r"train.batch_size: expected at most the 4 training images of `rooms`, found 6 x 1 per step; lower it",
    ),
    # Sizes.
    "a source too small for the network": (
        mix(streets=rooms(size=[16, 48])),
        r"SegNet: expected images of at least 32x32, found \(16, 48\)",
    ),
    "an impossible crop of a source": (
        mix("--train.augment.scales", "[72]"),
        r"augment.scales: expected windows of at least 1x1 of images of 32x32, found 0x0 at scale 72; lower it",
    ),
    # Hidden labels.
    "a label that cannot be hidden": (
        hidden(keep={"hue": 0.5}),
        r"data.keep.hue: expected a task with labels in the source \(segmentation, depth, normals\), found `hue`",
    ),
    "no part of the labels": (hidden(keep={"depth": 0}), r"data.keep.depth: expected a part above 0 .*, found 0"),
    "more than all labels": (hidden(keep={"depth": 25}), r"data.keep.depth: expected a part above 0 .*, found 25"),
    "a part in a word": (hidden(keep={"depth": "half"}), r"data.keep.depth: expected a number, found `half`"),
    "a part for all tasks": (hidden(keep=0.5), r"data.keep: expected keys and values, found `0.5`"),
    "nothing that is kept": (hidden(), r"data.keep: expected a value .*, found none; give"),
    "disjoint parts of more than all": (
        hidden(keep={"depth": 0.75, "normals": 0.5}, disjoint=True),
        r"data.keep: expected disjoint parts of at most 1 together, found 1.25; lower them, or set disjoint: false",
    ),
    "a part of no image": (
        hidden(keep={"depth": 0.1}),
        r"data.keep.depth: expected some of the 4 training images with its label to keep it, found 0.1 of them, which",
    ),
    "a part of no image of a source": (
        hidden(source=BOTH, keep={"normals": 0.12}),
        r"data.keep.normals: expected some of the 4 training images .*, found 0.12 of them, which is none; raise it",
    ),
    "hidden labels of a folder that is not there": (
        hidden(source=NOWHERE, keep={"depth": 0.5}),
        r"data.source.root: expected a file or folder, found none at nowhere",
    ),
}
