"""A commented study, and what was found in plain lines."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tutelage.propose.dataset import DataSet
from tutelage.propose.labels import CLASS, Label
from tutelage.propose.names import count, words
from tutelage.propose.training import Training
from tutelage.values import dump_line


def lines(data: DataSet) -> list[str]:
    """What was found, for the terminal and for the head of the study."""
    sizes = Counter(data.sizes[path] for path in data.images.files.values())
    (height, width), _ = sizes.most_common(1)[0]
    shown = f"{height}x{width}" + (f" and {len(sizes) - 1} other sizes" if len(sizes) > 1 else "")
    result = [f"{count(data.count(), 'image')}: {data.images.pattern}, {data.images.guess.words}, {shown}"]
    if data.classes:
        result.append(f"{CLASS}: {len(data.classes)} classes, which are the folders {words(data.classes, 5)}")
    for task, label in data.labels.items():
        lacking = data.count() - label.count()
        without = f"; {count(lacking, 'image')} without" if lacking else ""
        result.append(f"{task}: {label.series.pattern}, {label.guess.words}{without}")
        result += [f"{task}, a guess: {doubt}" for doubt in label.guess.doubts]
    result.append(split_line(data))
    return result


def split_line(data: DataSet) -> str:
    """How training and test images are told apart."""
    train = data.count(data.train)
    if data.test is not None:
        test = f"{data.count(data.test)} of {data.test} to test"
        return f"{count(train, 'image')} of {data.train} to train on, {test}"
    be = "is" if data.held_out == 1 else "are"
    rest = f"{count(train - data.held_out, 'image')} to train on; no test images, so {data.held_out} {be} held out"
    return f"{rest}, by a hash of their names: the same on every machine"


def write_study(data: DataSet, training: Training, name: str, file: str) -> str:
    """The YAML of a study, with comments."""
    text = [
        f"# Written by `tutelage init`, from what is in {data.root}:",
        *(f"# - {line}" for line in lines(data)),
        *(f"# - left out: {line}" for line in data.left_out),
        f"# Train and compare: tutelage run {file}  (--dry-run: the plan and the time)",
        f"# A first look, in a folder of its own: tutelage run {file} --epochs 2 --out runs/look",
        "# Any value below is also a flag, such as --data.holdout 0.3; all keys: tutelage run FILE --help.",
        f"study: {dump_line(name)}",
        "",
        "data:",
        *_indented(_source(data, training), 2),
        "",
        "tasks:",
        *_indented(_tasks(data), 2),
        "",
        *(f"# {line}" for line in training.about_net),
        "net:",
        *_indented(_object(training.net), 2),
        "",
        "train:",
        *_indented(_training(training), 2),
        "",
        *_methods(training),
    ]
    return "\n".join(text) + "\n"


def _source(data: DataSet, training: Training) -> list[str]:
    args = [f"root: {dump_line(str(data.root.resolve()))}"]
    if data.classes:
        args.append(f"task: {CLASS}  # its label: a number for each folder, in the order of their names")
    else:
        args.append(f"image: {dump_line(data.images.pattern)}  # the images: a folder, or a pattern of their names")
    about = "height and width to which all are resized; larger is better and slower"
    args.append(f"size: {dump_line(list(training.size))}  # {about}")
    args += _splits(data)
    if not data.classes:
        lacking = [t for t, label in data.labels.items() if label.count() < data.count()]
        about = f"some images have no {' or no '.join(lacking)}" if lacking else "every image has all labels"
        args.append(f"partial: {dump_line(bool(lacking))}  # {about}; false: a missing label is an error")
    if training.cache:
        args.append("cache: true  # decoded images stay in memory")
    if data.exclude:
        args += ["exclude:  # not read; the reasons are above", *(f"  - {dump_line(x)}" for x in data.exclude)]
    if not data.classes:
        args.append("labels:")
        for task, label in data.labels.items():
            args += _indented(_label(task, label), 2)
    return [
        f"class_path: tutelage.data.{'ClassFolders' if data.classes else 'Folders'}",
        "init_args:",
        *_indented(args, 2),
    ]


def _splits(data: DataSet) -> list[str]:
    if data.test is not None:
        return [f"train: {dump_line(data.train)}", f"test: {dump_line(data.test)}  # read once, after training"]
    about = "the part that is held out to test; who is in it depends on the names alone"
    result = [f"holdout: {dump_line(data.holdout)}  # {about}"]
    if data.holdout_seed:
        result.append(f"holdout_seed: {data.holdout_seed}  # with which both parts have every label")
    if data.train or data.has_split_folders:
        result += [f"train: {dump_line(data.train)}", f"test: {dump_line(data.train)}  # a part of it"]
    return result


def _label(task: str, label: Label) -> list[str]:
    kind = {"class_path": label.guess.kind, "init_args": dict(label.guess.kind_args)}
    guessed = [f"# a guess, please check: {doubt}" for doubt in label.guess.doubts]
    return [
        f"{task}:  # {label.guess.words}",
        *(f"  {line}" for line in guessed),
        f"  folder: {dump_line(label.series.pattern)}",
        "  kind:",
        *_indented(_object(kind), 4),
    ]


def _tasks(data: DataSet) -> list[str]:
    if data.classes:
        args = {"classes": len(data.classes), "names": data.classes}
        return [f"{CLASS}:", *_indented(_object({"class_path": "tutelage.tasks.Classification", "init_args": args}), 2)]
    result = []
    for task, label in data.labels.items():
        values = {"class_path": label.guess.task, "init_args": dict(label.guess.task_args)}
        result += [f"{task}:", *_indented(_object(values, _about(label.guess.task_args)), 2)]
    return result


def _training(training: Training) -> list[str]:
    return [
        f"epochs: {training.epochs}  # {training.about_epochs}",
        f"batch_size: {training.batch_size}",
        *([f"workers: {training.workers}  # processes that load images"] if training.workers else []),
        "student:",
        "  optimizer:",
        *_indented(_object(training.optimizer), 4),
        "  scheduler: {class_path: tutelage.train.Cosine}",
        f"augment:  # {training.about_augment}",
        *_indented(_object({"class_path": "tutelage.data.Augment", "init_args": training.augment}), 2),
    ]


def _methods(training: Training) -> list[str]:
    if len(training.methods) == 1:
        return [
            "# There is one task, so there is nothing to share: with a second kind of label, add kd4mtl.",
            f"methods: {dump_line(training.methods)}",
            "seeds: [0]  # [0, 1, 2] trains each network three times, and gives intervals",
        ]
    return [
        "# Single-task networks are trained first; then one network for all tasks, without and with these as teachers.",
        f"methods: {dump_line(training.methods)}  # also uncertainty, url, bam, ...: tutelage presets",
        "seeds: [0]  # [0, 1, 2] trains each network three times, and gives intervals",
    ]


def _about(task_args: Mapping[str, Any]) -> str:
    """What a comment says of the arguments of a task."""
    if "range" in task_args:
        return "what pictures show, from one end of the colours to the other"
    return "with `names: [...]`, one for each class, pictures and tables have these" if "classes" in task_args else ""


def _object(values: Mapping[str, Any], about: str = "") -> list[str]:
    args = values["init_args"]
    result = [f"class_path: {values['class_path']}"]
    return result + ([f"init_args: {dump_line(dict(args))}{about and f'  # {about}'}"] if args else [])


def _indented(text: list[str], by: int) -> list[str]:
    return [f"{' ' * by}{line}" for line in text]
