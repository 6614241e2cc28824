"""Delta: how much better a multi-task network is than the single-task networks, in one number."""

from collections.abc import Mapping
from math import nan
from statistics import fmean

from tutelage.types import Task

Values = Mapping[str, Mapping[str, float]]  # task -> metric -> value


def deltas(values: Values, single: Values, tasks: Mapping[str, Task]) -> dict[str, float]:
    """Delta of `values` over `single` in %, by each of the three conventions in use.

    g_tm = 100 s_tm (M_tm - M_tm^single) / |M_tm^single|

    is the gain of metric m of task t, where s_tm is +1 where higher is better and -1 elsewhere. Then

    main        = mean_t g_tm, m the main metric of t: mIoU, absolute error, mean angle.   Higher is better.
    task_mean   = mean_t mean_m g_tm, as LibMTL.                                           Higher is better.
    all_metrics = - mean_(t,m) g_tm, as Nash-MTL and FAMO.                                 **Lower** is better.

    Where a value is missing or the single-task network's value is 0, the gain is nan, and so is every Delta with it.

    Args:
        values: {task: {metric: value}} of the multi-task network.
        single: The same of the single-task networks: same seed, same protocol.
        tasks: Which tasks and metrics count, and which way is better.

    Returns:
        {"main": %, "task_mean": %, "all_metrics": %}.
    """
    gains = {
        t: {m: _gain(values, single, t, m, info.higher_is_better) for m, info in task.metric_info.items()}
        for t, task in tasks.items()
    }
    return {
        "main": fmean(gains[t][task.main] for t, task in tasks.items()),
        "task_mean": fmean(fmean(of_task.values()) for of_task in gains.values()),
        "all_metrics": 0.0 - fmean(gain for of_task in gains.values() for gain in of_task.values()),
    }


def _gain(values: Values, single: Values, task: str, metric: str, higher_is_better: bool) -> float:
    value = values.get(task, {}).get(metric, nan)
    base = single.get(task, {}).get(metric, nan)
    if base == 0:
        return nan
    return 100 * (1 if higher_is_better else -1) * (value - base) / abs(base)
