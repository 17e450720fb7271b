"""Handing leadership over (thesis §3.10): wait until the target has all, then tell it to campaign at once.

While a transfer is on, the leader takes no proposals; after an election time-out it gives up and goes on.
A transfer ends the lease for the rest of the term: the target's election skips what the lease rests on.
"""

from __future__ import annotations

from redraft.raft.messages import TimeoutNow
from redraft.raft.state import State


def begin_transfer(state: State, target: int, now_ms: float) -> None:
    """Leader: hand over to target, a voter that is not this node and not on its way out."""
    assert target in state.progress
    assert target in state.configuration.voters
    state.transferring_to = target
    state.transferred_in_term = True
    state.transfer_deadline_ms = now_ms + state.config.election_timeout_ms
    try_transfer(state)


def try_transfer(state: State) -> None:
    """Tell the target to campaign if its log is all of ours."""
    progress = state.progress[state.transferring_to]
    if progress.match_index == state.log.last_index:
        state.send(state.transferring_to, TimeoutNow(state.term))
        if not state.configuration.is_voter(state.node_id):
            # Out of the group: nobody will ask for its vote, or tell it who leads.
            state.become_follower(state.term, 0, state.now_ms)
