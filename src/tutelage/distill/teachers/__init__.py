"""The frozen networks that the student learns from: who teaches what, on which images, run once per batch."""

from tutelage.distill.teachers.frozen import Teachers, labels_by_teacher, share_passes
from tutelage.distill.teachers.passes import Passes, Reading
from tutelage.distill.teachers.standardise import Standardise
from tutelage.distill.teachers.teacher import Teacher, check_tasks, named_teachers

__all__ = [
    "Passes",
    "Reading",
    "Standardise",
    "Teacher",
    "Teachers",
    "check_tasks",
    "labels_by_teacher",
    "named_teachers",
    "share_passes",
]
