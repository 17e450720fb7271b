"""What is known of a collection's names in order: whole stretches of them, read from below bit by bit.

Below, a range passes over all that was deleted lately, again each time: a queue of which the first is taken
over and over would be slow.  And each look for its beginning costs as much as many names.  So what a range
reads, and some more, is kept here, and follows each write.

Always true: a stretch has all names that there are from its start up to, not including, its end (None: all
behind); stretches do not touch each other; no name is held but in a stretch.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Final, Protocol

from sortedcontainers import SortedList

AHEAD_FIRST: Final = 16
AHEAD_MAX: Final = 256
"""Names read at once: where a stretch begins, and at most; twice as many each time that one is read on."""

Rows = list[tuple[bytes, bytes]]


class Read(Protocol):
    """Reads below: about so many names at most, from one end."""

    def __call__(self, low: bytes, high: bytes | None, count: int, *, reverse: bool) -> tuple[Rows, bool]:
        """Return names with values, and whether there are no more."""


class Window:
    """Of one collection."""

    __slots__ = ("_ahead", "_ends", "_names", "_read_below", "_starts", "_values")

    def __init__(self, read: Read) -> None:
        self._read_below = read
        self._ahead = AHEAD_FIRST
        self._names: SortedList[bytes] = SortedList()
        self._values: dict[bytes, bytes] = {}
        self._starts: list[bytes] = []
        self._ends: list[bytes | None] = []

    def note(self, name: bytes, value: bytes | None) -> None:
        """A name was written; None: deleted."""
        values = self._values
        if value is None:
            if values.pop(name, None) is not None:
                self._names.remove(name)
        elif name in values:
            values[name] = value
        else:
            at = bisect_right(self._starts, name) - 1
            if at >= 0 and ((end := self._ends[at]) is None or name < end):
                values[name] = value
                self._names.add(name)

    def range(self, low: bytes, high: bytes | None, offset: int, limit: int, *, reverse: bool) -> Rows:
        """Do what `Members.range` promises."""
        names, wanted = self._names, offset + limit
        if reverse:
            first = self._known_down(low, high, wanted)
            begin, end = names.bisect_left(first), self._place_of(high) - offset
            begin = max(begin, end - limit)
        else:
            last = self._known_up(low, high, wanted)
            begin, end = names.bisect_left(low) + offset, self._place_of(last)
            end = min(end, begin + limit)
        values = self._values
        return (
            [(name, values[name]) for name in names.islice(begin, end, reverse=reverse)]
            if begin < end
            else []
        )

    def _place_of(self, name: bytes | None) -> int:
        return len(self._names) if name is None else self._names.bisect_left(name)

    def _known_up(self, low: bytes, high: bytes | None, wanted: int) -> bytes | None:
        """Know all from `low` on until there are as many as wanted, or up to `high`; return how far."""
        starts, ends, names = self._starts, self._ends, self._names
        at, is_new = bisect_right(starts, low) - 1, False
        if at < 0 or ((end := ends[at]) is not None and end < low):
            at += 1
            starts.insert(at, low)
            ends.insert(at, low)
            is_new = True
        while (end := ends[at]) is not None and (high is None or end < high):
            missing = wanted - (names.bisect_left(end) - names.bisect_left(low))
            if missing <= 0:
                return end
            bound = starts[at + 1] if at + 1 < len(starts) else None
            if high is not None and (bound is None or high < bound):
                bound = high
            rows, through = self._read(end, bound, missing, new=is_new, reverse=False)
            is_new = False
            ends[at] = reached = bound if through else rows[-1][0] + b"\0"
            if at + 1 < len(starts) and starts[at + 1] == reached:
                ends[at] = ends[at + 1]
                del starts[at + 1], ends[at + 1]
        return high

    def _known_down(self, low: bytes, high: bytes | None, wanted: int) -> bytes:
        """Know all from `high` down until there are as many as wanted, or to `low`; return how far."""
        starts, ends, names = self._starts, self._ends, self._names
        at = (bisect_left(starts, high) if high is not None else len(starts)) - 1
        if at < 0 or ((end := ends[at]) is not None and (high is None or end < high)):
            at += 1
            if at == len(starts) or starts[at] != high:
                self._stretch_down(at, high, low, wanted, new=True)
                at = (bisect_left(starts, high) if high is not None else len(starts)) - 1
        while starts[at] > low:
            missing = wanted - (self._place_of(high) - names.bisect_left(starts[at]))
            if missing <= 0:
                return starts[at]
            at = self._stretch_down(at, starts[at], low, missing, new=False)
        return low

    def _stretch_down(self, at: int, top: bytes | None, low: bytes, count: int, *, new: bool) -> int:
        """Read down from `top`, the start of a stretch or the end of a new one; return where it is."""
        starts, ends = self._starts, self._ends
        below = ends[at - 1] if at else None
        bound = low if below is None else max(low, below)
        rows, through = self._read(bound, top, count, new=new, reverse=True)
        reached = bound if through else rows[-1][0]
        if new:
            starts.insert(at, reached)
            ends.insert(at, top)
        else:
            starts[at] = reached
        if at and ends[at - 1] == reached:
            ends[at - 1] = ends[at]
            del starts[at], ends[at]
            return at - 1
        return at

    def _read(
        self, low: bytes, high: bytes | None, count: int, *, new: bool, reverse: bool
    ) -> tuple[Rows, bool]:
        """Read below, at least as many as given if there are as many, and take them in."""
        ahead = AHEAD_FIRST
        if not new:
            ahead = self._ahead = min(2 * self._ahead, AHEAD_MAX)
        rows, through = self._read_below(low, high, max(count, ahead), reverse=reverse)
        self._names.update(name for name, _ in rows)
        self._values.update(rows)
        return rows, through
