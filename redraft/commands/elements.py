"""The elements of a list: a member per element, named by its position.

Always true: the elements stand at the positions `head`, `head` + 1, ... without a gap; a new list's first
element stands in the middle of all positions, so that there is room for ever on both sides.  The record has
`head` as what the type adds; where the list ends follows from its size.  An index counts from the head.

Reading an element by its index is one look-up, whatever the size.  What happens in the middle moves the
elements of the shorter side.  Must not know any reply or option.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, cast

from redraft.commands.collection import Collection
from redraft.commands.context import Context
from redraft.commands.keyspace import Keyspace
from redraft.engine.record import LIST

MIDDLE: Final = 1 << 63
READ_AT_ONCE: Final = 1000
"""Elements that a search or a move has in hand."""

_name: Final = struct.Struct(">Q").pack


class Elements(Collection):
    """One list, from `find_list` or `open_list`; to be saved once it was changed."""

    __slots__ = ("head",)

    def __init__(self, keyspace: Keyspace, slot: int, key: bytes, letter: int, record: bytes | None) -> None:
        Collection.__init__(self, keyspace, slot, key, letter, record)
        self.head = int.from_bytes(self.more, "big") if record is not None else MIDDLE
        """The position of the first element."""

    def save(self, *, even_if_empty: bool = False) -> None:
        """See `Collection.save`."""
        self.more = _name(self.head)
        Collection.save(self, even_if_empty=even_if_empty)

    # ---- reading ----

    def index(self, number: int) -> int | None:
        """Return the index that a number means, negative ones from the end; None when there is none."""
        index = number if number >= 0 else self.size + number
        return index if 0 <= index < self.size else None

    def at(self, index: int) -> bytes:
        """Return the element at an index that there is."""
        value = self.members.get(_name(self.head + index))
        assert value is not None, "a list has a gap"
        return value

    def values(self, start: int, stop: int) -> list[bytes]:
        """Return the elements from one index up to, not including, another; there must be as many."""
        head = self.head
        return cast("list[bytes]", self.members.get_many(list(map(_name, range(head + start, head + stop)))))

    def matches(self, value: bytes, *, backwards: bool = False, limit: int | None = None) -> Iterator[int]:
        """Yield the indexes of the elements that equal a value, from one end on, among the first `limit`."""
        size = self.size
        end = size if limit is None else min(limit, size)
        for done in range(0, end, READ_AT_ONCE):
            count = min(READ_AT_ONCE, end - done)
            start = size - done - count if backwards else done
            values = self.values(start, start + count)
            if value in values:
                found = [start + at for at, each in enumerate(values) if each == value]
                yield from reversed(found) if backwards else found

    # ---- at the ends ----

    def push(self, value: bytes, *, left: bool) -> None:
        """Add an element at an end."""
        if left:
            self.head -= 1
            self.add(_name(self.head), value)
        else:
            self.add(_name(self.head + self.size), value)

    def pop(self, *, left: bool) -> bytes:
        """Take the element at an end of a list that has one."""
        value = self.delete(_name(self.head if left else self.head + self.size - 1))
        assert value is not None, "a list has a gap"
        if left:
            self.head += 1
        return value

    def pop_many(self, count: int, *, left: bool) -> list[bytes]:
        """Take up to `count` elements, the one at the end first."""
        if count >= self.size:
            values = self.values(0, self.size)
            self.empty()
            return values if left else values[::-1]
        return [self.pop(left=left) for _ in range(count)]

    def empty(self) -> None:
        """Take all elements: saved, the key goes and they with it; nothing may be added before that."""
        self.size = 0

    def keep(self, start: int, stop: int) -> None:
        """Take all elements but those from one index up to another."""
        if start == stop:
            self.empty()
            return
        for _ in range(self.size - stop):
            self.pop(left=False)
        for _ in range(start):
            self.pop(left=True)

    # ---- in the middle ----

    def replace(self, index: int, value: bytes) -> None:
        """Put an element in the place of another."""
        self.put(_name(self.head + index), value)

    def insert(self, index: int, value: bytes) -> None:
        """Put an element before the one at an index, or behind the last one."""
        if index < self.size - index:
            self.head -= 1
            self._move(1, index + 1, -1)
        else:
            self._move(index, self.size, 1)
        self.put(_name(self.head + index), value)

    def remove_at(self, indexes: list[int]) -> None:
        """Take out the elements at some indexes, given in rising order."""
        count = len(indexes)
        if indexes[-1] + 1 - count < self.size - indexes[0] - count:
            for nth in range(count - 1, -1, -1):  # what stands before goes up
                self._move(indexes[nth - 1] + 1 if nth else 0, indexes[nth], count - nth)
            for _ in range(count):
                self.pop(left=True)
        else:
            stops = [*indexes[1:], self.size]
            for nth, (index, stop) in enumerate(
                zip(indexes, stops, strict=True)
            ):  # what stands behind comes down
                self._move(index + 1, stop, -1 - nth)
            for _ in range(count):
                self.pop(left=False)

    def _move(self, start: int, stop: int, by: int) -> None:
        """Copy the elements from one index up to another to others, as far up (or down) as `by` says.

        In an order in which none is overwritten before it is read; the counts follow.
        """
        put, head = self.put, self.head
        starts = range(start, stop, READ_AT_ONCE)
        for low in starts if by < 0 else reversed(starts):
            values = self.values(low, min(low + READ_AT_ONCE, stop))
            for at, value in enumerate(values, head + low + by):
                put(_name(at), value)


def find_list(ctx: Context, key: bytes) -> Elements | None:
    """Return a key's list, None without the key; raises CommandError when it is of another type."""
    return Elements.find(ctx, key, LIST)


def open_list(ctx: Context, key: bytes) -> Elements:
    """Return a key's list, a new one without the key; raises CommandError when it is of another type."""
    return Elements.open_(ctx, key, LIST)
