"""The log's bytes: checksums, sealing, scanning and checking, by C or by the twin.

Same functions, same results as `redraft.accel.pyrecord`, whose docstrings and grammar hold for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redraft.accel import pyrecord
from redraft.accel.chooser import NATIVE
from redraft.accel.pyrecord import (
    ALIGNMENT,
    BATCH_HEADER,
    BATCH_HEADER_BYTES,
    BATCH_RECORDS_MAX,
    MAGIC,
    RECORD_HEADER,
    RECORD_HEADER_BYTES,
    SCAN_BATCHES_MAX,
    TYPE_ENTRY,
    TYPE_HARD_STATE,
    ScanCursor,
    Scanned,
    ScanStatus,
)

__all__ = [
    "ALIGNMENT",
    "BATCH_HEADER",
    "BATCH_HEADER_BYTES",
    "BATCH_RECORDS_MAX",
    "MAGIC",
    "RECORD_HEADER",
    "RECORD_HEADER_BYTES",
    "TYPE_ENTRY",
    "TYPE_HARD_STATE",
    "ScanCursor",
    "ScanStatus",
    "Scanned",
    "batch_scan",
    "batch_seal",
    "claim_find",
    "crc32c",
    "records_verify",
]

_COLUMNS = (("offsets", 64), ("lengths", 32), ("groups", 32), ("types", 16), ("terms", 64), ("indexes", 64))
_BATCH_COLUMNS = (("batch_offsets", 64), ("batch_durables", 64), ("batch_records", 64))


def _native_crc32c(data: bytes | bytearray | memoryview, crc: int = 0) -> int:
    return int(_lib.redraft_crc32c(crc, _ffi.from_buffer("uint8_t[]", data), len(data)))


def _native_batch_seal(batch: bytearray, seed: int, chain: int, durable: int) -> int:
    return int(
        _lib.redraft_batch_seal(_ffi.from_buffer("uint8_t[]", batch), len(batch), seed, chain, durable)
    )


def _native_batch_scan(window: bytes | bytearray, cursor: ScanCursor) -> Scanned:
    state, keep = _scan_state()
    state.position, state.seed, state.chain = cursor.position, cursor.seed, cursor.chain
    state.sequence, state.bound = cursor.sequence, cursor.bound
    status = ScanStatus(_lib.redraft_batch_scan(_ffi.from_buffer("uint8_t[]", window), len(window), state))
    cursor.position, cursor.chain, cursor.sequence = state.position, state.chain, state.sequence
    needed = state.needed if status is ScanStatus.MORE else 0
    failed = (state.failed_offset, state.failed_group) if status is ScanStatus.INVALID else (0, -1)
    columns = [_ffi.unpack(keep[name], state.records) for name, _ in _COLUMNS]
    ends = [_ffi.unpack(keep[name], state.batches) for name, _ in _BATCH_COLUMNS]
    return Scanned(status, needed, *failed, *columns, *ends)


def _scan_state() -> tuple[Any, dict[str, Any]]:
    state = _ffi.new("redraft_scan_state *")
    state.records_max, state.batches_max = BATCH_RECORDS_MAX, SCAN_BATCHES_MAX
    keep = {name: _new(f"uint{bits}_t[]", BATCH_RECORDS_MAX) for name, bits in _COLUMNS}
    keep |= {name: _new(f"uint{bits}_t[]", SCAN_BATCHES_MAX) for name, bits in _BATCH_COLUMNS}
    for name, column in keep.items():
        setattr(state, name, column)
    return state, keep


def _native_claim_find(
    window: bytes | bytearray, position: int, seed: int, durable: int, bound: int = 0
) -> int:
    view = _ffi.from_buffer("uint8_t[]", window)
    return int(_lib.redraft_claim_find(view, len(window), position, seed, durable, bound))


def _native_records_verify(window: bytes | bytearray, seed: int, offsets: Sequence[int]) -> int:
    view, rows = _ffi.from_buffer("uint8_t[]", window), _ffi.new("uint64_t[]", offsets)
    return int(_lib.redraft_records_verify(view, len(window), seed, rows, len(offsets)))


if NATIVE is not None:
    _ffi, _lib = NATIVE.ffi, NATIVE.lib
    _new = _ffi.new_allocator(should_clear_after_alloc=False)
    crc32c = _native_crc32c
    batch_seal = _native_batch_seal
    batch_scan = _native_batch_scan
    claim_find = _native_claim_find
    records_verify = _native_records_verify
else:
    crc32c = pyrecord.crc32c
    batch_seal = pyrecord.batch_seal
    batch_scan = pyrecord.batch_scan
    claim_find = pyrecord.claim_find
    records_verify = pyrecord.records_verify
