"""The batch that collects records until the next flush; bytes only, no meaning.

Invariant: `address` is where the next record will stand, wherever the batch goes (see segments.py).
A batch that has as many records as the format allows hands itself over (`full`).
"""

from __future__ import annotations

from collections.abc import Callable

from redraft.accel.record import (
    ALIGNMENT,
    BATCH_HEADER,
    BATCH_HEADER_BYTES,
    BATCH_RECORDS_MAX,
    MAGIC,
    RECORD_HEADER_BYTES,
)

BATCH_BYTES_FULL = 1 << 30
"""A batch hands itself over at this size, so that a flood of large entries becomes several writes."""


class PendingBatch:
    """Records of all groups since the last flush."""

    __slots__ = ("_count", "_full", "_parts", "address", "size", "start")

    def __init__(self, start: int, full: Callable[[], None]) -> None:
        self.start = start  # address of the batch
        self.address = start + BATCH_HEADER_BYTES
        self.size = 0  # bytes behind the header
        self._full = full
        self._count = 0
        self._parts: list[bytes] = [b""]

    def __bool__(self) -> bool:
        return self._count > 0

    def add(self, header: bytes, data: bytes, size: int) -> int:
        """Add a record whose data is `size` bytes long; return its address."""
        if self._count == BATCH_RECORDS_MAX or self.size + size > BATCH_BYTES_FULL:
            self._full()
        parts = self._parts
        parts.append(header)
        if size:
            parts.append(data)
        address = self.address
        self.address = address + RECORD_HEADER_BYTES + size
        self.size += RECORD_HEADER_BYTES + size
        self._count += 1
        return address

    def take(self, sequence: int) -> bytearray:
        """Return the batch's bytes, to be sealed; begin the next one behind it."""
        parts = self._parts
        padding = -self.size % ALIGNMENT
        if padding:
            parts.append(bytes(padding))
        parts[0] = BATCH_HEADER.pack(0, 0, sequence, 0, self.size + padding, self._count, MAGIC)
        batch = bytearray().join(parts)
        self.start += len(batch)
        self.address = self.start + BATCH_HEADER_BYTES
        self.size = 0
        self._count = 0
        self._parts = [b""]
        return batch


def encode_batch(sequence: int, records: bytes, count: int) -> bytearray:
    """Return a batch, to be sealed, of records (padded already) that another one held."""
    assert len(records) % ALIGNMENT == 0
    return bytearray(BATCH_HEADER.pack(0, 0, sequence, 0, len(records), count, MAGIC) + records)
