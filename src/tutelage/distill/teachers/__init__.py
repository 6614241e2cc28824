"""The frozen networks that the student learns from: who teaches what, on which images, run once per batch."""

from tutelage.distill.teachers.cache import CachedOutput, RowNumbers, fill_rows, image_digests
from tutelage.distill.teachers.facts import Uncacheable, code_of, network_facts
from tutelage.distill.teachers.frozen import Teachers, labels_by_teacher, share_passes, teachers_of
from tutelage.distill.teachers.passes import Passes, Reading, resize
from tutelage.distill.teachers.phi_s import PhiS
from tutelage.distill.teachers.standardise import Standardise
from tutelage.distill.teachers.storage import Packing, Part, Storage, bytes_per_image, split_output
from tutelage.distill.teachers.teacher import Teacher, check_set_up, check_tasks, named_teachers

__all__ = [
    "CachedOutput",
    "Packing",
    "Part",
    "Passes",
    "PhiS",
    "Reading",
    "RowNumbers",
    "Standardise",
    "Storage",
    "Teacher",
    "Teachers",
    "Uncacheable",
    "bytes_per_image",
    "check_set_up",
    "check_tasks",
    "code_of",
    "fill_rows",
    "image_digests",
    "labels_by_teacher",
    "named_teachers",
    "network_facts",
    "resize",
    "share_passes",
    "split_output",
    "teachers_of",
]
