"""The members of one collection in memory: values by name, and the names in order.

Always true: `order` is None or holds exactly the names of `values`.  It is made when somebody asks for it, or
when the collection gets so large that making it later would hold up others; from then on it is kept.

`epoch` belongs to captures (`redraft.engine.capture`): members of an older epoch than their engine's have to
be shown to the capture that may be under way before they change.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final

from sortedcontainers import SortedList

if TYPE_CHECKING:
    from redraft.engine.hash import HashEngine

UNORDERED_MAX: Final = 512
"""Larger collections have their names in order always."""


class MemoryMembers:
    """Implements `redraft.engine.interface.Members`."""

    __slots__ = ("_engine", "_order", "epoch", "id", "slot", "values")

    def __init__(self, engine: HashEngine, slot: int, number: int, epoch: int) -> None:
        self._engine = engine
        self._order: SortedList[bytes] | None = None
        self.slot = slot
        self.id = number
        self.epoch = epoch
        self.values: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        return len(self.values)

    @property
    def order(self) -> SortedList[bytes]:
        """The names in order."""
        if self._order is None:
            self._order = SortedList(self.values)
        return self._order

    def get(self, name: bytes) -> bytes | None:
        """See `Members.get`."""
        return self.values.get(name)

    def get_many(self, names: Sequence[bytes]) -> list[bytes | None]:
        """See `Members.get_many`."""
        return list(map(self.values.get, names))

    def put(self, name: bytes, value: bytes) -> bytes | None:
        """See `Members.put`."""
        if self.epoch != self._engine.epoch:
            self._engine.keep_member(self, name)
        values = self.values
        old = values.get(name)
        values[name] = value
        if old is None:
            if self._order is not None:
                self._order.add(name)
            elif len(values) > UNORDERED_MAX:
                self._order = SortedList(values)
        return old

    def delete(self, name: bytes) -> bytes | None:
        """See `Members.delete`."""
        if self.epoch != self._engine.epoch:
            self._engine.keep_member(self, name)
        old = self.values.pop(name, None)
        if old is not None and self._order is not None:
            self._order.remove(name)
        return old

    def range(
        self,
        low: bytes = b"",
        high: bytes | None = None,
        *,
        offset: int = 0,
        limit: int | None = None,
        reverse: bool = False,
    ) -> list[tuple[bytes, bytes]]:
        """See `Members.range`."""
        values = self.values
        return [(name, values[name]) for name in self.names(low, high, offset, limit, reverse=reverse)]

    def names(
        self, low: bytes, high: bytes | None, offset: int, limit: int | None, *, reverse: bool = False
    ) -> list[bytes]:
        """Return the names of a range."""
        order = self.order
        first = order.bisect_left(low) if low else 0
        end = len(order) if high is None else order.bisect_left(high)
        if reverse:
            end -= offset
            first = first if limit is None else max(first, end - limit)
        else:
            first += offset
            end = end if limit is None else min(end, first + limit)
        return list(order.islice(first, end, reverse=reverse)) if first < end else []

    def count(self, low: bytes = b"", high: bytes | None = None) -> int:
        """See `Members.count`."""
        order = self.order
        first = order.bisect_left(low) if low else 0
        return max(0, (len(order) if high is None else order.bisect_left(high)) - first)

    def after(self, name: bytes | None, limit: int) -> list[bytes]:
        """Return up to `limit` names that stand behind one, or the first ones."""
        return list(islice(self.order.irange(name, inclusive=(name is None, True)), limit))

    def free(self, limit: int) -> int:
        """Let go of up to `limit` members, in no order, when nobody can see them any more; how many."""
        self._order = None
        values = self.values
        count = min(limit, len(values))
        for _ in range(count):
            values.popitem()
        return count
