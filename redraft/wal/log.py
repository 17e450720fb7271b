"""The log of a node: all groups' entries, terms and votes in one sequence of segments, one write a flush.

Use from one thread.  The order of things: `GroupLog.append`/`save` put records into the pending batch;
`flush` hands it to the writer and returns its sequence; when `fileno` becomes readable, `take_durable`
returns the last sequence that is durable.  Nothing here waits but `open`, `sync` and `close`.

Invariants:
- Sequences are dense; a batch is written once, at one place, behind the batch before it.
- Every batch goes where preallocated zeros are, unless it is larger than a segment.
- What is not durable is in memory; what is in memory only is never claimed.
- After a failed write or fdatasync nothing more is written (StorageFailedError: the node stops).
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
from collections import deque
from pathlib import Path
from typing import NamedTuple

from redraft.accel.record import BATCH_HEADER_BYTES
from redraft.base.errors import DirectoryError, StorageFailedError
from redraft.wal.batch import PendingBatch, encode_batch
from redraft.wal.cache import EntryCache
from redraft.wal.collector import Collector
from redraft.wal.files import Files, SystemFiles
from redraft.wal.group import GroupLog
from redraft.wal.options import LogOptions
from redraft.wal.preparer import Preparer
from redraft.wal.recovery import Recovery
from redraft.wal.segment import DATA_START, SUFFIX, SegmentHeader, name_of
from redraft.wal.segments import Segment, Segments

RECORD_ROOM_BYTES = 256
"""What an entry takes beside its data, in has_room: its header, a batch header, padding."""
COLLECT_BYTES = 1 << 20
"""What one step of the garbage collection copies at most, but for an entry that is larger."""
FREED_ENTRIES_MAX = 2_000
"""So many cached entries are freed at a time after a compaction."""
SEAL_IDLE_MS = 200.0
"""After so long without a write, the log states that all of it is durable."""
LEFT_OVER_PART = 64
"""A full segment of which more than such a part is left over is cut to what it holds."""


class _Retired(NamedTuple):
    """A segment written full."""

    sequence: int  # its last batch's
    fd: int
    segment: Segment
    used: int  # offset behind its last batch


class Log:
    """Made by `Log.open`."""

    def __init__(self, directory: Path, options: LogOptions, files: Files) -> None:
        self._directory = directory
        self._options = options
        self._files = files
        self._groups: dict[int, GroupLog] = {}
        self._segments = Segments(files, directory)
        self._batch = PendingBatch(0, self._hand_over)
        self._cache = EntryCache(options.cache_bytes, 1)
        self._held: deque[tuple[int, bytearray]] = deque()  # (address, batch): no segment is ready for them
        self._held_bytes = 0
        self._retired: deque[_Retired] = deque()
        self._durable = 0
        self._failed: StorageFailedError | None = None
        self._closed = False
        recovery = Recovery(files, directory, options, self._segments)
        recovered = recovery.run()
        for group, replayed in recovered.groups.items():
            self.group(group).recover(replayed)
        self._log_id = recovered.header.log_id
        self._fd = recovered.fd
        self._sequence = self._durable = self._placed = recovered.sequence
        self._stated = recovered.sequence  # the last batch after which another one states that it is durable
        self._cache.next_sequence = self._sequence + 1
        self._batch = self._move_batch(recovery.address)
        self._end = recovery.address  # address behind the last batch that has a place
        self._event_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._writer = files.start_writer(self._event_fd, self._durable, recovered.chain, options.threads)
        self._preparer = Preparer(
            files, directory, self._event_fd, retry_s=options.retry_s, threaded=options.threads
        )
        self._collector = Collector(
            self._groups,
            self._segments,
            self._batch,
            self._cache,
            options.segment_bytes,
            self._has_spare_room,
            self._remove,
        )
        self._written_ms = 0.0
        self._written = 0  # sequence at that time
        self._request_spare()

    @classmethod
    def open(cls, directory: Path, options: LogOptions | None = None, files: Files | None = None) -> Log:
        """Recover the log in `directory`, or begin one; the caller holds the directory's lock.

        Raises DamagedError (file, offset, group), DirectoryError, StorageFailedError when reading fails.
        Everything recovered is durable when this returns.
        """
        files = files if files is not None else SystemFiles()
        try:
            files.make_directory(directory)
            return cls(directory, options if options is not None else LogOptions(), files)
        except OSError as error:
            kind = StorageFailedError if error.errno == errno.EIO else DirectoryError
            raise kind(f"the log in {directory} can't be opened: {error.strerror}") from error

    @staticmethod
    def exists(directory: Path) -> bool:
        """Say whether a log was ever begun in `directory`: a node that has spoken before must find one."""
        return any(directory.glob("*" + SUFFIX))

    # ---- groups ------------------------------------------------------------------------------------

    def group(self, group: int) -> GroupLog:
        """Return a group's log; an empty one when the group is new."""
        log = self._groups.get(group)
        if log is None:
            log = self._groups[group] = GroupLog(group, self._batch, self._cache, self._segments)
        return log

    def groups(self) -> list[int]:
        """Return the groups that have a log, in order."""
        return sorted(self._groups)

    # ---- writing -----------------------------------------------------------------------------------

    def flush(self) -> int:
        """Hand all that is pending to the writer as one batch; return the sequence that covers it.

        Raises StorageFailedError after a failure.
        """
        if self._failed is not None:
            raise self._failed
        if self._batch:
            self._hand_over()
        return self._sequence

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when `take_durable` has news."""
        return self._event_fd

    def take_durable(self) -> int:
        """Return the last durable sequence, and clear the eventfd.

        Raises StorageFailedError once a write, an fdatasync or the making of a segment failed.
        """
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._event_fd)
        self._check()
        durable = self._durable = self._writer.durable()
        if self._held:
            self._place_held()
        while self._retired and self._retired[0].sequence <= durable:
            self._close_full(self._retired.popleft())
        self._collector.settle(durable)
        self._cache.trim(durable)
        return durable

    def has_room(self, size: int) -> bool:
        """Say whether an entry of `size` bytes has its place on disk, the reserve left alone.

        Ask before proposing or accepting; False means that the disk is full (MISCONF).  Terms and votes
        are saved without asking: the reserve is theirs.
        """
        return self._has_room(size, self._options.reserve_bytes)

    def _has_spare_room(self, size: int) -> bool:
        """Say whether housekeeping may write so much: it has half of the reserve, for it gives space back."""
        return not self._held and self._has_room(size, self._options.reserve_bytes // 2)

    def _has_room(self, size: int, reserve: int) -> bool:
        need = size + RECORD_ROOM_BYTES + self._batch.size + self._held_bytes + reserve
        newest = self._segments.newest
        if need <= newest.size - (DATA_START + self._end - newest.start):
            return True
        spare = self._preparer.spare
        if spare is not None and need <= spare.size - DATA_START:
            return True
        if self._preparer.full:
            return False
        return self._files.free_bytes(self._directory) >= need + self._options.segment_bytes

    @property
    def disk_full(self) -> bool:
        """Whether the next segment could not be made for lack of space; tried again by itself."""
        return self._preparer.full

    def seal(self) -> int:
        """Queue a batch without records, if none yet states that all before is durable; return its sequence.

        Until then the last batch, should it rot, looks like a torn tail: worth a write when all is idle.
        """
        sequence = self.flush()
        if sequence == self._stated:
            return sequence
        self._sequence += 1
        self._place(self._batch.start, encode_batch(self._sequence, b"", 0))
        self._move_batch(self._batch.start + BATCH_HEADER_BYTES)
        self._stated = self._cache.next_sequence = self._sequence
        self._cache.next_sequence += 1
        return self._sequence

    # ---- housekeeping ------------------------------------------------------------------------------

    def tend(self, now_ms: float) -> None:
        """Do a step of what is never waited for, a millisecond or two: call it at every tick.

        Collects garbage, and seals the log when it is idle.  Raises StorageFailedError and DamagedError when
        what lives can't be read.
        """
        self.collect()
        if self._batch or self._sequence != self._written:
            self._written, self._written_ms = self._sequence, now_ms
        elif now_ms - self._written_ms >= SEAL_IDLE_MS and self._has_spare_room(0):
            self._written = self.seal()

    def collect(self, bytes_max: int = COLLECT_BYTES) -> bool:
        """Do one step of the garbage collection; say whether it is in the middle of its work."""
        self._cache.empty(FREED_ENTRIES_MAX)
        if self._failed is None and not self._held:
            full = self._preparer.full
            if full:
                bytes_max = min(bytes_max, self._options.reserve_bytes // 4)
            if self._collector.step(bytes_max, pressed=full):
                self.flush()
        return self._collector.busy

    @property
    def sequence(self) -> int:
        """The last batch that was handed over."""
        return self._sequence

    @property
    def live_bytes(self) -> int:
        """What the records that still count take: entries of all groups, terms, votes, and bases."""
        return self._collector.live_bytes

    @property
    def disk_bytes(self) -> int:
        """What the log's files take, the spare one included."""
        spare = self._preparer.spare
        return self._segments.total_bytes + (spare.size if spare is not None else 0)

    # ---- waiting: for start, stop and tests ----------------------------------------------------------

    def step(self) -> None:
        """Do the threads' work, when the options say that there are none."""
        self._preparer.step()
        self._writer.step()

    def sync(self) -> int:
        """Flush, wait until everything is durable, and return its sequence."""
        sequence = self.flush()
        ready = select.poll()
        ready.register(self._event_fd, select.POLLIN)
        while self.take_durable() < sequence:
            if self._held and self._preparer.full:
                raise StorageFailedError(
                    f"the disk of {self._directory} is full, and the log's reserve used up: free some space"
                )
            if self._options.threads:
                ready.poll()
            else:
                self.step()
        return sequence

    def close(self) -> None:
        """Make everything durable, state it, and let go; raise StorageFailedError if that failed."""
        if self._closed:
            return
        try:
            if self._failed is None:
                self.sync()
                self.seal()
                self.sync()
        finally:
            self._closed = True
            self._writer.stop()
            self._preparer.stop()
            for retired in self._retired:
                self._files.close(retired.fd)
            self._files.close(self._fd)
            self._segments.close()
            os.close(self._event_fd)

    # ---- the way of a batch --------------------------------------------------------------------------

    def _hand_over(self) -> None:
        start = self._batch.start
        self._sequence += 1
        batch = self._batch.take(self._sequence)
        self._cache.next_sequence = self._sequence + 1
        self._place(start, batch)

    def _place(self, address: int, batch: bytearray) -> None:
        if self._held or not self._submit(address, batch):
            self._held.append((address, batch))
            self._held_bytes += len(batch)

    def _place_held(self) -> None:
        while self._held and self._submit(*self._held[0]):
            self._held_bytes -= len(self._held.popleft()[1])

    def _submit(self, address: int, batch: bytearray) -> bool:
        """Give a batch its place and the writer; False when it has to wait for the next segment."""
        newest = self._segments.newest
        offset = DATA_START + address - newest.start
        if offset + len(batch) > newest.size and offset > DATA_START:
            if not self._begin_segment(address):
                return False
            newest, offset = self._segments.newest, DATA_START
        self._writer.submit(self._fd, offset, batch, newest.seed, offset == DATA_START)
        self._placed += 1
        self._end = address + len(batch)
        return True

    def _begin_segment(self, address: int) -> bool:
        spare = self._preparer.take()
        if spare is None:
            return False
        newest = self._segments.newest
        self._retired.append(_Retired(self._placed, self._fd, newest, DATA_START + self._end - newest.start))
        self._fd = spare.fd
        self._segments.add(
            Segment(spare.header.number, spare.header.seed, address, spare.size, self._placed + 1)
        )
        self._request_spare()
        return True

    def _close_full(self, retired: _Retired) -> None:
        """Let go of a segment that is written and durable, and of what is left over in it."""
        self._files.close(retired.fd)
        number, size = retired.segment.number, retired.segment.size
        if size - retired.used > self._options.segment_bytes // LEFT_OVER_PART:
            self._preparer.cut(self._directory / name_of(number), retired.used)
            self._segments.resize(number, retired.used)
        else:
            self._segments.resize(
                number, max(size, retired.used)
            )  # a batch larger than a segment made it grow

    def _remove(self, numbers: list[int]) -> None:
        for number in reversed(numbers):  # so a crash in between leaves an unbroken row from the oldest on
            self._preparer.remove(self._directory / name_of(number))

    def _request_spare(self) -> None:
        oldest, newest = self._segments.oldest, self._segments.newest
        seed = int.from_bytes(self._files.random_bytes(4), "little") or 1
        header = SegmentHeader(newest.number + 1, oldest.number, oldest.first_sequence, 0, self._log_id, seed)
        self._preparer.request(header, self._options.segment_bytes)

    def _move_batch(self, start: int) -> PendingBatch:
        assert not self._batch
        self._batch.start = start
        self._batch.address = start + BATCH_HEADER_BYTES
        return self._batch

    def _check(self) -> None:
        if self._failed is None:
            failure, number = self._preparer.failure, self._writer.error()
            if number:
                self._failed = StorageFailedError(
                    f"writing the log in {self._directory} failed: {os.strerror(number)};"
                    f" what was not synced can't be trusted any more, so this node stops"
                )
            elif failure is not None:
                self._failed = StorageFailedError(
                    f"making a log segment in {self._directory} failed: {failure.strerror}; this node stops"
                )
        if self._failed is not None:
            raise self._failed
