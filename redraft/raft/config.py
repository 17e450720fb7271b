"""The core's times and limits, in one place, with the relations between them."""

from __future__ import annotations

from dataclasses import dataclass

from redraft.base.errors import ConfigError


@dataclass(frozen=True)
class RaftConfig:
    """Settings of one group; the same on all its nodes where the lease depends on them."""

    election_timeout_ms: float = 600.0
    """A follower that heard no leader for one to two of these campaigns (Raft §9.3); a leader without a quorum
    for one steps down; a node that heard its leader within one votes for nobody else."""
    campaign_retry_ms: float = 300.0
    """A (pre-)candidate without an answer tries again after one to two of these."""
    leader_lost_delay_ms: float = 100.0
    """When the leader's process is seen to be gone, campaign within this time, at random."""
    retry_ms: float = 500.0
    """A follower that owes an answer for so long is asked again what it has."""
    inflight_appends_max: int = 64
    """Unanswered AppendEntries to one follower."""
    inflight_bytes_max: int = 16 << 20
    """Bytes in them; an entry above it travels alone."""
    append_bytes_max: int = 1 << 20
    """Entry bytes in one AppendEntries; an entry above it travels alone."""
    lease: bool = False
    """Leaders may serve reads inside a lease: nobody votes early, not even when the leader's link breaks."""
    clock_drift: float = 0.05
    """Clocks of two nodes run apart by at most this part of a lease."""

    def __post_init__(self) -> None:
        for name in ("election_timeout_ms", "campaign_retry_ms", "leader_lost_delay_ms", "retry_ms"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} must be above 0")
        if self.campaign_retry_ms > self.election_timeout_ms:
            raise ConfigError("campaign_retry_ms must not be above election_timeout_ms")
        if self.leader_lost_delay_ms > self.campaign_retry_ms:
            raise ConfigError("leader_lost_delay_ms must not be above campaign_retry_ms")
        if self.inflight_appends_max < 1:
            raise ConfigError("inflight_appends_max must be at least 1")
        if not 0 < self.append_bytes_max <= self.inflight_bytes_max:
            raise ConfigError("append_bytes_max must be above 0 and not above inflight_bytes_max")
        if not 0 <= self.clock_drift < 1:
            raise ConfigError("clock_drift must be at least 0 and below 1")
