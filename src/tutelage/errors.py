"""What other code says of a mistake."""


def line(error: BaseException, most: int = 160) -> str:
    """An error's text in one line, cut off after `most` characters; its kind, where it has no text."""
    return " ".join(str(error).split())[:most] or type(error).__name__
