"""How much of the log stays in memory: the newest entries of all groups, up to a limit of bytes.

Oldest first, whichever group they are of; an entry leaves only when it is durable, for until then the
disk can't give it back.  So the limit bends for what is in flight, which others bound.

What a compaction drops at once may be a hundred thousand objects, whose freeing would be felt as a pause:
they are set aside here, and freed by and by (`empty`).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from redraft.raft.types import Entry

if TYPE_CHECKING:
    from redraft.wal.group import GroupLog

ENTRY_OVERHEAD_BYTES = 200
"""What an entry costs in memory beside its data: the struct, its numbers, the bytes object's header."""


APPENDS_MAX = 1 << 15
"""So many appends are remembered: behind them the oldest leaves, however few bytes there are.

Most of these appends may be dead, for what is compacted leaves its place in the row, behind an idle group's.
"""


class EntryCache:
    """Counts what the groups hold in memory, and tells them what to forget.

    The appends stand in three rows side by side instead of in one of objects: Python's garbage collector
    looks at every object that can refer to another, and nothing runs meanwhile.
    """

    __slots__ = ("_discarded", "_indices", "_limit", "_logs", "_sequences", "bytes", "next_sequence")

    def __init__(self, limit: int, next_sequence: int) -> None:
        self.bytes = 0
        self.next_sequence = next_sequence  # of the batch that collects now
        self._limit = limit
        self._logs: deque[GroupLog] = deque()
        self._indices: deque[int] = deque()
        """Of the last entry of each append."""
        self._sequences: deque[int] = deque()
        """Of the batch that each rides in."""
        self._discarded: list[list[Entry]] = []

    @staticmethod
    def cost(count: int, data_bytes: int) -> int:
        """Return what `count` entries with so many bytes of data cost."""
        return data_bytes + count * ENTRY_OVERHEAD_BYTES

    def added(self, log: GroupLog, index: int, count: int, data_bytes: int) -> None:
        """Count entries just appended, the last one at `index`."""
        self.bytes += data_bytes + count * ENTRY_OVERHEAD_BYTES
        self._logs.append(log)
        self._indices.append(index)
        self._sequences.append(self.next_sequence)

    def cut_off(self, log: GroupLog, index: int, count: int, data_bytes: int) -> None:
        """Uncount entries of `log` from `index` on: their places will be others', durable later than they."""
        self.bytes -= self.cost(count, data_bytes)
        places = zip(self._logs, self._indices, strict=True)
        self._indices = deque([index - 1 if of is log and last >= index else last for of, last in places])

    def discard(self, entries: list[Entry], count: int, data_bytes: int) -> None:
        """Uncount `count` entries that a compaction drops, and set them aside."""
        self.bytes -= self.cost(count, data_bytes)
        self._discarded.append(entries)

    def empty(self, count: int) -> None:
        """Free so many entries of those set aside."""
        discarded = self._discarded
        while discarded and count > 0:
            taken = min(count, len(discarded[-1]))
            del discarded[-1][-taken:]
            count -= taken
            if not discarded[-1]:
                discarded.pop()

    def trim(self, durable: int) -> None:
        """Forget the oldest durable entries while there is too much."""
        logs, sequences = self._logs, self._sequences
        while logs and (self.bytes > self._limit or len(logs) > APPENDS_MAX):
            if sequences[0] > durable:
                break
            sequences.popleft()
            self.bytes -= logs.popleft().forget(self._indices.popleft())
