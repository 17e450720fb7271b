"""What nodes log during a run: lines of the trace, and a finding when it is a bug that code caught itself."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from redraft.simulation.checks import ViolationError
from redraft.simulation.trace import Trace

LOGGER = "redraft"


class _Lines(logging.Handler):
    """Takes the records of all nodes."""

    def __init__(self, trace: Trace | None) -> None:
        super().__init__()
        self._trace = trace

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record; one with a traceback is a bug, whatever the code made of it."""
        message = record.getMessage()
        if record.exc_info is not None and record.exc_info[1] is not None:
            raise ViolationError(message) from record.exc_info[1]
        if self._trace is not None:
            self._trace.line("log", f"{record.levelname.lower()}: {message}")


@contextmanager
def captured(trace: Trace | None) -> Iterator[None]:
    """Take what is logged, all of it where there is a trace, else errors only."""
    logger = logging.getLogger(LOGGER)
    before = logger.level, logger.propagate
    lines = _Lines(trace)
    logger.setLevel(logging.DEBUG if trace is not None else logging.ERROR)
    logger.propagate = False
    logger.addHandler(lines)
    try:
        yield
    finally:
        logger.removeHandler(lines)
        logger.setLevel(before[0])
        logger.propagate = before[1]
