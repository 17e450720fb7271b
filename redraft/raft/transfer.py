"""Handing leadership over (thesis §3.10): wait until the target has all, then tell it to campaign at once.

While a transfer is on, the leader takes no proposals; after an election time-out it gives up and goes on.
A transfer ends the lease for the rest of the term: the target's election skips what the lease rests on.
"""

from __future__ import annotations

from redraft.raft.messages import TimeoutNow
from redraft.raft.state import State


def begin_transfer(state: State, target: int, now_ms: float) -> None:
    """Leader: hand over to target, a voter that is not this node."""
    assert target in state.progress
    state.transferring_to = target
    state.transferred_in_term = True
    state.transfer_deadline_ms = now_ms + state.config.election_timeout_ms
    try_transfer(state)


def try_transfer(state: State) -> None:
    """Tell the target to campaign if its log is all of ours."""
    progress = state.progress[state.transferring_to]
    if progress.match_index == state.log.last_index:
        state.send(state.transferring_to, TimeoutNow(state.term))


def tick_transfer(state: State, now_ms: float) -> None:
    """Give up when the target was not elected in time."""
    if state.transferring_to and now_ms >= state.transfer_deadline_ms:
        state.transferring_to = 0


def lose_target(state: State, peer: int) -> None:
    """Give up when the target's process is gone; was it told to campaign, it may still win, as anyone may."""
    if state.transferring_to == peer:
        state.transferring_to = 0
