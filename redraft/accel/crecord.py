"""The log's bytes over `native/record.c`; `pyrecord` says what each function does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redraft.accel._native import ffi as _ffi
from redraft.accel._native import lib as _lib
from redraft.accel.pyrecord import BATCH_RECORDS_MAX, SCAN_BATCHES_MAX, ScanCursor, Scanned, ScanStatus

_new = _ffi.new_allocator(should_clear_after_alloc=False)
_COLUMNS = (("offsets", 64), ("lengths", 32), ("groups", 32), ("types", 16), ("terms", 64), ("indexes", 64))
_BATCH_COLUMNS = (("batch_offsets", 64), ("batch_durables", 64), ("batch_records", 64))


def crc32c(data: bytes | bytearray | memoryview, crc: int = 0) -> int:
    """See `pyrecord.crc32c`."""
    return int(_lib.redraft_crc32c(crc, _ffi.from_buffer("uint8_t[]", data), len(data)))


def crc32c_table(data: bytes) -> int:
    """The fallback for CPUs without the instruction, so that tests can hold it against the other."""
    return int(_lib.redraft_crc32c_table(0, _ffi.from_buffer("uint8_t[]", data), len(data)))


def batch_seal(batch: bytearray, seed: int, chain: int, durable: int) -> int:
    """See `pyrecord.batch_seal`."""
    return int(
        _lib.redraft_batch_seal(_ffi.from_buffer("uint8_t[]", batch), len(batch), seed, chain, durable)
    )


def batch_scan(window: bytes | bytearray, cursor: ScanCursor) -> Scanned:
    """See `pyrecord.batch_scan`."""
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


def claim_find(window: bytes | bytearray, position: int, seed: int, durable: int, bound: int = 0) -> int:
    """See `pyrecord.claim_find`."""
    view = _ffi.from_buffer("uint8_t[]", window)
    return int(_lib.redraft_claim_find(view, len(window), position, seed, durable, bound))


def records_verify(window: bytes | bytearray, seed: int, offsets: Sequence[int]) -> int:
    """See `pyrecord.records_verify`."""
    view, rows = _ffi.from_buffer("uint8_t[]", window), _ffi.new("uint64_t[]", offsets)
    return int(_lib.redraft_records_verify(view, len(window), seed, rows, len(offsets)))
