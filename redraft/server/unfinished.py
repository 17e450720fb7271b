"""A command that is still arriving: its bytes so far, and when they are worth another look.

However a long command is cut into packets, its bytes are looked at once: the scan goes on where it
stopped (`Scanner.probe`), and not before what it waits for is there.
"""

from __future__ import annotations

from redraft.accel import scan
from redraft.accel.scan import Scanner


class Unfinished:
    """`needed`, `cursor` and `left` are those of the scan that found the command unfinished."""

    __slots__ = ("_cursor", "_data", "_left", "_needed")

    def __init__(self, data: bytes, needed: int, cursor: int, left: int) -> None:
        self._data = bytearray(data)
        self._needed = needed
        self._cursor = cursor
        self._left = left

    def __len__(self) -> int:
        return len(self._data)

    @property
    def missing(self) -> int:
        """Bytes that have to come at least."""
        return self._needed - len(self._data)

    def add(self, data: bytes, scanner: Scanner) -> bytes | None:
        """Take more bytes; returns all of them once a scan will find the command whole (or broken)."""
        self._data += data
        if len(self._data) < self._needed:
            return None
        if self._left > 0:
            status, self._needed, self._cursor, self._left = scanner.probe(
                self._data, self._cursor, self._left
            )
            if status == scan.OK and self._left > 0:
                return None
        return bytes(self._data)
