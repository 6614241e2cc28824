"""The page's pictures: a few images of the split with labels and predictions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from tutelage.layout import EXTREMES, SINGLE, TEACHER, extreme_file
from tutelage.report.charts import Swatch
from tutelage.report.encode import Drawing, addresses
from tutelage.report.predictions import Predictions
from tutelage.report.results import Results
from tutelage.report.run_files import read_mapping
from tutelage.types import Picture

_BUDGET = 5_000_000  # bytes of all pictures of a page
_SHOWN = 8  # images at equal distances, of every source


@dataclass(frozen=True)
class Shot:
    """One picture of a scene: what it shows, and its main metric on this image; no address where there is none."""

    task: str
    column: str
    drawing: Drawing | None
    score: str = ""


@dataclass(frozen=True)
class Scene:
    """One image, and for each task the label and the prediction of every method."""

    name: str
    image: Drawing
    tasks: Mapping[str, Sequence[Shot]]


@dataclass(frozen=True)
class Gallery:
    """The scenes of every source, under its name, and the legends of the tasks.

    Attributes:
        seed: of the networks.
        split: of the images.
        roles: of the columns: role -> methods, in the order of the columns.
        legends: of the tasks, by name.
        sources: source -> its scenes.
        extremes: how the best and the worst image were found; empty where they were not.
    """

    seed: int
    split: str
    roles: Sequence[tuple[str, Sequence[str]]]
    legends: Mapping[str, Sequence[Swatch]]
    sources: Mapping[str, Sequence[Scene]]
    extremes: str = ""

    def addresses(self) -> dict[Drawing, str]:
        """The address of every drawing; together at most about 5 MB."""
        drawings = [drawing for scenes in self.sources.values() for scene in scenes for drawing in _drawings(scene)]
        return dict(zip(drawings, addresses(drawings, _BUDGET), strict=True))


def _drawings(scene: Scene) -> list[Drawing]:
    shots = [shot.drawing for shots in scene.tasks.values() for shot in shots]
    return [scene.image, *(drawing for drawing in shots if drawing is not None)]


def gallery(results: Results) -> Gallery | None:
    """Labels and predictions of the first seed's networks; None where no run left predictions."""
    if not results.seeds:
        return None
    roles = [(role, list(methods)) for role, methods in groupby(_ordered(results), lambda m: _role(results, m))]
    methods = [m for _, of_role in roles for m in of_role]
    folders = {(m, t): results.run(m, t) for m in methods for t in results.tasks}
    record = read_mapping(results.folder / EXTREMES)
    sources: dict[str, list[Scene]] = {}
    for name, file in _files(record):
        files = {f: Predictions(None if f is None else f / file) for f in set(folders.values())}  # one for all tasks
        runs = {key: files[folder] for key, folder in folders.items()}
        for source in dict.fromkeys(source for run in runs.values() for source in run.sources):
            part = {key: run.of(source) for key, run in runs.items()}
            sources.setdefault(source.removesuffix("/"), []).extend(_scenes(results, methods, name, part))
    if not sources:
        return None
    legends = {t: [Swatch(n, _hex(c)) for n, c in task.legend()] for t, task in results.tasks.items()}
    return Gallery(
        results.seeds[0],
        results.split,
        roles,
        {t: legend for t, legend in legends.items() if legend},
        sources,
        _about(record),
    )


def _files(record: Mapping[str, object]) -> list[tuple[str, str]]:
    """What the images of a file are called, and its name."""
    files = []
    for name in ("best", "worst"):
        indices = record.get(name)
        if isinstance(indices, list) and all(isinstance(index, int) for index in indices):
            files.append((name, extreme_file(indices)))
    return [*files, ("", "predictions.safetensors")]


def _about(record: Mapping[str, object]) -> str:
    of = record.get("of")
    if not isinstance(of, int) or len(_files(record)) < 3:
        return ""
    return (
        f"Best and worst: by the main metrics of {record.get('method')} on {of} images at equal distances, each "
        "relative to its mean over these, averaged over the tasks."
    )


def _role(results: Results, method: str) -> str:
    """What a network is in the study, as the heading of its column."""
    kinds = {teacher.kind for teacher in results.teachers.values()}
    if method == TEACHER or (method == SINGLE and SINGLE in kinds):
        return "teachers"
    if method in results.references:
        return "students" if results.distils(method) else "baselines"
    return "controls"


def _ordered(results: Results) -> list[str]:
    roles = ["teachers", "baselines", "students", "controls"]
    return sorted(results.methods, key=lambda method: roles.index(_role(results, method)))


Runs = Mapping[tuple[str, str], Predictions]  # of one source, by method and task


def _scenes(results: Results, methods: Sequence[str], name: str, runs: Runs) -> list[Scene]:
    images = next(run for run in runs.values() if len(run))
    # No run has predictions of a task that this source has no labels of.
    tasks = [t for t in results.tasks if any(run.predicts(t) for run in runs.values())]
    if not tasks:
        return []
    return [
        Scene(
            name or f"image {i + 1}",
            Drawing(images.image(i), photograph=True),
            {t: _shots(results, methods, t, i, runs) for t in tasks},
        )
        for i in range(min(len(images), _SHOWN))
    ]


def _shots(results: Results, methods: Sequence[str], name: str, index: int, runs: Runs) -> list[Shot]:
    """The label, then the prediction of every method."""
    task = results.tasks[name]
    # The file of a single-task network holds its own task's labels alone.
    truth = next((run for (_, t), run in runs.items() if t == name and len(run)), Predictions(None))
    shots = [Shot(name, "truth", _drawing(truth.target(name, task, index)))]
    for m in methods:
        run = runs[m, name]
        drawing = _drawing(run.prediction(name, task, index))
        shots.append(Shot(name, m, drawing, run.score(name, task, index) if drawing else ""))
    return shots


def _drawing(picture: Picture | None) -> Drawing | None:
    return None if picture is None else Drawing(picture)


def _hex(colour: Iterable[int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
