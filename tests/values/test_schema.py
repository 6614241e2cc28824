"""What is read from the source of classes is what Python and jsonargparse see of them once they are imported."""

import importlib
import inspect
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

import pytest

from tutelage.study import StudyConfig
from tutelage.study.config import Method, Range, TeacherConfig
from tutelage.study.config.build import study_parser
from tutelage.train import TeacherCache, TrainConfig
from tutelage.values import methods, overlays, presets, read_draft
from tutelage.values.schema.kinds import Argument, Declaration, Kind, ancestors, declaration
from tutelage.values.schema.source import MissingNameError, UnreadableError, find_module

PACKAGES = ("balance", "data", "distill", "nets", "tasks", "train")
OTHERS = (
    *("torch.optim.Adam", "torch.optim.AdamW", "torch.optim.SGD"),
    *("torch.optim.lr_scheduler.StepLR", "torch.optim.lr_scheduler.CosineAnnealingLR", "torch.nn.Linear"),
)


def classes() -> Iterator[str]:
    for package in PACKAGES:
        module = importlib.import_module(f"tutelage.{package}")
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value) and not issubclass(value, BaseException) and not is_protocol(value):
                yield f"tutelage.{package}.{name}"
    yield from OTHERS


def is_protocol(value: type) -> bool:
    return getattr(value, "_is_protocol", False)  # nothing is made of it


def imported(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("path", [*classes()])
def test_arguments_are_those_of_the_imported_class(path: str) -> None:
    declared = declaration(path)
    init = imported(path).__init__  # `__new__` of our classes takes anything, to remember it
    parameters = [*inspect.signature(init).parameters.values()][1:] if init is not object.__init__ else []
    named = {p.name: p.default is p.empty for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    if declared.open and not declared.arguments:  # its base is read by nobody but Python
        return
    assert {name: argument.default is None for name, argument in declared.arguments.items()} == named
    assert declared.open == any(p.kind is p.VAR_KEYWORD for p in parameters)


@pytest.mark.parametrize("path", [path for path in classes() if path.startswith("tutelage.")])
def test_ancestors_are_those_of_the_imported_class(path: str) -> None:
    ours = {f"{c.__module__}.{c.__qualname__}" for c in imported(path).__mro__ if c.__module__.startswith("tutelage")}
    found = ancestors(path)
    assert found is not None
    assert found == ours


def test_nearly_all_classes_of_ours_are_read() -> None:
    unread = [path for path in classes() if path.startswith("tutelage.") and declaration(path).open]
    assert len(unread) < 10, unread


@pytest.mark.parametrize("config", [StudyConfig, Method, TeacherConfig, TrainConfig, TeacherCache, Range])
def test_keys_are_the_fields(config: type) -> None:
    assert is_dataclass(config)
    declared = declaration(f"{config.__module__}.{config.__qualname__}")
    required = {f.name: f.default is MISSING and f.default_factory is MISSING for f in fields(config)}
    assert {name: argument.default is None for name, argument in declared.arguments.items()} == required
    assert not declared.open


def test_jsonargparse_has_the_same_keys() -> None:
    keys = {action.dest.split(".")[0] for action in study_parser()._actions} - {"help"}
    assert keys == {*declaration("tutelage.study.config.schema.StudyConfig").arguments}


def kind(path: str, argument: str) -> Kind:
    return declaration(path).arguments[argument].kind


def test_what_annotations_let_stand() -> None:
    study, train = "tutelage.study.config.schema.StudyConfig", "tutelage.train.config.TrainConfig"
    assert kind(train, "epochs") == Kind(frozenset({"int"}))
    assert kind(train, "max_steps") == Kind(frozenset({"int", "None"}))
    assert kind(train, "precision") == Kind(choices=("auto", "32-true", "bf16-mixed"))  # an alias
    assert kind(train, "channels_last") == Kind(frozenset({"bool"}), ("auto",))
    augment = frozenset({"tutelage.data.augment.Augment"})
    assert kind(train, "augment") == Kind(frozenset({"None"}), builds=True, bases=augment)
    assert kind(study, "seeds") == Kind(item=Kind(frozenset({"int"})))
    assert kind(study, "net").skip == 1  # {task: channels} is given later
    assert kind(study, "net").bases == {"tutelage.types.network.MultiTaskNet"}
    assert kind(study, "tasks").values == Kind(builds=True, bases=frozenset({"tutelage.types.task.Task"}))
    teacher = kind(study, "teachers").values
    assert teacher is not None
    assert (teacher.scalars, teacher.choices) == ({"Path"}, ("features",))
    assert teacher.config is not None
    assert "sees" in teacher.config.arguments
    assert kind("torch.optim.Adam", "lr").open  # of others nothing is claimed
    assert declaration(study).arguments["train"].default_path == "tutelage.train.TrainConfig"


@pytest.mark.parametrize("preset", presets())
def test_no_preset_is_refused(preset: str) -> None:
    root = [] if "rooms" in preset or preset == "digits" else ["--data.root", "."]
    root = ["--data.source.root", "."] if preset.endswith("quarter") else root
    assert read_draft(preset, [*root, "--methods", ",".join(methods())]).laid["method"]
    for overlay in overlays():
        read_draft(preset, [*root, "--with", overlay])


MODULE = """
from dataclasses import dataclass, field
from typing import ClassVar
import math as m
from os import path
if m: from json import dumps
try: import nowhere
except ImportError: nowhere = None

@dataclass
class Base:
    first: int
    second: str = "x"
    shared: ClassVar[int] = 3
    hidden: int = field(default=1, init=False)

@dataclass
class Derived(Base):
    third: list[int] = field(default_factory=list)

class Plain(Derived): ...
class Unknown(m.Nothing): ...
class Own:
    def __init__(self, a, /, b: "int | None" = None, *, c: bool, **rest): ...
def make(x: float, y: float = 1.0): ...
"""


@pytest.fixture
def module(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package of a user's, which fails when it is imported."""
    (tmp_path / "users_own").mkdir()
    (tmp_path / "users_own/__init__.py").write_text("from .nets import *\nraise SystemExit('imported')")
    (tmp_path / "users_own/nets.py").write_text(MODULE)
    (tmp_path / "users_own/lazy.py").write_text("def __getattr__(name): return 1")
    (tmp_path / "users_own/broken.py").write_text("def (")
    (tmp_path / "users_folder/inner/more").mkdir(parents=True)  # packages without an __init__.py
    (tmp_path / "users_folder/inner/more/nets.py").write_text(MODULE + "raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    yield "users_own"
    find_module.cache_clear()
    declaration.cache_clear()


def names(declared: Declaration) -> dict[str, bool]:
    return {name: argument.default is None for name, argument in declared.arguments.items()}


def test_a_users_class_is_read_and_not_imported(module: str) -> None:
    assert names(declaration("users_own.nets.Derived")) == {"first": True, "second": False, "third": False}
    assert names(declaration("users_own.Plain")) == {"first": True, "second": False, "third": False}  # through a star
    assert names(declaration("users_folder.inner.more.nets.Base")) == {"first": True, "second": False}
    assert names(declaration("users_own.nets.Own")) == {"a": True, "b": False, "c": True}
    assert names(declaration("users_own.nets.make")) == {"x": True, "y": False}
    assert declaration("users_own.nets.Own").open
    assert declaration("users_own.nets.Unknown").open


@pytest.mark.parametrize(
    ("path", "error", "text"),
    [
        ("users_own.nets.Derivd", MissingNameError, "no `Derivd` in users_own.nets"),
        ("users_own.nots.Derived", MissingNameError, "no module `users_own.nots`"),
        ("users_owm.Derived", MissingNameError, "no module `users_owm`"),
        ("users_folder.inner.more.nots.Net", MissingNameError, "no module `users_folder.inner.more.nots`"),
        ("users_folder.inner.mare.Net", MissingNameError, "no module `users_folder.inner.mare`"),
        ("users_folder.inner.Net", MissingNameError, "no `Net` in users_folder.inner"),
        ("users_own.lazy.Net", UnreadableError, None),
        ("users_own.broken.Net", UnreadableError, None),
        ("users_own.nets.Own.inner", UnreadableError, None),
        ("math.Net", UnreadableError, None),  # an extension
        ("__main__.Net", UnreadableError, None),
        ("Net", UnreadableError, None),
    ],
)
def test_only_what_is_certain_is_said(module: str, path: str, error: type[Exception], text: str | None) -> None:
    with pytest.raises(error, match=text):
        declaration(path)


def test_a_default_has_the_path_of_its_class(module: str) -> None:
    argument: Argument = declaration("tutelage.train.optim.Optim").arguments["optimizer"]
    assert argument.default_path == "torch.optim.Adam"
