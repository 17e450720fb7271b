"""A log in memory with a disk that lags: what is not synced may be lost, from some record on.

Owns the records in the order in which they were written; `crash` keeps a prefix that is at least what
was synced, and replays it as recovery would.
"""

from __future__ import annotations

from collections.abc import Sequence

from redraft.raft.log import CompactedError
from redraft.raft.types import Entry, EntryKind, HardState


class MemoryLog:
    """A LogView; `flush` gives a sequence number, `sync` makes all up to one durable."""

    def __init__(self, entries: Sequence[Entry] = (), hard_state: HardState | None = None) -> None:
        self.first_index = 1
        self.base_term = 0
        self.entries: list[Entry] = []
        self.hard_state = HardState()
        self.records: list[tuple[Entry, ...] | HardState] = []
        self.durable_lsn = 0
        if hard_state is not None:
            self.save(hard_state)
        if entries:
            self.append(entries)
        self.sync(self.flush())

    @property
    def last_index(self) -> int:
        return self.first_index + len(self.entries) - 1

    def term(self, index: int) -> int:
        if index > self.last_index:
            return 0
        if index < self.first_index - 1:
            raise CompactedError(index)
        return self.entries[index - self.first_index].term if index >= self.first_index else self.base_term

    def slice(self, low: int, high: int, bytes_max: int) -> list[Entry]:
        if low < self.first_index:
            raise CompactedError(low)
        taken: list[Entry] = []
        size = 0
        for entry in self.entries[low - self.first_index : high - self.first_index]:
            size += len(entry.data)
            if taken and size > bytes_max:
                break
            taken.append(entry)
        return taken

    def append(self, entries: Sequence[Entry]) -> None:
        self.records.append(tuple(entries))
        self._put(entries)

    def _put(self, entries: Sequence[Entry]) -> None:
        first = entries[0].index
        assert self.first_index <= first <= self.last_index + 1, "a hole in the log"
        assert [e.index for e in entries] == list(range(first, first + len(entries)))
        assert entries[0].term >= self.term(first - 1), "terms fall along the log"
        del self.entries[first - self.first_index :]
        self.entries.extend(entries)

    def save(self, hard_state: HardState) -> None:
        self.records.append(hard_state)
        self.hard_state = hard_state

    def compact(self, index: int) -> None:
        """Forget entries up to index, as after a snapshot."""
        self.base_term = self.term(index)
        del self.entries[: index + 1 - self.first_index]
        self.first_index = index + 1

    def flush(self) -> int:
        return len(self.records)

    def sync(self, lsn: int) -> None:
        self.durable_lsn = max(self.durable_lsn, lsn)

    def crash(self, kept: int) -> MemoryLog:
        """The log a restart finds: the synced records, and of the rest those before `kept`."""
        survivor = MemoryLog()
        for record in self.records[: max(self.durable_lsn, kept)]:
            if isinstance(record, HardState):
                survivor.save(record)
            else:
                survivor.append(record)
        survivor.sync(survivor.flush())
        return survivor


def entries_of(*terms: int) -> list[Entry]:
    """A log written as in the paper's figures: the terms of entries 1, 2, 3…"""
    return [Entry(term, index, EntryKind.PARTS, b"") for index, term in enumerate(terms, 1)]
