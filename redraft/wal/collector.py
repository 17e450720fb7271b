"""Garbage collection: what still lives in the oldest segments is written again, and they go.

Owns the decision when and how far, and the steps.  A *sweep* takes a boundary in front of which all is to
go, looks at every group's records once, a bounded number at a time, copies those that stand before the
boundary to the end of the log, then writes an OLDEST record: the log begins here.  When that is durable the
segments in front of it are removed.

Why a crash at any point is harmless (what a start makes of it: `replay.py`, `recovery.py`):
- Until the OLDEST record is durable no file is touched: copies only say again what is there.
- Everything alive in front of the boundary was copied, or died, before the OLDEST record, which is one of
  the same sequence of batches: so wherever it can be read, they can.
- Only a beginning of the log goes, never a middle: what overwrote or compacted a record, and the vote that
  replaced a vote, stand behind it and so never go before it.

Why it ends, and what it costs: a sweep starts when the closed segments take more than LIVE_FACTOR times what
lives, so a lap through the log copies what lives once and frees as much at least.

Nothing here waits; the log calls `step` and lends what it has.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from redraft.accel.record import RECORD_HEADER, RECORD_HEADER_BYTES, TYPE_OLDEST
from redraft.wal.batch import PendingBatch
from redraft.wal.cache import EntryCache
from redraft.wal.group import NO_ADDRESS, GroupLog
from redraft.wal.segments import Segment, Segments

LIVE_FACTOR = 2
"""Closed segments may take so many times what lives in the log, and half a segment's size."""
CLOSED_MAX = 16
"""So many closed segments may be there, and LIVE_FACTOR for each that would hold what lives.

Restarts leave small ones behind.
"""
SWEEP_PART = 8
"""A sweep takes such a part of the closed segments, one at least: so much disk it may need in passing."""
ADDRESSES_MAX = 20_000
"""How many entries' addresses a step looks at: a fraction of a millisecond."""
CHUNK = 2_000
GROUP_COST = 50
"""A group costs as much as looking at so many addresses."""
ENTRY_COST = 1_500
"""An entry's copy costs as much as so many bytes of its data."""
PACE_STEPS, PACE_MAX = 8, 4
"""A step does its work once more for each such part of the limit that is exceeded, up to so many times."""
REST_STEPS = 16
"""Whether there is garbage enough is asked at every so many-th step."""


class _Moves(NamedTuple):
    """Entries whose copies are under way."""

    sequence: int  # of the batch with the copies
    log: GroupLog
    low: int
    old: array[int]
    new: array[int]


class _Sweep:
    """How far one sweep is."""

    def __init__(self, below: int, groups: list[GroupLog], pace: int) -> None:
        self.below = below
        self.pace = pace
        self.groups = groups  # still to look at, the next one last
        self.low = 0  # index to go on with in the next one
        self.floor = NO_ADDRESS  # lowest address seen that stays


class Collector:
    """One log's; `step` as often as there is time."""

    def __init__(
        self,
        groups: Mapping[int, GroupLog],
        segments: Segments,
        batch: PendingBatch,
        cache: EntryCache,
        segment_bytes: int,
        has_room: Callable[[int], bool],
        remove: Callable[[list[int]], None],
    ) -> None:
        self._groups = groups
        self._segments = segments
        self._batch = batch
        self._cache = cache
        self._segment_bytes = segment_bytes
        self._has_room = has_room
        self._remove = remove
        self._sweep: _Sweep | None = None
        self._moves: deque[_Moves] = deque()
        self._stated: tuple[int, int] | None = None  # the OLDEST record's sequence, and what it says
        self._rest = 0

    @property
    def busy(self) -> bool:
        """Whether a sweep is under way."""
        return self._sweep is not None or self._stated is not None

    def settle(self, durable: int) -> None:
        """Do what had to wait until copies, or the OLDEST record, were durable."""
        moves = self._moves
        while moves and moves[0].sequence <= durable:
            done = moves.popleft()
            done.log.move(done.low, done.old, done.new)
        if self._stated is not None and self._stated[0] <= durable:
            assert not moves
            self._remove(self._segments.drop_before(self._stated[1]))
            self._stated = None

    def step(self, bytes_max: int, *, pressed: bool) -> bool:
        """Go on with the sweep, or begin one that is worth it; return whether anything was written.

        Adds about `bytes_max` to the batch at most; `pressed` says that the disk is full.  Raises
        DamagedError, StorageFailedError when what lives can't be read.
        """
        if self._stated is not None or (self._sweep is None and not self._begin(pressed)):
            return False
        sweep = self._sweep
        assert sweep is not None
        address = self._batch.address
        work_left, addresses_left = bytes_max * sweep.pace, ADDRESSES_MAX
        while (
            sweep.groups and work_left > 0 and addresses_left > 0 and self._has_room(2 * RECORD_HEADER_BYTES)
        ):
            log = sweep.groups[-1]
            if sweep.low == 0:
                sweep.floor = min(sweep.floor, log.copy_marks(sweep.below))
                addresses_left -= GROUP_COST
            low = max(sweep.low, log.first_index)
            high = min(low + CHUNK, log.last_index + 1)
            if low < high:
                sweep.low, work = self._look(sweep, log, low, high, work_left)
                work_left -= work
                addresses_left -= sweep.low - low
                if sweep.low < high and work_left > 0:
                    break  # no room
            else:
                sweep.groups.pop()
                sweep.low = 0
        if not sweep.groups and self._has_room(RECORD_HEADER_BYTES):
            self._state(sweep)
        return self._batch.address != address

    # ---- when and how far --------------------------------------------------------------------------

    @property
    def live_bytes(self) -> int:
        """What lives in the log, record headers included."""
        return sum(log.live_bytes for log in self._groups.values())

    def _begin(self, pressed: bool) -> bool:
        """Begin a sweep if there is garbage enough; one segment at a time on a full disk."""
        self._rest -= 1
        if self._rest > 0:
            return False
        self._rest = REST_STEPS
        closed = self._segments.closed
        size = sum(segment.size for segment in closed)
        pace = self._pace(closed, size, pressed)
        if not pace:
            return False
        swept = 0
        for last in closed:
            swept += last.size
            if pressed or swept * SWEEP_PART >= size:
                break
        groups = [self._groups[group] for group in sorted(self._groups, reverse=True)]
        self._sweep = _Sweep(self._segments.end_of(last), groups, pace)
        return True

    def _pace(self, closed: Sequence[Segment], size: int, pressed: bool) -> int:
        """Return how urgent a sweep is; 0: not worth it."""
        segment_bytes = self._segment_bytes
        if not closed or (size <= segment_bytes // 4 and len(closed) <= CLOSED_MAX):
            return 0
        live = self.live_bytes
        if len(closed) > CLOSED_MAX + LIVE_FACTOR * live // segment_bytes:
            return 1
        if pressed:
            return int(size > live + live // 4 + segment_bytes // 4)
        limit = LIVE_FACTOR * live + segment_bytes // 2
        return 0 if size <= limit else min(1 + PACE_STEPS * (size - limit) // limit, PACE_MAX)

    # ---- a sweep -----------------------------------------------------------------------------------

    def _look(self, sweep: _Sweep, log: GroupLog, low: int, high: int, work_max: int) -> tuple[int, int]:
        """Copy what of [low, high) stands before the boundary; return where to go on, and the work it was.

        Stops when that is `work_max`, or when there is no room.
        """
        addresses = log.addresses(low, high)
        lowest = min(addresses)
        if lowest >= sweep.below:
            sweep.floor = min(sweep.floor, lowest)
            return high, 0
        work = position = 0
        count = len(addresses)
        while position < count and work < work_max:
            begin = position
            if addresses[begin] >= sweep.below:
                sweep.floor = min(sweep.floor, addresses[begin])
                position += 1
                continue
            size = cost = 0
            while position < count and addresses[position] < sweep.below and work + cost < work_max:
                length = log.length(low + position)
                size += length + RECORD_HEADER_BYTES
                cost += length + ENTRY_COST
                position += 1
            if not self._has_room(size):
                return low + begin, work
            copies = log.copy(low + begin, low + position)
            sequence = self._cache.next_sequence  # they ride in this batch, or in one handed over full
            self._moves.append(_Moves(sequence, log, low + begin, addresses[begin:position], copies))
            work += cost
        return low + position, work

    def _state(self, sweep: _Sweep) -> None:
        """Say where the log begins from now on; it may be further on than the boundary was."""
        newest = self._segments.newest
        oldest = newest if sweep.floor == NO_ADDRESS else self._segments.locate(sweep.floor)[0]
        self._batch.add(RECORD_HEADER.pack(0, 0, 0, 0, TYPE_OLDEST, 0, 0, 0, oldest.number, 0), b"", 0)
        self._stated = (self._cache.next_sequence, oldest.number)
        self._sweep = None
        self._rest = 0
