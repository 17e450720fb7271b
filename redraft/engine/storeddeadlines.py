"""The deadlines of keys on an engine on disk (`redraft.engine.stored`), slot by slot.

They stand in the store below their slot's prefix, so they go when all of the slot is deleted.  In memory
there is for each slot its first deadline only, or a bound: nothing of the slot comes before that.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from redraft.engine.stored import StoredEngine

_DUE: Final = struct.Struct(">Q")
HEADS_KEPT: Final = 1024
"""Bounds that are out of date and put up with, however few slots there are."""

IsCurrent = Callable[[int, int, bytes], bool]
Entry = tuple[int, int, bytes]
"""(deadline, slot, key)"""


class StoredDeadlines:
    """Implements `redraft.engine.interface.Deadlines`; an engine has one."""

    __slots__ = ("_bounds", "_engine", "_heads", "_held", "is_current")

    def __init__(self, engine: StoredEngine, bounds: dict[int, int]) -> None:
        """Begin with the bounds that a checkpoint has."""
        self._engine = engine
        self.is_current: IsCurrent = lambda _deadline_ms, _slot, _key: True
        self._bounds = {slot: (deadline_ms, slot, b"") for slot, deadline_ms in bounds.items()}
        self._heads = sorted(self._bounds.values())
        """The bound of each slot that is not held back, among others that were bounds once."""
        self._held: frozenset[int] = frozenset()

    @property
    def bounds(self) -> dict[int, int]:
        """By slot: nothing comes before; for a checkpoint."""
        return {slot: entry[0] for slot, entry in self._bounds.items()}

    def add(self, deadline_ms: int, slot: int, key: bytes) -> None:
        """See `Deadlines.add`."""
        self._engine.active.put(self._engine.due_prefix(slot), _DUE.pack(deadline_ms) + key, b"")
        self._consider((deadline_ms, slot, key))

    def discard(self, deadline_ms: int, slot: int, key: bytes) -> None:
        """See `Deadlines.discard`."""
        self._engine.active.put(self._engine.due_prefix(slot), _DUE.pack(deadline_ms) + key, None)

    def load(self, deadlines: list[Entry]) -> None:
        """See `Deadlines.load`."""
        engine = self._engine
        engine.fill(
            (engine.due_prefix(slot) + _DUE.pack(deadline_ms) + key, b"")
            for deadline_ms, slot, key in deadlines
        )
        for entry in deadlines:
            self._consider(entry)

    def first(self) -> Entry | None:
        """See `Deadlines.first`."""
        heads = self._heads
        while heads:
            entry = heads[0]
            if self._bounds.get(entry[1]) != entry or entry[1] in self._held:
                heappop(heads)
            elif self.is_current(*entry):
                return entry
            else:
                heappop(heads)
                self._go_on(entry)
        return None

    def hold(self, slots: Iterable[int]) -> None:
        """See `Deadlines.hold`."""
        before, self._held = self._held, frozenset(slots)
        if before != self._held:
            self._begin_heads()

    def drop(self, slots: Iterable[int]) -> None:
        """See `Deadlines.drop`."""
        bounds = self._bounds
        if bounds:
            for slot in slots:
                bounds.pop(slot, None)
            if not bounds:
                self._heads.clear()

    def tend(self) -> bool:
        """See `Deadlines.tend`."""
        return False

    def _consider(self, entry: Entry) -> None:
        """A deadline was noted; it may come before all others of its slot."""
        slot = entry[1]
        bound = self._bounds.get(slot)
        if bound is None or entry < bound:
            self._bounds[slot] = entry
            if slot not in self._held:
                heappush(self._heads, entry)
                if len(self._heads) > 2 * len(self._bounds) + HEADS_KEPT:
                    self._begin_heads()

    def _begin_heads(self) -> None:
        self._heads[:] = [entry for slot, entry in self._bounds.items() if slot not in self._held]
        heapify(self._heads)

    def _go_on(self, bound: Entry) -> None:
        """A slot's bound is no current deadline: look for the first one behind it."""
        deadline_ms, slot, key = bound
        prefix = self._engine.due_prefix(slot)
        stale: list[bytes] = []
        del self._bounds[slot]
        for name, _ in self._engine.walk(prefix, _DUE.pack(deadline_ms) + key, None):
            entry = _DUE.unpack_from(name)[0], slot, name[_DUE.size :]
            if self.is_current(*entry):
                self._consider(entry)
                break
            stale.append(name)
        for name in stale:
            self._engine.active.put(prefix, name, None)
