"""Studies that are wrong in ways that nobody thought of: valid ones, with a fixed seed, mutated."""

import copy
import random
import string
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from tests.wrong import LABELS, ROOMS, base
from tests.wrong_sources import STREETS

Node = tuple[Any, Any]  # (a container, a key or an index in it)

# Values that a key may have by mistake: of other kinds, of other sizes, and what YAML makes of text.
SCALARS: list[Any] = [
    None, True, False, -1, 0, 1, 2, 3, 7, 0.5, -0.5, 1e-9, 1e30, 10**9, 10**30, float("nan"), float("inf"), "", " ",
    "x", "no", "1e-1", "0x10", "12:30", "auto", "depth", "①2", "a/b", "../up", "a.b.c", "~", "$HOME", "\x1b[31mred",
    "x" * 500, "'", "{", "%s", "{0}", "tutelage", "os.system", "builtins.list", "torch.nn.Linear", "torch.optim.SGD",
    "tutelage.nets.SegNet", "tutelage.tasks.Depth", "tutelage.data.Rooms", "collections.OrderedDict",
]  # fmt: skip
CONTAINERS: list[Any] = [
    [], {}, [1], [[1]], ["a", "a"], [None], {"a": 1}, {1: 2}, {"class_path": "x"}, {"init_args": {}},
]  # fmt: skip
CLASSES = [
    "tutelage.nets.SegNet", "tutelage.nets.MTAN", "tutelage.nets.CrossStitch", "tutelage.nets.ResNet26",
    "tutelage.nets.EncoderDecoder", "tutelage.nets.PADNet", "tutelage.nets.MMoE", "tutelage.tasks.Depth",
    "tutelage.tasks.Normals", "tutelage.tasks.Segmentation", "tutelage.tasks.Classification", "tutelage.tasks.Edges",
    "tutelage.tasks.Regression", "tutelage.tasks.Multilabel", "tutelage.data.Rooms", "tutelage.data.Mnist",
    "tutelage.data.Folders", "tutelage.data.NYUv2", "tutelage.data.Mix", "tutelage.data.HideLabels",
    "tutelage.data.HoldOut", "tutelage.data.Augment", "tutelage.balance.Uniform", "tutelage.balance.Uncertainty",
    "tutelage.balance.GradNorm", "tutelage.balance.Aggregator", "tutelage.balance.Scalarizer",
    "tutelage.distill.FeatureDistiller", "tutelage.distill.LogitDistiller", "tutelage.distill.Conv1x1",
    "tutelage.distill.NormalisedL2", "tutelage.distill.CKA", "tutelage.train.Cosine",
]  # fmt: skip
MIX = {"class_path": "tutelage.data.Mix", "init_args": {"sources": {"rooms": ROOMS, "streets": STREETS}}}
HIDDEN = {"class_path": "tutelage.data.HideLabels", "init_args": {"source": ROOMS, "keep": {"depth": 0.5}}}
FOLDERS = {"class_path": "tutelage.data.Folders", "init_args": {"root": "data", "labels": LABELS}}
NETS: list[dict[str, Any]] = [
    {"class_path": f"tutelage.nets.{name}", "init_args": {"filters": [8, 8, 8, 8, 8]}} for name in ("MTAN", "SegNet")
]


def studies() -> list[dict[str, Any]]:
    """Valid studies that are mutated, tiny, with every default of theirs filled in."""
    from tutelage.study import complete
    from tutelage.values.draft import make_draft

    changes: list[dict[str, Any]] = [
        {},
        {"methods": ["kd4mtl"]},
        {"methods": ["bam", "uncertainty"], "data": MIX},
        {"methods": ["pcgrad"], "data": HIDDEN, "seeds": [0, 1]},
        {"methods": ["url"], "net": NETS[0]},
        {"methods": ["uniform", "kd4mtl"], "teachers": {"both": {"tasks": ["depth", "normals"], "net": NETS[1]}}},
    ]
    return [complete(make_draft("study", base(**change))).values for change in changes]


def nodes(value: Any, root: bool = True) -> Iterator[Node]:
    """Every place in plain values."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield value, key
        yield from nodes(item, root=False)


def words_of(values: Any) -> Iterator[str]:
    """Every key and every text in plain values."""
    for container, key in nodes(values):
        if isinstance(key, str):
            yield key
        if isinstance(container[key], str):
            yield from container[key].split(".")


Mutate = Callable[[Any, Node, random.Random], object]


def _remove(values: Any, node: Node, dice: random.Random) -> None:
    container, key = node
    del container[key]


def _misspell(values: Any, node: Node, dice: random.Random) -> None:
    container, key = node
    if isinstance(container, dict):
        container[_edited(str(key), dice)] = container.pop(key)
    else:
        _remove(values, node, dice)


def _scalar(values: Any, node: Node, dice: random.Random) -> None:
    container, key = node
    container[key] = dice.choice(SCALARS)


def _container(values: Any, node: Node, dice: random.Random) -> None:
    container, key = node
    container[key] = copy.deepcopy(dice.choice([*CONTAINERS, [container[key]], {"a": container[key]}]))


def _elsewhere(values: Any, node: Node, dice: random.Random) -> None:
    """What stands in another place of the study."""
    container, key = node
    other, name = dice.choice(list(nodes(values)))
    container[key] = copy.deepcopy(other[name])


def _perturb(values: Any, node: Node, dice: random.Random) -> None:
    container, key = node
    value = container[key]
    if isinstance(value, bool) or not isinstance(value, int | float):
        container[key] = _edited(str(value), dice)
    else:
        container[key] = dice.choice([-value, value + 1, value * 1000, value / 1000, str(value), [value], value + 0.5])


def _class(values: Any, node: Node, dice: random.Random) -> None:
    places = [one for one in nodes(values) if one[1] == "class_path"]
    container, key = dice.choice(places)
    container[key] = dice.choice([*CLASSES, _edited(str(container[key]), dice)])


def _add(values: Any, node: Node, dice: random.Random) -> None:
    container, _ = node
    if isinstance(container, dict):
        container[dice.choice(["x", "class_path", "init_args", "epochs", "size", "net", 1, None, True])] = dice.choice(
            SCALARS + CONTAINERS
        )
    else:
        container.append(dice.choice(SCALARS))


def _edited(text: str, dice: random.Random) -> str:
    at = dice.randrange(len(text) + 1)
    kind = dice.choice(["insert", "remove", "swap", "upper"])
    if kind == "insert":
        return text[:at] + dice.choice(string.printable) + text[at:]
    if kind == "remove":
        return text[:at] + text[at + 1 :]
    return text.upper() if kind == "upper" else text[:at] + text[at : at + 2][::-1] + text[at + 2 :]


VALUES: list[Mutate] = [_remove, _misspell, _scalar, _container, _elsewhere, _perturb, _class, _add]


def _text(text: str, dice: random.Random) -> str:
    """The file's text, not its values: what an editor does to it."""
    lines = text.splitlines(keepends=True)
    at = dice.randrange(len(lines))
    kind = dice.choice(["cut", "line", "twice", "indent", "tab", "edit", "edit", "edit", "mark"])
    if kind == "cut":
        return text[: dice.randrange(len(text))]
    if kind == "edit":
        lines[at] = _edited(lines[at], dice)
    elif kind == "mark":
        lines[at] = (
            lines[at].rstrip() + dice.choice([" &a", " *a", " !!python/name:os.system", " |", ": :", " #"]) + "\n"
        )
    else:
        lines[at] = {"line": "", "twice": lines[at] * 2, "indent": "  " + lines[at], "tab": "\t" + lines[at]}[kind]
    return "".join(lines)


FLAGS = [
    "--epochs", "--batch-size", "--max-steps", "--seeds", "--methods", "--net", "--net.filters", "--net.width",
    "--data", "--data.train", "--data.size", "--train.student.optimizer.lr", "--precision", "--devices", "--workers",
    "--accumulate", "--clip-norm", "--ema", "--log-steps", "--tasks", "--tasks.depth", "--tasks.segmentation.classes",
    "--teacher_net", "--train.augment", "--with", "--out", "--callbacks", "--logger",
]  # fmt: skip


def mutant(number: int, folder: Path, valid: list[dict[str, Any]]) -> tuple[list[str], set[str]]:
    """Write the study of that number; the command, and every word that its line may name."""
    dice = random.Random(number)
    values = copy.deepcopy(dice.choice(valid))
    words = set(words_of(values))
    text, flags = "", list[str]()
    kind = dice.random()
    for _ in range(dice.choice([1, 1, 1, 2, 3]) if kind < 0.75 else 0):
        node = dice.choice(list(nodes(values)))
        dice.choice(VALUES)(values, node, dice)
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    if 0.75 <= kind < 0.88:
        text = _text(text, dice)
    elif kind >= 0.88:
        for _ in range(dice.choice([1, 1, 2])):
            value = dice.choice([*map(str, SCALARS), *CLASSES, "[8, 8]", "{a: 1}", "[[", "0,0", "uniform,pcgrad"])
            flags += [dice.choice(FLAGS), value] if dice.random() < 0.9 else [dice.choice(FLAGS)]
    (folder / "study.yaml").write_text(text)
    words |= {
        *words_of(values),
        "study",
        "yaml",
        "run",
        *(part for flag in flags for part in flag.strip("-").split(".")),
    }
    return ["run", "study.yaml", "--dry-run", *flags], {word for word in words if word}
