"""A stream as its commands see it: entries in the order of their IDs, and what is remembered of those gone.

    members = "e" id                             an entry: its fields and values as a RESP array of strings
            | "g" name                           a consumer group
            | "c" number consumer                a consumer of a group        `redraft.commands.streamgroup`
            | "p" number id                      an entry pending in a group   has the grammar of these
            | "q" number length consumer id      the same, by consumer
    more    = last id, largest id deleted, first id (16 bytes each),
              entries ever added, entries now, groups ever made (8 bytes each)

Always true of a saved stream: `first` is the ID of the first entry, all zero without entries; no entry has
an ID above `last`; `length` counts the entries.  A stream without entries is still a key.
"""

from __future__ import annotations

import struct
from typing import Final, Self

from redraft.commands.collection import Collection
from redraft.commands.context import Context
from redraft.commands.streamid import MAX, MIN, shown
from redraft.engine.record import STREAM

ENTRY: Final = b"e"
_ENTRIES_END: Final = b"f"

UNKNOWN: Final = -1
"""How many entries a group has read, when that can't be told."""

DELETED_AT_ONCE: Final = 1000
"""Entries that are listed and then deleted."""

_MORE: Final = struct.Struct(">16s16s16sQQQ")

Entry = tuple[bytes, bytes]
"""ID, and fields and values as they are replied."""


class Stream:
    """One key's stream, from `find`, `open_` or `new`; to be saved once when it was changed."""

    __slots__ = ("added", "collection", "first", "groups_made", "last", "length", "max_deleted")

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self.last = self.max_deleted = self.first = MIN
        self.added = self.length = self.groups_made = 0
        if collection.more:
            (
                self.last, self.max_deleted, self.first,
                self.added, self.length, self.groups_made,
            ) = _MORE.unpack(collection.more)  # fmt: skip

    @classmethod
    def find(cls, ctx: Context, key: bytes) -> Self | None:
        """Return a key's stream, None without the key; raises CommandError when it is of another type."""
        collection = Collection.find(ctx, key, STREAM)
        return cls(collection) if collection is not None else None

    @classmethod
    def open_(cls, ctx: Context, key: bytes) -> Self:
        """Return a key's stream, an empty one without the key; raises CommandError."""
        return cls(Collection.open_(ctx, key, STREAM))

    def save(self) -> None:
        """Write what has changed, except of groups."""
        self.collection.more = _MORE.pack(
            self.last, self.max_deleted, self.first, self.added, self.length, self.groups_made
        )
        self.collection.save(even_if_empty=True)

    # ---- reading ----

    def entry(self, entry_id: bytes) -> bytes | None:
        """Return an entry's fields and values, None when it is gone or never was."""
        return self.collection.members.get(ENTRY + entry_id)

    def entries(
        self, start: bytes = MIN, end: bytes = MAX, limit: int | None = None, *, reverse: bool = False
    ) -> list[Entry]:
        """Return the entries from one ID to another, both included."""
        if start > end:
            return []
        limit = limit if limit is None else min(limit, self.length)
        found = self.collection.members.range(
            ENTRY + start, ENTRY + end + b"\0", limit=limit, reverse=reverse
        )
        return [(name[1:], value) for name, value in found]

    def count_before(self, entry_id: bytes) -> int:
        """Return how many entries have a lower ID."""
        if entry_id <= self.first:
            return 0
        return self.collection.members.count(ENTRY, ENTRY + entry_id)

    def top(self) -> bytes:
        """Return the ID of the last entry there is, all zero without entries."""
        found = self.entries(limit=1, reverse=True)
        return found[0][0] if found else MIN

    def was_deleted_from(self, entry_id: bytes) -> bool:
        """Whether there may be gaps in what follows an ID: not by deleting what came before `first`."""
        return self.length > 0 and self.max_deleted != MIN and max(self.first, entry_id) <= self.max_deleted

    def entries_up_to(self, entry_id: bytes) -> int:
        """Return how many entries were ever added up to an ID, UNKNOWN when that can't be told."""
        if not self.added or (not self.length and entry_id <= self.last) or entry_id == self.last:
            return self.added
        if entry_id < self.last and (self.max_deleted == MIN or self.max_deleted < self.first):
            if entry_id < self.first:
                return self.added - self.length
            if entry_id == self.first:
                return self.added - self.length + 1
        return UNKNOWN

    # ---- writing ----

    def append(self, entry_id: bytes, words: list[bytes]) -> None:
        """Add an entry, whose ID has to be above `last`."""
        assert entry_id > self.last
        self.collection.put(
            ENTRY + entry_id,
            b"*%d\r\n" % len(words) + b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words]),
        )
        self.last = entry_id
        if not self.length:
            self.first = entry_id
        self.length += 1
        self.added += 1

    def delete(self, ids: list[bytes]) -> int:
        """Delete entries for being wrong; return how many there were."""
        first_too, deleted = False, 0
        for entry_id in ids:
            if self.collection.delete(ENTRY + entry_id) is not None:
                deleted += 1
                first_too = first_too or entry_id == self.first
                self.max_deleted = max(self.max_deleted, entry_id)
        self.length -= deleted
        if first_too:
            self._look_for_first()
        return deleted

    def drop_first(self, count: int) -> None:
        """Delete the oldest entries for their age; there have to be as many."""
        self.length -= count
        while count:
            for name, _ in self.collection.members.range(
                ENTRY, _ENTRIES_END, limit=min(count, DELETED_AT_ONCE)
            ):
                self.collection.delete(name)
                count -= 1
        self._look_for_first()

    def _look_for_first(self) -> None:
        found = self.entries(limit=1) if self.length else []
        self.first = found[0][0] if found else MIN


def show_entry(entry: Entry) -> bytes:
    """Return an entry as a reply."""
    return b"*2\r\n%b%b" % (shown(entry[0]), entry[1])


def show_entries(entries: list[Entry]) -> bytes:
    """Return entries as a reply."""
    return b"*%d\r\n%b" % (len(entries), b"".join(map(show_entry, entries)))


def encoding(_flags: int) -> bytes:
    """Return Redis's name for how it would store the stream."""
    return b"stream"
