"""Keywords of Python as keys of a study."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields
from functools import partial
from typing import Any

from torch import nn

from tutelage.errors import UserError, did_you_mean
from tutelage.recorded import plain
from tutelage.study import StudyConfig
from tutelage.train import TrainConfig
from tutelage.types import MultiTaskNet
from tutelage.values import lay_over, merge

KEYS = tuple(field.name for field in fields(StudyConfig))
_TRAIN = tuple(field.name for field in fields(TrainConfig))
_LAID_OVER = ("train", "method")  # key by key; any other key replaces the one that is there


def with_keys(values: Mapping[str, Any], keywords: Mapping[str, Any], known: Collection[str] = KEYS) -> dict[str, Any]:
    """Plain values of a study with keywords laid over them.

    Args:
        values: of the study.
        keywords: objects or plain values by key; those of `train` without that prefix; `lr` is the learning rate of
            the student and of every single-task network.
        known: the keys of the study that may be given.

    Raises:
        UserError: a key is unknown, or its value is an object that no file can name.
    """
    result = dict(values)
    settings = {}
    for name, value in keywords.items():
        for key, net in _nets(name, value):
            _check_net(net, key)
        if name in known:
            result[name] = merge(result.get(name), plain(value, name)) if name in _LAID_OVER else plain(value, name)
        elif name in _TRAIN:
            settings[name] = plain(value, name)
        elif name == "lr":
            continue
        else:
            remedy = did_you_mean(name, [*known, *_TRAIN, "lr"]) or "; docs/studies.md lists them"
            raise UserError(f"{name}: expected a key of a study or of its `train`, found `{name}`{remedy}")
    if settings:
        result["train"] = merge(result.get("train"), settings)
    if "lr" in keywords:  # of the optimiser that is there now
        _, result = lay_over(result, [("--lr", str(keywords["lr"]))])
    return result


def _nets(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """What a keyword gives as networks, with the key of each."""
    if name == "net" or (name == "teacher_net" and not isinstance(value, Mapping)):
        yield name, value
    elif name == "teacher_net":
        yield from ((f"{name}.{task}", net) for task, net in value.items())


def _check_net(value: Any, key: str) -> None:
    """Raise a UserError where an object cannot build networks with taps; the line says what does.

    A class, or `functools.partial` of one, has to be one of `MultiTaskNet`; a function is called with {task: channels}.
    """
    kind = value.func if isinstance(value, partial) else value
    if isinstance(value, partial) and not isinstance(kind, type):
        name = getattr(kind, "__qualname__", type(kind).__name__)
        raise UserError(
            f"{key}: expected a class, functools.partial of a class, or a function of {{task: channels}}, found "
            f"partial of the function {name}; write a function without other arguments"
        )
    module = kind if isinstance(kind, type) else type(kind)
    if issubclass(module, nn.Module) and not issubclass(module, MultiTaskNet):
        name = module.__qualname__
        raise UserError(
            f"{key}: expected what builds a network with taps, found {name}; wrap it: functools.partial("
            f"tutelage.nets.TappedModule, module={name}, taps={{'last': PATH}}, heads='last') with the path of a "
            "submodule"
        )
