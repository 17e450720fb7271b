"""When keys expire: a heap ordered by (deadline, slot, key), the order in which they are removed.

A deadline that was changed or whose key was deleted stays in the heap and is recognised when it
comes up (`is_current`), so that a plain SET over an expiring key costs nothing here.  Stale entries
are swept out once they outnumber the live ones.  The order is a function of the state only, so
every replica removes the same keys for the same entry.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Final

STALE_KEPT: Final = 1024
"""Stale entries that are put up with whatever the number of live ones."""

FREED_AT_ONCE: Final = 5000
"""Entries freed by one `tend`."""


class Deadlines:
    """The deadlines of one replica's keys."""

    __slots__ = ("_heap", "_is_current", "_old")

    def __init__(self, is_current: Callable[[int, int, bytes], bool]) -> None:
        self._heap: list[tuple[int, int, bytes]] = []
        self._old: list[tuple[int, int, bytes]] = []
        self._is_current = is_current

    def __len__(self) -> int:
        """Return the number of entries, stale ones included."""
        return len(self._heap)

    def add(self, deadline_ms: int, slot: int, key: bytes, live: int) -> None:
        """Note a deadline; `live` is the number of keys that have one."""
        heap = self._heap
        if len(heap) > 2 * live + STALE_KEPT:
            heap[:] = {entry for entry in heap if self._is_current(*entry)}
            heapify(heap)
        heappush(heap, (deadline_ms, slot, key))

    def discard(self, deadline_ms: int, slot: int, key: bytes) -> None:
        """A key has that deadline no more: it is seen when it comes up."""

    def load(self, deadlines: list[tuple[int, int, bytes]]) -> None:
        """Note many at once, from a snapshot."""
        self._heap += deadlines
        heapify(self._heap)

    def first(self) -> tuple[int, int, bytes] | None:
        """Return the next (deadline, slot, key), None when no key expires."""
        heap = self._heap
        while heap and not self._is_current(*heap[0]):
            heappop(heap)
        return heap[0] if heap else None

    def clear(self) -> None:
        """Forget all."""
        self._old, self._heap = self._old + self._heap if self._old else self._heap, []

    def tend(self) -> bool:
        """Free a bit of what was forgotten; return whether there is more."""
        del self._old[-FREED_AT_ONCE:]
        return bool(self._old)
