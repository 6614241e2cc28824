"""What data are: how they are stored, what values they have, what a folder seems to hold."""

from tutelage.data.look.found import Guess
from tutelage.data.look.guess import guess
from tutelage.data.look.measure import Measure, measure_classes, measure_values, together
from tutelage.data.look.stored import Stored, stored_as, stored_in_file
from tutelage.data.look.unused import left_out, unused_files, without_image

__all__ = [
    "Guess",
    "Measure",
    "Stored",
    "guess",
    "left_out",
    "measure_classes",
    "measure_values",
    "stored_as",
    "stored_in_file",
    "together",
    "unused_files",
    "without_image",
]
