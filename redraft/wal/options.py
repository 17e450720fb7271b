"""The log's limits, each with a name, and the relations between them."""

from __future__ import annotations

from dataclasses import dataclass

from redraft.base.errors import ConfigError

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class LogOptions:
    """How much the log may take of disk and memory; all sizes in bytes."""

    segment_bytes: int = 64 * MIB
    """Size of a segment, preallocated and zero-filled; a batch larger than that makes its segment grow."""
    first_segment_bytes: int = 4 * MIB
    """Size of the segment that a start makes before the node speaks; the next are made in the background."""
    reserve_bytes: int = MIB
    """Kept for terms, votes and the hand-over of leadership when the disk is full."""
    cache_bytes: int = 64 * MIB
    """Recent entries of all groups kept in memory, once durable; older ones are read back."""
    read_bytes: int = 4 * MIB
    """How much recovery and replay read at once."""
    retry_s: float = 1.0
    """How long after a full disk the next segment is tried again."""
    threads: bool = True
    """Write in threads; false is for tests, which call `Log.step`."""

    def __post_init__(self) -> None:
        if self.segment_bytes < 4 * self.reserve_bytes or self.first_segment_bytes < 2 * self.reserve_bytes:
            raise ConfigError(
                f"log segments of {self.segment_bytes} and {self.first_segment_bytes} bytes are too small"
                f" for a reserve of {self.reserve_bytes}: make them at least four and two times as large"
            )
        if self.segment_bytes % 4096 or self.first_segment_bytes % 4096:
            raise ConfigError("the size of a log segment must be a multiple of 4096")
