"""The engine in memory: one dict per slot.

Durability is the log's (and the snapshots'): after a restart the engine starts empty and the
entries are applied again.  A dict is made when its slot's first key comes.  The order of a slot is
made when a scan asks for it: for a small slot each time, for a big one it is kept as long as scans
of the slot are under way.

`tables`, `orders` and `pending` are open to the executor's inner loop (`redraft.commands.execute`), which
writes the tables directly; whoever adds or removes a key of a slot in `orders` has to tell its order, and
whoever writes a key of a slot in `pending` has to tell the capture (`keep`) before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from sortedcontainers import SortedList

from redraft.engine.capture import Capture
from redraft.engine.interface import POSITION_END, position
from redraft.topology.slots import SLOTS

ORDER_KEPT_KEYS_MIN: Final = 512
"""Slots with fewer keys are sorted for each scan."""


class Order:
    """The keys of one slot in order, kept up to date while scans need it."""

    __slots__ = ("_entries",)

    def __init__(self, keys: Iterator[bytes]) -> None:
        self._entries: SortedList[tuple[int, bytes]] = SortedList((position(key), key) for key in keys)

    def add(self, key: bytes) -> None:
        """Take in a key that is new in the slot."""
        self._entries.add((position(key), key))

    def discard(self, key: bytes) -> None:
        """Leave out a key that was deleted."""
        self._entries.discard((position(key), key))

    def take(self, start: int, limit: int) -> tuple[list[bytes], int]:
        """Do what `Engine.scan` promises."""
        entries = self._entries
        low = entries.bisect_left((start, b""))
        high = low + limit
        if high < len(entries):
            high = entries.bisect_left((entries[high - 1][0] + 1, b""))
        taken = [key for _, key in entries.islice(low, high)]
        return taken, entries[high][0] if high < len(entries) else POSITION_END


_NOTHING: Final = bytearray(SLOTS)


class HashEngine:
    """Implements `Engine` with a dict per slot."""

    __slots__ = ("_capture", "last_applied", "orders", "pending", "tables")

    def __init__(self) -> None:
        self._capture: Capture | None = None
        self.pending = _NOTHING
        self.tables: list[dict[bytes, bytes] | None] = [None] * SLOTS
        self.orders: dict[int, Order] = {}
        self.last_applied = 0

    def get(self, slot: int, key: bytes) -> bytes | None:
        """See `Engine.get`."""
        table = self.tables[slot]
        return table.get(key) if table is not None else None

    def put(self, slot: int, key: bytes, record: bytes) -> bytes | None:
        """See `Engine.put`."""
        table = self.tables[slot]
        if table is None:
            table = self.tables[slot] = {}
        if self.pending[slot]:
            self.keep(slot, key)
        old = table.get(key)
        table[key] = record
        if old is None and slot in self.orders:
            self.orders[slot].add(key)
        return old

    def delete(self, slot: int, key: bytes) -> bytes | None:
        """See `Engine.delete`."""
        table = self.tables[slot]
        if table is None:
            return None
        if self.pending[slot]:
            self.keep(slot, key)
        old = table.pop(key, None)
        if old is not None and slot in self.orders:
            self.orders[slot].discard(key)
        return old

    def slot_size(self, slot: int) -> int:
        """See `Engine.slot_size`."""
        return len(self.tables[slot] or ())

    def scan(self, slot: int, start: int, limit: int) -> tuple[list[bytes], int]:
        """See `Engine.scan`."""
        assert limit > 0
        table = self.tables[slot]
        if not table:
            return [], POSITION_END
        order = self.orders.get(slot)
        if order is None:
            order = Order(iter(table))
            if len(table) >= ORDER_KEPT_KEYS_MIN:
                self.orders[slot] = order
        keys, following = order.take(start, limit)
        if following == POSITION_END:
            self.orders.pop(slot, None)
        return keys, following

    def items(self, slot: int) -> Iterator[tuple[bytes, bytes]]:
        """See `Engine.items`."""
        return iter((self.tables[slot] or {}).items())

    def load(self, slot: int, keys: Sequence[bytes], records: Sequence[bytes]) -> None:
        """See `Engine.load`."""
        assert not self.pending[slot]
        table = self.tables[slot]
        if table is None:
            table = self.tables[slot] = {}
        table.update(zip(keys, records, strict=True))

    def delete_slot(self, slot: int) -> None:
        """See `Engine.delete_slot`."""
        if self.pending[slot]:
            assert self._capture is not None
            self._capture.keep_slot(slot)
        self.tables[slot] = None
        self.orders.pop(slot, None)

    def commit(self, last_applied: int) -> None:
        """See `Engine.commit`; in memory there is nothing to do but to remember."""
        self.last_applied = last_applied

    def capture(self) -> Capture:
        """See `Engine.capture`."""
        assert self._capture is None, "one capture at a time"
        capture = self._capture = self.new_capture()
        self.pending = capture.pending
        return capture

    def new_capture(self) -> Capture:
        """Make the capture; what else could be captured otherwise overrides this."""
        return Capture(self.tables)

    def release(self) -> None:
        """See `Engine.release`."""
        self._capture, self.pending = None, _NOTHING

    def keep(self, slot: int, key: bytes) -> None:
        """Tell the capture that a key of a pending slot is about to be written."""
        assert self._capture is not None
        self._capture.keep(slot, key)

    def close(self) -> None:
        """See `Engine.close`."""
        self.tables = [None] * SLOTS
        self.orders = {}
