from math import isnan, nan

import pytest

from tutelage.metrics import deltas
from tutelage.tasks import Regression
from tutelage.types import MetricInfo


class Segmentation:
    main = "miou"
    metric_info = {"miou": MetricInfo("%", True), "pixel_accuracy": MetricInfo("%", True)}


class Depth:
    main = "abs_err"
    metric_info = {"abs_err": MetricInfo("m", False), "rel_err": MetricInfo("", False)}


class Normals:
    main = "mean"
    metric_info = {
        "mean": MetricInfo("deg", False),
        "median": MetricInfo("deg", False),
        "within_11_25": MetricInfo("%", True),
        "within_22_5": MetricInfo("%", True),
        "within_30": MetricInfo("%", True),
    }


TASKS = {"segmentation": Segmentation(), "depth": Depth(), "normals": Normals()}


def main_metrics(miou: float, abs_err: float, mean: float) -> dict[str, dict[str, float]]:
    return {"segmentation": {"miou": miou}, "depth": {"abs_err": abs_err}, "normals": {"mean": mean}}


@pytest.mark.parametrize(("values", "delta"), [((44.64, 43.32, 24.48), 3.57), ((48.26, 39.82, 22.81), 11.07)])
def test_published_values(values, delta) -> None:
    # ResNet-50 on NYU-v2, mIoU, absolute error in cm, mean angle (Li et al., IJCV 2023)
    found = deltas(main_metrics(*values), main_metrics(43.37, 52.24, 22.40), TASKS)
    assert found["main"] == pytest.approx(delta, abs=0.005)


SINGLE = {
    "segmentation": {"miou": 40.0, "pixel_accuracy": 50.0},
    "depth": {"abs_err": 0.5, "rel_err": 0.2},
    "normals": {"mean": 25.0, "median": 20.0, "within_11_25": 25.0, "within_22_5": 50.0, "within_30": 80.0},
}
VALUES = {
    "segmentation": {"miou": 44.0, "pixel_accuracy": 49.0},  # +10, -2
    "depth": {"abs_err": 0.4, "rel_err": 0.21},  # +20, -5
    "normals": {"mean": 26.0, "median": 18.0, "within_11_25": 30.0, "within_22_5": 48.0, "within_30": 84.0},
    # -4, +10, +20, -4, +5
}


def test_three_conventions_by_hand() -> None:
    assert deltas(VALUES, SINGLE, TASKS) == pytest.approx(
        {
            "main": (10 + 20 - 4) / 3,
            "task_mean": ((10 - 2) / 2 + (20 - 5) / 2 + (-4 + 10 + 20 - 4 + 5) / 5) / 3,
            "all_metrics": -(10 - 2 + 20 - 5 - 4 + 10 + 20 - 4 + 5) / 9,
        }
    )


def test_the_single_task_networks_are_zero() -> None:
    assert deltas(SINGLE, SINGLE, TASKS) == {"main": 0, "task_mean": 0, "all_metrics": 0}


def test_the_order_of_the_tasks_does_not_matter() -> None:
    assert deltas(VALUES, SINGLE, dict(reversed(TASKS.items()))) == pytest.approx(deltas(VALUES, SINGLE, TASKS))


@pytest.mark.parametrize("base", [0.0, nan, None], ids=["zero", "nan", "missing"])
def test_what_cannot_be_divided_is_nan(base) -> None:
    depth = {"abs_err": 0.5} | ({} if base is None else {"rel_err": base})
    found = deltas(VALUES, {**SINGLE, "depth": depth}, TASKS)
    assert isnan(found["task_mean"])
    assert isnan(found["all_metrics"])
    assert found["main"] == deltas(VALUES, SINGLE, TASKS)["main"]


def test_a_missing_task_is_nan() -> None:
    assert all(isnan(x) for x in deltas({"depth": VALUES["depth"]}, SINGLE, TASKS).values())


def test_from_a_negative_value_up_is_better() -> None:
    """R^2 of a weak network, for example."""
    tasks = {"age": Regression()}
    single = {"age": {"abs_err": 2.0, "rmse": 3.0, "r2": -0.5}}
    found = deltas({"age": single["age"] | {"r2": -0.1}}, single, tasks)
    assert found["task_mean"] == pytest.approx(80 / len(single["age"]))
    assert found["all_metrics"] == pytest.approx(-80 / len(single["age"]))
