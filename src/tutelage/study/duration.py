"""How long something takes, in words."""


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    >>> duration(42), duration(310), duration(7260)
    ('42 s', '5 min', '2 h 1 min')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
