"""The log's bytes: checksums, sealing, scanning and checking, by C or by the twin.

Same functions, same results as `redraft.accel.pyrecord`, whose docstrings and grammar hold for both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from redraft.accel.chooser import NATIVE
from redraft.accel.pyrecord import (
    ALIGNMENT,
    BATCH_HEADER,
    BATCH_HEADER_BYTES,
    BATCH_RECORDS_MAX,
    MAGIC,
    RECORD_HEADER,
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
)

__all__ = [
    "ALIGNMENT",
    "BATCH_HEADER",
    "BATCH_HEADER_BYTES",
    "BATCH_RECORDS_MAX",
    "MAGIC",
    "RECORD_HEADER",
    "RECORD_HEADER_BYTES",
    "TYPE_COMPACT",
    "TYPE_COPY",
    "TYPE_ENTRY",
    "TYPE_HARD_STATE",
    "TYPE_OLDEST",
    "TYPE_RESTORE",
    "ScanCursor",
    "ScanStatus",
    "Scanned",
    "batch_scan",
    "batch_seal",
    "claim_find",
    "crc32c",
    "records_verify",
]

if TYPE_CHECKING or NATIVE is None:
    from redraft.accel.pyrecord import batch_scan, batch_seal, claim_find, crc32c, records_verify
else:
    from redraft.accel.crecord import batch_scan, batch_seal, claim_find, crc32c, records_verify
