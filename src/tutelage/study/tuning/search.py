"""The search space of a method, and the values to try next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from tutelage.errors import UserError
from tutelage.study.config import SINGLE, Range, Study
from tutelage.study.tuning.trials import Trial

_SINGLE = {"lr": Range(3.0e-4, 1.0e-2)}  # as the preset methods have it
_RANDOM = 4  # trials before a model of the earlier ones proposes the next; the first has the method's present values
_DIGITS = 4  # of a value that is tried


@dataclass(frozen=True)
class Space:
    """What is varied in a method: path -> range, and its present values."""

    ranges: Mapping[str, Range]
    present: Mapping[str, float]


def space(study: Study, name: str) -> Space:
    """The space that a method's `search` names; a range is widened to include the present value.

    Raises:
        ValueError: there is no `search`, or it names what cannot be varied.
    """
    method = study.objects.method.get(name)
    search = (
        {path: bounds for path, bounds in method.search.items() if bounds is not None} if method is not None else {}
    )
    if not search and name == SINGLE:
        search = dict(_SINGLE)
    if not search:
        raise UserError(
            f"method.{name}.search: expected the range of at least one value, found none; add one, or name the methods "
            "to tune with --methods"
        )
    ranges, present = {}, {}
    for path, bounds in search.items():
        value = present[path] = _present(study.values, name, path)
        low, high = min(bounds.low, value), max(bounds.high, value)
        if bounds.log and low <= 0:
            raise UserError(
                f"method.{name}.search.{path}: expected a positive value where log is true, found {value:g}, the "
                "method's own; set log: false, or change the value"
            )
        ranges[path] = Range(low, high, bounds.log)
    return Space(ranges, present)


def _present(values: Mapping[str, Any], name: str, path: str) -> float:
    value = _get(values["method"].get(name, {}), path)
    if path == "lr" and value is None:
        value = _get(values["train"]["student"], "optimizer.init_args.lr")
        if value is None:
            raise UserError(
                "train.student.optimizer.init_args.lr: expected a learning rate, the value that the first trial of "
                f"`{name}` has, found none; give method.{name}.lr"
            )
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(
            f"method.{name}.search.{path}: expected the path of a number of the method, for example "
            f"distiller.init_args.scale; found {'nothing' if value is None else repr(value)} there"
        )
    return float(value)


def _get(values: Any, path: str) -> Any:
    for key in path.split("."):
        values = values.get(key) if isinstance(values, Mapping) else None
    return values


def need_optuna() -> None:
    """Raise a one-line ValueError where Optuna is not installed."""
    try:
        import optuna  # noqa: F401  # an extra: nobody else needs it
    except ImportError as error:
        raise UserError("tune: expected Optuna, found none; pip install 'tutelage[tune]'") from error


def ask(space: Space, tried: Sequence[Trial], seed: int) -> dict[str, float]:
    """The values to try next: the present ones first, then Optuna's.

    They depend on the arguments alone: Optuna is given all earlier trials every time. Values are rounded before they
    are tried, so the files hold exactly what was tried.

    Args:
        space: where to look.
        tried: the earlier trials, all finished; one that diverged counts as the worst.
        seed: of Optuna's sampler.
    """
    if not tried:
        return dict(space.present)
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it logs every study and trial
    where = {path: optuna.distributions.FloatDistribution(r.low, r.high, log=r.log) for path, r in space.ranges.items()}
    sampler = optuna.samplers.TPESampler(n_startup_trials=_RANDOM, seed=seed % 2**32)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for trial in tried:
        value = -inf if trial.delta is None else trial.delta
        study.add_trial(
            optuna.trial.create_trial(params=dict(trial.parameters), distributions=dict(where), value=value)
        )
    asked = study.ask(dict(where)).params
    return {p: min(max(float(f"{asked[p]:.{_DIGITS}g}"), r.low), r.high) for p, r in space.ranges.items()}
