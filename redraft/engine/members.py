"""The members of one collection in memory.

`epoch` belongs to captures (`redraft.engine.capture`): members of an older epoch than their engine's have to
be shown to the capture that may be under way before they change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from redraft.engine.ordered import OrderedMap

if TYPE_CHECKING:
    from redraft.engine.hash import HashEngine


class MemoryMembers(OrderedMap[bytes]):
    """Implements `redraft.engine.interface.Members`."""

    __slots__ = ("_engine", "epoch", "id", "slot")

    def __init__(self, engine: HashEngine, slot: int, number: int, epoch: int) -> None:
        super().__init__()
        self._engine = engine
        self.slot = slot
        self.id = number
        self.epoch = epoch

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
        return self.store(name, value)

    def delete(self, name: bytes) -> bytes | None:
        """See `Members.delete`."""
        if self.epoch != self._engine.epoch:
            self._engine.keep_member(self, name)
        return self.discard(name)

    def write(self, name: bytes, value: bytes | None) -> None:
        """See `Members.write`."""
        if self.epoch != self._engine.epoch:
            self._engine.keep_member(self, name)
        if value is None:
            self.discard(name)
        else:
            self.store(name, value)

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

    def piece(
        self, low: bytes, names_max: int, bytes_max: int
    ) -> tuple[list[tuple[bytes, bytes]], bytes | None]:
        """See `Members.piece`."""
        values = self.values
        found: list[tuple[bytes, bytes]] = []
        for name in self.some_names(low, names_max + 1):
            if len(found) == names_max or bytes_max <= 0:
                return found, name
            value = values[name]
            found.append((name, value))
            bytes_max -= len(name) + len(value)
        return found, None

    def count(self, low: bytes = b"", high: bytes | None = None) -> int:
        """See `Members.count`."""
        return self.count_names(low, high)
