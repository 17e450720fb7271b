"""The collection of a key, as the types see it: members by name, and the record that counts them.

A command opens a collection, reads and writes members, and saves it once; without members there is no key.
One that was changed has to be saved, or the command to fail: it is given to the next command that opens the
key, as long as the key's record is the very object that it saved.
What it wrote is in the keyspace's journal, so that all of it can be taken back.  Which names a type gives its
members is its own business; hashed names (`placed`) stand in the order in which SSCAN and its like go.

Must not know any type, reply or option.
"""

from __future__ import annotations

import struct
from binascii import crc32
from typing import ClassVar, Final, Self

from redraft.commands.context import Context
from redraft.commands.keyspace import Keyspace
from redraft.commands.reply import WRONG_TYPE, CommandError
from redraft.engine.interface import Members
from redraft.engine.record import (
    EXPIRING,
    HEAD_BYTES,
    MEMBER_BYTES,
    body_of,
    pack_head,
    unpack_head,
    with_body_of,
)

PLACE_BYTES: Final = 4
"""Of a placed name, before the name itself."""

OPENED_MAX: Final = 4096
"""Collections that are kept to be opened again."""

_place: Final = struct.Struct(">I").pack


def placed(name: bytes) -> bytes:
    """Return a name that sorts by the CRC-32 of what it names, which is SSCAN's order on every engine."""
    return _place(crc32(name)) + name


class Collection:
    """One key's members, from `find`, `open_` or `new`."""

    __slots__ = (
        "_bytes", "_id", "_journal", "_key", "_keyspace", "_letter", "_record", "_slot", "_weight", "flags",
        "members", "more", "size",
    )  # fmt: skip

    prefix: ClassVar[bytes] = b""
    """What the placed names begin with, in a type that has others besides."""
    end: ClassVar[bytes | None] = None
    """What stands above them, in such a type."""
    name_at: ClassVar[int] = PLACE_BYTES
    """Where in a placed name the name itself begins."""

    members: Members
    """To read from; writes go through the collection."""

    def __init__(self, keyspace: Keyspace, slot: int, key: bytes, letter: int, record: bytes | None) -> None:
        self._keyspace = keyspace
        self._journal = keyspace.journal
        self._slot = slot
        self._key = key
        self._letter = letter
        self._record = record
        self.more = b""
        """What the type adds to the record."""
        self.flags = 0
        """The type's."""
        self.size = self._bytes = 0
        if record is None:
            self._id = keyspace.new_collection()
        else:
            body = body_of(record)
            _, self.flags, self._id, self.size, self._bytes = unpack_head(body)
            self.more = body[HEAD_BYTES:]
        self._weight = self._bytes + self.size * MEMBER_BYTES
        self.members = keyspace.engine.members(slot, self._id)

    @property
    def elements(self) -> int:
        """The number of placed names."""
        return self.size

    @classmethod
    def find(cls, ctx: Context, key: bytes, letter: int) -> Self | None:
        """Return a key's collection, None without the key; raises CommandError when it is of another type."""
        keyspace = ctx.keyspace
        slot = ctx.slot_of(key)
        record = keyspace.find(slot, key)
        if record is None:
            return None
        opened = keyspace.opened
        found: Self | None = opened.get(key)
        if found is not None and found._record is record and type(found) is cls and found._letter == letter:
            return found  # all that the record says
        if body_of(record)[0] != letter:
            raise CommandError(WRONG_TYPE)
        if len(opened) >= OPENED_MAX:
            opened.clear()
        found = opened[key] = cls(keyspace, slot, key, letter, record)
        return found

    @classmethod
    def open_(cls, ctx: Context, key: bytes, letter: int) -> Self:
        """Return a key's collection, a new one without the key; raises CommandError."""
        found = cls.find(ctx, key, letter)
        return found if found is not None else cls.new(ctx, key, letter)

    @classmethod
    def new(cls, ctx: Context, key: bytes, letter: int) -> Self:
        """Return an empty collection that, saved, takes the place of whatever the key holds."""
        return cls(ctx.keyspace, ctx.slot_of(key), key, letter, None)

    def put(self, name: bytes, value: bytes) -> bytes | None:
        """Store a member; return the value it had."""
        old = self.members.put(name, value)
        self._journal.append((self.members, name, old))
        if old is None:
            self.size += 1
            self._bytes += len(name) + len(value)
        else:
            self._bytes += len(value) - len(old)
        return old

    def add(self, name: bytes, value: bytes) -> None:
        """Store a member that is known to be new: `put`, at less cost."""
        self.members.write(name, value)
        self._journal.append((self.members, name, None))
        self.size += 1
        self._bytes += len(name) + len(value)

    def change(self, name: bytes, value: bytes, old: bytes) -> None:
        """Give a member that is known to have one value another: `put`, at less cost."""
        self.members.write(name, value)
        self._journal.append((self.members, name, old))
        self._bytes += len(value) - len(old)

    def discard(self, name: bytes, old: bytes) -> None:
        """Delete a member that is known to have that value: `delete`, at less cost."""
        self.members.write(name, None)
        self._journal.append((self.members, name, old))
        self.size -= 1
        self._bytes -= len(name) + len(old)

    def delete(self, name: bytes) -> bytes | None:
        """Delete a member; return the value it had."""
        old = self.members.delete(name)
        if old is not None:
            self._journal.append((self.members, name, old))
            self.size -= 1
            self._bytes -= len(name) + len(old)
        return old

    def remove_key(self) -> None:
        """Delete the key and all there is under it."""
        self._keyspace.remove(self._slot, self._key)

    def save(self, *, even_if_empty: bool = False) -> None:
        """Write the record, with the deadline the key has; a collection without members is no key."""
        record = self._record
        if not self.size and not even_if_empty:
            self._keyspace.remove(self._slot, self._key)
            return
        body = pack_head(self._letter, self.flags, self._id, self.size, self._bytes) + self.more
        weight = self._bytes + self.size * MEMBER_BYTES
        if record is None:
            self._record = body
            self._keyspace.put(self._slot, self._key, body)
        else:
            changed = with_body_of(record, body) if record[0] == EXPIRING else body
            if changed != record:
                grown = weight - self._weight + len(changed) - len(record)
                self._record = changed
                self._keyspace.put_changed(self._slot, self._key, changed, record, grown)
        self._weight = weight
