"""What a person has to change, and what other code says of a mistake: the only maker of one-line messages."""


class UserError(ValueError):
    """Something that the user has to change, said in one line: key or file, expectation, finding, what to do.

    Any other exception that leaves the command is a defect of tutelage.
    """


def one_line(error: BaseException, most: int = 160) -> str:
    """An error's text in one line, cut off after `most` characters; its kind, where it has no text."""
    return " ".join(str(error).split())[:most] or type(error).__name__
