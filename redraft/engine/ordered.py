"""An ordered map in memory: values by name, and the names in order.

Always true: the order is None or holds exactly the names of `values`.  It is made when somebody asks for it,
or when the map gets so large that making it later would hold up others; from then on it is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final, Generic, TypeVar

from sortedcontainers import SortedList

Value = TypeVar("Value")

UNORDERED_MAX: Final = 512
"""Larger maps have their names in order always."""


class OrderedMap(Generic[Value]):
    """Names are bytes, in the order of bytes."""

    __slots__ = ("_order", "values")

    def __init__(self) -> None:
        self._order: SortedList[bytes] | None = None
        self.values: dict[bytes, Value] = {}

    def __len__(self) -> int:
        return len(self.values)

    @property
    def order(self) -> SortedList[bytes]:
        """The names in order."""
        if self._order is None:
            self._order = SortedList(self.values)
        return self._order

    def store(self, name: bytes, value: Value) -> Value | None:
        """Store a value; return the one it replaces."""
        values = self.values
        old = values.get(name)
        size = len(values)
        values[name] = value
        if len(values) != size:
            if self._order is not None:
                self._order.add(name)
            elif size >= UNORDERED_MAX:
                self._order = SortedList(values)
        return old

    def discard(self, name: bytes) -> Value | None:
        """Delete a name; return its value, None when there was none."""
        old = self.values.pop(name, None)
        if old is not None and self._order is not None:
            self._order.remove(name)
        return old

    def names(
        self, low: bytes, high: bytes | None, offset: int, limit: int | None, *, reverse: bool = False
    ) -> list[bytes]:
        """Return the names from `low` up to, not including, `high`; see `Members.range`."""
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

    def some_names(self, low: bytes, limit: int) -> list[bytes]:
        """Return up to `limit` names from `low` on, without an order that is kept from now on."""
        if self._order is not None:
            return list(islice(self._order.irange(low), limit))
        return sorted(name for name in self.values if name >= low)[:limit]

    def walk(self, low: bytes, high: bytes | None, *, reverse: bool) -> Iterator[bytes]:
        """Yield the same names one by one; the map must not change meanwhile."""
        names: Iterator[bytes] = self.order.irange(low, high, inclusive=(True, False), reverse=reverse)
        return names

    def count_names(self, low: bytes, high: bytes | None) -> int:
        """Return how many names there are from `low` up to, not including, `high`."""
        order = self.order
        first = order.bisect_left(low) if low else 0
        return max(0, (len(order) if high is None else order.bisect_left(high)) - first)

    def after(self, name: bytes | None, limit: int) -> list[bytes]:
        """Return up to `limit` names that stand behind one, or the first ones."""
        return list(islice(self.order.irange(name, inclusive=(name is None, True)), limit))

    def free(self, limit: int) -> int:
        """Let go of up to `limit` names, in no order, when nobody looks any more; return how many."""
        self._order = None
        values = self.values
        count = min(limit, len(values))
        for _ in range(count):
            values.popitem()
        return count
