"""Goes through slots that move and copies what is there, a bounded piece at a time, while commands go on.

Every key and member that is there from the walker's beginning to its end is given once at least; of what is
written meanwhile the tracker knows.  A slot is followed by the tracker from the moment the walker begins with
it: what was written before the walker finds itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

from redraft.commands.keyspace import Keyspace
from redraft.commands.staging import Operation
from redraft.commands.tracker import MEMBERS_AT_ONCE, Budget, Tracker, members_from
from redraft.engine.hash import HashEngine
from redraft.engine.interface import POSITION_END, Durable, position
from redraft.engine.record import collection_id, collection_size

RECORDS_AT_ONCE: Final = 256
"""Keys that are read at once from an engine on disk."""


class Walker:
    """One walk through the slots of a move."""

    __slots__ = ("_coming", "_going_on", "_keys", "_keyspace", "_position", "_slot", "_slots", "_tracker")

    def __init__(self, keyspace: Keyspace, tracker: Tracker, slots: Iterable[int]) -> None:
        self._keyspace = keyspace
        self._tracker = tracker
        self._slots = sorted(slots, reverse=True)
        """Not begun."""
        self._slot = -1
        self._keys: list[bytes] = []
        """Of the slot, not looked at yet; an engine in memory tells all at once."""
        self._coming: list[tuple[bytes, bytes]] = []
        """Likewise with records, of an engine on disk, in which it goes on at `_position`; for a step."""
        self._position = POSITION_END
        self._going_on: tuple[bytes, int, bytes] | None = None
        """(key, id, name): a collection that is read, and from which name on."""

    @property
    def finished(self) -> bool:
        """Whether all was given."""
        return not (
            self._slots or self._keys or self._coming or self._going_on or self._position != POSITION_END
        )

    def step(self, keys_max: int, bytes_max: int) -> list[Operation]:
        """Return operations for the next keys and members; there may be none although it is not finished."""
        budget = Budget(keys_max, bytes_max)
        operations: list[Operation] = []
        while not budget.spent and not self.finished:
            if self._going_on is not None:
                self._go_on(operations, budget)
            elif self._coming:
                self._give(*self._coming.pop(), operations, budget)
            elif self._keys:
                key = self._keys.pop()
                record = self._keyspace.engine.get(self._slot, key)
                if record is not None:
                    self._give(key, record, operations, budget)
            elif self._position != POSITION_END:
                self._read(budget)
            else:
                self._begin(self._slots.pop())
        if self._coming:  # they may be written before the next step: they are read again then
            self._position = position(self._coming[-1][0])
            self._coming = []
        return operations

    def _begin(self, slot: int) -> None:
        self._slot = slot
        self._tracker.follow(slot)
        engine = self._keyspace.engine
        if not engine.slot_size(slot):
            return
        if isinstance(engine, HashEngine):
            self._keys = list(engine.tables[slot] or ())
        elif engine.on_disk:
            self._position = 0
        else:
            self._keys = [key for key, _ in engine.items(slot)]

    def _read(self, budget: Budget) -> None:
        engine = cast("Durable", self._keyspace.engine)
        keys_max = min(RECORDS_AT_ONCE, budget.keys)
        found, self._position = engine.records(self._slot, self._position, keys_max, budget.bytes)
        found.reverse()
        self._coming = found

    def _give(self, key: bytes, record: bytes, operations: list[Operation], budget: Budget) -> None:
        operations.append(("k", self._slot, key, record))
        budget.take(len(key) + len(record))
        number = collection_id(record)
        if number:
            self._going_on = key, number, b""

    def _go_on(self, operations: list[Operation], budget: Budget) -> None:
        """Read on in a collection, if it still is that key's: else the tracker knows what became of it."""
        assert self._going_on is not None
        key, number, low = self._going_on
        self._going_on = None
        engine = self._keyspace.engine
        record = engine.get(self._slot, key)
        if record is None or collection_id(record) != number:
            return
        size, members_bytes = collection_size(record)
        each = members_bytes // max(size, 1) + 1
        at_once = max(1, min(MEMBERS_AT_ONCE, budget.bytes // each + 1))
        following = members_from(engine.members(self._slot, number), low, operations, budget, at_once)
        if following is not None:
            self._going_on = key, number, following
