"""When keys expire: a heap for each slot, and above them one of what comes first in each.

A deadline that was changed or whose key was deleted stays in its slot's heap and is recognised when it
comes up (`is_current`), so that a plain SET over an expiring key costs next to nothing here.  Stale entries
of a slot are swept out once they outnumber the others.  The order is a function of the state only,
so every replica removes the same keys for the same entry.

Always true: the first entry of each slot that is not held back stands in `_heads`, among others that were
first once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush
from typing import Final

STALE_KEPT: Final = 32
"""Stale entries of a slot that are put up with whatever the number of live ones."""
HEADS_KEPT: Final = 1024
"""Likewise above the slots."""

FREED_AT_ONCE: Final = 5000
"""Entries freed by one `tend`."""

Entry = tuple[int, int, bytes]
"""(deadline, slot, key)"""


class Deadlines:
    """The deadlines of one replica's keys."""

    __slots__ = ("_garbage", "_heads", "_held", "_is_current", "_slots", "_stale")

    def __init__(self, is_current: Callable[[int, int, bytes], bool]) -> None:
        self._slots: dict[int, list[Entry]] = {}
        self._stale: dict[int, int] = {}
        """By slot: how many of its heap are stale, or a few more."""
        self._heads: list[Entry] = []
        self._held: frozenset[int] = frozenset()
        self._garbage: list[list[Entry]] = []
        self._is_current = is_current

    def __len__(self) -> int:
        """Return the number of entries, stale ones included."""
        return sum(map(len, self._slots.values()))

    def add(self, deadline_ms: int, slot: int, key: bytes) -> None:
        """Note a deadline."""
        heap = self._slots.get(slot)
        if heap is None:
            heap = self._slots[slot] = []
        entry = (deadline_ms, slot, key)
        heappush(heap, entry)
        if heap[0] is entry:
            self._lead(entry)

    def discard(self, deadline_ms: int, slot: int, key: bytes) -> None:  # noqa: ARG002 - it is looked for later
        """A key has that deadline no more: it is seen when it comes up."""
        stale = self._stale[slot] = self._stale.get(slot, 0) + 1
        if stale > STALE_KEPT and 2 * stale > len(heap := self._slots[slot]):
            self._sweep(slot, heap)

    def load(self, deadlines: list[Entry]) -> None:
        """Note many at once, from a snapshot."""
        slots = {slot for _, slot, _ in deadlines}
        for entry in deadlines:
            self._slots.setdefault(entry[1], []).append(entry)
        for slot in slots:
            heap = self._slots[slot]
            heapify(heap)
            self._lead(heap[0])

    def first(self) -> Entry | None:
        """Return the next (deadline, slot, key), None when no key expires."""
        heads, slots = self._heads, self._slots
        while heads:
            entry = heads[0]
            slot = entry[1]
            heap = slots.get(slot)
            if not heap or heap[0] is not entry or slot in self._held:
                heappop(heads)  # it is not the first one of its slot any more
            elif self._is_current(*entry):
                return entry
            else:
                heappop(heads)
                heappop(heap)
                self._stale[slot] = max(0, self._stale.get(slot, 0) - 1)
                if heap:
                    heappush(heads, heap[0])
        return None

    def hold(self, slots: Iterable[int]) -> None:
        """Hold back the deadlines of these slots, and of no others."""
        before, self._held = self._held, frozenset(slots)
        if before != self._held:
            self._begin_heads()

    def drop(self, slots: Iterable[int]) -> None:
        """Forget those of slots."""
        heaps = self._slots
        if heaps:
            for slot in slots:
                heap = heaps.pop(slot, None)
                if heap is not None:
                    self._garbage.append(heap)
                    self._stale.pop(slot, None)
            if not heaps:
                self._heads.clear()

    def tend(self) -> bool:
        """Free a bit of what was forgotten; return whether there is more."""
        garbage, left = self._garbage, FREED_AT_ONCE
        while garbage and left > 0:
            left -= len(garbage[-1])
            del garbage[-1][-FREED_AT_ONCE:]
            if not garbage[-1]:
                garbage.pop()
        return bool(garbage)

    def _lead(self, entry: Entry) -> None:
        """An entry has become the first one of its slot."""
        heads = self._heads
        if entry[1] in self._held:
            return
        if len(heads) > 2 * len(self._slots) + HEADS_KEPT:
            self._begin_heads()
        heappush(heads, entry)

    def _begin_heads(self) -> None:
        self._heads[:] = [heap[0] for slot, heap in self._slots.items() if heap and slot not in self._held]
        heapify(self._heads)

    def _sweep(self, slot: int, heap: list[Entry]) -> None:
        heap[:] = {entry for entry in heap if self._is_current(*entry)}
        heapify(heap)
        self._stale[slot] = 0
        if heap:
            self._lead(heap[0])
