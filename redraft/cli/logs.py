"""Log lines on stderr: one line each, time first, for people and for grep.

Every layer logs through the standard library's `logging.getLogger("redraft.<layer>")`; only this file
decides what a line looks like.  A traceback, the mark of a bug of ours, keeps its lines.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
COLOURS = {
    "debug": "\x1b[2m",
    "info": "\x1b[32m",
    "warning": "\x1b[33m",
    "error": "\x1b[31m",
    "critical": "\x1b[31m",
}
DIM, PLAIN = "\x1b[2m", "\x1b[0m"


class LineFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.123Z info    wal: message`; coloured for a terminal."""

    def __init__(self, *, coloured: bool) -> None:
        super().__init__()
        self._coloured = coloured

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line, its traceback (if any) below."""
        moment = (
            datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z")
        )
        level = record.levelname.lower()
        source = record.name.removeprefix("redraft.")
        message = record.getMessage().replace("\n", "\\n")
        if self._coloured:
            moment, level = f"{DIM}{moment}{PLAIN}", f"{COLOURS.get(level, '')}{level:<7}{PLAIN}"
        line = f"{moment} {level:<7} {source}: {message}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def start_logging(level: str, stream: TextIO | None = None) -> None:
    """Send the project's log records of `level` and above to stderr; called once, by a command."""
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter(coloured=stream.isatty()))
    logger = logging.getLogger("redraft")
    logger.handlers[:] = [handler]
    logger.setLevel(LEVELS[level])
    logger.propagate = False
