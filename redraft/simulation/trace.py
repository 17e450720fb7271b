"""What a run tells of itself: one line an event, the virtual time first, the same on every replay.

A line depends on nothing but the seed: no address, no hash, no set order, no clock of this machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from redraft.raft.messages import AppendEntries
from redraft.simulation.agenda import Agenda
from redraft.transport.messages import ForwardPart, ForwardRead, PartReply, ReadReply

BYTES_SHOWN = 40


class Trace:
    """Writes lines; a run without a trace has none of these and formats nothing."""

    __slots__ = ("_agenda", "_write")

    def __init__(self, agenda: Agenda, write: Callable[[str], None]) -> None:
        self._agenda = agenda
        self._write = write

    def line(self, who: str, what: str) -> None:
        """Tell that something happened to somebody now."""
        seconds, rest = divmod(self._agenda.now_us, 1_000_000)
        self._write(f"{seconds:4d}.{rest:06d}  {who:<10} {what}")


def told(message: Any) -> str:
    """A message as a trace shows it: its fields, long ones cut."""
    name = type(message).__name__
    if isinstance(message, AppendEntries):
        entries = message.entries
        span = f" entries {entries[0].index}..{entries[-1].index}" if entries else ""
        last = f"{message.prev_log_index}/{message.prev_log_term}"
        return f"{name} term {message.term} after {last} commit {message.commit_index}{span}"
    if isinstance(message, ForwardPart | ForwardRead | PartReply | ReadReply):
        fields = [f"{field} {shown(value)}" for field, value in zip(message._fields, message, strict=True)]
        return f"{name} {' '.join(fields)}"
    fields = [f"{field} {value!r}" for field, value in zip(message._fields, message, strict=True)]
    return f"{name} {' '.join(fields)}"


def shown(value: object) -> str:
    """A value that may be long."""
    if isinstance(value, bytes | bytearray):
        return f"<{len(value)} bytes>" if len(value) > BYTES_SHOWN else repr(bytes(value))
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(shown, value))}]"
    return repr(value)
