"""What data are: how they are stored, what values they have, what a folder seems to hold."""

from tutelage.data.look.guess import Guess, guess
from tutelage.data.look.measure import Measure, Measures, measure_classes, measure_values
from tutelage.data.look.stored import Stored, stored_as, stored_in_file
from tutelage.data.look.summary import LeftOut, Look, Summary, Warned

__all__ = [
    "Guess",
    "LeftOut",
    "Look",
    "Measure",
    "Measures",
    "Stored",
    "Summary",
    "Warned",
    "guess",
    "measure_classes",
    "measure_values",
    "stored_as",
    "stored_in_file",
]
