"""The members of one collection on an engine on disk (`redraft.engine.stored`).

A `StoredMembers` may be kept for as long as the engine lives: it looks for its places in the overlays anew
when the engine's `turn` says that those have changed.  There may be several of one collection, and all see
what is written by any.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, repeat
from typing import TYPE_CHECKING, Final, cast

from redraft.engine.overlay import ENTRY_BYTES, MISSING
from redraft.engine.window import Rows

if TYPE_CHECKING:
    from redraft.engine.stored import StoredEngine

WINDOW_MAX: Final = 1000
"""Ranges of so many names at most are kept in a window."""


class StoredMembers:
    """Implements `redraft.engine.interface.Members`."""

    __slots__ = (
        "_cached",
        "_engine",
        "_frozen",
        "_is_new",
        "_prefix",
        "_turn",
        "_written",
        "id",
        "slot",
    )

    def __init__(self, engine: StoredEngine, slot: int, number: int, prefix: bytes) -> None:
        self._engine = engine
        self.slot = slot
        self.id = number
        self._prefix = prefix
        self._bind()

    def _bind(self) -> None:
        """Look for what the layers have of it; where that is nothing, its place is made later."""
        engine = self._engine
        self._turn = engine.turn
        self._written, self._frozen, self._cached, self._is_new = engine.layers(self._prefix, self.id)

    def get(self, name: bytes) -> bytes | None:
        """See `Members.get`."""
        if self._turn != self._engine.turn:
            self._bind()
        value: bytes | None = self._written.get(name, MISSING)
        return value if value is not MISSING else self._fetch(name)

    def get_many(self, names: Sequence[bytes]) -> list[bytes | None]:
        """See `Members.get_many`."""
        if self._turn != self._engine.turn:
            self._bind()
        self._see_others()
        if self._frozen is None and not self._written:
            values = list(map(self._cached.get, names, repeat(MISSING)))
        else:
            values = list(map(self._written.get, names, repeat(MISSING)))
        for at in [at for at, value in enumerate(values) if value is MISSING]:
            values[at] = self._fetch(names[at])
        return values

    def put(self, name: bytes, value: bytes) -> bytes | None:
        """See `Members.put`."""
        if self._turn != self._engine.turn:
            self._bind()
        old: bytes | None = self._written.get(name, MISSING)
        if old is MISSING:
            old = self._below(name)
        self.write(name, value)
        return old

    def delete(self, name: bytes) -> bytes | None:
        """See `Members.delete`."""
        if self._turn != self._engine.turn:
            self._bind()
        old: bytes | None = self._written.get(name, MISSING)
        if old is MISSING:
            old = self._below(name)
        if old is not None:
            self.write(name, None)
        return old

    def write(self, name: bytes, value: bytes | None) -> None:
        """See `Members.write`."""
        engine = self._engine
        if self._turn != engine.turn:
            self._bind()
        written = self._written
        if not written:
            written = self._written = engine.active.values(self._prefix)
        old = written.get(name, MISSING)
        written[name] = value
        engine.active.bytes += (
            len(name) + len(value or b"") + ENTRY_BYTES
            if old is MISSING
            else len(value or b"") - len(old or b"")
        )
        if engine.windows and (window := engine.windows.get(self._prefix)) is not None:
            window.note(name, value)

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
        if high is not None and high <= low:
            return []
        if limit is not None and offset + limit <= WINDOW_MAX:
            return self._engine.window(self._prefix, self._read).range(
                low, high, offset, limit, reverse=reverse
            )
        end = offset + limit if limit is not None else None
        return list(islice(self._engine.walk(self._prefix, low, high, reverse=reverse), offset, end))

    def piece(self, low: bytes, names_max: int, bytes_max: int) -> tuple[Rows, bytes | None]:
        """See `Members.piece`."""
        return self._engine.piece(self._prefix, low, names_max, bytes_max)

    def count(self, low: bytes = b"", high: bytes | None = None) -> int:
        """See `Members.count`."""
        if high is not None and high <= low:
            return 0
        return sum(1 for _ in self._engine.walk(self._prefix, low, high))

    def _read(self, low: bytes, high: bytes | None, count: int, *, reverse: bool) -> tuple[Rows, bool]:
        """See `window.Read`."""
        engine = self._engine
        rows, size, size_max = [], 0, engine.window_bytes_max
        for row in engine.walk(self._prefix, low, high, reverse=reverse):
            rows.append(row)
            size += len(row[0]) + len(row[1])
            if len(rows) == count or size > size_max:
                engine.windows_grew(size + len(rows) * ENTRY_BYTES)
                return rows, False
        engine.windows_grew(size + len(rows) * ENTRY_BYTES)
        return rows, True

    # ---- below what was written lately ----

    def _fetch(self, name: bytes) -> bytes | None:
        """Return what the lower layers have, and remember what the store says."""
        engine = self._engine
        if self._see_others() and name in self._written:
            return self._written[name]
        value = self._known_below(name)
        if value is MISSING:
            value = engine.read(self._prefix + name)
            if not self._cached:
                self._cached = engine.recent.values(self._prefix)
            self._cached[name] = value
            engine.remembered(len(name) + len(value or b""))
        return value

    def _below(self, name: bytes) -> bytes | None:
        """Return the same; the name is to be written, so it need not be remembered."""
        if self._see_others() and name in self._written:
            return self._written[name]
        value = self._known_below(name)
        return value if value is not MISSING else self._engine.read(self._prefix + name)

    def _see_others(self) -> bool:
        """Whether another object of the collection has begun to write: this one goes by that from now on."""
        if self._written or (written := self._engine.active.maps.get(self._prefix)) is None:
            return False
        self._written = written.values
        return True

    def _known_below(self, name: bytes) -> bytes | None:
        """Return the value if it is in memory, else MISSING."""
        if self._is_new:
            return None
        frozen = self._frozen
        if frozen is not None:
            value: bytes | None = frozen.get(name, MISSING)
            if value is not MISSING:
                return value
        return self._cached.get(name, cast("bytes", MISSING))
