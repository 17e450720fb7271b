"""A segment file: its name, its header, and how one is made ready before a byte of the log goes in.

    name    = %016d.log; %016d.new while it is being made
    header (56 bytes, in a block of 4096 of its own; little endian)
         0 8s  magic     "redraft\\n"
         8 u32 crc       crc32c(header[12:56])
        12 u32 version   1
        16 u64 number    of the segment, as in its name
        24 u64 oldest    number of the oldest segment of the log when this one was made
        32 u64 oldest_sequence  with which that one begins
        40 u64 base      earlier segments are valid, and were durable, below this sequence only; 0: wholly
        48 u32 log id    the same in all segments of one log
        52 u32 seed      of the checksums in this segment; random

Invariant: a file named .log has a durable header and durable zeros behind its data: it is made under
another name, zero-filled and synced first.  So a bad header is damage, never a torn write, and
fdatasync of a batch has no metadata to write.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

from redraft.accel.record import crc32c
from redraft.base.errors import DamagedError, DirectoryError
from redraft.wal.files import Files

HEADER = struct.Struct("<8sIIQQQQII")
HEADER_BYTES = 56
DATA_START = 4096
MAGIC = b"redraft\n"
VERSION = 1
SUFFIX, SUFFIX_NEW = ".log", ".new"
FILL_BYTES = 1 << 20

assert HEADER.size == HEADER_BYTES


class SegmentHeader(NamedTuple):
    """See the grammar above."""

    number: int
    oldest: int
    oldest_sequence: int
    base: int
    log_id: int
    seed: int

    def encode(self) -> bytes:
        """Return the first block of the file."""
        fields = HEADER.pack(MAGIC, 0, VERSION, *self)
        checksum = struct.pack("<I", crc32c(fields[12:]))
        return (fields[:8] + checksum + fields[12:]).ljust(DATA_START, b"\0")

    @classmethod
    def decode(cls, block: bytes, path: Path) -> SegmentHeader:
        """Return the header in a first block; raise DamagedError, DirectoryError for another version."""
        if len(block) < HEADER_BYTES:
            raise DamagedError(f"{path} is damaged: it ends at offset {len(block)}, in its header")
        magic, crc, version, *fields = HEADER.unpack_from(block)
        if magic != MAGIC or crc != crc32c(block[12:HEADER_BYTES]):
            raise DamagedError(f"{path} is damaged at offset 0: its header's checksum is wrong")
        if version != VERSION:
            raise DirectoryError(
                f"{path} is in log format {version}; this version reads format {VERSION} only"
            )
        header = cls(*fields)
        if path.name != name_of(header.number):
            raise DamagedError(
                f"{path} says that it is {name_of(header.number)}: files were renamed or copied"
            )
        return header


def name_of(number: int, suffix: str = SUFFIX) -> str:
    """Return the file name of a segment."""
    return f"{number:016d}{suffix}"


def make_segment(
    files: Files, directory: Path, header: SegmentHeader, size: int, content: bytes = b""
) -> int:
    """Make a segment of `size` bytes: `content`, then zeros; all durable but for its name.

    Returns the open file, still under its .new name (`publish_segment`).  On failure nothing is left
    behind, and the OSError goes on (ENOSPC: the disk is full).
    """
    assert DATA_START + len(content) < size, "the last sync is the one behind the zeros"
    path = directory / name_of(header.number, SUFFIX_NEW)
    fd = files.create(path)
    try:
        files.reserve(fd, size)
        files.write(fd, header.encode() + content, 0)
        zeros = bytes(FILL_BYTES)
        for offset in range(DATA_START + len(content), size, FILL_BYTES):
            # A sync for each piece: one large one would hold up the log's own.
            files.write(fd, zeros[: min(FILL_BYTES, size - offset)], offset)
            files.sync(fd)
    except OSError:
        files.close(fd)
        files.remove(path)
        raise
    return fd


def publish_segment(files: Files, directory: Path, number: int) -> None:
    """Give a made segment its name, durably."""
    files.rename(directory / name_of(number, SUFFIX_NEW), directory / name_of(number))
    files.sync_directory(directory)
