"""One group's view of the shared log: a dense run of entries, its term and its vote.

Owns, for each entry, its address and length (12 bytes an entry) and the terms as runs; the newest
entries also as objects, until the log's cache is over its limit.  Everything is visible at once and
durable later, when the log says so; an entry that is not durable is always in memory.

Order in the log is what counts at replay: an entry cuts off all that its group had from its index on.
Satisfies `redraft.raft.log.LogView`; knows nothing of files but addresses.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING

from redraft.accel.record import (
    RECORD_HEADER,
    RECORD_HEADER_BYTES,
    TYPE_ENTRY,
    TYPE_HARD_STATE,
    records_verify,
)
from redraft.base.errors import DamagedError
from redraft.raft.log import CompactedError
from redraft.raft.types import Entry, HardState

if TYPE_CHECKING:
    from redraft.wal.batch import PendingBatch
    from redraft.wal.cache import EntryCache
    from redraft.wal.segments import Segment, Segments

GAP_BYTES_MAX = 32 << 10
"""Records of other groups between two of ours are read along with them up to this many bytes."""

_FORGOTTEN = Entry(0, 0, 0, b"")


class GroupLog:
    """A LogView over the node's log; made by `Log.group`."""

    __slots__ = (
        "_addresses",
        "_batch",
        "_cache",
        "_lengths",
        "_recent",
        "_recent_first",
        "_recent_gone",
        "_run_starts",
        "_run_terms",
        "_segments",
        "first_index",
        "group",
        "hard_state",
        "last_index",
    )

    def __init__(self, group: int, batch: PendingBatch, cache: EntryCache, segments: Segments) -> None:
        self.group = group
        self.first_index = 1
        self.last_index = 0
        self.hard_state = HardState()
        self._batch = batch
        self._cache = cache
        self._segments = segments
        self._addresses = array("Q")
        self._lengths = array("I")
        self._run_starts = [0]  # index where each term begins, from first_index - 1 on
        self._run_terms = [0]
        self._recent: list[Entry] = []
        self._recent_gone = 0  # places at its beginning that are forgotten
        self._recent_first = 1  # index of the first that is not

    def term(self, index: int) -> int:
        """Return an entry's term; 0 for index 0 and above last_index; CompactedError if compacted."""
        if index > self.last_index:
            return 0
        starts = self._run_starts
        if index >= starts[-1]:
            return self._run_terms[-1]
        if index < starts[0]:
            raise CompactedError(f"group {self.group}: entry {index} is below {self.first_index}")
        return self._run_terms[bisect_right(starts, index) - 1]

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries, cutting off what this group has from entries[0].index on."""
        first = entries[0].index
        if first <= self.last_index:
            self._cut_off(first)
        assert first == self.last_index + 1, f"group {self.group}: {first} does not follow {self.last_index}"
        batch, group = self._batch, self.group
        cost = 0
        for entry in entries:
            term, index, kind, data = entry
            size = len(data)
            header = RECORD_HEADER.pack(0, 0, size, group, TYPE_ENTRY, kind, 0, 0, term, index)
            self._addresses.append(batch.add(header, data, size))
            self._lengths.append(size)
            if term != self._run_terms[-1]:
                assert term > self._run_terms[-1], f"group {group}: the term falls at {index}"
                self._run_starts.append(index)
                self._run_terms.append(term)
            cost += size
        self.last_index += len(entries)
        assert index == self.last_index, f"group {group}: indexes {first}..{index} are not dense"
        self._recent += entries
        self._cache.added(self, self.last_index, len(entries), cost)

    def save(self, hard_state: HardState) -> None:
        """Replace term and vote, in order with the appends."""
        assert hard_state.term >= self.hard_state.term, f"group {self.group}: the term falls"
        self.hard_state = hard_state
        term, voted_for = hard_state
        header = RECORD_HEADER.pack(0, 0, 0, self.group, TYPE_HARD_STATE, 0, 0, 0, term, voted_for)
        self._batch.add(header, b"", 0)

    def slice(self, low: int, high: int, bytes_max: int) -> list[Entry]:
        """Return entries of [low, high): one at least, then as long as their data stay within bytes_max.

        Reads the disk for what memory no longer has: raises DamagedError, StorageFailedError.
        """
        if low < self.first_index:
            raise CompactedError(f"group {self.group}: entry {low} is below {self.first_index}")
        assert low < high <= self.last_index + 1, f"group {self.group}: no entries {low}..{high - 1}"
        stop = low + 1
        position = low - self.first_index
        lengths = self._lengths
        left = bytes_max - lengths[position]
        while stop < high:
            position += 1
            left -= lengths[position]
            if left < 0:
                break
            stop += 1
        recent_first = self._recent_first
        if low >= recent_first:
            shift = self._recent_gone - recent_first
            return self._recent[low + shift : stop + shift]
        if stop <= recent_first:
            return self._read(low, stop)
        gone = self._recent_gone
        return self._read(low, recent_first) + self._recent[gone : gone + stop - recent_first]

    def replay_entry(self, address: int, length: int, term: int, index: int) -> None:
        """Take an entry that recovery read; the disk has it already."""
        if index != self.last_index + 1:
            if not self.first_index <= index <= self.last_index:
                raise DamagedError(
                    f"the log of group {self.group} is damaged: entry {index} follows {self.last_index}"
                )
            self._cut_off(index)
        if term != self._run_terms[-1]:
            self._run_starts.append(index)
            self._run_terms.append(term)
        self._addresses.append(address)
        self._lengths.append(length)
        self.last_index = index
        self._recent_first = index + 1

    def replay_hard_state(self, hard_state: HardState) -> None:
        """Take a term and vote that recovery read."""
        self.hard_state = hard_state

    def forget(self, index: int) -> int:
        """Drop entries up to `index`, which are durable, from memory; return what they cost there."""
        count = min(index, self.last_index) - self._recent_first + 1
        if count <= 0:
            return 0
        low = self._recent_first - self.first_index
        gone = self._recent_gone
        self._recent[gone : gone + count] = [_FORGOTTEN] * count
        gone += count
        if gone > len(self._recent) // 2:
            # Moving the rest down costs as much as it has entries, so it waits until they are few.
            del self._recent[:gone]
            gone = 0
        self._recent_gone = gone
        self._recent_first += count
        return self._cache.cost(count, sum(self._lengths[low : low + count]))

    def _cut_off(self, index: int) -> None:
        """Drop all entries from `index` on."""
        assert index >= self.first_index, f"group {self.group}: {index} is compacted"
        keep = index - self.first_index
        recent_keep = self._recent_gone + max(index - self._recent_first, 0)
        dropped = len(self._recent) - recent_keep
        if dropped:
            dropped_bytes = sum(self._lengths[len(self._lengths) - dropped :])
            self._cache.cut_off(self, index, dropped, dropped_bytes)
            del self._recent[recent_keep:]
        self._recent_first = min(self._recent_first, index)
        del self._addresses[keep:]
        del self._lengths[keep:]
        while self._run_starts[-1] >= index:
            del self._run_starts[-1]
            del self._run_terms[-1]
        self.last_index = index - 1

    def _read(self, low: int, high: int) -> list[Entry]:
        """Read entries of [low, high) back, in runs as long as their records stand near each other."""
        entries: list[Entry] = []
        first = self.first_index
        addresses, lengths = (
            self._addresses[low - first : high - first],
            self._lengths[low - first : high - first],
        )
        begin, count = 0, len(addresses)
        while begin < count:
            segment, offset = self._segments.locate(addresses[begin])
            segment_end = self._segments.end_of(segment)
            end = begin + 1
            behind = addresses[begin] + RECORD_HEADER_BYTES + lengths[begin]
            while end < count and addresses[end] < segment_end and addresses[end] - behind <= GAP_BYTES_MAX:
                behind = addresses[end] + RECORD_HEADER_BYTES + lengths[end]
                end += 1
            window = self._segments.read(segment, offset, behind - addresses[begin])
            offsets = [address - addresses[begin] for address in addresses[begin:end]]
            bad = records_verify(window, segment.seed, offsets)
            if bad >= 0:
                raise self._damaged(segment, offset + offsets[bad])
            for index, at in enumerate(offsets, low + begin):
                _, _, length, group, of_type, kind, _, _, term, own_index = RECORD_HEADER.unpack_from(
                    window, at
                )
                if (group, of_type, own_index, term) != (self.group, TYPE_ENTRY, index, self.term(index)):
                    raise self._damaged(segment, offset + at)
                data = at + RECORD_HEADER_BYTES
                entries.append(Entry(term, index, kind, window[data : data + length]))
            begin = end
        return entries

    def _damaged(self, segment: Segment, offset: int) -> DamagedError:
        path = self._segments.path(segment)
        return DamagedError(f"{path} is damaged at offset {offset}, in an entry of group {self.group}")
