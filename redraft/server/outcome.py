"""What a local command's handler is, and what it may return besides a value."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import TYPE_CHECKING

from redraft.server.encode import Value

if TYPE_CHECKING:
    from redraft.server.connection import Connection


class Outcome(Enum):
    """In place of a value."""

    LATER = auto()
    """The handler replies itself, at once or when groups have answered."""
    SILENT = auto()
    """There is no reply."""


Handler = Callable[["Connection", list[bytes]], Value | Outcome]
"""Carries out a local command: (connection, [name, argument, ...]); raises ReplyError."""
