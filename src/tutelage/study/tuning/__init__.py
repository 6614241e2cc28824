"""Fair budgets: the same number of trials for every method, on a part of the training images."""

from tutelage.study.tuning.tuner import Tuner

__all__ = ["Tuner"]
