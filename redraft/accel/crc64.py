"""CRC-64/Jones, the checksum of Redis's DUMP payloads: native if it can be, else plain Python.

`crc64_twin` is the specification of `native/crc64.c`.
"""

from __future__ import annotations

from redraft.accel.chooser import NATIVE

_POLYNOMIAL = 0x95AC9329AC4BC9B5  # 0xad93d23594c935a9 with its bits reversed


def _entry(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
    return byte


_TABLE = [_entry(byte) for byte in range(256)]


def crc64_twin(data: bytes) -> int:
    """Return the checksum, byte by byte."""
    crc = 0
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc


def crc64(data: bytes) -> int:
    """Return the checksum of `data`."""
    if NATIVE is None:
        return crc64_twin(data)
    checksum: int = NATIVE.lib.redraft_crc64(data, len(data))
    return checksum
