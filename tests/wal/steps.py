"""A log on the faulty disk, driven by hand: entries with recognisable data, opened, flushed, made durable."""

from __future__ import annotations

import os
from pathlib import Path

from redraft.raft.types import Entry
from redraft.wal import GroupLog, Log, LogOptions
from tests.wal.faultyfiles import FaultyFiles

DIRECTORY = Path("/log")
SMALL = LogOptions(
    segment_bytes=64 << 10,
    first_segment_bytes=32 << 10,
    reserve_bytes=8 << 10,
    cache_bytes=1 << 20,
    read_bytes=16 << 10,
    threads=False,
)


def entry(index: int, term: int = 1, size: int = 100) -> Entry:
    """Return an entry whose data names it."""
    return Entry(term, index, 1, f"{term}/{index}/{size};".encode().ljust(size, b".")[:size])


def opened(files: FaultyFiles, options: LogOptions = SMALL) -> Log:
    """Open the log on a faulty disk."""
    log = Log.open(DIRECTORY, options, files)
    log.step()  # the spare is made
    return log


def append(log: Log, group: int, count: int = 1, term: int = 1, size: int = 100) -> int:
    """Append entries to a group and flush; return the sequence that covers them."""
    view = log.group(group)
    first = view.last_index + 1
    view.append([entry(index, term, size) for index in range(first, first + count)])
    return log.flush()


def contents(view: GroupLog) -> list[Entry]:
    """Return all entries of a group, read in slices."""
    entries: list[Entry] = []
    low = view.first_index
    while low <= view.last_index:
        entries += view.slice(low, view.last_index + 1, 5000)
        low = view.first_index + len(entries)
    return entries


def let_go(log: Log) -> None:
    """Close what a crashed log has open on the real machine."""
    os.close(log._event_fd)
