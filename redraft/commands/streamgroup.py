"""A consumer group of a stream: how far it has read, its consumers, and what they have not acknowledged.

    group    = number last-id entries-read pending consumers    number: the group's in its stream
    consumer = seen active pending                              milliseconds; active: -1 before any entry
    pending  = delivered deliveries consumer                    milliseconds, how often, whose
    names of groups, consumers and pending entries: see `redraft.commands.stream`

Always true of a saved group: each pending entry stands under its ID and under its consumer, and the counts of
group and consumers are those of these members.  Pending entries may be of entries that are deleted.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from redraft.commands.stream import DELETED_AT_ONCE, UNKNOWN, Stream
from redraft.commands.streamid import ID_BYTES, MAX, MIN

_GROUP: Final = b"g"
_CONSUMER: Final = b"c"
_PENDING: Final = b"p"
_HELD: Final = b"q"

_GROUP_VALUE: Final = struct.Struct(">Q16sqQQ")
_CONSUMER_VALUE: Final = struct.Struct(">QqQ")
_PENDING_HEAD: Final = struct.Struct(">QQ")
_NUMBER: Final = struct.Struct(">Q")
_LENGTH: Final = struct.Struct(">I")

NEVER: Final = -1
"""When a consumer was active that never got an entry."""


@dataclass(slots=True)
class Consumer:
    """A consumer: last seen, last given entries (NEVER before that), and how many are pending."""

    name: bytes
    seen_ms: int
    active_ms: int = NEVER
    pending: int = 0


@dataclass(slots=True)
class Pending:
    """An entry that was delivered and is not acknowledged; `consumer` is a name."""

    id: bytes
    consumer: bytes
    delivered_ms: int
    deliveries: int


class Group:
    """One group, from `find_group`, `make_group` or `groups_of`; to be saved once when it was changed."""

    __slots__ = (
        "_changed", "_pending_at", "_stream", "consumers", "entries_read", "last", "name", "number",
        "pending",
    )  # fmt: skip

    def __init__(self, stream: Stream, name: bytes, value: bytes) -> None:
        self._stream = stream
        self.name = name
        self.number: int
        self.last: bytes
        self.entries_read: int
        self.pending: int
        self.consumers: int
        self.number, self.last, self.entries_read, self.pending, self.consumers = _GROUP_VALUE.unpack(value)
        self._changed: dict[bytes, Consumer] = {}
        self._pending_at = _PENDING + _NUMBER.pack(self.number)

    # ---- consumers ----

    def consumer(self, name: bytes) -> Consumer | None:
        """Return a consumer, None when there is none of that name; what is changed of it, the group saves."""
        if name not in self._changed:
            value = self._stream.collection.members.get(self._consumer_name(name))
            if value is None:
                return None
            self._changed[name] = Consumer(name, *_CONSUMER_VALUE.unpack(value))
        return self._changed[name]

    def make_consumer(self, name: bytes, now_ms: int) -> Consumer:
        """Return a consumer that is new."""
        self.consumers += 1
        made = self._changed[name] = Consumer(name, now_ms)
        return made

    def all_consumers(self) -> list[Consumer]:
        """Return the consumers in the order of their names; to look at."""
        start = self._consumer_name(b"")
        found = self._stream.collection.members.range(start, _after(start))
        return [Consumer(name[len(start) :], *_CONSUMER_VALUE.unpack(value)) for name, value in found]

    def delete_consumer(self, consumer: Consumer) -> None:
        """Delete a consumer, and what is pending for it."""
        collection = self._stream.collection
        start = self._held_name(consumer.name, b"")
        self.pending -= consumer.pending
        while found := collection.members.range(start, _after(start), limit=DELETED_AT_ONCE):
            for name, _ in found:
                collection.delete(name)
                collection.delete(self._pending_at + name[-ID_BYTES:])
        self.consumers -= 1
        del self._changed[consumer.name]
        collection.delete(self._consumer_name(consumer.name))

    # ---- pending entries ----

    def find_pending(self, entry_id: bytes) -> Pending | None:
        """Return what is known of an entry that is pending."""
        value = self._stream.collection.members.get(self._pending_at + entry_id)
        return _pending_of(entry_id, value) if value is not None else None

    def all_pending(
        self, start: bytes = MIN, end: bytes = MAX, limit: int | None = None, *, reverse: bool = False
    ) -> list[Pending]:
        """Return what is pending from one ID to another, both included."""
        if start > end:
            return []
        limit = limit if limit is None else min(limit, self.pending)
        found = self._stream.collection.members.range(
            self._pending_at + start, self._pending_at + end + b"\0", limit=limit, reverse=reverse
        )
        return [_pending_of(name[-ID_BYTES:], value) for name, value in found]

    def pending_of_consumer(
        self, consumer: bytes, start: bytes = MIN, end: bytes = MAX, limit: int | None = None
    ) -> list[Pending]:
        """Return what is pending for one consumer from one ID to another, both included."""
        if start > end:
            return []
        limit = limit if limit is None else min(limit, self.pending)
        members = self._stream.collection.members
        held = members.range(
            self._held_name(consumer, start), self._held_name(consumer, end) + b"\0", limit=limit
        )
        ids = [name[-ID_BYTES:] for name, _ in held]
        values = members.get_many([self._pending_at + entry_id for entry_id in ids])
        return [
            _pending_of(entry_id, value)
            for entry_id, value in zip(ids, values, strict=True)
            if value is not None
        ]

    def deliver(self, entry_id: bytes, consumer: Consumer, now_ms: int) -> None:
        """Note that a consumer was given an entry for the first time, taking it from whoever had it."""
        consumer.active_ms = now_ms
        self.hold(Pending(entry_id, consumer.name, now_ms, 1), consumer, self.find_pending(entry_id))

    def hold(self, pending: Pending, consumer: Consumer, before: Pending | None) -> None:
        """Write a pending entry that is `consumer`'s now; `before` is what was known of it."""
        collection = self._stream.collection
        if before is None:
            self.pending += 1
        if before is None or before.consumer != consumer.name:
            if before is not None:
                self._let_go(before)
            consumer.pending += 1
            collection.put(self._held_name(consumer.name, pending.id), b"")
        collection.put(
            self._pending_at + pending.id,
            _PENDING_HEAD.pack(pending.delivered_ms, pending.deliveries) + consumer.name,
        )

    def forget(self, pending: Pending) -> None:
        """Delete a pending entry."""
        self.pending -= 1
        self._let_go(pending)
        self._stream.collection.delete(self._pending_at + pending.id)

    def _let_go(self, pending: Pending) -> None:
        holder = self.consumer(pending.consumer)
        assert holder is not None, "a pending entry is held by nobody"
        holder.pending -= 1
        self._stream.collection.delete(self._held_name(pending.consumer, pending.id))

    # ---- the group ----

    def read_up_to(self, entry_id: bytes) -> None:
        """Note that the group was given an entry that it had not reached before."""
        stream = self._stream
        if self.entries_read != UNKNOWN and not stream.was_deleted_from(entry_id):
            self.entries_read += 1
        elif stream.added:
            self.entries_read = stream.entries_up_to(entry_id)
        self.last = entry_id

    def lag(self) -> int | None:
        """Return how many entries the group has still to be given, None when that can't be told."""
        stream = self._stream
        if not stream.added:
            return 0
        if self.entries_read != UNKNOWN and not stream.was_deleted_from(self.last):
            return stream.added - self.entries_read
        read = stream.entries_up_to(self.last)
        return stream.added - read if read != UNKNOWN else None

    def save(self) -> None:
        """Write the group and the consumers that were asked for; the stream is to be saved after it."""
        collection = self._stream.collection
        for consumer in self._changed.values():
            collection.put(
                self._consumer_name(consumer.name),
                _CONSUMER_VALUE.pack(consumer.seen_ms, consumer.active_ms, consumer.pending),
            )
        collection.put(
            _GROUP + self.name,
            _GROUP_VALUE.pack(self.number, self.last, self.entries_read, self.pending, self.consumers),
        )

    def destroy(self) -> None:
        """Delete the group with all that belongs to it."""
        collection = self._stream.collection
        for space in (_CONSUMER, _PENDING, _HELD):
            start = space + _NUMBER.pack(self.number)
            while found := collection.members.range(start, _after(start), limit=DELETED_AT_ONCE):
                for name, _ in found:
                    collection.delete(name)
        collection.delete(_GROUP + self.name)

    def _consumer_name(self, consumer: bytes) -> bytes:
        return _CONSUMER + _NUMBER.pack(self.number) + consumer

    def _held_name(self, consumer: bytes, entry_id: bytes) -> bytes:
        return _HELD + _NUMBER.pack(self.number) + _LENGTH.pack(len(consumer)) + consumer + entry_id


def find_group(stream: Stream, name: bytes) -> Group | None:
    """Return a stream's group of that name, None without it."""
    value = stream.collection.members.get(_GROUP + name)
    return Group(stream, name, value) if value is not None else None


def make_group(stream: Stream, name: bytes, last: bytes, entries_read: int) -> Group:
    """Return a new group, which has read up to an ID."""
    stream.groups_made += 1
    return Group(stream, name, _GROUP_VALUE.pack(stream.groups_made, last, entries_read, 0, 0))


def groups_of(stream: Stream) -> list[Group]:
    """Return a stream's groups in the order of their names."""
    found = stream.collection.members.range(_GROUP, _after(_GROUP))
    return [Group(stream, name[1:], value) for name, value in found]


def _pending_of(entry_id: bytes, value: bytes) -> Pending:
    delivered_ms, deliveries = _PENDING_HEAD.unpack_from(value)
    return Pending(entry_id, value[_PENDING_HEAD.size :], delivered_ms, deliveries)


def _after(start: bytes) -> bytes:
    """Return the first name behind all that begin with `start`, whose first byte is a letter."""
    number = int.from_bytes(start, "big") + 1
    return number.to_bytes(len(start), "big")
