"""The follower's side of InstallSnapshot (Raft §7, figure 13): is it wanted, and what becomes of the log.

The bytes are the driver's: it asks about each piece, stores what is wanted, and says when all of it is
durable.  Only then may the log forget what the snapshot covers.  The leader's side is `replication`, where
a follower that needs a snapshot is paced.

Invariant: a snapshot is of committed entries, so it never takes back what is committed here, nor an entry
that agrees with it (figure 13, rule 6).
"""

from __future__ import annotations

from redraft.raft.configuration import Configuration
from redraft.raft.follower import acknowledge, follow, refuse_blank, refuse_stale
from redraft.raft.log import holds
from redraft.raft.membership import is_removed
from redraft.raft.messages import InstallSnapshot
from redraft.raft.state import Role, State


def on_install_snapshot(state: State, sender: int, message: InstallSnapshot, now_ms: float) -> bool:
    """A piece of a snapshot; True if the driver is to store it, else the answer is on its way."""
    if message.term < state.term:
        refuse_stale(state, sender, message.index)
        return False
    follow(state, sender, message.term, now_ms)
    index = message.index
    if state.is_blank:
        if index >= state.commit_index:
            return True
        refuse_blank(state, sender)
        return False
    if index > state.commit_index:
        if not holds(state.log, index, message.snapshot_term):
            return True
        # What it covers is here; that it is a snapshot says that it is committed.
        state.commit_index = index
    acknowledge(state, sender, state.commit_index)
    return False


def restore(state: State, index: int, term: int, configuration: Configuration) -> bool:
    """A durable snapshot up to (index, term) takes the place of the log; False if it comes too late."""
    if state.is_blank:
        if index < state.commit_index or state.node_id not in configuration.nodes:
            return False  # of an earlier life here: what this replica said in it since then would be lost
    elif state.role is Role.LEADER or index <= state.commit_index:
        return False
    assert configuration.voters
    if state.role is not Role.FOLLOWER:
        state.become_follower(state.term, 0, state.now_ms)
    later: list[tuple[int, Configuration]] = []
    if holds(state.log, index, term):
        state.log.compact(index)
        later = [known for known in state.configurations if known[0] > index]
    else:
        state.log.restore(index, term)
    state.begin_with(index, configuration, later)
    state.commit_index = index
    state.wrote = True
    if state.leader_id:
        acknowledge(state, state.leader_id, index)
    return True


def retire(state: State, index: int, term: int) -> bool:
    """Forget all of a removed replica but what must never be forgotten: term, vote, and how far its log went.

    (index, term) is a committed place as of which the node is no member, told by the group's leader; 0 if
    this replica knows by itself.  False: it is a member for all that is known, perhaps again.  Whoever comes
    back under this node's id in this group goes on from there (`State.is_blank`).
    """
    if state.role is Role.LEADER or not (is_removed(state) or _joined_before(state, index, term)):
        return False
    if index <= state.commit_index:
        index, term = state.commit_index, state.log.term(state.commit_index)
    state.log.restore(index, term)
    state.begin_with(index, Configuration(), [])
    state.commit_index = index
    state.become_follower(state.term, 0, state.now_ms)
    state.wrote = True
    return True


def _joined_before(state: State, index: int, term: int) -> bool:
    """Whether no configuration here is newer than a committed place.

    One that lies behind it, but is of an earlier term, was never committed (leader completeness).
    """
    known = state.configuration_index
    known_term = state.log.term(max(known, state.log.first_index - 1))
    return index > 0 and (known_term, known) <= (term, index)
