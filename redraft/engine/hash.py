"""The engine in memory: one dict per slot, one per collection; collections stand by slot, too.

Durability is the log's (and the snapshots'): after a restart the engine starts empty and the
entries are applied again.  A dict is made when its slot's first key comes.  The order of a slot is
made when a scan asks for it: for a small slot each time, for a big one it is kept as long as scans
of the slot are under way.

What is deleted in one go, a slot or a collection, is only unhooked, and freed a bit at a time (`tend`): to
free 1,000,000 members takes longer than anybody should wait.

`tables`, `orders` and `pending` are open to the executor's inner loop (`redraft.commands.execute`), which
writes the tables directly; whoever adds or removes a key of a slot in `orders` has to tell its order, and
whoever writes a key of a slot in `pending` has to tell the capture (`keep`) before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from sortedcontainers import SortedList

from redraft.engine.capture import Capture, Collections
from redraft.engine.deadlines import Deadlines
from redraft.engine.interface import POSITION_END, position
from redraft.engine.members import MemoryMembers
from redraft.engine.ordered import UNORDERED_MAX
from redraft.topology.slots import SLOTS

ORDER_KEPT_KEYS_MIN: Final = 512
"""Slots with fewer keys are sorted for each scan."""

FREED_AT_ONCE: Final = 5000
"""Keys or members freed by one `tend`: about 1 ms."""


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

    __slots__ = (
        "_capture",
        "_garbage",
        "collections",
        "epoch",
        "last_applied",
        "orders",
        "pending",
        "tables",
    )

    on_disk = False
    is_full = False
    dirty_bytes = 0

    def __init__(self) -> None:
        self._capture: Capture | None = None
        self._garbage: deque[Any] = deque()
        self.collections: list[Collections | None] = [None] * SLOTS
        """By slot."""
        self.epoch = 0
        """Of captures: collections of an older one have to be shown to the capture before they change."""
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

    def replace(self, slot: int, key: bytes, record: bytes) -> None:
        """See `Engine.replace`."""
        table = self.tables[slot]
        assert table is not None
        assert key in table
        if self.pending[slot]:
            self.keep(slot, key)
        table[key] = record

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

    def delete_slots(
        self,
        slots: Iterable[int],
        *,
        even_if_empty: bool = False,  # noqa: ARG002 - costs nothing
    ) -> None:
        """See `Engine.delete_slots`."""
        tables, pending, garbage, capture = self.tables, self.pending, self._garbage, self._capture
        for slot in slots:
            if pending[slot]:
                assert capture is not None
                capture.keep_slot(slot)
            elif tables[slot]:
                garbage.append(tables[slot])
            tables[slot] = None
            collections = self.collections[slot]
            if collections is not None:
                if capture is None or not capture.keep_collections(slot, collections):
                    garbage.append(collections)
                self.collections[slot] = None
            if self.orders:
                self.orders.pop(slot, None)

    # ---- collections ----

    def members(self, slot: int, number: int) -> MemoryMembers:
        """See `Engine.members`."""
        collections = self.collections[slot]
        if collections is None:
            collections = self.collections[slot] = {}
        found = collections.get(number)
        if found is None:
            found = collections[number] = MemoryMembers(self, slot, number, self.epoch)
        return found

    def _unhooked(self, slot: int, number: int) -> MemoryMembers | None:
        """Take a collection out, if there is one."""
        collections = self.collections[slot]
        return collections.pop(number, None) if collections is not None else None

    def drop_members(self, slot: int, number: int) -> None:
        """See `Engine.drop_members`."""
        members = self._unhooked(slot, number)
        if members is None:
            return
        if self._capture is not None and members.epoch != self.epoch:
            self._capture.keep_collection(members)
        else:
            self._garbage.append(members)

    def move_members(self, slot: int, number: int, to_slot: int, to_number: int) -> None:
        """See `Engine.move_members`."""
        members = self._unhooked(slot, number)
        if members is None:
            return
        if self._capture is not None and members.epoch != self.epoch:
            self._capture.keep_whole(members)
        members.slot, members.id, members.epoch = to_slot, to_number, self.epoch
        collections = self.collections[to_slot]
        if collections is None:
            collections = self.collections[to_slot] = {}
        collections[to_number] = members

    def load_members(self, slot: int, number: int, names: Sequence[bytes], values: Sequence[bytes]) -> None:
        """See `Engine.load_members`."""
        self.members(slot, number).values.update(zip(names, values, strict=True))

    def keep_member(self, members: MemoryMembers, name: bytes) -> None:
        """A member of a collection of an older epoch is about to be written."""
        if self._capture is not None:
            self._capture.keep_member(members, name)
        else:
            members.epoch = self.epoch

    def tend(self) -> bool:
        """See `Engine.tend`."""
        garbage, left = self._garbage, FREED_AT_ONCE
        while garbage and left > 0:
            thing = garbage.popleft()
            if isinstance(thing, MemoryMembers):
                left -= thing.free(left) + 1
            else:
                left -= _free(thing, left, garbage) + 1
            if len(thing):
                garbage.appendleft(thing)
        return bool(garbage)

    # ---- batches and captures ----

    def commit(self, last_applied: int) -> None:
        """See `Engine.commit`; in memory there is nothing to do but to remember."""
        self.last_applied = last_applied

    def capture(self) -> Capture:
        """See `Engine.capture`."""
        assert self._capture is None, "one capture at a time"
        self.epoch += 1
        capture = self._capture = self.new_capture()
        self.pending = capture.pending
        return capture

    def new_capture(self) -> Capture:
        """Make the capture; what else could be captured otherwise overrides this."""
        return Capture(self.tables, self.collections, self.epoch, self._garbage)

    def release(self) -> None:
        """See `Engine.release`."""
        if self._capture is not None:
            self._capture.close()
        self._capture, self.pending = None, _NOTHING

    def keep(self, slot: int, key: bytes) -> None:
        """Tell the capture that a key of a pending slot is about to be written."""
        assert self._capture is not None
        self._capture.keep(slot, key)

    def settle(self) -> None:
        """See `Engine.settle`."""

    def deadlines(self, is_current: Callable[[int, int, bytes], bool]) -> Deadlines:
        """See `Engine.deadlines`."""
        return Deadlines(is_current)

    def close(self) -> None:
        """See `Engine.close`."""
        self.tables = [None] * SLOTS
        self.collections = [None] * SLOTS
        self.orders = {}


def _free(table: dict[Any, Any], limit: int, garbage: deque[Any]) -> int:
    """Let go of some keys of a dict, and of the small collections among its values; how many of both."""
    freed = 0
    while table and freed < limit:
        _key, value = table.popitem()
        freed += 1
        if isinstance(value, MemoryMembers):
            if len(value) > UNORDERED_MAX:
                garbage.append(value)
            else:
                freed += len(value)
    return freed
