"""Log lines of the libraries that build networks: kept off the terminal, since they come once per network."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

_LIBRARIES = ("timm", "segmentation_models_pytorch", "huggingface_hub")


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextmanager
def quiet() -> Iterator[list[str]]:
    """Collect what the libraries log in the returned list, in place of showing it. Errors are raised as ever."""
    collector = _Collector()
    loggers = [logging.getLogger(name) for name in _LIBRARIES]
    before = [(logger.handlers, logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [collector], False
        logger.setLevel(logging.INFO)  # timm says there which tensors a file lacks
    try:
        yield collector.lines
    finally:
        for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)
