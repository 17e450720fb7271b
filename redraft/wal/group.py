"""One group's view of the shared log: a dense run of entries, its term and its vote.

Owns, for each entry, its address and where its data end in the sum of all (16 bytes an entry), the terms
as runs and the configurations' indexes; the newest entries also as objects, until the log's cache is over
its limit.  Everything is visible at once and durable later, when the log says so; an entry that is not
durable is always in memory.

Order in the log is what counts at replay (`replay.py`).  Satisfies `redraft.raft.log.LogView`; knows nothing
of files but addresses.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from redraft.accel.record import (
    RECORD_HEADER,
    RECORD_HEADER_BYTES,
    TYPE_COMPACT,
    TYPE_COPY,
    TYPE_ENTRY,
    TYPE_HARD_STATE,
    TYPE_RESTORE,
    records_verify,
)
from redraft.base.errors import DamagedError
from redraft.raft.log import CompactedError
from redraft.raft.types import Entry, EntryKind, HardState
from redraft.wal.replay import NOWHERE, Replayed

if TYPE_CHECKING:
    from redraft.wal.batch import PendingBatch
    from redraft.wal.cache import EntryCache
    from redraft.wal.segments import Segment, Segments

NO_ADDRESS = 1 << 62
"""Higher than any address."""
ALL_BYTES = 1 << 62
"""For a slice without a limit."""

GAP_BYTES_MAX = 32 << 10
"""Records of other groups between two of ours are read along with them up to this many bytes."""

_FORGOTTEN = Entry(0, 0, 0, b"")
_ENTRIES = (TYPE_ENTRY, TYPE_COPY)
_CONFIGURATION = int(EntryKind.CONFIGURATION)


class GroupLog:
    """A LogView over the node's log; made by `Log.group`."""

    __slots__ = (
        "_addresses",
        "_base_address",
        "_batch",
        "_before",
        "_cache",
        "_configurations",
        "_ends",
        "_hard_state_address",
        "_recent",
        "_recent_first",
        "_recent_gone",
        "_run_starts",
        "_run_terms",
        "_segments",
        "_total",
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
        self._ends = array("Q")  # where each entry's data end, counted from some entry that is long gone
        self._before = 0  # where those of the entry before first_index end
        self._total = 0  # where those of the last entry end
        self._run_starts = [0]  # index where each term begins, from first_index - 1 on
        self._run_terms = [0]
        self._configurations: list[int] = []
        self._hard_state_address = NOWHERE  # of the record that holds it
        self._base_address = NOWHERE  # of the record that says what is compacted
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
        before = total = self._total
        for entry in entries:
            term, index, kind, data = entry.term, entry.index, entry.kind, entry.data
            size = len(data)
            header = RECORD_HEADER.pack(0, 0, size, group, TYPE_ENTRY, kind, 0, 0, term, index)
            self._addresses.append(batch.add(header, data, size))
            total += size
            self._ends.append(total)
            if term != self._run_terms[-1]:
                assert term > self._run_terms[-1], f"group {group}: the term falls at {index}"
                self._run_starts.append(index)
                self._run_terms.append(term)
            if kind == _CONFIGURATION:
                self._configurations.append(index)
        self._total = total
        self.last_index += len(entries)
        assert index == self.last_index, f"group {group}: indexes {first}..{index} are not dense"
        self._recent += entries
        self._cache.added(self, self.last_index, len(entries), total - before)

    def save(self, hard_state: HardState) -> None:
        """Replace term and vote, in order with the appends."""
        assert hard_state.term >= self.hard_state.term, f"group {self.group}: the term falls"
        self.hard_state = hard_state
        self._hard_state_address = self._mark(TYPE_HARD_STATE, *hard_state)

    def compact(self, index: int) -> None:
        """Forget the entries up to `index`, which a durable snapshot covers; its term stays known.

        In order with the appends; does nothing when they are gone already.
        """
        assert self.first_index - 1 <= index <= self.last_index, (
            f"group {self.group}: {index} is not in {self.first_index - 1}..{self.last_index}"
        )
        if index < self.first_index:
            return
        term = self.term(index)
        count = index + 1 - self.first_index
        if index >= self._recent_first:
            self._drop_recent(self._recent_gone + index + 1 - self._recent_first)
            self._recent_first = index + 1
        self._before = self._ends[count - 1]
        del self._addresses[:count]
        del self._ends[:count]
        del self._configurations[: bisect_right(self._configurations, index)]
        run = bisect_right(self._run_starts, index) - 1
        del self._run_starts[:run]
        del self._run_terms[:run]
        self._run_starts[0] = index
        self.first_index = index + 1
        self._base_address = self._mark(TYPE_COMPACT, term, index)

    def restore(self, index: int, term: int) -> None:
        """Put a snapshot at (index, term) in the place of the whole log; term and vote stay.

        In order with the appends; (0, 0) empties the log of a replica that was removed.
        """
        self._cache.cut_off(self, 0, 0, 0)
        self._drop_recent(len(self._recent))
        del self._addresses[:], self._ends[:], self._configurations[:]
        self._before = self._total
        self._run_starts, self._run_terms = [index], [term]
        self.first_index = self._recent_first = index + 1
        self.last_index = index
        self._base_address = self._mark(TYPE_RESTORE, term, index)

    def slice(self, low: int, high: int, bytes_max: int) -> list[Entry]:
        """Return entries of [low, high): one at least, then as long as their data stay within bytes_max.

        Reads the disk for what memory no longer has: raises DamagedError, StorageFailedError.
        """
        if low < self.first_index:
            raise CompactedError(f"group {self.group}: entry {low} is below {self.first_index}")
        assert low < high <= self.last_index + 1, f"group {self.group}: no entries {low}..{high - 1}"
        ends, position = self._ends, low - self.first_index
        limit = (ends[position - 1] if position else self._before) + bytes_max
        stop = bisect_right(ends, limit, position + 1, high - self.first_index) + self.first_index
        recent_first = self._recent_first
        if low >= recent_first:
            shift = self._recent_gone - recent_first
            return self._recent[low + shift : stop + shift]
        if stop <= recent_first:
            return self._read(low, stop)
        gone = self._recent_gone
        return self._read(low, recent_first) + self._recent[gone : gone + stop - recent_first]

    def configurations(self) -> list[int]:
        """Return the indexes of the CONFIGURATION entries present, ascending."""
        return self._configurations.copy()

    @property
    def bytes(self) -> int:
        """The data of all entries present."""
        return self._total - self._before

    def tail_index(self, bytes_min: int) -> int:
        """Return the last index behind which entries with `bytes_min` bytes follow; else first_index - 1."""
        return self.first_index - 1 + bisect_right(self._ends, self._total - bytes_min)

    def recover(self, replayed: Replayed) -> None:
        """Take what recovery read; the disk has it already."""
        self.first_index, self.last_index = replayed.first_index, replayed.last_index
        self._recent_first = self.last_index + 1
        self._addresses = replayed.addresses
        self._ends = array("Q", accumulate(replayed.lengths))
        self._total = self._ends[-1] if self._ends else 0
        self._run_starts, self._run_terms = replayed.run_starts, replayed.run_terms
        self._configurations = replayed.configurations
        self.hard_state = replayed.hard_state
        self._hard_state_address = replayed.hard_state_address
        self._base_address = replayed.base_address

    def forget(self, index: int) -> int:
        """Drop entries up to `index`, which are durable, from memory; return what they cost there."""
        count = min(index, self.last_index) - self._recent_first + 1
        if count <= 0:
            return 0
        freed = self._data_bytes(self._recent_first, self._recent_first + count)
        gone = self._recent_gone
        self._recent[gone : gone + count] = [_FORGOTTEN] * count
        gone += count
        if gone > len(self._recent) // 2:
            # Moving the rest down costs as much as it has entries, so it waits until they are few.
            del self._recent[:gone]
            gone = 0
        self._recent_gone = gone
        self._recent_first += count
        return self._cache.cost(count, freed)

    # ---- for the collector ---------------------------------------------------------------------------

    @property
    def live_bytes(self) -> int:
        """What the records that still count take on disk: entries, term and vote, base."""
        marks = (self._hard_state_address != NOWHERE) + (self._base_address != NOWHERE)
        return self._total - self._before + RECORD_HEADER_BYTES * (len(self._addresses) + marks)

    def length(self, index: int) -> int:
        """Return how long an entry's data is."""
        return self._data_bytes(index, index + 1)

    def addresses(self, low: int, high: int) -> array[int]:
        """Return where the records of the entries of [low, high) stand."""
        return self._addresses[low - self.first_index : high - self.first_index]

    def copy(self, low: int, high: int) -> array[int]:
        """Write the entries of [low, high) again, cutting off nothing; return where the copies stand.

        They are read from where they were until `move` is told that the copies are durable.
        """
        batch, group, copies = self._batch, self.group, array("Q")
        for entry in self.slice(low, high, ALL_BYTES):
            size = len(entry.data)
            header = RECORD_HEADER.pack(
                0, 0, size, group, TYPE_COPY, entry.kind, 0, 0, entry.term, entry.index
            )
            copies.append(batch.add(header, entry.data, size))
        return copies

    def move(self, low: int, old: array[int], new: array[int]) -> None:
        """Read entries from `low` on at their durable copies; those that are others by now stay."""
        for index, (before, after) in enumerate(zip(old, new, strict=True), low):
            if self.first_index <= index <= self.last_index:
                position = index - self.first_index
                if self._addresses[position] == before:
                    self._addresses[position] = after

    def copy_marks(self, below: int) -> int:
        """Say term and vote, and the base, again where they were said below an address.

        What is said behind all else is said in order, so it needs no rule at replay.  Returns the lowest
        address at which one of them stands then.
        """
        if NOWHERE < self._hard_state_address < below:
            self._hard_state_address = self._mark(TYPE_HARD_STATE, *self.hard_state)
        if NOWHERE < self._base_address < below:
            index = self.first_index - 1
            self._base_address = self._mark(TYPE_COMPACT, self.term(index), index)
        stand = [self._hard_state_address, self._base_address]
        return min((address for address in stand if address != NOWHERE), default=NO_ADDRESS)

    # ---- within --------------------------------------------------------------------------------------

    def _cut_off(self, index: int) -> None:
        """Drop all entries from `index` on."""
        assert index >= self.first_index, f"group {self.group}: {index} is compacted"
        keep = index - self.first_index
        recent_keep = self._recent_gone + max(index - self._recent_first, 0)
        dropped = len(self._recent) - recent_keep
        if dropped:
            freed = self._data_bytes(self.last_index + 1 - dropped, self.last_index + 1)
            self._cache.cut_off(self, index, dropped, freed)
            del self._recent[recent_keep:]
        self._recent_first = min(self._recent_first, index)
        del self._addresses[keep:]
        del self._ends[keep:]
        self._total = self._ends[-1] if keep else self._before
        del self._configurations[bisect_left(self._configurations, index) :]
        while self._run_starts[-1] >= index:
            del self._run_starts[-1]
            del self._run_terms[-1]
        self.last_index = index - 1

    def _drop_recent(self, count: int) -> None:
        """Take the first `count` places out of memory's entries."""
        kept = count - self._recent_gone
        if kept > 0:
            freed = self._data_bytes(self._recent_first, self._recent_first + kept)
            self._cache.discard(self._recent[:count], kept, freed)
        del self._recent[:count]
        self._recent_gone = 0

    def _data_bytes(self, low: int, high: int) -> int:
        """Return how much data the entries of [low, high) have."""
        ends, low, high = self._ends, low - self.first_index, high - self.first_index
        return (ends[high - 1] if high else self._before) - (ends[low - 1] if low else self._before)

    def _mark(self, of_type: int, term: int, index: int) -> int:
        """Write a record without data; return its address."""
        header = RECORD_HEADER.pack(0, 0, 0, self.group, of_type, 0, 0, 0, term, index)
        return self._batch.add(header, b"", 0)

    def _read(self, low: int, high: int) -> list[Entry]:
        """Read entries of [low, high) back, in runs as long as their records stand near each other."""
        entries: list[Entry] = []
        position = low - self.first_index
        addresses = self._addresses[position : high - self.first_index]
        ends = self._ends[position : high - self.first_index]
        before = self._ends[position - 1] if position else self._before
        lengths = [end - start for start, end in zip([before, *ends], ends, strict=False)]
        begin, count = 0, len(addresses)
        while begin < count:
            segment, offset = self._segments.locate(addresses[begin])
            segment_end = self._segments.end_of(segment)
            end = begin + 1
            behind = addresses[begin] + RECORD_HEADER_BYTES + lengths[begin]
            while end < count and addresses[end] < segment_end:
                if not 0 <= addresses[end] - behind <= GAP_BYTES_MAX:  # a copy may stand behind later entries
                    break
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
                if of_type not in _ENTRIES or (group, own_index, term) != (
                    self.group,
                    index,
                    self.term(index),
                ):
                    raise self._damaged(segment, offset + at)
                data = at + RECORD_HEADER_BYTES
                entries.append(Entry(term, index, kind, window[data : data + length]))
            begin = end
        return entries

    def _damaged(self, segment: Segment, offset: int) -> DamagedError:
        path = self._segments.path(segment)
        return DamagedError(f"{path} is damaged at offset {offset}, in an entry of group {self.group}")
