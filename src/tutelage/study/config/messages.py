"""What libraries say of a mistake, as one line in the house's form: key, expectation, finding, what to do."""

import re

_HELP = "`tutelage run STUDY --help` lists them"

# jsonargparse says where (keys and classes, from the outside in), what, and all that it was given. In this order:
# its own types and their nesting, what it expected and found, and what is left of its dump.
_RULES = (
    (r"\.? Got value: Namespace\(.*", ""),
    (r'Parser key "([^"]+)":', r"\1:"),
    (r"Type \S*Callable\[.*?\] expects a function or a callable class: ", ""),
    (r"Does not validate against any of the Union subtypes Subtypes: .*? Errors: (- )?", ""),
    (r"Problem with given class_path 'tutelage\.(study\.Method|data\.(Label|Column))': ", ""),
    (r"Problem with given class_path '([^']+)':", r"\1:"),
    (r"Import path (\S+) does not correspond to a subclass of (\w+)", r"expected a subclass of \2, found \1"),
    (r"Expected '([^']+)' to be a subclass of <class '([^']+)'>\.?", r"expected a subclass of \2, found \1"),
    (r"Expected a dot import path string: (\S+)", r"expected a class_path such as tutelage.nets.SegNet, found `\1`"),
    (r"module '([^']+)' has no attribute '([^']+)'", r"expected a class, found no `\2` in \1; correct class_path"),
    (r"No module named '([^']+)'", r"expected a class, found no module `\1`; correct class_path or install it"),
    (r"Dict must include a class_path and optionally init_args, but got", r"expected class_path and init_args, found"),
    (r"Group '([^']+)' does not accept option '([^']+)'", rf"\1: expected a known key, found `\2`; {_HELP}"),
    (r"Option '([^']+)' is not accepted", rf"expected a known key, found `\1`; {_HELP}"),
    (r"Unable to load config '(.*?)'.*", r"expected keys and values, found `\1`"),
    (r"'(\w+)' object has no attribute '(keys|items)'", r"expected keys and values, found \1"),
    (r"unrecognized arguments: (.*)", rf"expected flags of the study, found `\1`; {_HELP}"),
    (r"argument (--\S+): expected one argument", r"\1: expected a value, found none"),
    (r" - Expected an? <class 'NoneType'>", ""),
    (r"(\bfound\b.*) Given value type: .*", r"\1"),
    (r"\.? Given value type: .*? Given value:", ", found"),
    (r"\.? Got value:", ", found"),
    (r"Expected an? typing\.Literal\[(.*?)\]", r"expected one of \1"),
    (r"Expected an? <class '([^']+)'>", r"expected \1"),
    (r"Expected an? ", "expected a "),
    (
        r"^(\w+): (\w+(?:\.\w+)+): the following arguments are required: (\w+).*",
        r"\1.\3: expected a value for \2, found none; give it in the file or as --\1.\3",
    ),
    (
        r"Expected more than 1 value per channel when training, got input size torch.Size\(\[1, (.*?)\]\)",
        r"train.batch_size: expected two images or more of every source, since batch norm has one value a channel "
        r"otherwise, found 1; raise it, or take a network with another norm",
    ),
    (r"the following arguments are required: (\w+).*", r"\1: expected a value, found none; give it in the file"),
)


def one_line(error: Exception) -> str:
    """A library's message without its line breaks and its dump of what it was given."""
    text = re.sub(r"\s+", " ", str(error)).strip()
    for pattern, replacement in _RULES:
        text = re.sub(pattern, replacement, text)
    return text
