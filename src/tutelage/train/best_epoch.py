"""The epoch that is best on a part of train."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

Metrics = Mapping[str, Mapping[str, float]]  # task -> metric -> value
Gain = Callable[[Metrics, Metrics], float]


class BestEpoch:
    """Remembers which epoch of a run is best on images that it is not trained on.

    An epoch is better than the best one so far if its gain over that one is above 0. The gain is Delta of the main
    metrics, with the best epoch in place of the single-task networks: the mean over tasks of the relative change, so
    that no task counts more for the size of its metric.

    Args:
        gain: Delta of the first metrics over the second.
        keep: Keep the weights of the best epoch.

    Attributes:
        latest: The metrics of the epoch that was validated last; {} before.
        metrics: Those of the best epoch.
        step: After which it ended; 0: there is none yet.
        since: The epochs that were validated after it.
        weights: Of the best epoch, if they are kept.
    """

    def __init__(self, gain: Gain, keep: bool) -> None:
        self.gain, self.keep = gain, keep
        self.latest: dict[str, dict[str, float]] = {}
        self.metrics: dict[str, dict[str, float]] = {}
        self.step = self.since = 0
        self.weights: dict[str, Tensor] = {}

    def end_epoch(self, metrics: Metrics, step: int, weights: Mapping[str, Tensor]) -> None:
        """Compare an epoch that ended after `step` with the best one so far."""
        self.latest = {t: dict(values) for t, values in metrics.items()}
        if self.metrics and not self.gain(metrics, self.metrics) > 0:
            self.since += 1
            return
        self.metrics, self.step, self.since = self.latest, step, 0
        if self.keep:
            self.weights = {name: tensor.detach().clone() for name, tensor in weights.items()}

    def state_dict(self) -> dict[str, Any]:
        """All that is remembered."""
        return {name: getattr(self, name) for name in ("latest", "metrics", "step", "since", "weights")}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`."""
        for name in ("latest", "metrics", "step", "since", "weights"):
            setattr(self, name, state[name])
