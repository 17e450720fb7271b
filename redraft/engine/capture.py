"""The state of an engine in memory at one moment, read in pieces while the engine goes on being written.

Nothing is copied when the capture begins.  The engine tells it before it changes a slot that was not read
yet (`pending`): a small slot is then copied whole, of a large one the records that are about to be
replaced are kept.  So a write costs one look at a byte, and a capture never holds anything up.

Always true: what `take` gives, together, is every key and record that the engine held when the
capture began, each once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

WHOLE_KEYS_MAX: Final = 512
"""A slot with more keys is read in pieces; listing the keys of 1,000,000 takes 12 ms all the same."""


class Run(NamedTuple):
    """Some keys of one slot and their records."""

    slot: int
    keys: list[bytes]
    records: list[bytes]


class Capture:
    """Made by `HashEngine.capture`; one at a time."""

    __slots__ = ("_before", "_keys", "_runs", "_slot", "_tables", "_unread", "_whole_keys_max", "pending")

    def __init__(
        self, tables: Sequence[dict[bytes, bytes] | None], whole_keys_max: int = WHOLE_KEYS_MAX
    ) -> None:
        self._whole_keys_max = whole_keys_max
        self._tables = list(tables)
        self.pending = bytearray(1 if table else 0 for table in tables)
        """1 for each slot that has to be told of (`keep`) before it changes."""
        self._unread = bytearray(self.pending)
        self._runs: deque[Run] = deque()  # copied, and not taken yet
        self._before: dict[int, dict[bytes, bytes | None]] = {}  # of large slots: what was there at first
        self._slot = -1  # the large slot that is being read
        self._keys: list[bytes] = []  # of it, not taken yet

    def keep(self, slot: int, key: bytes) -> None:
        """`key` of a pending slot is about to be written."""
        table = self._tables[slot]
        assert table is not None
        before = self._before.get(slot)
        if before is None:
            if len(table) <= self._whole_keys_max:
                self._copy(slot, table)
                return
            before = self._before[slot] = {}
        if key not in before:
            before[key] = table.get(key)

    def keep_slot(self, slot: int) -> None:
        """The engine drops a pending slot's dict: it is the capture's alone from now on, and won't change."""
        self.pending[slot] = 0

    def take(self, keys_max: int) -> list[Run]:
        """Return some runs, of about `keys_max` keys together; none when all were taken."""
        taken: list[Run] = []
        left = keys_max
        while left > 0 and (run := self._next(left)) is not None:
            taken.append(run)
            left -= len(run.keys) + 1
        return taken

    def _next(self, keys_max: int) -> Run | None:
        if self._runs:
            return self._runs.popleft()
        if not self._keys:
            slot = self._unread.find(1)
            if slot < 0:
                return None
            table = self._tables[slot]
            assert table is not None
            if slot not in self._before and len(table) <= self._whole_keys_max:
                self._copy(slot, table)
                return self._runs.popleft()
            self._open(slot)
        return self._read_on(keys_max)

    def _copy(self, slot: int, table: dict[bytes, bytes]) -> None:
        self._done(slot)
        self._runs.append(Run(slot, list(table), list(table.values())))

    def _open(self, slot: int) -> None:
        """Begin to read a large slot: its keys as they were."""
        table = self._tables[slot]
        assert table is not None
        keys = list(table)
        before = self._before.get(slot)
        if before:
            keys += [key for key, record in before.items() if record is not None and key not in table]
        self._slot, self._keys = slot, keys

    def _read_on(self, keys_max: int) -> Run:
        """Read on in the open slot, from the end of its keys, so that the list shrinks as it goes."""
        slot, keys = self._slot, self._keys
        table, before = self._tables[slot], self._before.get(slot)
        assert table is not None
        chunk = keys[-keys_max:]
        del keys[-keys_max:]
        if not keys:
            self._done(slot)
        if not before:
            return Run(slot, chunk, [table[key] for key in chunk])
        found = [(key, before[key] if key in before else table[key]) for key in chunk]
        pairs = [(key, record) for key, record in found if record is not None]
        return Run(slot, [key for key, _ in pairs], [record for _, record in pairs])

    def _done(self, slot: int) -> None:
        self.pending[slot] = self._unread[slot] = 0
        self._tables[slot] = None
        self._before.pop(slot, None)
