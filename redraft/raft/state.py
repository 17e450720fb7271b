"""The state of one group on one node (Raft figure 2), and the transitions that every role shares.

Owns term, vote, role, leader, commit_index, the follower's timer and the outbox.  The roles' rules
stand in `follower.py`, `election.py`, `replication.py` and `transfer.py` as functions over this state.

Invariants: `term` never falls, and neither does `commit_index`; a term or vote is saved before anything
that speaks of it enters the outbox, and what needs it durable goes through `gate`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from enum import IntEnum
from operator import itemgetter
from typing import NamedTuple

from redraft.raft.config import RaftConfig
from redraft.raft.configuration import Configuration
from redraft.raft.log import LogView
from redraft.raft.messages import RaftMessage
from redraft.raft.progress import Progress
from redraft.raft.types import Entry, HardState

NEVER_MS = float("-inf")


class Role(IntEnum):
    """What this node is in its term; a pre-candidate is still a follower to everybody else (thesis §9.6)."""

    FOLLOWER = 0
    PRE_CANDIDATE = 1
    CANDIDATE = 2
    LEADER = 3


class Output(NamedTuple):
    """What the driver must do now, in this order; see `Raft.take_output`."""

    messages: list[tuple[int, RaftMessage]]
    """(to, message): send at once."""
    gated: list[tuple[int, RaftMessage]]
    """(to, message): send, in order, once everything appended and saved so far is durable."""
    wrote: bool
    """The log was written: hand it to the disk."""
    stable: tuple[int, int, int]
    """(last_index, its term, the saved term): pass to `Raft.durable` once all that is durable."""
    snapshots: list[int]
    """Followers to send a snapshot up to their `Progress.snapshot_index` or later, the newest at best.

    It may have to be made first, once that is applied.  A follower that is named again needs another than
    before.  Stop when its progress is in another state than SNAPSHOT; begin again, or go on, when its link is
    new; answer with `Raft.snapshot_finished`.
    """


def read_configuration(log: LogView, index: int) -> Configuration:
    """The configuration that the log has at an index."""
    (entry,) = log.slice(index, index + 1, 0)
    return Configuration.decode(entry.data)


class State:
    """Figure 2's state, plus timers and outbox; read by all, changed by the raft package only."""

    __slots__ = (
        "commit_index",
        "committed_in_term",
        "config",
        "configurations",
        "deadline_ms",
        "fresh",
        "fresh_bytes",
        "gated",
        "heard_ms",
        "is_blank",
        "leader_id",
        "log",
        "may_vote_from_ms",
        "messages",
        "node_id",
        "now_ms",
        "progress",
        "quorum_contact_ms",
        "random",
        "replicate_due",
        "role",
        "self_match",
        "snapshots",
        "term",
        "term_start_index",
        "timeout_ms",
        "transfer_deadline_ms",
        "transferred_in_term",
        "transferring_to",
        "unsettled",
        "voted_for",
        "votes",
        "vouched_ms",
        "wrote",
    )

    def __init__(
        self,
        *,
        node_id: int,
        configuration: Configuration,
        log: LogView,
        config: RaftConfig,
        random: Callable[[], float],
        now_ms: float,
        applied_index: int = 0,
        may_vote_from_ms: float = NEVER_MS,
        vouched_ms: Callable[[int, int], float] | None = None,
    ) -> None:
        """`configuration` is the one as of applied_index, or the first; the log has the later ones."""
        assert configuration.is_sound
        self.node_id = node_id
        self.log = log
        self.is_blank = False
        """This replica waits for its first snapshot: made anew, it knows of no configuration."""
        self.configurations: list[tuple[int, Configuration]] = []
        """(index of its entry, configuration), ascending; the first one is of the snapshot, or the first."""
        later = [(i, read_configuration(log, i)) for i in log.configurations() if i > applied_index]
        self.begin_with(applied_index, configuration, later)
        self.config = config
        self.random = random
        self.vouched_ms = vouched_ms
        self.now_ms = now_ms

        self.role = Role.FOLLOWER
        self.term, self.voted_for = log.hard_state
        self.leader_id = 0
        self.commit_index = max(applied_index, log.first_index - 1)
        assert self.commit_index <= log.last_index, "what is applied must be in the log or in its snapshot"
        assert applied_index >= log.first_index - 1 or self.is_blank, "the snapshot behind the log is missing"

        # The follower's timer.
        self.may_vote_from_ms = may_vote_from_ms
        self.heard_ms = NEVER_MS
        self.timeout_ms = 0.0
        self.deadline_ms = 0.0
        self.restart_timer(now_ms)

        # The candidate's.
        self.votes: dict[int, bool] = {}

        # The leader's.
        self.progress: dict[int, Progress] = {}
        self.self_match = 0
        self.term_start_index = 0
        self.committed_in_term = False
        self.quorum_contact_ms = NEVER_MS
        self.transferring_to = 0
        self.transfer_deadline_ms = 0.0
        self.transferred_in_term = False
        self.unsettled = False
        self.fresh: list[Entry] = []
        self.fresh_bytes = 0
        self.replicate_due = False

        # The outbox.
        self.messages: list[tuple[int, RaftMessage]] = []
        self.gated: list[tuple[int, RaftMessage]] = []
        self.snapshots: list[int] = []
        self.wrote = False

    @property
    def configuration(self) -> Configuration:
        """The latest in the log, committed or not: it counts from the moment it is appended (Raft §6)."""
        return self.configurations[-1][1]

    @property
    def configuration_index(self) -> int:
        """Index of the entry that holds `configuration`, or of the snapshot that does."""
        return self.configurations[-1][0]

    def begin_with(
        self, index: int, configuration: Configuration, later: list[tuple[int, Configuration]]
    ) -> None:
        """Know of a snapshot's configuration, as of index, and of later ones in the log, and of no others."""
        self.configurations = [(index, configuration), *later]
        self.is_blank = not self.configuration.voters

    def configuration_at(self, index: int) -> Configuration:
        """The configuration as of an index not below first_index - 1: what a snapshot up to it holds."""
        found = bisect_right(self.configurations, index, key=itemgetter(0))
        return self.configurations[max(found - 1, 0)][1]

    def durable_index(self, voter: int) -> int:
        """Leader: how far a voter's log is known to be durable and the same as ours."""
        if voter == self.node_id:
            return self.self_match
        progress = self.progress[voter]
        match_index = progress.match_index
        # An ack from before it joined may be late, and that log gone.
        return match_index if match_index >= progress.joined_index else 0

    def send(self, to: int, message: RaftMessage) -> None:
        """Send now: what the message says needs nothing of ours to be durable."""
        self.messages.append((to, message))

    def gate(self, to: int, message: RaftMessage) -> None:
        """Send once everything written so far is durable."""
        self.gated.append((to, message))

    def save(self, term: int, voted_for: int) -> None:
        """Change term and vote; one vote a term (Raft §5.2)."""
        assert term > self.term or (term == self.term and self.voted_for in (0, voted_for))
        self.term = term
        self.voted_for = voted_for
        self.log.save(HardState(term, voted_for))
        self.wrote = True

    def restart_timer(self, now_ms: float) -> None:
        """Wait a fresh random time, one to two election time-outs, before campaigning (Raft §5.2)."""
        self.timeout_ms = self.config.election_timeout_ms * (1.0 + self.random())
        self.deadline_ms = now_ms + self.timeout_ms

    def hear_leader(self, now_ms: float) -> None:
        """The leader was alive at now_ms."""
        if now_ms > self.heard_ms:
            self.heard_ms = now_ms
            self.deadline_ms = max(self.deadline_ms, now_ms + self.timeout_ms)

    def consult_liveness(self) -> None:
        """Catch up with when the leader was last vouched for, before deciding by time."""
        if self.vouched_ms is not None and self.leader_id and self.role is Role.FOLLOWER:
            self.hear_leader(self.vouched_ms(self.leader_id, self.term))

    def is_sticky(self, now_ms: float) -> bool:
        """Thesis §4.2.3: a node in touch with its leader, or a leader with its quorum, helps nobody else up.

        With leases the promise outlives the term: whatever made this node leave the term early, the old
        leader may still be serving reads on the strength of this node's last answer.
        """
        self.consult_liveness()
        if self.role is Role.LEADER:
            return now_ms - self.quorum_contact_ms < self.config.election_timeout_ms
        if not self.leader_id and not self.config.lease:
            return False
        return now_ms - self.heard_ms < self.config.election_timeout_ms

    def learn_term(self, sender: int, term: int, now_ms: float) -> None:
        """A reply tells of a newer term: follow (figure 2, "All Servers"), unless a stranger says so."""
        if sender in self.configuration.nodes:
            self.become_follower(term, 0, now_ms)

    def leave_role(self) -> None:
        """Stop leading or following; the role that comes next is set by the caller."""
        self.consult_liveness()
        if self.role is Role.LEADER:
            self.progress = {}
            self.self_match = 0
            self.committed_in_term = False
            self.transferring_to = 0
            self.transferred_in_term = False
            self.unsettled = False
            self.fresh = []
            self.fresh_bytes = 0
            self.replicate_due = False
            self.snapshots = []
        self.votes = {}
        self.leader_id = 0

    def become_follower(self, term: int, leader_id: int, now_ms: float) -> None:
        """Follow leader_id (0: not known yet) in a term not below ours (figure 2, "Rules for Servers").

        Only a leader restarts the timer, and a role that had another one: a candidate with an old log must
        not keep a follower with a newer log from campaigning (Raft §5.2, thesis §9.6).
        """
        assert term >= self.term
        was_follower = self.role is Role.FOLLOWER
        self.leave_role()
        if term > self.term:
            self.save(term, 0)
        self.role = Role.FOLLOWER
        self.leader_id = leader_id
        if leader_id:
            self.heard_ms = max(self.heard_ms, now_ms)
        if leader_id or not was_follower:
            self.restart_timer(now_ms)
