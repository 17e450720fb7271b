"""The log's bytes in plain Python: the format's grammar, and the twin that specifies native/record.c.

Owns the layout of batches and records (docs/log.md tells the same in prose); knows neither files
nor what an entry means.  All numbers are little endian; `crc(from, bytes)` is CRC32C going on from `from`.

    segment  = segment header (redraft/wal/segment.py), batch*, zeros
    batch    = batch header, record{count}, zeros up to a multiple of 8
    batch header (40 bytes)
         0 u32 crc       crc(seed of the segment, header[4:40])
         4 u32 chain     checksum before this one: of the last record of the batch before, the seed at first
         8 u64 sequence  1, 2, 3, … over the whole log
        16 u64 durable   the last sequence that was durable when this batch was written; < sequence
        24 u64 length    bytes of the batch after this header
        32 u32 count     records; 0 is a seal, which only states what is durable
        36 u32 magic     "RRDB"
    record   = record header, data
    record header (40 bytes)
         0 u32 crc       crc(checksum before this one, header[4:40]); before the first, the batch's
         4 u32 data crc  crc(seed of the segment, header[8:40] data), so that a record can be checked alone
         8 u32 length    of the data
        12 u32 group
        16 u8  type      1 entry, 2 hard state, 3 compacted, 4 restored, 5 copy of an entry, 6 oldest
        17 u8  kind      of the entry (redraft/raft/types.py); 0 otherwise
        18     zeros
        24 u64 term      of an oldest record: the number of the oldest segment that is needed
        32 u64 index     of the entry; the last one compacted, or restored; of a hard state: voted_for

Invariant: a batch is valid as a whole or not at all, and only behind the batch that its chain names.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

BATCH_HEADER = struct.Struct("<IIQQQII")
RECORD_HEADER = struct.Struct("<IIIIBBHIQQ")
BATCH_HEADER_BYTES = 40
RECORD_HEADER_BYTES = 40
MAGIC = 0x42445252
_MAGIC_AT, _MAGIC_BYTES = 36, b"RRDB"
BATCH_BYTES_MAX = 1 << 48
BATCH_RECORDS_MAX = 1 << 14
SCAN_BATCHES_MAX = 1 << 14
ALIGNMENT = 8

TYPE_ENTRY = 1
TYPE_HARD_STATE = 2
TYPE_COMPACT = 3
TYPE_RESTORE = 4
TYPE_COPY = 5
TYPE_OLDEST = 6

assert BATCH_HEADER.size == BATCH_HEADER_BYTES
assert RECORD_HEADER.size == RECORD_HEADER_BYTES


class ScanStatus(IntEnum):
    """Why a scan came back; the numbers are those of native/record.h."""

    MORE = 0
    FULL = 1
    END = 2
    BOUND = 3
    INVALID = 4


@dataclass(slots=True)
class ScanCursor:
    """Where a walk over a segment's batches stands; `batch_scan` moves it."""

    seed: int
    chain: int
    sequence: int  # expected next
    bound: int = 0  # stop before this sequence; 0 is no bound
    position: int = 0  # in the window


class Scanned(NamedTuple):
    """What one scan found: columns with one element a record, and columns with one element a batch."""

    status: ScanStatus
    needed: int  # MORE: bytes of the batch at the cursor, or of its header
    failed_offset: int  # INVALID: where in the window
    failed_group: int  # INVALID: whose record, -1 unknown
    offsets: list[int]
    lengths: list[int]
    groups: list[int]
    types: list[int]  # type << 8 | kind
    terms: list[int]
    indexes: list[int]
    batch_offsets: list[int]
    batch_durables: list[int]
    batch_records: list[int]  # records up to and with this batch


def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_TABLE = _table()


def crc32c(data: bytes | bytearray | memoryview, crc: int = 0) -> int:
    """Return the CRC32C (Castagnoli) of `data`, going on from `crc`."""
    table = _TABLE
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def batch_seal(batch: bytearray, seed: int, chain: int, durable: int) -> int:
    """Fill in a batch's checksums, chain and durable point, in place; return the chain for the next batch."""
    view = memoryview(batch)
    struct.pack_into("<I", batch, 4, chain)
    struct.pack_into("<Q", batch, 16, durable)
    chain = crc32c(view[4:BATCH_HEADER_BYTES], seed)
    struct.pack_into("<I", batch, 0, chain)
    at = BATCH_HEADER_BYTES
    for _ in range(BATCH_HEADER.unpack_from(batch)[5]):
        end = at + RECORD_HEADER_BYTES + RECORD_HEADER.unpack_from(batch, at)[2]
        struct.pack_into("<I", batch, at + 4, crc32c(view[at + 8 : end], seed))
        chain = crc32c(view[at + 4 : at + RECORD_HEADER_BYTES], chain)
        struct.pack_into("<I", batch, at, chain)
        at = end
    return chain


class _InvalidError(Exception):
    def __init__(self, offset: int, group: int = -1) -> None:
        super().__init__(offset, group)
        self.offset = offset
        self.group = group


class _Columns:
    def __init__(self) -> None:
        self.records: list[tuple[int, int, int, int, int, int]] = []
        self.batches: list[tuple[int, int, int]] = []

    def scanned(self, status: ScanStatus, needed: int = 0, failed: tuple[int, int] = (0, -1)) -> Scanned:
        columns = [[row[column] for row in self.records] for column in range(6)]
        ends = [[row[column] for row in self.batches] for column in range(3)]
        return Scanned(status, needed, *failed, *columns, *ends)


def batch_scan(window: bytes | bytearray, cursor: ScanCursor) -> Scanned:
    """Walk the valid batches of `window` from the cursor; move the cursor behind the last whole one.

    MORE: the batch at the cursor goes on behind the window.  FULL: call again.  END: zeros where a batch
    would begin.  BOUND: the next sequence is the bound.  INVALID: `failed_offset` can't continue the log.
    """
    columns = _Columns()
    while True:
        if cursor.bound and cursor.sequence >= cursor.bound:
            return columns.scanned(ScanStatus.BOUND)
        at = cursor.position
        if len(window) - at < BATCH_HEADER_BYTES:
            return columns.scanned(ScanStatus.MORE, BATCH_HEADER_BYTES)
        header = window[at : at + BATCH_HEADER_BYTES]
        if not any(header):
            return columns.scanned(ScanStatus.END)
        crc, chain, sequence, durable, length, count, magic = BATCH_HEADER.unpack(header)
        if (
            magic != MAGIC
            or crc != crc32c(header[4:], cursor.seed)
            or (chain, sequence) != (cursor.chain, cursor.sequence)
            or durable >= sequence
            or length % ALIGNMENT
            or length > BATCH_BYTES_MAX
            or count > BATCH_RECORDS_MAX
        ):
            return columns.scanned(ScanStatus.INVALID, 0, (at, -1))
        end = at + BATCH_HEADER_BYTES + length
        if end > len(window):
            return columns.scanned(ScanStatus.MORE, BATCH_HEADER_BYTES + length)
        if len(columns.batches) == SCAN_BATCHES_MAX or len(columns.records) + count > BATCH_RECORDS_MAX:
            return columns.scanned(ScanStatus.FULL)
        try:
            rows, chain = _records(window, at + BATCH_HEADER_BYTES, end, count, crc, cursor.seed)
        except _InvalidError as error:
            return columns.scanned(ScanStatus.INVALID, 0, (error.offset, error.group))
        columns.records += rows
        columns.batches.append((at, durable, len(columns.records)))
        cursor.chain, cursor.sequence, cursor.position = chain, cursor.sequence + 1, end


def _records(
    window: bytes | bytearray, at: int, end: int, count: int, chain: int, seed: int
) -> tuple[list[tuple[int, int, int, int, int, int]], int]:
    rows = []
    for _ in range(count):
        if end - at < RECORD_HEADER_BYTES:
            raise _InvalidError(at)
        header = window[at : at + RECORD_HEADER_BYTES]
        crc, data_crc, length, group, kind_of, kind, spare, spare_too, term, index = RECORD_HEADER.unpack(
            header
        )
        chain = crc32c(header[4:], chain)
        if crc != chain:
            raise _InvalidError(at)
        after = at + RECORD_HEADER_BYTES + length
        if spare or spare_too or after > end or data_crc != crc32c(window[at + 8 : after], seed):
            raise _InvalidError(at, group)
        rows.append((at, length, group, kind_of << 8 | kind, term, index))
        at = after
    if end - at >= ALIGNMENT or any(window[at:end]):
        raise _InvalidError(at)
    return rows, chain


def claim_find(window: bytes | bytearray, position: int, seed: int, durable: int, bound: int = 0) -> int:
    """Return where, at a multiple of 8, the first batch header stands that is valid by itself, has a sequence
    below `bound` (0: any) and claims that at least `durable` was durable; -1 when there is none.
    """
    at = window.find(_MAGIC_BYTES, position + _MAGIC_AT) - _MAGIC_AT
    while at >= 0:
        if at % ALIGNMENT == 0:
            crc, _, sequence, claimed, _, _, _ = BATCH_HEADER.unpack_from(window, at)
            wanted = claimed >= durable and not (bound and sequence >= bound)
            if wanted and crc32c(window[at + 4 : at + BATCH_HEADER_BYTES], seed) == crc:
                return at
        at = window.find(_MAGIC_BYTES, at + _MAGIC_AT + 1) - _MAGIC_AT
    return -1


def records_verify(window: bytes | bytearray, seed: int, offsets: Sequence[int]) -> int:
    """Check records by their own checksums; return the position in `offsets` of the first bad one, or -1."""
    for row, at in enumerate(offsets):
        if len(window) - at < RECORD_HEADER_BYTES:
            return row
        _, data_crc, length, *_ = RECORD_HEADER.unpack_from(window, at)
        end = at + RECORD_HEADER_BYTES + length
        if end > len(window) or crc32c(window[at + 8 : end], seed) != data_crc:
            return row
    return -1
