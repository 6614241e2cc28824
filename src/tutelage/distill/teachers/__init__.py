"""The frozen networks that the student learns from: who teaches what, on which images, run once per batch."""

from tutelage.distill.teachers.frozen import Teachers, share_passes
from tutelage.distill.teachers.passes import Passes
from tutelage.distill.teachers.standardise import Standardise
from tutelage.distill.teachers.teacher import Teacher, check_tasks, named_teachers

__all__ = ["Passes", "Standardise", "Teacher", "Teachers", "check_tasks", "named_teachers", "share_passes"]
