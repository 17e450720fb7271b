"""What was written to an engine and is not in its store yet: by prefix, name and value; None is a deletion.

Nothing is ever taken out of a `Written`, so the dict's own order tells which names came since its names were
put in order.  Only who walks puts them in order: a write is a write to a dict.  Once its writes are in the
store an overlay goes on as a cache of what the store says; then None is a name that the store has not.
"""

from __future__ import annotations

import struct
from binascii import crc32
from collections.abc import Container, Iterator
from itertools import islice
from typing import Any, Final

from sortedcontainers import SortedList

from redraft.engine.stores import Write

MISSING: Final[Any] = object()
"""Told of a name of which an overlay knows nothing."""

ENTRY_BYTES: Final = 200
"""What an entry costs besides the bytes of its name and value (measured)."""

SLOT_BYTES: Final = 6
"""Of what the prefix of a slot's keys, members and deadlines begins with."""
PLACE_BYTES: Final = 4
"""Of what stands before a key in the order of its slot."""
place: Final = struct.Struct(">I").pack


class Written:
    """What was written below one prefix: names as they are, or keys, which a store has behind their place."""

    __slots__ = ("_cut", "_order", "values")

    def __init__(self, *, placed: bool = False) -> None:
        self._cut = PLACE_BYTES if placed else 0
        self._order: SortedList[bytes] | None = None
        self.values: dict[bytes, bytes | None] = {}

    def walk(self, low: bytes, high: bytes | None, *, reverse: bool) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield (placed) names from `low` up to, not including, `high`; nothing may be written meanwhile."""
        values, cut = self.values, self._cut
        names = self._ordered().irange(low, high, inclusive=(True, False), reverse=reverse)
        return (
            ((name, values[name[cut:]]) for name in names)
            if cut
            else ((name, values[name]) for name in names)
        )

    def writes(self, prefix: bytes) -> Iterator[Write]:
        """Yield all of it, in order, by full key; in a worker."""
        values, cut = self.values, self._cut
        for name in sorted(self._named(values)):
            yield prefix + name, values[name[cut:]]

    def _ordered(self) -> SortedList[bytes]:
        order = self._order
        if order is None:
            order = self._order = SortedList(self._named(self.values))
        elif len(order) != len(self.values):
            order.update(self._named(islice(reversed(self.values), len(self.values) - len(order))))
        return order

    def put_in_order(self, most: int) -> bool:
        """Do some of what the next walk would do first; True when nothing is left of it."""
        order, values = self._order, self.values
        if order is None:
            order = self._order = SortedList()
        known = len(order)
        if known != len(values):
            order.update(self._named(islice(values, known, known + most)))
        return len(order) == len(values)

    def _named(self, names: Any) -> Any:
        return [place(crc32(key)) + key for key in names] if self._cut else names


class Overlay:
    """The writes between two moments at which all was handed to the store."""

    __slots__ = ("bytes", "maps")

    def __init__(self) -> None:
        self.maps: dict[bytes, Written] = {}
        self.bytes = 0
        """About what it costs in memory."""

    def put(self, prefix: bytes, name: bytes, value: bytes | None) -> None:
        """Note a write."""
        found = self.maps.get(prefix)
        if found is None:
            found = self.maps[prefix] = Written()
        old = found.values.get(name, MISSING)
        found.values[name] = value
        self.bytes += len(value or b"") + (len(name) + ENTRY_BYTES if old is MISSING else -len(old or b""))

    def values(self, prefix: bytes, *, placed: bool = False) -> dict[bytes, bytes | None]:
        """Return the values below a prefix, to be written to."""
        found = self.maps.get(prefix)
        if found is None:
            found = self.maps[prefix] = Written(placed=placed)
        return found.values

    def writes(self, deleted: Container[bytes] = ()) -> Iterator[Write]:
        """Yield all of it, by full key, in order, but for slots that were deleted since: by their prefix."""
        for prefix in sorted(self.maps):
            if prefix[:SLOT_BYTES] not in deleted:
                yield from self.maps[prefix].writes(prefix)
