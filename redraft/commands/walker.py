"""Goes through slots that move and copies what is there, a bounded piece at a time, while commands go on.

Every key and member that is there from the walker's beginning to its end is given once at least; of what is
written meanwhile the tracker knows.  A slot is followed by the tracker from the moment the walker begins with
it: what was written before the walker finds itself.

No step takes long, whatever there is to read; but the keys of a slot in memory are listed at once, which
takes 1 ms for each 100,000 of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from redraft.commands.keyspace import Keyspace
from redraft.commands.staging import Operation
from redraft.commands.tracker import Budget, Tracker, members_from
from redraft.engine.hash import HashEngine
from redraft.engine.interface import Durable, is_durable, position
from redraft.engine.overlay import place
from redraft.engine.record import collection_id

AHEAD_MIN: Final = 16
AHEAD_MAX: Final = 500
"""Keys read at once from an engine on disk; those that are not given in the same step are read again."""


class Walker:
    """One walk through the slots of a move."""

    __slots__ = (
        "_ahead", "_coming", "_going_on", "_keys", "_keyspace", "_low", "_slot", "_slots", "_stored",
        "_tracker",
    )  # fmt: skip

    def __init__(self, keyspace: Keyspace, tracker: Tracker, slots: Iterable[int]) -> None:
        self._keyspace = keyspace
        self._stored: Durable | None = keyspace.engine if is_durable(keyspace.engine) else None
        self._tracker = tracker
        self._slots = sorted(slots, reverse=True)
        """Not begun."""
        self._slot = -1
        self._keys: list[bytes] = []
        """Of the slot, not looked at yet; an engine in memory tells all at once."""
        self._low: bytes | None = None
        """Where to go on in the slot, on an engine on disk."""
        self._coming: list[tuple[bytes, bytes]] = []
        """Keys that were read there, with their records, for as long as a step."""
        self._ahead = AHEAD_MAX
        self._going_on: tuple[bytes, int, bytes] | None = None
        """(key, id, name): a collection that is read, and from which name on."""

    @property
    def finished(self) -> bool:
        """Whether all was given."""
        return not (self._slots or self._keys or self._coming or self._going_on or self._low is not None)

    def step(self, keys_max: int, bytes_max: int) -> list[Operation]:
        """Return operations for the next keys and members; there may be none although it is not finished.

        At most so many keys and members, of about so many bytes.
        """
        self._tracker.giving()
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
            elif self._low is not None:
                self._read(self._low, budget)
            else:
                self._begin(self._slots.pop())
                budget.take(0)
        self._rest()
        return operations

    def _begin(self, slot: int) -> None:
        self._slot = slot
        self._tracker.follow(slot)
        engine = self._keyspace.engine
        if not engine.slot_size(slot):
            return
        if self._stored is not None:
            self._low = b""
        else:
            assert isinstance(engine, HashEngine)
            self._keys = list(engine.tables[slot] or ())

    def _read(self, low: bytes, budget: Budget) -> None:
        assert self._stored is not None
        keys_max = min(self._ahead, budget.keys)
        self._coming, self._low = self._stored.records(self._slot, low, keys_max, budget.bytes)
        self._coming.reverse()
        if not self._coming:
            budget.end()

    def _rest(self) -> None:
        """What was read may be written before the next step: it is read again then."""
        if self._coming:
            key = self._coming[-1][0]
            self._low = place(position(key)) + key
            self._coming = []
            self._ahead = max(AHEAD_MIN, self._ahead // 2)
        else:
            self._ahead = min(AHEAD_MAX, 2 * self._ahead)

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
        _, following = members_from(engine.members(self._slot, number), low, operations, budget)
        if following is not None:
            self._going_on = key, number, following
