"""The follower's side of AppendEntries (Raft §5.3): check, cut, append, learn what is committed.

Invariant: nothing at or below commit_index is ever cut off.  Acks are gated on the log's durability.
"""

from __future__ import annotations

from redraft.raft.log import last_not_newer
from redraft.raft.membership import appended, configurations_in
from redraft.raft.messages import AppendEntries, AppendReply
from redraft.raft.state import Role, State
from redraft.raft.types import Entry


def on_append_entries(state: State, sender: int, message: AppendEntries, now_ms: float) -> None:
    """AppendEntries of a term not below ours: its sender is the leader."""
    if message.term > state.term or state.role is not Role.FOLLOWER or state.leader_id != sender:
        follow(state, sender, message.term, now_ms)
    elif now_ms > state.heard_ms:
        state.heard_ms = now_ms
        state.deadline_ms = now_ms + state.timeout_ms

    if state.is_blank:
        refuse_blank(state, sender)
        return
    _, prev_index, prev_term, leader_commit, entries = message
    log = state.log
    last_index = log.last_index
    if prev_index < state.commit_index:
        # What is committed here is in the leader's log (Raft §5.4.3), and may be compacted in ours.
        known = min(state.commit_index - prev_index, len(entries))
        entries = entries[known:]
        prev_index = state.commit_index
    elif prev_index > last_index or log.term(prev_index) != prev_term:
        # §5.3: "Reply false if log doesn't contain an entry at prevLogIndex whose term matches prevLogTerm".
        hint_index, hint_term = last_not_newer(log, prev_index, prev_term, state.commit_index)
        state.gate(sender, AppendReply(state.term, False, prev_index, hint_index, hint_term))
        return

    match_index = prev_index + len(entries)
    if entries:
        assert entries[0].index == prev_index + 1
        if prev_index < last_index:
            entries = _news(state, entries)
        if entries:
            found = configurations_in(entries)
            log.append(entries)
            if found or state.configurations[-1][0] >= entries[0].index:
                appended(state, entries[0].index, found)
            state.wrote = True
    # "min(leaderCommit, index of last new entry)": our log may go on beyond with what the leader lacks.
    state.commit_index = max(state.commit_index, min(leader_commit, match_index))
    acknowledge(state, sender, match_index)


def _news(state: State, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """The entries from the first on that we lack or that conflicts with ours; none when all are here.

    An append that says less than we have may be late: only a conflict cuts anything off (§5.3).
    """
    log = state.log
    last_index = log.last_index
    for position, entry in enumerate(entries):
        if entry.index > last_index:
            return entries[position:]
        if log.term(entry.index) != entry.term:
            assert entry.index > state.commit_index, "a committed entry would be overwritten"
            return entries[position:]
    return ()


def acknowledge(state: State, sender: int, match_index: int) -> None:
    """Gate an ack; one that already waits for the same leader is raised instead."""
    gated = state.gated
    if gated:
        to, last = gated[-1]
        if to == sender and isinstance(last, AppendReply) and last.success and last.term == state.term:
            if last.match_index < match_index:
                gated[-1] = (to, AppendReply(state.term, True, match_index, 0, 0))
            return
    gated.append((sender, AppendReply(state.term, True, match_index, 0, 0)))


def refuse_stale(state: State, sender: int, index: int) -> None:
    """A leader of an older term: say ours, so that it steps down (figure 2, "Receiver" 1; figure 13, 1)."""
    state.gate(sender, AppendReply(state.term, False, index, 0, 0))


def refuse_blank(state: State, sender: int) -> None:
    """This replica has no state that entries could follow: refuse index 0, which every other log has.

    The hint is the place of the log it lost: a snapshot must not be older.
    """
    index = state.commit_index
    state.gate(sender, AppendReply(state.term, False, 0, index, state.log.term(index)))


def follow(state: State, leader_id: int, term: int, now_ms: float) -> None:
    """Take leader_id as the leader of a term not below ours."""
    if term > state.term or state.role is not Role.FOLLOWER or state.leader_id != leader_id:
        two_leaders = term == state.term and (state.role is Role.LEADER or state.leader_id)
        assert not two_leaders, f"two leaders in term {term}: {state.leader_id} and {leader_id}"
        state.become_follower(term, leader_id, now_ms)
    else:
        state.hear_leader(now_ms)
