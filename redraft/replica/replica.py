"""One group on this node: its consensus core, its state, and the proposals that wait to become entries.

What stands here is what only a replica can do: make an entry of parts, notice that leadership began
or ended, apply what is committed.  Always true: a leader proposes payloads only after it has applied
the first entry of its term, so that its clock starts behind every earlier entry's; parts that were
waiting when leadership ended are dropped, never logged (their origin sends them again).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from redraft.raft.core import Raft, Role
from redraft.raft.types import EntryKind
from redraft.replica.apply import Answer, Applier
from redraft.replica.clock import GroupClock
from redraft.replica.part import encode_ended, encode_payload
from redraft.topology.cluster_map import Group


class Replica:
    """A group's replica: `raft` decides, `applier` holds the state, `parts` wait for the next entry."""

    __slots__ = (
        "_known",
        "_random_seed",
        "_started_index",
        "applier",
        "clock",
        "contact_known",
        "group",
        "parts",
        "parts_bytes",
        "raft",
        "wake_ms",
    )

    def __init__(self, group: Group, raft: Raft, applier: Applier, random_seed: Callable[[], int]) -> None:
        self.group = group
        self.raft = raft
        self.applier = applier
        self.clock: GroupClock | None = None
        self.contact_known: tuple[int, int] | None = None
        """As of which changes, and under which configuration, a quorum was seen to support this leader."""
        self.wake_ms = 0.0
        """Before that time the core has nothing to do by itself, unless something happens to it."""
        self.parts: deque[bytes] = deque()
        self.parts_bytes = 0
        self._random_seed = random_seed
        self._known = (0, 0)
        self._started_index = 0

    def __hash__(self) -> int:
        """By group, not by address: a run from a seed takes replicas in the same order every time."""
        return self.group.group_id

    @property
    def leads(self) -> bool:
        """Whether this node is the group's leader (its term may not have committed anything yet)."""
        return self.raft.role is Role.LEADER

    @property
    def votes(self) -> bool:
        """Whether this node counts in the group: a learner may still be far behind."""
        return self.raft.configuration.is_voter(self.raft.node_id)

    @property
    def proposes(self) -> bool:
        """Whether parts may become entries here and now."""
        return self.clock is not None and not self.raft.transferring_to

    @property
    def inflight_entries(self) -> int:
        """Entries proposed and not yet committed."""
        return self.raft.last_index - self.raft.commit_index

    def leadership_changed(self) -> bool:
        """Say whether (term, leader) is another than at the last call; drop what belonged to the old one."""
        known = (self.raft.term, self.raft.leader_id)
        if known == self._known:
            return False
        self._known = known
        self.clock = None
        self._started_index = self.raft.last_index
        self.parts.clear()
        self.parts_bytes = 0
        return True

    def start_clock(self, median_wall_ms: float, now_ms: float) -> None:
        """Start the group's clock once a new leader has applied its whole log up to its own first entry."""
        if self.leads and self.clock is None and self.applier.applied_index >= self._started_index:
            self.clock = GroupClock(self.applier.clock_ms, median_wall_ms, now_ms)

    def offer(self, part: bytes) -> None:
        """Queue a part for the next entry."""
        self.parts.append(part)
        self.parts_bytes += len(part)

    def propose(self, clock_ms: int, deny_oom: bool, bytes_max: int) -> int:
        """Make one entry of the waiting parts, up to `bytes_max` but at least one; returns its bytes."""
        parts = self.parts
        taken: list[bytes] = []
        size = 0
        while parts and (not taken or size + len(parts[0]) <= bytes_max):
            part = parts.popleft()
            taken.append(part)
            size += len(part)
        self.parts_bytes -= size
        self.raft.propose(EntryKind.PARTS, encode_payload(clock_ms, self._random_seed(), deny_oom, taken))
        return size

    def propose_expiry(self, clock_ms: int) -> None:
        """Propose the entry that removes keys whose deadline is at or before `clock_ms`."""
        self.raft.propose(EntryKind.EXPIRE, encode_payload(clock_ms, 0, False, []))

    def propose_end(self, clock_ms: int, origins: Sequence[int]) -> None:
        """Propose the entry that ends the sessions of nodes that were removed."""
        self.raft.propose(EntryKind.END_SESSIONS, encode_ended(clock_ms, origins))

    def apply(self, bytes_max: int) -> list[Answer]:
        """Apply one slice of what is committed."""
        answers = self.applier.apply_slice(self.raft.commit_index, bytes_max)
        if self.clock is not None:
            self.clock.rise(self.applier.clock_ms)
        return answers
