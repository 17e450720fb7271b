"""One Raft group on one node: the consensus core's face to its driver.

Sans I/O: messages, time and durability come in by calls, what to do goes out by `take_output`.
The driver's duties, in this order, after any call:

    output = raft.take_output()
    send output.messages; hand the log to the disk if output.wrote
    once all that is durable: raft.durable(*output.stable); send output.gated

and besides: apply up to `commit_index` when it moved; call `tick` once `next_deadline_ms()` has come; where
leaders are vouched for by the shared liveness (`liveness.py`), pass `vouched_ms`, call `quorum_contact` on
every heartbeat, and let the liveness know when (leader, term) changes before anything else leaves.
The rules stand in `follower`, `election`, `replication`, `transfer`; the invariants in `state`.
"""

from __future__ import annotations

from collections.abc import Sequence

from redraft.raft import election, follower, membership, proposal, replication, snapshot, transfer
from redraft.raft.config import RaftConfig
from redraft.raft.configuration import Configuration
from redraft.raft.messages import (
    AppendEntries,
    AppendReply,
    InstallSnapshot,
    InstallSnapshotReply,
    RaftMessage,
    RequestVote,
    TimeoutNow,
    VoteReply,
)
from redraft.raft.progress import ProgressState
from redraft.raft.state import NEVER_MS, Output, Role, State
from redraft.raft.types import EntryKind

__all__ = ["NEVER_MS", "Output", "Raft", "RaftConfig", "Role"]


class Raft(State):
    """The core of one group; its state may be read by all, and is changed by these calls only."""

    __slots__ = ()

    @property
    def last_index(self) -> int:
        """Index of the last entry here, durable or not."""
        return self.log.last_index

    def propose(self, kind: int, data: bytes) -> int:
        """Append an entry and return its index; the node must lead and not be handing over."""
        assert self.role is Role.LEADER
        assert not self.transferring_to
        assert kind != EntryKind.CONFIGURATION
        return proposal.propose(self, kind, data)

    @property
    def may_change(self) -> bool:
        """Whether this node leads and `change` may be called: no other change is under way."""
        return membership.may_change(self)

    def change(self, voters: Sequence[int], learners: Sequence[int] = ()) -> int:
        """Begin to change the group to these voters and learners; returns the index of the first entry.

        Voters that are new must be learners that `may_promote`.  All is done when `is_settled` at or above
        that index; another leader may undo it before.  Learners only: one entry; voters: two, through the
        joint configuration (Raft §6).
        """
        assert self.may_change
        return membership.change(self, tuple(voters), tuple(learners))

    def may_promote(self, node_id: int) -> bool:
        """Leader: whether a learner has a log, so that it may become a voter; it may lag behind."""
        return membership.may_promote(self, node_id)

    @property
    def is_settled(self) -> bool:
        """Whether `configuration` is committed and no step of a change is left, as far as known here."""
        return membership.is_settled(self)

    @property
    def is_removed(self) -> bool:
        """Whether a committed configuration leaves this node out: its replica may go, after `retire`."""
        return membership.is_removed(self)

    def retire(self, index: int = 0, term: int = 0) -> bool:
        """Empty the log of a removed replica, which is dropped then; term, vote and place are kept.

        A node that was away may not know that it `is_removed`: then (index, term) is a committed place of the
        group's log, told by its leader, as of which the configuration leaves this node out.  Returns False if
        that is not certain (any more).  Once durable, the rest of the replica may be deleted.
        """
        return snapshot.retire(self, index, term)

    def step(self, sender: int, message: RaftMessage, now_ms: float) -> None:
        """Take one message; those of the past are harmless (figure 2, "All Servers").

        Requests of strangers are taken as anybody's: this replica may lag behind the configuration that made
        them members (thesis §4.2.2).  Their replies count for nothing: so a removed node disturbs nobody.
        """
        self.now_ms = now_ms
        if isinstance(message, AppendReply):
            if message.term > self.term:
                self.learn_term(sender, message.term, now_ms)
            elif message.term == self.term and sender in self.progress:
                replication.on_append_reply(self, sender, message)
        elif isinstance(message, AppendEntries):
            if message.term < self.term:
                follower.refuse_stale(self, sender, message.prev_log_index)
            else:
                follower.on_append_entries(self, sender, message, now_ms)
        elif isinstance(message, RequestVote):
            election.on_request_vote(self, sender, message, now_ms)
        elif isinstance(message, VoteReply):
            election.on_vote_reply(self, sender, message, now_ms)
        else:
            assert isinstance(message, TimeoutNow)
            election.on_timeout_now(self, message, now_ms)

    def on_install_snapshot(self, sender: int, message: InstallSnapshot, now_ms: float) -> bool:
        """Whether the driver is to store this piece and answer it; if not, the core has answered.

        Once the snapshot is whole and durable: `restore`, then InstallSnapshotReply with `done`.
        """
        self.now_ms = now_ms
        return snapshot.on_install_snapshot(self, sender, message, now_ms)

    def on_install_snapshot_reply(self, sender: int, message: InstallSnapshotReply, now_ms: float) -> bool:
        """Whether the driver is to go on with the snapshot it sends to this follower.

        With `done` it then says `snapshot_finished`.
        """
        self.now_ms = now_ms
        progress = self.progress.get(sender)
        waits = progress is not None and progress.state is ProgressState.SNAPSHOT
        return waits and message.term == self.term

    def restore(self, index: int, term: int, configuration: Configuration) -> bool:
        """Let a received snapshot, durable here, take the place of the log up to (index, term).

        False: it is not wanted any more, for the log has come as far; the state stays as well.  True: the
        driver replaces the state by the snapshot's before it applies anything.
        """
        return snapshot.restore(self, index, term, configuration)

    def tick(self, now_ms: float) -> None:
        """Do what time demands; calling it early or late is harmless."""
        self.now_ms = now_ms
        if self.role is Role.LEADER:
            replication.tick_leader(self, now_ms)
        else:
            election.tick_election(self, now_ms)

    def next_deadline_ms(self) -> float:
        """When `tick` next has something to do; it holds until the next call that changes the group."""
        if self.role is not Role.LEADER:
            return self.deadline_ms
        return replication.leader_deadline_ms(self)

    def durable(self, index: int, term: int, saved_term: int) -> None:
        """Log and vote are durable up to there (an `Output.stable`): who leads or campaigns counts itself."""
        if self.role is Role.LEADER:
            replication.on_durable(self, index, term)
        elif self.role is Role.CANDIDATE:
            election.on_durable(self, saved_term)

    def leader_heard(self, heard_ms: float) -> None:
        """The process of this group's leader vouched for it at heard_ms."""
        if self.role is Role.FOLLOWER and self.leader_id:
            self.hear_leader(heard_ms)

    def leader_claims(self, peer: int, term: int, now_ms: float) -> None:
        """A peer in touch (0: none is) says that it leads `term`: who follows nobody there, follows it.

        As good as an empty append, for a term has one leader.  Who may not campaign asks nobody, and a leader
        that has nothing new to say would never be heard again.
        """
        if peer and term == self.term and self.role is Role.FOLLOWER and not self.leader_id:
            self.now_ms = now_ms
            follower.follow(self, peer, term, now_ms)

    def leader_lost(self, now_ms: float) -> None:
        """The link to the leader's process broke."""
        self.now_ms = now_ms
        election.lose_leader(self, now_ms)

    def quorum_contact(self, contact_ms: float, now_ms: float) -> None:
        """Leader: a quorum that supports this term answered what was sent at contact_ms (CheckQuorum)."""
        self.now_ms = now_ms
        election.check_quorum(self, contact_ms, now_ms)

    def peer_reset(self, peer: int) -> None:
        """The link to a peer is new."""
        if self.role is Role.LEADER and peer in self.progress:
            replication.reset_peer(self, peer)

    def peer_lost(self, peer: int) -> None:
        """The link to a peer broke: send it nothing until it is made again."""
        if self.role is Role.LEADER and peer in self.progress:
            replication.lose_peer(self, peer)

    def snapshot_finished(self, peer: int, index: int) -> None:
        """Answer to `Output.snapshots`: the peer has a snapshot up to index, or 0 if that failed.

        After a failure the same peer may be named again at once: wait a while before saying so.
        """
        if self.role is Role.LEADER and peer in self.progress:
            replication.finish_snapshot(self, peer, index)

    def transfer(self, target: int, now_ms: float) -> None:
        """Hand leadership to a voter; `transferring_to` falls back to 0 if it does not take it in time."""
        assert self.role is Role.LEADER
        self.now_ms = now_ms
        transfer.begin_transfer(self, target, now_ms)

    def commit_notice(self, peer: int) -> None:
        """Tell a follower commit_index now instead of with the next append or tick."""
        if self.role is Role.LEADER and peer in self.progress:
            replication.send_notice(self, peer)

    def take_output(self) -> Output | None:
        """What there is to do since the last call; None when there is nothing."""
        if self.replicate_due:
            replication.fill_outbox(self)
        if not (self.wrote or self.messages or self.gated or self.snapshots):
            return None
        last_index = self.log.last_index
        output = Output(
            self.messages,
            self.gated,
            self.wrote,
            (last_index, self.log.term(last_index), self.term),
            self.snapshots,
        )
        self.messages = []
        self.gated = []
        self.snapshots = []
        self.wrote = False
        return output
