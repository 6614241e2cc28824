"""What a study file says: the study, the same for every network in it, and the methods that it compares."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from tutelage.balance import Uniform
from tutelage.data import DataSource
from tutelage.train import Optim, TrainConfig
from tutelage.types import Balancer, Distiller, MultiTaskNet, Task

SINGLE = "single"  # the single-task networks: the teachers, and what Delta compares with
DEFAULT_METHODS = (SINGLE, "uniform", "uncertainty", "kd4mtl", "url")


@dataclass
class Method:
    """How a multi-task network is taught: all that may differ between the rows of one table.

    Args:
        about: one line on the method and on where its values come from.
        balancer: weighs the tasks' losses.
        balancer_optim: trains the balancer's own parameters, where it has any.
        distiller: takes student, {task: teacher} and an example image; none trains on labels alone.
        adaptor_optim: trains the distiller's adaptors.
    """

    about: str = ""
    balancer: Callable[[], Balancer] = Uniform
    balancer_optim: Optim = field(default_factory=Optim)
    distiller: Callable[[MultiTaskNet, Mapping[str, MultiTaskNet], Tensor], Distiller] | None = None
    adaptor_optim: Optim = field(default_factory=Optim)


@dataclass
class StudyConfig:
    """A study.

    Args:
        study: its name.
        data: where images and labels come from.
        tasks: name -> task; the names are those of the labels.
        net: takes {task: channels of its head}; the teachers are the same network with one task.
        train: how every network is trained.
        methods: what is compared, in the order of the table; `single` is always trained first.
        method: name -> method, for methods of your own; those of `tutelage presets` are known by name.
        seeds: every method is run once for each.
        out: the folder for all results; by default runs/<study>.
    """

    study: str
    data: DataSource
    tasks: dict[str, Task]
    net: Callable[[dict[str, int]], MultiTaskNet]
    train: TrainConfig = field(default_factory=TrainConfig)
    methods: list[str] = field(default_factory=lambda: list(DEFAULT_METHODS))
    method: dict[str, Method] = field(default_factory=dict)
    seeds: list[int] = field(default_factory=lambda: [0])
    out: str | None = None
