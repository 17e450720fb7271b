"""The state of an engine in memory at one moment, read in pieces while the engine goes on being written.

Nothing is copied when the capture begins.  The engine tells it before it changes what was not read yet: a
small slot, or a small collection, is then copied whole; of a large one what is about to be replaced is kept.
So a write costs one look at a byte, and a capture never holds anything up.

Slots come first, then collections.  A slot that is not read yet is known by `pending`, a collection by its
epoch, which is older than the engine's.

Always true: what `take` gives, together, is every key, record and member that the engine held when the
capture began, each once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from redraft.engine.members import MemoryMembers

WHOLE_KEYS_MAX: Final = 512
"""A slot with more keys is read in pieces; listing the keys of 1,000,000 takes 12 ms all the same."""

Collections = dict[int, MemoryMembers]
"""Of one slot, by id."""


class Run(msgspec.Struct, frozen=True, gc=False):
    """Some keys of one slot and their records; with an id, some names and values of that collection."""

    slot: int
    keys: Sequence[bytes]
    records: Sequence[bytes]
    id: int = 0


class Before:
    """What a large slot or collection held that was changed since, and not read before."""

    __slots__ = ("gone", "values")

    def __init__(self) -> None:
        self.values: dict[bytes, bytes | None] = {}
        """By key; None where there was none."""
        self.gone: set[bytes] = set()
        """Of them, those that were there and were deleted, or may have been."""

    def note(self, key: bytes, value: bytes | None) -> None:
        """A key that has this value is about to be written."""
        if key not in self.values:
            self.values[key] = value
            if value is not None:
                self.gone.add(key)


class Capture:
    """Made by `HashEngine.capture`; one at a time.  What nobody needs any more is put into `garbage`."""

    __slots__ = (
        "_before", "_collections", "_copies", "_cursor", "_disowned", "_dropped", "_epoch", "_garbage",
        "_ids", "_keys", "_members", "_members_before", "_places", "_reading", "_slot", "_tables", "_unread",
        "_whole_keys_max", "pending",
    )  # fmt: skip

    def __init__(
        self,
        tables: Sequence[dict[bytes, bytes] | None],
        collections: Sequence[Collections | None],
        epoch: int,
        garbage: deque[Any],
        whole_keys_max: int = WHOLE_KEYS_MAX,
    ) -> None:
        self._whole_keys_max = whole_keys_max
        self._garbage = garbage
        self._copies: deque[tuple[int, dict[bytes, bytes], int]] = deque()
        """Slot, records by key, id: copied, and not taken yet.

        Thousands may wait, with all keys of a group between them.  The garbage collector does not look into
        a dict of bytes; lists of them were pauses of 15 to 30 ms.
        """
        # slots
        self._tables = list(tables)
        self.pending = bytearray(1 if table else 0 for table in tables)
        """1 for each slot that has to be told of (`keep`) before it changes."""
        self._unread = bytearray(self.pending)
        self._before: dict[int, dict[bytes, bytes | None]] = {}  # of large slots: what was there at first
        self._slot = -1  # the large slot that is being read
        self._keys: list[bytes] = []  # of it, not taken yet
        # collections
        self._epoch = epoch
        self._collections = list(collections)
        self._places: list[int] | None = None  # slots with collections to read, once all keys are through
        self._reading: Collections | None = None  # of the slot that is being read
        self._ids: list[int] = []  # of those, not read yet
        self._disowned: set[int] = set()  # slots whose collections the engine dropped all at once
        self._dropped: dict[MemoryMembers, None] = {}  # by the engine one by one, before they were read
        self._members: MemoryMembers | None = None  # the large collection that is being read
        self._cursor: bytes | None = None  # the last name of it that was read
        self._members_before: dict[MemoryMembers, Before] = {}

    def take(self, keys_max: int) -> list[Run]:
        """Return some runs, of about `keys_max` keys together; none when all were taken."""
        taken: list[Run] = []
        left = keys_max
        while left > 0 and (run := self._next(left)) is not None:
            taken.append(run)
            left -= len(run.keys) + 1
        return taken

    def close(self) -> None:
        """Let go of what the engine dropped meanwhile, whether it was read or not."""
        self._garbage.extend(self._dropped)
        self._garbage.extend(filter(None, (self._collections[slot] for slot in self._disowned)))
        for slot, table in enumerate(self._tables):
            if table and self._unread[slot] and not self.pending[slot]:
                self._garbage.append(table)

    def _next(self, keys_max: int) -> Run | None:
        if self._copies:
            return self._take_copy()
        if self._keys:
            return self._read_on(keys_max)
        slot = self._unread.find(1)
        if slot < 0:
            return self._next_members(keys_max)
        table = self._tables[slot]
        assert table is not None
        if slot not in self._before and len(table) <= self._whole_keys_max:
            self._copy(slot, table)
            return self._take_copy()
        self._open(slot)
        return self._read_on(keys_max)

    # ---- slots ----

    def keep(self, slot: int, key: bytes) -> None:
        """`key` of a pending slot is about to be written."""
        table = self._tables[slot]
        assert table is not None
        before = self._before.get(slot)
        if before is None:
            if len(table) <= self._whole_keys_max:
                self._copy(slot, table)
                return
            before = self._before[slot] = {}
        if key not in before:
            before[key] = table.get(key)

    def keep_slot(self, slot: int) -> None:
        """The engine drops a pending slot's dict: it is the capture's alone from now on, and won't change."""
        self.pending[slot] = 0

    def _copy(self, slot: int, table: dict[bytes, bytes]) -> None:
        self._done(slot)
        self._copies.append((slot, table.copy(), 0))

    def _take_copy(self) -> Run:
        slot, records, number = self._copies.popleft()
        return Run(slot, list(records), list(records.values()), number)

    def _open(self, slot: int) -> None:
        """Begin to read a large slot: its keys as they were."""
        table = self._tables[slot]
        assert table is not None
        keys = list(table)
        before = self._before.get(slot)
        if before:
            keys += [key for key, record in before.items() if record is not None and key not in table]
        self._slot, self._keys = slot, keys

    def _read_on(self, keys_max: int) -> Run:
        """Read on in the open slot, from the end of its keys, so that the list shrinks as it goes."""
        slot, keys = self._slot, self._keys
        table, before = self._tables[slot], self._before.get(slot)
        assert table is not None
        chunk = keys[-keys_max:]
        del keys[-keys_max:]
        if not keys:
            self._done(slot)
        if not before:
            return Run(slot, chunk, [table[key] for key in chunk])
        found = [(key, before[key] if key in before else table[key]) for key in chunk]
        pairs = [(key, record) for key, record in found if record is not None]
        return Run(slot, [key for key, _ in pairs], [record for _, record in pairs])

    def _done(self, slot: int) -> None:
        if not self.pending[slot]:  # the engine dropped it: nobody else will
            self._garbage.append(self._tables[slot])
        self.pending[slot] = self._unread[slot] = 0
        self._tables[slot] = None
        self._before.pop(slot, None)

    # ---- collections ----

    def keep_member(self, members: MemoryMembers, name: bytes) -> None:
        """A member of a collection that was not read yet is about to be written."""
        before = self._members_before.get(members)
        if before is None:
            if len(members) <= self._whole_keys_max and members is not self._members:
                self._copy_members(members)
                return
            before = self._members_before[members] = Before()
        if members is not self._members or self._cursor is None or name > self._cursor:
            before.note(name, members.values.get(name))

    def keep_collection(self, members: MemoryMembers) -> None:
        """The engine drops a collection that was not read yet: it is the capture's, and won't change."""
        self._dropped[members] = None

    def keep_collections(self, slot: int, collections: Collections) -> bool:
        """The engine drops all of a slot at once; True when they are now the capture's alone."""
        if self._collections[slot] is not collections:
            return False  # made since, or read
        self._disowned.add(slot)
        return True

    def keep_whole(self, members: MemoryMembers) -> None:
        """A collection that was not read to its end gets another id: what is left is copied here and now."""
        cursor = None
        if members is self._members:
            cursor, self._members = self._cursor, None
        rest = self._read_members(members, cursor, len(members) + 1)[0]
        self._copies.append((rest.slot, dict(zip(rest.keys, rest.records, strict=True)), rest.id))

    def _next_members(self, keys_max: int) -> Run | None:
        if self._members is not None:
            return self._read_on_members(keys_max)
        members = self._next_unread()
        if members is None:
            return None
        if members not in self._members_before and len(members) <= self._whole_keys_max:
            self._copy_members(members)
            return self._take_copy()
        self._members, self._cursor = members, None
        return self._read_on_members(keys_max)

    def _next_unread(self) -> MemoryMembers | None:
        """Slot by slot; then those that were dropped one by one."""
        while True:
            while self._reading is not None and self._ids:
                members = self._reading.get(self._ids.pop())
                if members is not None and members.epoch != self._epoch:  # else made, or copied, since
                    return members
            if self._places is None:
                self._places = [slot for slot, some in enumerate(self._collections) if some]
            elif self._reading is not None:
                self._close_place(self._places.pop())
            if not self._places:
                return next(iter(self._dropped), None)
            self._reading = found = self._collections[self._places[-1]]
            self._ids = list(found or ())

    def _close_place(self, slot: int) -> None:
        if slot in self._disowned:  # nobody else will
            self._disowned.remove(slot)
            self._garbage.append(self._reading)
        self._collections[slot] = self._reading = None

    def _copy_members(self, members: MemoryMembers) -> None:
        self._copies.append((members.slot, members.values.copy(), members.id))
        self._done_members(members)

    def _read_on_members(self, keys_max: int) -> Run:
        """Read on in the open collection."""
        assert self._members is not None
        run, self._cursor = self._read_members(self._members, self._cursor, keys_max)
        if self._cursor is None:
            self._members = None
        return run

    def _read_members(
        self, members: MemoryMembers, cursor: bytes | None, keys_max: int
    ) -> tuple[Run, bytes | None]:
        """Read a collection from the name after the last one; also return its last name, None at the end."""
        values, before = members.values, self._members_before.get(members)
        names = members.after(cursor, keys_max)
        last = names[-1] if len(names) == keys_max else None
        if before is not None and before.gone:
            gone = [name for name in before.gone if last is None or name <= last]
            before.gone.difference_update(gone)
            names += [name for name in gone if name not in values]
        slot, number = members.slot, members.id
        if last is None:
            self._done_members(members)
        if before is None:
            return Run(slot, names, [values[name] for name in names], number), last
        kept = before.values
        found = [(name, kept[name] if name in kept else values[name]) for name in names]
        pairs = [(name, value) for name, value in found if value is not None]
        return Run(slot, [name for name, _ in pairs], [value for _, value in pairs], number), last

    def _done_members(self, members: MemoryMembers) -> None:
        members.epoch = self._epoch
        self._members_before.pop(members, None)
        if members in self._dropped:
            del self._dropped[members]
            self._garbage.append(members)
