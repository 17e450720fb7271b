"""What a leader knows of one follower, and how much it may send it (flow control).

    PROBE      one append at a time: where the follower's log agrees with ours is not known
    REPLICATE  appends are pipelined: next_index runs ahead of match_index, within the window
    SNAPSHOT   the entry it needs is compacted: nothing is sent until the snapshot has arrived

               agreed                      compacted
      PROBE ----------> REPLICATE      (either) ----> SNAPSHOT ----> PROBE
        ^   refused, link reset |                        arrived, failed
        +-----------------------+

Invariants: match_index < next_index; match_index never falls within a term (acks are durable), but for a
replica that has no log and says so; in-flight appends are in order of index.  The core assumes that links
keep order; loss costs time only.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum


class ProgressState(IntEnum):
    """How appends to this follower are paced."""

    PROBE = 0
    REPLICATE = 1
    SNAPSHOT = 2


class Progress:
    """One follower as its leader sees it."""

    __slots__ = (
        "inflight",
        "inflight_bytes",
        "joined_index",
        "leaves_at",
        "match_index",
        "next_index",
        "probing",
        "reachable",
        "sent_commit",
        "snapshot_index",
        "state",
        "waiting_since_ms",
    )

    def __init__(self, next_index: int, joined_index: int = 0) -> None:
        self.state = ProgressState.PROBE
        self.match_index = 0
        self.next_index = next_index
        self.joined_index = joined_index
        """The configuration that made it a member; an ack of less may be late, of an earlier life."""
        self.leaves_at = 0
        """The configuration that leaves it out, of which it is still to be told; 0 for a member."""
        self.probing = False
        """PROBE: a probe is out."""
        self.inflight: deque[tuple[int, int]] = deque()
        """REPLICATE: (last index, bytes) of each append that carries entries and is not acknowledged."""
        self.inflight_bytes = 0
        self.sent_commit = 0
        """The follower was told, or will be by what is in flight, that commit_index is at least this."""
        self.snapshot_index = 0
        self.reachable = True
        """False while the link is known to be down: nothing is sent."""
        self.waiting_since_ms: float | None = None
        """When the oldest append that may still want an answer left (or was last asked about)."""

    def become_probe(self) -> None:
        """Start again from what is known to match."""
        self.state = ProgressState.PROBE
        self.next_index = max(self.match_index, self.snapshot_index) + 1
        self.snapshot_index = 0
        self.probing = False
        self.sent_commit = 0
        self._empty_window()

    def become_replicate(self) -> None:
        """The follower's log agrees with ours up to match_index: send ahead."""
        self.state = ProgressState.REPLICATE
        self.next_index = self.match_index + 1
        self.snapshot_index = 0
        self.probing = False
        self._empty_window()

    def become_snapshot(self, snapshot_index: int) -> None:
        """Wait for a snapshot that ends at snapshot_index."""
        self.state = ProgressState.SNAPSHOT
        self.snapshot_index = snapshot_index
        self._empty_window()

    @property
    def is_told(self) -> bool:
        """Whether it has the configuration that leaves it out, and was told that this is committed."""
        return 0 < self.leaves_at <= min(self.match_index, self.sent_commit)

    def _empty_window(self) -> None:
        self.inflight.clear()
        self.inflight_bytes = 0
        self.waiting_since_ms = None

    def sent(self, last_index: int, size: int) -> None:
        """An append with entries up to last_index left."""
        self.next_index = last_index + 1
        self.inflight.append((last_index, size))
        self.inflight_bytes += size

    def acknowledge(self, index: int) -> bool:
        """The follower has everything up to index, durably; returns whether that is news."""
        inflight = self.inflight
        while inflight and inflight[0][0] <= index:
            self.inflight_bytes -= inflight.popleft()[1]
        if index >= self.next_index:
            self.next_index = index + 1
        if index <= self.match_index:
            return False
        self.match_index = index
        return True
