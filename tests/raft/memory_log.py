"""A log in memory with a disk that lags: what is not synced may be lost, from some record on.

Owns what is visible and what is durable; `crash` gives what a restart would find.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from redraft.raft.log import CompactedError
from redraft.raft.types import Entry, EntryKind, HardState


class Base(NamedTuple):
    """A snapshot took the place of the entries up to `index`, or (`whole`) of all there was."""

    index: int  # type: ignore[assignment]  # the paper's name
    term: int
    whole: bool


Record = tuple[Entry, ...] | HardState | Base
Observer = Callable[["MemoryLog", Sequence[Entry]], None]


class MemoryLog:
    """A LogView; `flush` gives a sequence number, `sync` makes all up to one durable."""

    def __init__(
        self,
        entries: Sequence[Entry] = (),
        hard_state: HardState | None = None,
        observer: Observer | None = None,
        base: tuple[int, int] = (0, 0),
    ) -> None:
        """Start with what is durable already, behind a snapshot at `base` (index, term).

        `observer` is shown each append after it happened.
        """
        base_index, self.base_term = base
        self.first_index = base_index + 1
        self.entries = list(entries)
        last_term = entries[-1].term if entries else self.base_term
        self.hard_state = hard_state or HardState(last_term)
        self.durable_base = base
        self.durable_entries = list(entries)
        self.durable_hard_state = self.hard_state
        self.observer = observer
        self._waiting: list[Record] = []
        self._lsn = 0
        self._durable_lsn = 0

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
        first = entries[0].index
        assert self.first_index <= first <= self.last_index + 1, "a hole in the log"
        assert [entry.index for entry in entries] == list(range(first, first + len(entries)))
        assert entries[0].term >= self.term(first - 1), "terms fall along the log"
        del self.entries[first - self.first_index :]
        self.entries.extend(entries)
        self._write(tuple(entries))
        if self.observer is not None:
            self.observer(self, entries)

    def save(self, hard_state: HardState) -> None:
        assert hard_state.term >= self.hard_state.term, "the term falls"
        self.hard_state = hard_state
        self._write(hard_state)

    def _write(self, record: Record) -> None:
        self._waiting.append(record)
        self._lsn += 1

    @property
    def bytes(self) -> int:
        return sum(len(entry.data) for entry in self.entries)

    def tail_index(self, bytes_min: int) -> int:
        index = self.last_index
        while bytes_min > 0 and index >= self.first_index:
            bytes_min -= len(self.entries[index - self.first_index].data)
            index -= 1
        return index

    def configurations(self) -> list[int]:
        return [entry.index for entry in self.entries if entry.kind == EntryKind.CONFIGURATION]

    def compact(self, index: int) -> None:
        assert self.first_index - 1 <= index <= self.last_index, "compacted up to what is not there"
        self.base_term = self.term(index)
        del self.entries[: index + 1 - self.first_index]
        self.first_index = index + 1
        self._write(Base(index, self.base_term, whole=False))

    def restore(self, index: int, term: int) -> None:
        self.entries.clear()
        self.first_index, self.base_term = index + 1, term
        self._write(Base(index, term, whole=True))

    def flush(self) -> int:
        return self._lsn

    def sync(self, lsn: int) -> None:
        """Make all up to lsn durable, in the order written."""
        for record in self._waiting[: max(0, lsn - self._durable_lsn)]:
            first = self.durable_base[0] + 1
            if isinstance(record, HardState):
                self.durable_hard_state = record
            elif isinstance(record, Base):
                gone = len(self.durable_entries) if record.whole else record.index + 1 - first
                del self.durable_entries[:gone]
                self.durable_base = (record.index, record.term)
            else:
                del self.durable_entries[record[0].index - first :]
                self.durable_entries.extend(record)
        del self._waiting[: max(0, lsn - self._durable_lsn)]
        self._durable_lsn = max(self._durable_lsn, lsn)

    @property
    def unsynced(self) -> int:
        """Records that a crash may lose."""
        return len(self._waiting)

    def crash(self, lucky: int) -> MemoryLog:
        """The log a restart finds: what was synced, and the first `lucky` records of the rest."""
        self.sync(self._durable_lsn + lucky)
        return MemoryLog(self.durable_entries, self.durable_hard_state, self.observer, self.durable_base)


def entries_of(*terms: int) -> list[Entry]:
    """A log written as in the paper's figures: the terms of entries 1, 2, 3…"""
    return [Entry(term, index, EntryKind.PARTS, b"") for index, term in enumerate(terms, 1)]


def terms_of(log: MemoryLog) -> list[int]:
    """The inverse of `entries_of`."""
    return [entry.term for entry in log.entries]
