"""What one process leaves behind when it ends: its log, and the newest whole snapshot.

A snapshot is no more than a place, a configuration and a sum of all that was applied up to there.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import NamedTuple

from redraft.raft.configuration import Configuration
from redraft.raft.log import holds
from redraft.raft.types import Entry
from tests.raft.memory_log import MemoryLog


class Snapshot(NamedTuple):
    """The state as of entry `index` of `term`."""

    index: int  # type: ignore[assignment]  # the paper's name
    term: int
    configuration: Configuration
    state: int


def applied(state: int, entry: Entry) -> int:
    """The state machine: a checksum over all entries in order."""
    return zlib.crc32(entry.data, zlib.crc32(b"%d %d %d " % (entry.term, entry.index, entry.kind), state))


@dataclass
class Disk:
    """Durable but for the log's tail."""

    log: MemoryLog
    founding: Configuration
    """The first configuration, for a node that is in it; else nobody."""
    snapshot: Snapshot | None = None

    def keep(self, snapshot: Snapshot) -> None:
        """Put a whole and durable snapshot in the place of an older one."""
        if self.snapshot is None or snapshot.index > self.snapshot.index:
            self.snapshot = snapshot

    def forget_retired(self) -> None:
        """A log that begins later than the snapshot is that of a replica that was retired."""
        if self.snapshot is not None and self.snapshot.index < self.log.durable_base[0]:
            self.snapshot = None

    def recover(self) -> Snapshot:
        """Where a start begins: at the snapshot, the first configuration, or with nothing at all."""
        log = self.log
        self.forget_retired()
        snapshot = self.snapshot
        if snapshot is None:
            blank = log.first_index > 1
            return Snapshot(0, 0, Configuration() if blank else self.founding, 0)
        if not holds(log, snapshot.index, snapshot.term):
            log.restore(snapshot.index, snapshot.term)
        return snapshot
