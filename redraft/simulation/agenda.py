"""Virtual time: what is going to happen, in order; nothing happens between two events.

Times are whole microseconds since the run began.  Events of one moment happen in the order in which
they were entered, so a run depends on its seed and on nothing else.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

MS = 1000
"""One millisecond."""


class Agenda:
    """The heap of events; `now_us` is the time of the one that is happening."""

    __slots__ = ("_events", "_number", "happened", "now_us")

    def __init__(self) -> None:
        self.now_us = 0
        self.happened = 0
        """How many events there have been."""
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._number = 0

    def after(self, delay_us: int, act: Callable[[], None]) -> None:
        """Let `act` happen so much later."""
        self._number += 1
        heapq.heappush(self._events, (self.now_us + delay_us, self._number, act))

    def at(self, when_us: int, act: Callable[[], None]) -> None:
        """Let `act` happen then, or now if that is past."""
        self._number += 1
        heapq.heappush(self._events, (max(when_us, self.now_us), self._number, act))

    def step(self) -> None:
        """Let the next event happen; there is always one, for nodes tick."""
        self.now_us, _number, act = heapq.heappop(self._events)
        self.happened += 1
        act()
