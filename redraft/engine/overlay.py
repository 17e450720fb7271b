"""What was written to an engine and is not in its store yet: ordered maps by prefix; None is a deletion."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from redraft.engine.ordered import OrderedMap
from redraft.engine.stores import Write

MISSING: Final[Any] = object()
"""Told of a name of which an overlay knows nothing."""

ENTRY_BYTES: Final = 200
"""What an entry costs besides the bytes of its name and value (measured)."""

Map = OrderedMap[bytes | None]


class Overlay:
    """The writes between two moments at which all was handed to the store."""

    __slots__ = ("bytes", "maps")

    def __init__(self) -> None:
        self.maps: dict[bytes, Map] = {}
        self.bytes = 0
        """About what it costs in memory; writes over writes count twice."""

    def put(self, prefix: bytes, name: bytes, value: bytes | None) -> None:
        """Note a write."""
        found = self.maps.get(prefix)
        if found is None:
            found = self.maps[prefix] = OrderedMap()
        found.store(name, value)
        self.bytes += len(name) + len(value or b"") + ENTRY_BYTES

    def look(self, prefix: bytes, name: bytes) -> bytes | None:
        """Return the value written to a name, None when it was deleted, MISSING when it was not written."""
        found = self.maps.get(prefix)
        return found.values.get(name, MISSING) if found is not None else MISSING

    def writes(self) -> Iterator[Write]:
        """Yield all of it, by full key; in order within a prefix."""
        for prefix in sorted(self.maps):
            found = self.maps[prefix]
            for name in sorted(found.values):
                yield prefix + name, found.values[name]
