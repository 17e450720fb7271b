"""The core's times and limits, in one place, with the relations between them."""

from __future__ import annotations

from dataclasses import dataclass

from redraft.base.errors import ConfigError


@dataclass(frozen=True)
class RaftConfig:
    """Settings of one group; the same on all its nodes where the lease depends on them."""

    election_timeout_ms: float = 500.0
    """A follower that heard no leader for one to two of these campaigns (Raft §9.3); a leader without a
    quorum for one steps down; a node that heard its leader within one votes for nobody else.  The other
    times follow from it."""
    inflight_appends_max: int = 64
    """Unanswered AppendEntries to one follower."""
    inflight_bytes_max: int = 16 << 20
    """Bytes in them; an entry above it travels alone."""
    append_bytes_max: int = 1 << 20
    """Entry bytes in one AppendEntries; an entry above it travels alone."""
    lease: bool = False
    """Leaders may serve reads inside a lease: nobody votes early, not even when the leader's link breaks."""

    def __post_init__(self) -> None:
        if self.election_timeout_ms <= 0:
            raise ConfigError("election_timeout_ms must be above 0")
        if self.inflight_appends_max < 1:
            raise ConfigError("inflight_appends_max must be at least 1")
        if not 0 < self.append_bytes_max <= self.inflight_bytes_max:
            raise ConfigError("append_bytes_max must be above 0 and not above inflight_bytes_max")

    @property
    def campaign_retry_ms(self) -> float:
        """A (pre-)candidate without an answer tries again after one to two of these."""
        return self.election_timeout_ms / 2

    @property
    def leader_lost_delay_ms(self) -> float:
        """When the leader's process is seen to be gone, campaign within this time, at random."""
        return self.election_timeout_ms / 6

    @property
    def retry_ms(self) -> float:
        """A follower that owes an answer for so long is asked again what it has."""
        return self.election_timeout_ms
