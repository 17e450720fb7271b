"""Membership changes by joint consensus (Raft §6, thesis §4.3), one at a time.

    C_old  --change-->  C_old,new  --its commit-->  C_new  --its commit-->  who is out steps down

A configuration counts from the moment it is appended, committed or not, and no longer when its entry is cut
off (§6).  A change of voters goes through the joint configuration; one of learners only does not need it,
for the majorities stay the same.  The leader leaves the joint configuration by itself.

Who takes part:
- Before it may vote, a node is a learner (thesis §4.2.1): it gets its first snapshot and catches up while
  nothing depends on it.  Otherwise a group whose leader is lost could need the votes of blank replicas.
- The next change waits until the last is committed, and something of the leader's own term (the bug found in
  single-server changes, Ongaro 2015; here it would only hide, so the rule stays).
- A node that its latest configuration leaves out still campaigns while that may be undone, for it may be the
  only one that can win and commit it (thesis §4.2.2, figure 4.6); its own vote does not count then.
- Votes are granted to whoever asks and by whoever is asked, learners and strangers too: a node may not have
  heard yet that it is a voter, and a quorum that needs it would wait for ever.  Safe, because what counts is
  the candidate's configuration, one vote a term is durable, and the voter's log decides (§5.4.1).
- But a replica that lost its log must not vote: what it acknowledged in its earlier life made entries
  committed, and a candidate of those days may still think it a voter.  So a blank replica grants nothing, and
  it begins with a snapshot that knows of its new membership, which is beyond all that it ever acknowledged.
- Nodes that leave are told, as far as they answer, that they are out.
"""

from __future__ import annotations

from collections.abc import Sequence

from redraft.raft.configuration import Configuration
from redraft.raft.progress import Progress
from redraft.raft.proposal import propose
from redraft.raft.state import Role, State
from redraft.raft.transfer import begin_transfer
from redraft.raft.types import Entry, EntryKind

_KIND = int(EntryKind.CONFIGURATION)

# ---- every replica ----


def configurations_in(entries: Sequence[Entry]) -> list[tuple[int, Configuration]]:
    """The configurations among entries, by index; DamagedError for bytes that are none."""
    return [(entry.index, Configuration.decode(entry.data)) for entry in entries if entry.kind == _KIND]


def appended(state: State, first: int, found: list[tuple[int, Configuration]]) -> None:
    """Entries from index `first` on took the place of what was there; `found` are the configurations."""
    known = state.configurations
    while known[-1][0] >= first:
        del known[-1]
    for index, configuration in found:
        _adopt(state, index, configuration)


def _adopt(state: State, index: int, configuration: Configuration) -> None:
    known = state.configurations
    base = state.log.first_index - 1
    while len(known) > 1 and known[1][0] <= base:
        del known[0]  # no snapshot will ask for it
    known.append((index, configuration))


def may_campaign(state: State) -> bool:
    """Whether this node's election can be needed: in a configuration that may come to count it votes."""
    for index, configuration in reversed(state.configurations):
        if configuration.is_voter(state.node_id):
            return True
        if index <= state.commit_index:
            break
    return False


def is_settled(state: State) -> bool:
    """Whether no change is under way, as far as this node knows."""
    return state.configuration_index <= state.commit_index and not state.configuration.is_joint


def is_removed(state: State) -> bool:
    """Whether the group goes on without this node, for good: a committed configuration leaves it out."""
    return is_settled(state) and not state.is_blank and state.node_id not in state.configuration.nodes


# ---- the leader ----


def may_change(state: State) -> bool:
    """Leader: whether a change may begin."""
    return (
        state.role is Role.LEADER
        and state.committed_in_term
        and is_settled(state)
        and not state.transferring_to
    )


def may_promote(state: State, node_id: int) -> bool:
    """Leader: whether a learner's replica is there; a blank one grants no vote, and a group may need it."""
    progress = state.progress.get(node_id)
    return progress is not None and not progress.leaves_at and state.durable_index(node_id) > 0


def change(state: State, voters: tuple[int, ...], learners: tuple[int, ...]) -> int:
    """Leader: begin to change to these voters and learners; returns the first entry's index."""
    current = state.configuration
    for newcomer in set(voters) - set(current.voters):
        assert may_promote(state, newcomer), f"{newcomer} must be a learner that has a log, before it votes"
    outgoing = () if set(voters) == set(current.voters) else current.voters
    return _enter(state, Configuration(voters, outgoing, learners))


def _enter(state: State, configuration: Configuration) -> int:
    assert configuration.is_sound
    assert configuration.voters
    index = propose(state, EntryKind.CONFIGURATION, configuration.encode())
    _adopt(state, index, configuration)
    state.unsettled = True
    if state.transferring_to and state.transferring_to not in configuration.voters:
        state.transferring_to = 0
    nodes = configuration.nodes
    for peer in nodes:
        known = state.progress.get(peer)
        if peer != state.node_id and (known is None or known.leaves_at):
            state.progress[peer] = Progress(index, joined_index=index)
    for peer, progress in state.progress.items():
        if peer not in nodes and not progress.leaves_at:
            progress.leaves_at = index
    return index


def joined_index(state: State, node_id: int) -> int:
    """Since which configuration, as far as known, a node has been a member without a break."""
    joined = state.configuration_index
    for index, configuration in reversed(state.configurations):
        if node_id not in configuration.nodes:
            break
        joined = index
    return joined


def settle(state: State) -> None:
    """Leader: commit_index moved; leave the joint configuration, or lead no more, once that is committed."""
    configuration = state.configuration
    if state.configuration_index > state.commit_index:
        return
    if configuration.is_joint:
        _enter(state, configuration._replace(outgoing=()))
    else:
        state.unsettled = False
        if not configuration.is_voter(state.node_id):
            hand_on(state)


def hand_on(state: State) -> None:
    """Leader, no voter any more: let the voter with most of the log take over, or just step down."""
    if state.transferring_to:
        return
    heirs = [voter for voter in state.configuration.voters if state.progress[voter].reachable]
    if heirs:
        begin_transfer(state, max(heirs, key=lambda voter: state.progress[voter].match_index), state.now_ms)
    else:
        state.become_follower(state.term, 0, state.now_ms)


def give_up_transfer(state: State) -> None:
    """Leader: the target did not take over; go on, or step down if this node is no voter any more."""
    state.transferring_to = 0
    if is_settled(state) and not state.configuration.is_voter(state.node_id):
        state.become_follower(state.term, 0, state.now_ms)
