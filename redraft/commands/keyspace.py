"""The keys of one group on one node, as commands see them: with expiry, undo, counts, and the slots it owns.

Invariants:

- `key_count`, `expiring_count` and `data_bytes` (keys, records, members) are those of what the engine holds.
- Every expiring record's deadline stands in the deadlines' heap.
- `journal` holds what the command under way has replaced, `dropped` the collections that no record names any
  more; both are empty between commands.
- The members that the engine holds are those of the collections that its records name.
- `slots` are owned, ascending.  What a move brings before it is accepted (`redraft.commands.ownership`) is
  in `data_bytes` and in no other count, and nobody is shown it.
- `modified` has, by slot, the index of the last entry that changed something there, 0 for none (WATCH);
  it is empty before the first write.  It is state, and in snapshots.  `index` is the entry being applied,
  or the last one.

Expiry is a logged event (docs/guarantees.md, "Time").  While an entry is applied
(`writing`), a key whose deadline is not after the entry's clock is gone and is removed when met.  A
read removes nothing: a read that meets such a key raises `ExpiredKeyError` and is to be tried again
once an entry has removed it.  The keyspace never looks at a clock: `now_ms` is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Protocol

from redraft.commands.ownership import Ownership
from redraft.engine.interface import Engine
from redraft.engine.record import (
    BODY_AT,
    EXPIRING,
    STRING,
    collection_id,
    collection_size,
    deadline_of,
    weight,
    with_id,
)
from redraft.topology.slots import SLOTS

KEY_BYTES: Final = 136
"""What a key costs besides its bytes and its record's: two bytes objects, a dict's entry (measured)."""

COPIED_AT_ONCE: Final = 1000
"""Members of a collection that is copied."""

DEADLINE_BYTES: Final = 80
"""What a deadline costs besides the bytes in the record: its entry in the heap (measured)."""


KEYLESS: Final = (-1, -2)
"""In place of a slot: a request has no key that is found at once; its keys have several."""

Counts = tuple[int, int, int]
"""(key_count, expiring_count, data_bytes)"""


class ExpiredKeyError(Exception):
    """A read met a key past its deadline: an entry has to remove it, then the read may be tried again.

    The second try takes the clock of the first, or that of the entry: not a later one, or it might
    never end.
    """

    def __init__(self, deadline_ms: int) -> None:
        super().__init__(f"a key expired at {deadline_ms}")
        self.deadline_ms = deadline_ms


Journal = list[tuple[Any, bytes, bytes | None]]
"""(slot, key, record before) or (members, name, value before), in the order of the writes."""


class Follower(Protocol):
    """Is told of all that changes, while a move copies slots: `redraft.commands.tracker`."""

    def note(self, journal: Journal) -> None:
        """These keys and members were written."""

    def key(self, slot: int, key: bytes) -> None:
        """A key was deleted."""

    def collection(self, slot: int, number: int, size: int) -> None:
        """All of a collection is new; it has so many members."""

    def dropped(self, slot: int, number: int) -> None:
        """A collection is gone."""

    def emptied(self, slot: int) -> None:
        """All keys of a slot are gone."""


class Keyspace:
    """Keys and records of the slots one group owns, over an engine."""

    __slots__ = (
        "collections_made", "data_bytes", "deadlines", "digest_wanted", "dropped", "engine", "expiring_count",
        "foreign", "guarded", "index", "journal", "key_count", "modified", "now_ms", "opened", "ownership",
        "slots", "staged", "tracker", "writing",
    )  # fmt: skip

    def __init__(self, engine: Engine, slots: Iterable[int], counts: Counts | None = None) -> None:
        """Count what the engine holds, unless the counts are known."""
        self.engine = engine
        self.slots: Sequence[int] = sorted(slots)
        self.ownership: Ownership | None = None
        """Changed by `own` only; None: the group never took part in a move."""
        self.foreign: frozenset[int] | None = None
        """Slots on which nothing may be executed; None as above: nobody asks for others than its own."""
        self.guarded: frozenset[int] | None = None
        """Those, and what requests have in place of a slot that have to be looked at (`KEYLESS`)."""
        self.staged: frozenset[int] = frozenset()
        """Slots that are being filled by a move."""
        self.tracker: Follower | None = None
        self.now_ms = 0
        self.writing = False
        self.index = 0
        self.digest_wanted = False
        """The last entry asked for a digest of the state: nothing is applied before that is begun."""
        self.modified: list[int] = []
        self.collections_made = 0
        """So far, in this group: the last id given."""
        self.journal: Journal = []
        self.dropped: list[tuple[int, int]] = []
        """(slot, id) of collections whose record was replaced or deleted."""
        self.opened: dict[bytes, Any] = {}
        """Collections by key, as commands see them (`redraft.commands.collection`): to be opened again."""
        self.deadlines = engine.deadlines(self._is_current)
        if counts is None:
            self._count()
        else:
            self.key_count, self.expiring_count, self.data_bytes = counts
        if not self.slots:  # of a group that was made later: all it serves will have come by moves
            self.own(Ownership(()))

    @property
    def counts(self) -> Counts:
        """What is counted, to be given to the next keyspace of the same engine."""
        return self.key_count, self.expiring_count, self.data_bytes

    @property
    def used_bytes(self) -> int:
        """An estimate of the memory that the keys take; on disk they take none."""
        if self.engine.on_disk:
            return self.engine.dirty_bytes
        return self.data_bytes + self.key_count * KEY_BYTES + self.expiring_count * DEADLINE_BYTES

    # ---- slots ----

    def own(self, ownership: Ownership) -> None:
        """The group's part in moves of slots is this from now on."""
        self.ownership = ownership
        self.slots = ownership.owned
        self.foreign = ownership.foreign
        self.guarded = self.foreign.union(KEYLESS)
        self.staged = ownership.staged
        self.deadlines.hold(self.staged | ownership.frozen)

    def serves(self, slot: int) -> bool:
        """Whether commands on a slot may be executed."""
        return self.foreign is None or slot not in self.foreign

    @property
    def served(self) -> Sequence[int]:
        """Owned slots that are not frozen."""
        frozen = self.ownership.frozen if self.ownership is not None else None
        return [slot for slot in self.slots if slot not in frozen] if frozen else self.slots

    def count(self, slots: Iterable[int]) -> int:
        """Return how many keys slots have."""
        return sum(map(self.engine.slot_size, slots))

    def drop_slots(self, slots: Sequence[int], known: Sequence[int] = ()) -> None:
        """Delete all keys of owned slots at once; it can't be undone.

        `known`, if it is known: how many there are, how many of them have a deadline, and the bytes of all.
        Else, or if the first number is wrong, they are counted.
        """
        size_of = self.engine.slot_size
        sizes = {slot: size for slot in slots if (size := size_of(slot))}
        filled, keys = list(sizes), sum(sizes.values())
        if not known or known[0] != keys:
            known = (keys, *self._weighed(slots, keys))
        self.mark_modified(filled)
        if self.tracker is not None:
            for slot in filled:
                self.tracker.emptied(slot)
        self.deadlines.drop(slots)
        self.engine.delete_slots(filled)
        self.opened.clear()
        self.key_count -= keys
        self.expiring_count -= known[1]
        self.data_bytes -= known[2]

    def _weighed(self, slots: Sequence[int], keys: int) -> tuple[int, int]:
        """Return how many keys of owned slots have a deadline, and the bytes of all."""
        if 2 * keys <= self.key_count:  # the fewer are looked at
            return self._weigh(slots)
        rest = set(self.slots).difference(slots)
        expiring, size = self._weigh(rest)
        return self.expiring_count - expiring, self.data_bytes - self._staged_bytes - size

    def _weigh(self, slots: Iterable[int]) -> tuple[int, int]:
        expiring = size = 0
        for slot in filter(self.engine.slot_size, slots):
            for key, record in self.engine.items(slot):
                expiring += record[0] == EXPIRING
                size += len(key) + weight(record)
        return expiring, size

    @property
    def _staged_bytes(self) -> int:
        moves = self.ownership.incoming.values() if self.ownership is not None else ()
        return sum(size for move in moves for _, size in move.counts.values())

    def mark_modified(self, slots: Iterable[int]) -> None:
        """Something was changed in these slots by the entry being applied."""
        modified, index = self.open_modified(), self.index
        for slot in slots:
            modified[slot] = index

    # ---- keys ----

    def find(self, slot: int, key: bytes) -> bytes | None:
        """Return the record of a key, None when there is none; raises ExpiredKeyError in a read."""
        record = self.engine.get(slot, key)
        if record is None or record[0] != EXPIRING:
            return record
        deadline_ms = int.from_bytes(record[1:BODY_AT], "big")
        if deadline_ms > self.now_ms:
            return record
        if not self.writing:
            raise ExpiredKeyError(deadline_ms)
        self.remove(slot, key)
        return None

    def put(self, slot: int, key: bytes, record: bytes) -> None:
        """Store a record; one whose deadline has come is a deletion."""
        if record[0] == EXPIRING:
            if int.from_bytes(record[1:BODY_AT], "big") <= self.now_ms:
                self.remove(slot, key)
            else:
                self.journal.append((slot, key, self._swap(slot, key, record)))
            return
        old = self.engine.put(slot, key, record)  # the rest is `_swap`, for records without a deadline
        self.journal.append((slot, key, old))
        if old is None:
            self.key_count += 1
            self.data_bytes += len(key) + weight(record)
        else:
            self._replaced(slot, key, old, record)

    def put_changed(self, slot: int, key: bytes, record: bytes, old: bytes, grown: int) -> None:
        """Store the record of a collection as it is now: `put`, at less cost, for the same id and deadline.

        `old` is the record it replaces, `grown` by how much it weighs more.
        """
        self.engine.replace(slot, key, record)
        self.journal.append((slot, key, old))
        self.data_bytes += grown

    def put_all(self, slots: Iterable[int], keys: Iterable[bytes], records: Iterable[bytes]) -> None:
        """Store strings without deadlines: `put` for many, at less cost for each."""
        put, note = self.engine.put, self.journal.append
        made = used = 0
        for slot, key, record in zip(slots, keys, records, strict=True):
            old = put(slot, key, record)
            note((slot, key, old))
            if old is None:
                made += 1
                used += len(key) + len(record)
            elif old[0] == STRING:
                used += len(record) - len(old)
            else:
                self._replaced(slot, key, old, record)
        self.key_count += made
        self.data_bytes += used

    def grew(self, keys: int, used: int) -> None:
        """The executor's inner loop has stored or deleted strings in the engine: count them."""
        self.key_count += keys
        self.data_bytes += used

    def remove(self, slot: int, key: bytes) -> bool:
        """Delete a key; return whether it was stored, expired or not."""
        old = self._drop(slot, key)
        if old is None:
            return False
        self.journal.append((slot, key, old))
        return True

    def open_modified(self) -> list[int]:
        """Return `modified` to be written to: an idle group has none."""
        if not self.modified:
            self.modified = [0] * SLOTS
        return self.modified

    def keep(self) -> None:
        """The command under way is done: what it has written stands."""
        if self.tracker is not None:
            self.tracker.note(self.journal)
        modified, index = self.open_modified(), self.index
        for place, _name, _old in self.journal:
            modified[place if type(place) is int else place.slot] = index
        self.journal.clear()

    def undo(self) -> None:
        """Take back what the command under way has written."""
        self.dropped.clear()
        self.opened.clear()
        for place, name, old in reversed(self.journal):
            if type(place) is not int:
                if old is None:
                    place.delete(name)
                else:
                    place.put(name, old)
            elif old is None:
                self._drop(place, name)
            else:
                self._swap(place, name, old)
        self.journal.clear()
        self.release()

    def release(self) -> None:
        """The command is done: collections that no record names any more may go."""
        for slot, number in self.dropped:
            self.engine.drop_members(slot, number)
            if self.tracker is not None:
                self.tracker.dropped(slot, number)
        self.dropped.clear()

    def clear(self, slots: Sequence[int] | None = None) -> None:
        """Delete all keys, or those of some slots: the last thing a command does, for it can't be undone."""
        self.release()
        self.drop_slots(self.served if slots is None else slots)
        self.journal.clear()

    def new_collection(self) -> int:
        """Return an id that no collection of the group has had."""
        self.collections_made += 1
        return self.collections_made

    def rename(self, slot: int, key: bytes, to_slot: int, to_key: bytes) -> None:
        """Give a stored key another name, and its collection with it; can't be undone."""
        record = self._drop(slot, key)
        assert record is not None
        self.journal.append((slot, key, record))
        number = collection_id(record)
        if number:
            self.dropped.pop()
            if to_slot != slot:  # a name in the engine is used once
                made = self.new_collection()
                self.engine.move_members(slot, number, to_slot, made)
                record = with_id(record, made)
                if self.tracker is not None:
                    self.tracker.dropped(slot, number)
                number = made
            if self.tracker is not None:
                self.tracker.collection(to_slot, number, collection_size(record)[0])
        self.put(to_slot, to_key, record)

    def copy(self, slot: int, key: bytes, to_slot: int, to_key: bytes) -> None:
        """Store a copy of a key and of its collection under another name."""
        record = self.engine.get(slot, key)
        assert record is not None
        number = collection_id(record)
        if number:
            made = self.new_collection()
            record = with_id(record, made)
            source, target = self.engine.members(slot, number), self.engine.members(to_slot, made)
            low = b""
            while found := source.range(low, limit=COPIED_AT_ONCE):
                for name, value in found:
                    target.put(name, value)
                low = found[-1][0] + b"\0"
            if self.tracker is not None:
                self.tracker.collection(to_slot, made, collection_size(record)[0])
        self.put(to_slot, to_key, record)

    def load_members(self, slot: int, number: int, names: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Store members from a snapshot; their collection's record counts them."""
        self.engine.load_members(slot, number, names, values)

    def tend(self) -> bool:
        """Do a bit of what can be done later; return whether there is more to do."""
        more = self.deadlines.tend()
        return self.engine.tend() or more

    def load(self, slot: int, keys: Sequence[bytes], records: Sequence[bytes]) -> None:
        """Store keys that are new, from a snapshot, whatever their deadlines."""
        self.engine.load(slot, keys, records)
        is_owned = slot not in self.staged
        self.key_count += len(keys) * is_owned
        self.data_bytes += sum(map(len, keys)) + sum(map(weight, records))
        expiring = [
            (int.from_bytes(record[1:BODY_AT], "big"), slot, key)
            for key, record in zip(keys, records, strict=True)
            if record[0] == EXPIRING
        ]
        if expiring:
            self.expiring_count += len(expiring) * is_owned
            self.deadlines.load(expiring)

    def settle(self) -> None:
        """See to it that no stored key is past its deadline, for commands that look at many keys."""
        first = self.deadlines.first()
        while first is not None and first[0] <= self.now_ms:
            if not self.writing:
                raise ExpiredKeyError(first[0])
            self.remove(first[1], first[2])
            first = self.deadlines.first()

    def expire_due(self, cutoff_ms: int, limit: int) -> int:
        """Delete up to `limit` keys whose deadline is not after `cutoff_ms`, the earliest first.

        Returns how many; for an entry that says so, never while a command runs.
        """
        assert not self.journal
        removed = 0
        modified = self.open_modified()
        while removed < limit:
            first = self.deadlines.first()
            if first is None or first[0] > cutoff_ms:
                break
            self._drop(first[1], first[2])
            if self.tracker is not None:
                self.tracker.key(first[1], first[2])
            modified[first[1]] = self.index
            removed += 1
        self.release()
        return removed

    def next_deadline_ms(self) -> int | None:
        """Return the earliest deadline of a stored key, None when no key expires."""
        first = self.deadlines.first()
        return first[0] if first is not None else None

    def occupied(self) -> Iterator[tuple[int, int]]:
        """Return owned slots that have keys, ascending, with the number of their keys."""
        size = self.engine.slot_size
        return ((slot, count) for slot in self.slots if (count := size(slot)))

    def _swap(self, slot: int, key: bytes, record: bytes) -> bytes | None:
        old = self.engine.put(slot, key, record)
        if old is None:
            self.key_count += 1
            self.data_bytes += len(key) + weight(record)
        else:
            self._replaced(slot, key, old, record)
        if record[0] == EXPIRING:
            self.expiring_count += 1
            deadline_ms = deadline_of(record)
            assert deadline_ms is not None
            self.deadlines.add(deadline_ms, slot, key)
        return old

    def _drop(self, slot: int, key: bytes) -> bytes | None:
        old = self.engine.delete(slot, key)
        if old is not None:
            self.key_count -= 1
            self.data_bytes -= len(key) + weight(old)
            if old[0] == EXPIRING:
                self._forget_deadline(slot, key, old)
            number = collection_id(old)
            if number:
                self.dropped.append((slot, number))
        return old

    def _forget_deadline(self, slot: int, key: bytes, record: bytes) -> None:
        self.expiring_count -= 1
        self.deadlines.discard(int.from_bytes(record[1:BODY_AT], "big"), slot, key)

    def _replaced(self, slot: int, key: bytes, old: bytes, record: bytes) -> None:
        """Count a record in the place of another."""
        self.data_bytes += weight(record) - weight(old)
        if old[0] == EXPIRING:
            self._forget_deadline(slot, key, old)
        number = collection_id(old)
        if number and number != collection_id(record):
            self.dropped.append((slot, number))

    def _is_current(self, deadline_ms: int, slot: int, key: bytes) -> bool:
        record = self.engine.get(slot, key)
        return record is not None and deadline_of(record) == deadline_ms

    def _count(self) -> None:
        self.key_count = self.expiring_count = self.data_bytes = 0
        for slot in self.slots:
            for key, record in self.engine.items(slot):
                self.key_count += 1
                self.data_bytes += len(key) + weight(record)
                deadline_ms = deadline_of(record)
                if deadline_ms is not None:
                    self.expiring_count += 1
                    self.deadlines.add(deadline_ms, slot, key)
