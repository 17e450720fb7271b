"""Reads a log back: what is whole is replayed, a torn tail is cut, damage is refused by name.

The rules (PROTOCOL: the log on disk), and why each:
- A power cut may keep batch N+1 and lose N of what was not synced.  So an invalid batch is a *tail* unless
  something written later says that it was durable: a batch's `durable`, or the `base` of a later segment.
  Then it is *damage*: DamagedError names file, offset and group.
- What was not stated durable may stand in the page cache only, after kill -9 or a failed fdatasync: a
  second fdatasync of the same file would succeed without writing it.  So those batches are copied to a
  fresh segment, which gets its name only when it is synced; its `base` takes their old places out of the log.
- A file is never appended to after a restart: the fresh segment has a seed of its own, so nothing stale
  that stands behind a cut can become valid again.
- Segments behind the cut hold nothing of the log: they are removed before the fresh one takes their number.
- Where the log begins is the largest of what segment headers and OLDEST records say; whatever is older goes.
  A crash may have kept any of the files that were being removed: what counts is the unbroken row of numbers
  up to the newest, and that something in it says that nothing before is needed.
"""

from __future__ import annotations

import errno
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from redraft.accel.record import (
    ALIGNMENT,
    BATCH_HEADER,
    BATCH_HEADER_BYTES,
    MAGIC,
    RECORD_HEADER_BYTES,
    TYPE_COMPACT,
    TYPE_COPY,
    TYPE_ENTRY,
    TYPE_HARD_STATE,
    TYPE_OLDEST,
    TYPE_RESTORE,
    ScanCursor,
    Scanned,
    ScanStatus,
    batch_scan,
    batch_seal,
    claim_find,
    crc32c,
)
from redraft.base.errors import DamagedError, DirectoryError
from redraft.raft.types import HardState
from redraft.wal.batch import encode_batch
from redraft.wal.files import Files
from redraft.wal.options import LogOptions
from redraft.wal.replay import InvalidRecordError, Replayed
from redraft.wal.segment import (
    DATA_START,
    SUFFIX,
    SUFFIX_NEW,
    SegmentHeader,
    make_segment,
    name_of,
    publish_segment,
)
from redraft.wal.segments import Segment, Segments

_OLDEST = TYPE_OLDEST << 8  # as in a scan's column of types


class Recovered(NamedTuple):
    """Where the log goes on: in a fresh segment that is synced."""

    header: SegmentHeader
    fd: int
    sequence: int  # last of the log; durable
    chain: int
    groups: dict[int, Replayed]


class _Held(NamedTuple):
    """A batch that nothing read so far says was durable."""

    sequence: int
    records: bytes
    rows: list[tuple[int, int, int, int, int, int]]  # offset in the batch, length, group, type, term, index
    address: int  # of the batch


@dataclass
class _Cut:
    """Where the valid log ends."""

    position: int  # of the segment in the list
    offset: int
    failed_offset: int
    failed_group: int


class Recovery:
    """One pass over the files of a directory; `run` does it all."""

    def __init__(
        self,
        files: Files,
        directory: Path,
        options: LogOptions,
        segments: Segments,
    ) -> None:
        self._files = files
        self._directory = directory
        self._options = options
        self._segments = segments
        self._groups: dict[int, Replayed] = {}
        self._headers: list[SegmentHeader] = []
        self._held: deque[_Held] = deque()
        self._durable = 0
        self._sequence = 1  # expected next
        self._address = 0
        self._oldest_in_headers = 1
        self._oldest_in_records = 0
        self._unneeded: list[int] = []  # numbers of files that are older than the log

    def run(self) -> Recovered:
        """Replay the log; return its groups, and the segment in which it goes on.

        Raises DamagedError; DirectoryError when the fresh segment can't be made.
        """
        self._read_headers()
        cut = self._replay()
        if cut is not None:
            self._refuse_damage(cut)
            self._refuse_missing()
            self._clear_behind(cut)
        recovered = self._begin_segment()
        self._remove_unneeded()
        return recovered

    # ---- what is there -----------------------------------------------------------------------------

    def _read_headers(self) -> None:
        files, directory = self._files, self._directory
        headers = []
        for name in files.names(directory):
            path = directory / name
            if name.endswith(SUFFIX_NEW):
                files.remove(path)
            elif name.endswith(SUFFIX):
                fd = files.open(path)
                try:
                    headers.append(SegmentHeader.decode(files.read(fd, DATA_START, 0), path))
                finally:
                    files.close(fd)
        if not headers:
            return
        headers.sort()
        newest = headers[-1]
        for header in headers:
            if header.log_id != newest.log_id:
                path = directory / name_of(header.number)
                raise DamagedError(f"{path} belongs to another log than {name_of(newest.number)}")
        oldest = max(headers, key=lambda header: header.oldest)
        self._oldest_in_headers = oldest.oldest
        row = len(headers) - 1
        while row and headers[row - 1].number == headers[row].number - 1 >= oldest.oldest:
            row -= 1
        sequence = oldest.oldest_sequence
        if headers[row].number != oldest.oldest:
            # The segments before were removed, and some of the row may be on their way: a segment that begins
            # with nothing, made by a start that wrote nothing, can't be the first.  `_refuse_missing` judges.
            while (sequence := self._first_sequence(headers[row])) == 0 and row + 1 < len(headers):
                row += 1
            if not sequence:
                number = headers[row].number
                raise DamagedError(
                    f"{directory / name_of(number)} is damaged at offset {DATA_START},"
                    f" or {name_of(number - 1)} is missing: rebuild this node from its peers"
                )
        self._headers = headers[row:]
        self._unneeded = [header.number for header in headers[:row]]
        self._sequence, self._durable = sequence, sequence - 1

    def _first_sequence(self, header: SegmentHeader) -> int:
        """Return the sequence of a segment's first batch; 0 when there is none, or not a whole one."""
        fd = self._files.open(self._directory / name_of(header.number))
        try:
            batch = self._files.read(fd, BATCH_HEADER_BYTES, DATA_START)
        finally:
            self._files.close(fd)
        if len(batch) == BATCH_HEADER_BYTES:
            crc, _, sequence, _, _, _, magic = BATCH_HEADER.unpack(batch)
            if magic == MAGIC and crc == crc32c(batch[4:], header.seed):
                return int(sequence)
        return 0

    def _bound(self, position: int) -> int:
        """Return the sequence from which on a segment is superseded by a later one; 0 for none."""
        return min((header.base for header in self._headers[position + 1 :] if header.base), default=0)

    # ---- replay ------------------------------------------------------------------------------------

    def _replay(self) -> _Cut | None:
        """Replay all segments; return where the valid log ends, None when there are none."""
        cut: _Cut | None = None
        for position, header in enumerate(self._headers):
            before = self._sequence
            stopped = self._replay_segment(position, header)
            if cut is None or self._sequence > before or 0 < header.base <= self._sequence:
                cut = stopped
        return cut

    def _replay_segment(self, position: int, header: SegmentHeader) -> _Cut:
        files, path = self._files, self._directory / name_of(header.number)
        bound = self._bound(position)
        cursor = ScanCursor(header.seed, header.seed, self._sequence, bound)
        start, offset, step = self._address, DATA_START, self._options.read_bytes
        self._segments.add(Segment(header.number, header.seed, start, DATA_START, self._sequence))
        if bound:
            self._durable = max(self._durable, bound - 1)
        fd = files.open(path)
        try:
            size = files.size(fd)
            need = step
            while True:
                cursor.position = 0
                window = files.read(fd, min(max(need, step), size - offset), offset)
                first = cursor.sequence
                found = batch_scan(window, cursor)
                self._take(window, found, first, start + offset - DATA_START)
                offset += cursor.position
                need = found.needed
                at_end = found.status is ScanStatus.MORE and offset + need > size
                if at_end or found.status in (ScanStatus.END, ScanStatus.BOUND, ScanStatus.INVALID):
                    break
        finally:
            files.close(fd)
        self._segments.replace_newest(self._segments.newest._replace(size=size))
        self._sequence = cursor.sequence
        self._address = start + offset - DATA_START
        failed = found.failed_offset - cursor.position if found.status is ScanStatus.INVALID else 0
        return _Cut(position, offset, offset + failed, found.failed_group)

    def _take(self, window: bytes, found: Scanned, first: int, address: int) -> None:
        """Replay what was found and is known durable; hold the rest until it is."""
        if not found.batch_offsets:
            return
        self._durable = max(self._durable, found.batch_durables[-1])
        while self._held and self._held[0].sequence <= self._durable:
            batch = self._held.popleft()
            self._replay_rows(batch.rows, batch.address)
        rows = list(
            zip(
                found.offsets,
                found.lengths,
                found.groups,
                found.types,
                found.terms,
                found.indexes,
                strict=True,
            )
        )
        if _OLDEST in found.types:
            self._oldest_in_records = max(row[4] for row in rows if row[3] == _OLDEST)  # they never fall
        durable_count = min(max(self._durable - first + 1, 0), len(found.batch_offsets))
        begin = 0
        if durable_count:
            begin = found.batch_records[durable_count - 1]
            self._replay_rows(rows[:begin], address)
        for position in range(durable_count, len(found.batch_offsets)):
            at, end = found.batch_offsets[position], found.batch_records[position]
            length = BATCH_HEADER.unpack_from(window, at)[4]
            records = window[at + BATCH_HEADER_BYTES : at + BATCH_HEADER_BYTES + length]
            own = [(row[0] - at, *row[1:]) for row in rows[begin:end]]
            self._held.append(_Held(first + position, records, own, address + at))
            begin = end

    def _replay_rows(self, rows: list[tuple[int, int, int, int, int, int]], address: int) -> None:
        groups = self._groups
        group = -1
        try:
            for offset, length, group, types, term, index in rows:
                if types == _OLDEST:
                    continue
                replayed = groups.get(group)
                if replayed is None:
                    replayed = groups[group] = Replayed()
                of_type = types >> 8
                if of_type == TYPE_ENTRY:
                    replayed.entry(address + offset, length, types & 0xFF, term, index)
                elif of_type == TYPE_HARD_STATE:
                    replayed.save(address + offset, HardState(term, index))
                elif of_type == TYPE_COMPACT:
                    replayed.compact(address + offset, term, index)
                elif of_type == TYPE_RESTORE:
                    replayed.restore(address + offset, term, index)
                elif of_type == TYPE_COPY:
                    replayed.copy(address + offset, length, types & 0xFF, term, index)
                else:
                    raise DirectoryError(f"the log has records of type {of_type}: a newer version wrote it")
        except InvalidRecordError as error:
            raise self._damaged(group, error) from None

    def _damaged(self, group: int, error: InvalidRecordError) -> DamagedError:
        return DamagedError(f"the log of group {group} in {self._directory} is damaged: {error}")

    # ---- tail or damage ----------------------------------------------------------------------------

    def _refuse_damage(self, cut: _Cut) -> None:
        """Raise DamagedError if anything behind the cut says that what is missing there was durable."""
        lost = self._sequence
        latest = max(self._headers, key=lambda header: header.base)
        witness = name_of(latest.number) if latest.base > lost else ""
        for position in range(cut.position, len(self._headers)):
            if not witness:
                witness = self._find_claim(position, cut.offset if position == cut.position else DATA_START)
        if witness:
            path = self._directory / name_of(self._headers[cut.position].number)
            of_group = f", in a record of group {cut.failed_group}" if cut.failed_group >= 0 else ""
            raise DamagedError(
                f"{path} is damaged at offset {cut.failed_offset}{of_group}: {witness} says"
                f" that it was synced; this node's data can't be trusted any more, rebuild it from its peers"
            )

    def _refuse_missing(self) -> None:
        """Raise DamagedError if nothing says that the log begins with the oldest segment there is."""
        first = self._headers[0].number
        if first > max(self._oldest_in_headers, self._oldest_in_records):
            path = self._directory / name_of(first - 1)
            raise DamagedError(
                f"{path} is missing or damaged: it is part of the log; rebuild this node from its peers"
            )

    def _remove_unneeded(self) -> None:
        """Remove what is older than the log: the removal that a crash cut short, or undid."""
        self._unneeded += self._segments.drop_before(self._oldest_in_records)
        for number in reversed(self._unneeded):
            self._files.remove(self._directory / name_of(number))

    def _find_claim(self, position: int, offset: int) -> str:
        """Return where a segment says that the first lost batch was durable, or nothing."""
        header, step = self._headers[position], self._options.read_bytes
        name, bound = name_of(header.number), self._bound(position)
        fd = self._files.open(self._directory / name)
        try:
            while window := self._files.read(fd, step, offset):
                at = claim_find(window, 0, header.seed, self._sequence, bound)
                if at >= 0:
                    return f"{name} at offset {offset + at}"
                if len(window) < step:
                    break
                offset += step - BATCH_HEADER_BYTES
        finally:
            self._files.close(fd)
        return ""

    def _clear_behind(self, cut: _Cut) -> None:
        """Remove what stands behind the cut: it was never durable, and the room may be needed."""
        for header in self._headers[: cut.position : -1]:
            self._files.remove(self._directory / name_of(header.number))
        if len(self._headers) > cut.position + 1:
            self._files.sync_directory(self._directory)
        del self._headers[cut.position + 1 :]
        self._segments.drop_behind(self._headers[-1].number)
        self._files.truncate(self._directory / name_of(self._headers[-1].number), cut.offset)
        self._segments.replace_newest(self._segments.newest._replace(size=cut.offset))

    # ---- the fresh segment -------------------------------------------------------------------------

    def _begin_segment(self) -> Recovered:
        """Make the segment that the log goes on in: the tail copied, synced, and stated durable."""
        files = self._files
        seed, log_id = (int.from_bytes(files.random_bytes(4), "little") or 1 for _ in range(2))
        header = SegmentHeader(1, 1, 1, 1, log_id, seed)
        if self._headers:
            newest, oldest = self._headers[-1], self._segments.oldest
            header = SegmentHeader(
                newest.number + 1,
                oldest.number,
                oldest.first_sequence,
                self._durable + 1,
                newest.log_id,
                seed,
            )
        content, chain = bytearray(), seed
        address = self._address
        self._segments.add(Segment(header.number, seed, address, 0, self._durable + 1))
        for held in self._held:
            count = len(held.rows)
            batch = encode_batch(held.sequence, held.records, count)
            chain = batch_seal(batch, seed, chain, self._durable)
            self._replay_rows(held.rows, address + len(content))
            content += batch
        self._finish_groups()
        sequence = self._sequence - 1
        fd, size = self._make(header, content)
        if content:
            sequence += 1
            seal = encode_batch(sequence, b"", 0)
            chain = batch_seal(seal, seed, chain, sequence - 1)
            files.write(fd, seal, DATA_START + len(content))
            files.sync(fd)
            content += seal
        publish_segment(files, self._directory, header.number)
        self._segments.replace_newest(Segment(header.number, seed, address, size, self._durable + 1))
        self._address = address + len(content)
        return Recovered(header, fd, sequence, chain, self._groups)

    def _finish_groups(self) -> None:
        for group, replayed in self._groups.items():
            try:
                replayed.finish()
            except InvalidRecordError as error:
                raise self._damaged(group, error) from None

    def _make(self, header: SegmentHeader, content: bytearray) -> tuple[int, int]:
        options = self._options
        used = DATA_START + -(-(len(content) + BATCH_HEADER_BYTES) // 4096) * 4096
        sizes = (used + options.first_segment_bytes, used + 2 * options.reserve_bytes)
        for size in sizes:
            try:
                return make_segment(self._files, self._directory, header, size, bytes(content)), size
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise DirectoryError(f"{self._directory} can't be written: {error.strerror}") from error
        raise DirectoryError(
            f"{self._directory} has no room for the {sizes[-1]} bytes that a start needs: free some space"
        )

    @property
    def address(self) -> int:
        """The address at which the log goes on."""
        return self._address


assert RECORD_HEADER_BYTES % ALIGNMENT == 0
