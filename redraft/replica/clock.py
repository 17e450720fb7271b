"""A group's clock: what its leader stamps on entries, in ms since the Unix epoch.

Its value at an election, plus monotonic time since, slewed slowly towards the median of a quorum's
wall clocks.  Always true: it never runs back, not over a change of leader either (it starts at the
last entry's clock or later), and one wall clock that steps cannot make it jump.  Taking the maximum
of a wall clock would freeze time after a step forward; that is why it is slewed.  Where slots come
from a group whose clock is ahead it goes on from that one's time: it must not stand until it is there.
"""

from __future__ import annotations

SLEW = 0.1
"""How much faster or slower than monotonic time a clock may run while it is off the median."""


class GroupClock:
    """The clock of one group while this node leads it."""

    __slots__ = ("_at_ms", "_value")

    def __init__(self, last_entry_ms: int, median_wall_ms: float, now_ms: float) -> None:
        self._value = max(float(last_entry_ms), median_wall_ms)
        self._at_ms = now_ms

    def read(self, median_wall_ms: float, now_ms: float) -> int:
        """Return the group's time at monotonic `now_ms`, given the quorum's median wall clock then."""
        elapsed = now_ms - self._at_ms
        if elapsed > 0:
            self._at_ms = now_ms
            off = median_wall_ms - (self._value + elapsed)
            bound = elapsed * SLEW
            self._value += elapsed + max(-bound, min(bound, off))
        return int(self._value)

    def rise(self, entry_ms: int) -> None:
        """An entry was later than this clock: what came with slots of another group was seen at that time."""
        self._value = max(self._value, float(entry_ms))
