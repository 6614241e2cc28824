"""What a study file says: the study, the same for every network in it, and the methods that it compares."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from pathlib import Path
from typing import Literal

from torch import Tensor

from tutelage.balance import Uniform
from tutelage.data import DataSource, HoldOut
from tutelage.data.holdout import WithoutValidation
from tutelage.distill import TapMatch, Teacher
from tutelage.errors import UserError
from tutelage.train import Optim, TrainConfig
from tutelage.types import Balancer, Distiller, MultiTaskNet, Task, Teach
from tutelage.values.methods import DEFAULT_METHODS


@dataclass
class Range:
    """Where `tutelage tune` looks for a value.

    Args:
        low: the least value.
        high: the greatest.
        log: by factors rather than by differences.
    """

    low: float
    high: float
    log: bool = True

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise UserError(
                f"search: expected low < high, and low > 0 where log is true, found low {self.low}, high {self.high}"
            )


@dataclass
class Method:
    """How a multi-task network is taught: all that may differ between the rows of one table.

    Args:
        about: one line on the method and on where its values come from.
        values: where its hyper-parameters come from, for the table. `study`: it has none of its own; `paper`: its
            paper's; `tuned`: found by `tutelage tune`; `changed`: a preset method with other values; `control`: a
            variant that is here to explain another row; `own`: none of these.
        search: what `tutelage tune` varies: path of a value of this method -> range; null: not, though a base does.
        balancer: weighs the tasks' losses.
        balancer_optim: trains the balancer's own parameters, where it has any.
        distiller: takes student, {name: teacher} and an example image; none trains on labels alone.
        adaptor_optim: trains the distiller's adaptors.
        lr: learning rate of the network in place of the study's, where it was tuned for this method.
        teachers: `trained`, or `random`: untrained networks, as a control, or for a distiller that trains them.
        taught_by: another method of the study, whose network of the same seed teaches all tasks, in place of the
            study's teachers (born-again networks); or several of them, and `teachers` for those of the study.
        budget: `student`: the study's epochs; a number: a factor for them; `with_teachers`: a control with the compute
            that the teachers cost. With a forward pass as the unit, a training step costs 3, training T teachers 3 T
            and running them T, so the epochs are multiplied by 1 + 4 T / 3. With teachers of another architecture T is
            the operations of all teachers' forward passes over those of the student's, and teachers that nothing
            trains count as run only, and none as cached.
    """

    about: str = ""
    values: Literal["study", "paper", "tuned", "changed", "control", "own"] = "own"
    search: dict[str, Range | None] = field(default_factory=dict)
    balancer: Callable[[], Balancer] = Uniform
    balancer_optim: Optim = field(default_factory=Optim)
    distiller: Callable[[MultiTaskNet, Mapping[str, Teacher], Tensor], Distiller] | None = None
    adaptor_optim: Optim = field(default_factory=Optim)
    lr: float | None = None
    teachers: Literal["trained", "random"] = "trained"
    taught_by: list[str] | str | None = None
    budget: float | Literal["student", "with_teachers"] = "student"

    def __post_init__(self) -> None:
        if isinstance(self.budget, float) and not 0 < self.budget < inf:
            raise UserError(
                f"budget: expected a positive factor of the epochs, `student` or `with_teachers`, found {self.budget}"
            )


@dataclass
class TeacherConfig:
    """One teacher, by its name in the study.

    Args:
        tasks: what it teaches: one task or several; `[]`: none in particular, by its features alone. By default the
            task of its own name.
        net: takes {task: channels of its head}; by default `teacher_net` of its name, else the study's `net`.
        file: its weights, trained elsewhere; `features`: none, it is used as `net` builds it, by its features alone;
            by default the study trains it: on one task as the single-task networks, on several with equal weights.
        match: {student's tap: teacher's tap} in place of the distiller's; for a pair with its own adaptor, distance or
            weight {student's tap: {tap: teacher's tap, weight: ...}}.
        sees: which images it sees, in place of the distiller's `teach`: `all`, or its `own`, those with a label of one
            of its tasks.
        weight: a factor for all of its distillation terms.
        size: height and width to which images are resized for it, for its features alone; null: as the student sees
            them.
    """

    tasks: list[str] | None = None
    net: Callable[[dict[str, int]], MultiTaskNet] | None = None
    file: Literal["features"] | Path | None = None
    match: dict[str, str | TapMatch] | None = None
    sees: Teach | None = None
    weight: float = 1.0
    size: tuple[int, int] | None = None


@dataclass
class StudyConfig:
    """A study.

    Args:
        study: its name.
        data: where images and labels come from.
        tasks: name -> task; the names are those of the labels.
        net: takes {task: channels of its head}; the single-task networks are the same network with one task.
        teacher_net: task -> network of its teacher, built as `net` is; a file may give one for all tasks without their
            names. A task without one is taught by its single-task network. `method.teacher` may have an `lr` and a
            `budget`.
        train: how every network is trained.
        methods: what is compared, in the order of the table; `single` is always trained first.
        method: name -> method, for your own methods; those of `tutelage presets` are known by name. `single` may have
            an `lr` and a `budget`, a factor of its epochs.
        teachers: name -> teacher. Every task that none of them teaches has the default teacher of its name: its
            `teacher_net`, or else its single-task network. In place of the keys of one, a task's name may have the file
            of its trained teacher (a student.safetensors of a run, or a checkpoint of the authors for SegNet or MTAN),
            which is evaluated and taught from instead of training one; or `features`: its `teacher_net` as it is built.
        seeds: every method is run once for each.
        out: the folder for all results; by default runs/<study>.
    """

    study: str
    data: DataSource
    tasks: dict[str, Task]
    net: Callable[[dict[str, int]], MultiTaskNet]
    teacher_net: dict[str, Callable[[dict[str, int]], MultiTaskNet]] = field(default_factory=dict)
    train: TrainConfig = field(default_factory=TrainConfig)
    methods: list[str] = field(default_factory=lambda: list(DEFAULT_METHODS))
    method: dict[str, Method] = field(default_factory=dict)
    teachers: dict[str, TeacherConfig | Literal["features"] | Path] = field(default_factory=dict)
    seeds: list[int] = field(default_factory=lambda: [0])
    out: str | None = None

    @cached_property
    def training_data(self) -> DataSource:
        """The data without the part of train that is held out for validation: what networks are trained on."""
        part = self.train.validation
        return self.data if part is None else WithoutValidation(self.data, part)

    @cached_property
    def validation_data(self) -> DataSource | None:
        """The held-out part of train, as `test`; None: there is none."""
        part = self.train.validation
        return None if part is None else HoldOut(self.data, part)
