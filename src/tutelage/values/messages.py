"""What jsonargparse says of a mistake in a study, as one line: key, expectation, finding, what to do.

The patterns are the wording of one minor version of jsonargparse; pyproject.toml pins it, and
tests/study/test_messages.py shows for every rule an input that needs it.
"""

import re

from tutelage.errors import one_line

_HELP = "`tutelage run STUDY --help` lists them"
_SUCH = "a class_path such as tutelage.nets.SegNet"

# jsonargparse names keys and classes from the outside in, then says what is wrong and repeats all that it was given.
# The rules apply one after the other: keys and classes, what it found, what it expected, what is left of its dump.
RULES: dict[str, tuple[str, str]] = {
    "dump of all values": (r"\.? Got value: Namespace\(.*", ""),
    "key": (r'Parser key "([^"]+)":', r"\1:"),
    "factory": (r"Type \S*Callable\[.*?\] expects a function or a callable class: ", ""),
    "union": (r"Does not validate against any of the Union subtypes Subtypes: .*? Errors: (- )?", ""),
    "class that a key implies": (
        r"Problem with given class_path 'tutelage\.(study\.Method|data\.(Label|Column))': ",
        "",
    ),
    "class": (r"Problem with given class_path '([^']+)':", r"\1:"),
    "other class": (
        r"Import path (\S+) does not correspond to a subclass of (\w+)",
        r"expected a subclass of \2, found \1",
    ),
    "other class for a factory": (
        r"Expected '([^']+)' to be a subclass of <class '([^']+)'>\.?",
        r"expected a subclass of \2, found \1",
    ),
    "other function for a factory": (
        r"Expected '[^']+' to be a function that returns <class '([^']+)'>\.?",
        r"expected a function that returns a \1",
    ),
    "abstract class": (
        r"Expected an instantiatable class, but (\S+) is abstract",
        r"expected a class that can be built, found the abstract \1",
    ),
    "keys of a class": (r"'(\w+)' object has no attribute 'keys'", r"expected keys and values, found a \1"),
    "number for a class_path": (r"argument of type '(\w+)' is not iterable", rf"expected {_SUCH}, found a \1"),
    "class for keys": (
        r"Subclasses are disabled for (\w+), thus '([^']+)' is not accepted as class_path\..*",
        r"expected the keys of \1, found \2",
    ),
    "no class": (
        r"Not a valid subclass of (\w+)(\. Got value: .*?)? Subclass types expect one of:.*?\(implicit class_path\)",
        r"expected class_path and init_args for \1\2",
    ),
    "no class for a factory": (
        r"Expected an import path or a subclass spec, but got .*?\. Got value:",
        r"expected class_path and init_args, found",
    ),
    "class_path that is not text": (r"unhashable type: '(\w+)'", rf"expected {_SUCH}, found a \1"),
    "name for a class": (r"Expected a dot import path string: (\S+)", rf"expected {_SUCH}, found `\1`"),
    "misspelled class": (
        r"module '([^']+)' has no attribute '([^']+)'",
        r"expected a class, found no `\2` in \1; correct class_path",
    ),
    "no module": (
        r"No module named '([^']+)'",
        r"expected a class, found no module `\1`; correct class_path or install it",
    ),
    "no class_path": (
        r"Dict must include a class_path and optionally init_args, but got",
        r"expected class_path and init_args, found",
    ),
    "unknown key of a group": (
        r"Group '([^']+)' does not accept option '([^']+)'",
        rf"\1: expected a known key, found `\2`; {_HELP}",
    ),
    "unknown key": (r"Option '([^']+)' is not accepted", rf"expected a known key, found `\1`; {_HELP}"),
    "value for keys": (r"Unable to load config '(.*?)'.*", r"expected keys and values, found `\1`"),
    "value for keys of a group": (
        r"functools\.partial\(.*\) argument after \*\* must be a mapping, not (\w+)",
        r"expected keys and values, found \1",
    ),
    "unknown flag": (r"unrecognized arguments: (.*)", rf"expected flags of the study, found `\1`; {_HELP}"),
    "optional": (r" - Expected an? <class 'NoneType'>", ""),
    "value": (r"\.? Got value:", ", found"),
    "value of a union, again": (r"(\bfound\b.*) Given value type: .*", r"\1"),
    "value of a union": (r"\.? Given value type: .*? Given value:", ", found"),
    "choice": (r"Expected an? typing\.Literal\[(.*?)\]", r"expected one of \1"),
    "type": (r"Expected an? <class '(?:\w+\.)*(\w+)'>", r"expected \1"),
    "tuple": (r"Expected a tuple", "expected a tuple"),
    "path": (r"Not of type Path: expected str, bytes or os.PathLike object, not \w+", "expected a file"),
    "keys of a pair of taps": (
        r"expected str - tutelage\.distill\.TapMatch: (.*?)(, found \{.*?\}+)*(?= or one| - expected|$)",
        r"\1",
    ),
    "alternative": (r"(\bexpected [^;]*?) - expected ", r"\1 or "),
    "keys of a teacher": (
        r"tutelage\.study\.TeacherConfig: (.*?)(?: or| - expected) one of 'features'.*$",
        r"\1",
    ),
    "value for a teacher": (
        r"expected class_path and init_args for TeacherConfig or one of 'features' - expected a file",
        "expected keys of a teacher, `features`, or a file",
    ),
    "required argument of a class": (
        r"^(\w+): (\w+(?:\.\w+)+): the following arguments are required: (\w+).*",
        r"\1.\3: expected a value for \2, found none; give it in the file or as --\1.\3",
    ),
    "required key": (
        r"the following arguments are required: (\w+).*",
        r"\1: expected a value, found none; give it in the file",
    ),
}


def rephrase(error: Exception) -> str:
    """The message of jsonargparse without its line breaks and its dump of all values; any other message as it is."""
    text = one_line(error, 10_000)  # the rules cut it off where it repeats what it was given
    for pattern, replacement in RULES.values():
        text = re.sub(pattern, replacement, text)
    return re.sub(r"(\bfound\b.{160}).{40,}", r"\1 ...", text)  # it may quote a whole study
