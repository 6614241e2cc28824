"""Who executes which run of a study, and when."""

from tutelage.study.launch.local import Display, run_study

__all__ = ["Display", "run_study"]
