"""A study made of Python objects: it becomes the plain values of a YAML file, and is then the same study."""

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from tutelage.api.keys import KEYS, with_keys
from tutelage.api.main_module import check_main_module
from tutelage.api.results import Results
from tutelage.api.watching import watching
from tutelage.data import DataSource
from tutelage.errors import UserError, writing_to
from tutelage.files import expand_home, write_text
from tutelage.study import InProcess, Method, Pool, TeacherConfig, check_data, complete, run_study, save_showing, shares
from tutelage.study import Study as ValidatedStudy
from tutelage.train import TrainConfig, check_alone
from tutelage.types import MultiTaskNet, Task
from tutelage.values import dump_yaml, make_draft, read_values, with_new_names, with_overlays

_NEEDED = {
    "data": "a source such as tutelage.data.Folders(...)",
    "tasks": 'tasks by name, such as {"depth": tutelage.tasks.Depth()}',
    "net": "what builds a network, such as functools.partial(tutelage.nets.SegNet, width=0.5)",
}

Net = Callable[..., MultiTaskNet] | Mapping[str, Any] | str
Plain = Mapping[str, Any]


class Study:
    """What is compared with what: single-task networks, and methods that learn from labels and from these as teachers.

    The keys are those of a YAML file (docs/studies.md). Each may be given as an object, as a class, as
    `functools.partial` of a class with some of its arguments, or as plain values as in YAML: `{"class_path": ...,
    "init_args": ...}`. Every run, also in another process, builds its own objects from the plain values that these
    become: so a network is given as what builds one, never as one that is built.

    Args:
        source: a preset, or a YAML file, whose keys the other arguments replace; those of `train` and `method` are laid
            over it. None: the arguments are the whole study.
        study: its name; by default `study`.
        data: where images and labels come from.
        tasks: name -> task; the names are those of the labels.
        net: takes {task: channels}: a class, a function, or `functools.partial` of one.
        methods: what is compared: names of presets (`tutelage presets`) or of `method`.
        method: name -> `Method`, or keys that are laid over the preset of that name.
        teacher_net: networks of teachers of another kind, by task, or one for all tasks.
        teachers: name -> `TeacherConfig`, keys of one, or the file of a trained network.
        seeds: every method is run once for each; by default seed 0.
        out: the folder for all results; by default runs/<study>.
        overlays: names of presets (`ablation`, `balancing`) or YAML files, laid over the study before the other
            arguments.
        train: how every network is trained.
        settings: keys of `train` without that prefix: `epochs=2`, `batch_size=8`, `callbacks=[...]`; and `lr`, the
            learning rate.

    Raises:
        UserError: a key is wrong; one line names it, what was expected and what was found.
    """

    def __init__(
        self,
        source: str | PathLike[str] | None = None,
        *,
        study: str | None = None,
        data: DataSource | Callable[..., DataSource] | Plain | None = None,
        tasks: Mapping[str, Task[Any] | Callable[..., Task[Any]] | Plain | str] | None = None,
        net: Net | None = None,
        methods: Sequence[str] | None = None,
        method: Mapping[str, Method | Plain] | None = None,
        teacher_net: Net | Mapping[str, Net] | None = None,
        teachers: Mapping[str, TeacherConfig | Plain | str | PathLike[str]] | None = None,
        seeds: Sequence[int] | None = None,
        out: str | PathLike[str] | None = None,
        overlays: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
        train: TrainConfig | Plain | None = None,
        **settings: Any,
    ) -> None:
        keys = {name: value for name, value in locals().items() if name in KEYS and value is not None}
        self._source, self._keys = source, {**keys, **settings}
        self._overlays = list(map(str, [overlays] if isinstance(overlays, str | PathLike) else overlays))
        self._study = self._complete({})

    @property
    def values(self) -> Mapping[str, Any]:
        """The study as plain values, as YAML holds them, with every default filled in."""
        return MappingProxyType(dict(self._study.values))

    @property
    def folder(self) -> Path:
        """Where its runs and results are."""
        return self._study.folder

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the study as a YAML file, for `tutelage run FILE`."""
        file = expand_home(path)
        write_text(file, dump_yaml(self._study.values))
        return file

    def run(
        self,
        *,
        jobs: int = 1,
        check: Literal["auto", "full", "sample", "none"] = "auto",
        quiet: bool = False,
        **settings: Any,
    ) -> Results:
        """Check the data, train what is not finished, and collect the results; what is finished is never repeated.

        Args:
            jobs: runs side by side, each in a process of its own; a script then needs `if __name__ == "__main__":`.
            check: which samples are decoded before training (docs/data.md).
            quiet: print nothing.
            settings: keys of the study, or of its `train` without that prefix, for this call: `epochs=2`,
                `seeds=[0, 1, 2]`.

        Raises:
            UserError: something does not fit; found before anything is trained, as far as possible.
        """
        check_alone()
        study = self._complete(settings) if settings else self._study
        parts = shares(study.objects.train, jobs)
        check_main_module(study.values, len(parts))
        with watching(quiet) as (console, display), writing_to(study.folder):
            for note in study.notes:
                display.note(note)
            study.objects.data.check(study.objects.tasks)
            check_data(study, console, level=check)
            run_study(study, display, InProcess() if len(parts) == 1 else Pool(parts))
            save_showing(study, display.note)
        return Results(study.folder, study.objects.tasks)

    def __repr__(self) -> str:
        """Name, tasks and methods."""
        tasks = ", ".join(self._study.values["tasks"])
        return f"Study({self._study.name}: {tasks}; {', '.join(self._study.methods)}; {self.folder})"

    def _complete(self, settings: Mapping[str, Any]) -> ValidatedStudy:
        """The validated study, with more keys laid over it."""
        source, replaced = "Study" if self._source is None else str(self._source), dict[str, str]()
        values = {"study": "study"} if self._source is None else with_new_names(read_values(source), replaced)
        for overlays in ([], self._overlays):  # what an overlay is laid over has the keys, too; they win over it
            values = with_overlays(values, overlays, replaced)
            for keywords in (self._keys, settings):
                values = with_keys(values, keywords)
        for key, expected in _NEEDED.items():
            if values.get(key) is None:
                raise UserError(f"{source}: {key}: expected {expected}, found none; give it as {key}=...")
        return complete(make_draft(source, values, replaced=replaced))
