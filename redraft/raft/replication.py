"""The leader's side of AppendEntries (Raft §5.3, §5.4.2): propose, send, count, commit.

Proposals and acks only mark what is due; `fill_outbox` builds the appends, once per output, so that all
that was proposed in one cycle travels in one message, shared by all followers that are at the same place.
Invariants: a leader never cuts its own log ("Leader Append-Only", figure 3); commit_index moves only onto
entries of the current term (§5.4.2); the leader counts itself only for what is durable here.
"""

from __future__ import annotations

from redraft.raft.log import CompactedError, last_not_newer
from redraft.raft.membership import give_up_transfer, joined_index, settle
from redraft.raft.messages import AppendEntries, AppendReply
from redraft.raft.progress import Progress, ProgressState
from redraft.raft.proposal import propose
from redraft.raft.state import Role, State
from redraft.raft.transfer import try_transfer
from redraft.raft.types import Entry, EntryKind

PROBE, REPLICATE, SNAPSHOT = ProgressState


def begin_term(state: State, now_ms: float) -> None:
    """Lead: forget what was known of followers, and commit something of this term first (§5.4.2, §8)."""
    state.leave_role()
    log = state.log
    state.role = Role.LEADER
    state.leader_id = state.node_id
    state.quorum_contact_ms = now_ms
    state.term_start_index = log.last_index + 1
    peers = [node for node in state.configuration.nodes if node != state.node_id]
    state.progress = {peer: Progress(log.last_index + 1, joined_index(state, peer)) for peer in peers}
    state.unsettled = True
    propose(state, EntryKind.NOOP, b"")


def fill_outbox(state: State) -> None:
    """Send every follower as much of what it lacks as its window takes."""
    state.replicate_due = False
    shared: AppendEntries | None = None
    size = 0
    for peer, progress in state.progress.items():
        while _may_send(state, progress):
            if shared is None or shared.prev_log_index != progress.next_index - 1:
                try:
                    shared, size = _append_from(state, progress.next_index)
                except CompactedError:
                    _need_snapshot(state, peer, progress, state.log.first_index - 1)
                    break
            _send_append(state, peer, progress, shared, size)
    state.fresh = []
    state.fresh_bytes = 0


def _may_send(state: State, progress: Progress) -> bool:
    if not progress.reachable:
        return False
    if progress.state is REPLICATE:
        config = state.config
        return (
            progress.next_index <= state.log.last_index
            and len(progress.inflight) < config.inflight_appends_max
            and progress.inflight_bytes < config.inflight_bytes_max
        )
    return progress.state is PROBE and not progress.probing


def _append_from(state: State, next_index: int) -> tuple[AppendEntries, int]:
    """AppendEntries with what follows from next_index on, up to the limit; and its size.  CompactedError."""
    log, fresh = state.log, state.fresh
    entries: tuple[Entry, ...]
    if fresh and fresh[0].index == next_index and state.fresh_bytes <= state.config.append_bytes_max:
        entries = tuple(fresh)
        size = state.fresh_bytes
    elif next_index <= log.last_index:
        entries = tuple(log.slice(next_index, log.last_index + 1, state.config.append_bytes_max))
        size = sum(len(entry.data) for entry in entries)
    else:
        entries, size = (), 0
    prev_index = next_index - 1
    prev_term = log.term(prev_index)
    return AppendEntries(state.term, prev_index, prev_term, state.commit_index, entries), size


def _send_append(state: State, peer: int, progress: Progress, message: AppendEntries, size: int) -> None:
    entries = message.entries
    last_index = message.prev_log_index
    if progress.state is PROBE:
        progress.probing = True
    elif entries:
        last_index = entries[-1].index
        progress.sent(last_index, size)
    progress.sent_commit = min(state.commit_index, last_index)
    if progress.waiting_since_ms is None:
        progress.waiting_since_ms = state.now_ms
    state.messages.append((peer, message))


def _send_empty(state: State, peer: int, progress: Progress) -> None:
    """Ask what has arrived of all that was sent, and tell commit_index."""
    try:
        prev_term = state.log.term(progress.next_index - 1)
    except CompactedError:
        _need_snapshot(state, peer, progress, state.log.first_index - 1)
        return
    message = AppendEntries(state.term, progress.next_index - 1, prev_term, state.commit_index, ())
    _send_append(state, peer, progress, message, 0)


def _need_snapshot(state: State, peer: int, progress: Progress, least_index: int) -> None:
    """The follower can't go on with entries: only with a snapshot, which has to know of its membership."""
    progress.become_snapshot(max(least_index, progress.joined_index))
    if not progress.leaves_at:
        state.snapshots.append(peer)


def on_append_reply(state: State, sender: int, message: AppendReply) -> None:
    """AppendReply of our term: advance or step back the follower's progress, then commit."""
    progress = state.progress[sender]
    progress.reachable = True
    _, success, match_index, hint_index, hint_term = message
    if not success:
        if match_index == 0:
            _start_anew(state, sender, progress, hint_index)
        else:
            _step_back(state, progress, match_index, hint_index, hint_term)
        return
    assert match_index <= state.log.last_index, "a follower can't hold more of our term than we do"
    news = progress.acknowledge(match_index)
    if progress.state is REPLICATE:
        progress.waiting_since_ms = state.now_ms if progress.inflight else None
    elif progress.state is PROBE or match_index >= min(progress.snapshot_index, state.log.first_index - 1):
        # Has it the snapshot it was to get, and that is too old by now, it gets another.
        progress.become_replicate()
    if news and match_index > state.commit_index:
        advance_commit(state)
    if progress.next_index <= state.log.last_index:
        state.replicate_due = True
    if sender == state.transferring_to:
        try_transfer(state)
    if progress.is_told:
        state.progress.pop(sender, None)


def _start_anew(state: State, peer: int, progress: Progress, lost_index: int) -> None:
    """A refusal of index 0, which every log has: the replica has no state, and lost its log up to there."""
    if progress.state is not SNAPSHOT or progress.snapshot_index < lost_index:
        progress.match_index = 0
        _need_snapshot(state, peer, progress, max(lost_index, state.log.first_index - 1))


def _step_back(state: State, progress: Progress, refused: int, hint_index: int, hint_term: int) -> None:
    """A refused append: find the next place to try from the follower's hint (§5.3)."""
    if progress.state is SNAPSHOT or refused <= progress.match_index:
        return  # late: what it refused has been agreed since
    if progress.state is PROBE and refused != progress.next_index - 1:
        return  # late: an answer to an earlier probe
    progress.become_probe()
    progress.next_index = max(_next_to_try(state, hint_index, hint_term), progress.match_index + 1)
    state.replicate_due = True


def _next_to_try(state: State, hint_index: int, hint_term: int) -> int:
    """The next_index for a follower that has (hint_index, hint_term); below ours if a snapshot is due."""
    if hint_index < state.log.first_index - 1:
        return hint_index + 1
    agreed, agreed_term = last_not_newer(state.log, hint_index, hint_term, 0)
    # Only where the log begins may the walk have ended at a term that the follower can't have.
    return agreed + 1 if agreed_term <= hint_term else agreed


def advance_commit(state: State) -> None:
    """Figure 2, leaders: N > commitIndex, a majority of matchIndex ≥ N, log[N].term == currentTerm."""
    index = state.configuration.reached(state.durable_index)
    # Terms never fall along the log: at or above this term's first entry means of this term.
    if index > state.commit_index and index >= state.term_start_index:
        state.commit_index = index
        state.committed_in_term = True
        if state.unsettled:
            settle(state)


def on_durable(state: State, index: int, term: int) -> None:
    """Our own log is durable up to (index, term).

    What was durable under an older term is not counted: it may have been cut since, and only entries of this
    term count for commit anyway.
    """
    if term == state.term and index > state.self_match:
        state.self_match = index
        advance_commit(state)


def reset_peer(state: State, peer: int) -> None:
    """The link to this follower is new: what was in flight on the old one is lost."""
    progress = state.progress[peer]
    progress.reachable = True
    if progress.state is not SNAPSHOT:
        progress.become_probe()
    state.replicate_due = True


def finish_snapshot(state: State, peer: int, index: int) -> None:
    """The follower has a snapshot up to index; 0: it failed, and the log decides what to try next."""
    progress = state.progress[peer]
    if progress.state is SNAPSHOT:
        progress.snapshot_index = index
        progress.become_probe()
        state.replicate_due = True


def owes_notice(state: State, progress: Progress) -> bool:
    """Whether the follower has entries it was not told are committed."""
    return (
        progress.state is REPLICATE
        and progress.reachable
        and progress.sent_commit < min(state.commit_index, progress.next_index - 1)
    )


def send_notice(state: State, peer: int) -> None:
    """Tell a follower commit_index now instead of with the next append or tick."""
    progress = state.progress[peer]
    if owes_notice(state, progress):
        _send_empty(state, peer, progress)


def lose_peer(state: State, peer: int) -> None:
    """The link to this peer is gone: send nothing until it is back; was it leaving, let it go."""
    progress = state.progress[peer]
    progress.reachable = False
    if progress.leaves_at:
        del state.progress[peer]
    if state.transferring_to == peer:
        # Was it told to campaign already, it may still win, as anyone may.
        give_up_transfer(state)


def tick_leader(state: State, now_ms: float) -> None:
    """Send the commit notices that nothing carried, and ask followers that owe an answer too long.

    One that is leaving is not asked twice.  A transfer that takes an election time-out is given up.
    """
    for peer, progress in list(state.progress.items()):
        if progress.leaves_at and (progress.state is SNAPSHOT or _asked_long_ago(state, progress, now_ms)):
            del state.progress[peer]
        elif owes_notice(state, progress):
            _send_empty(state, peer, progress)
        elif progress.reachable and _asked_long_ago(state, progress, now_ms):
            progress.waiting_since_ms = now_ms
            _send_empty(state, peer, progress)
    if state.transferring_to and now_ms >= state.transfer_deadline_ms:
        give_up_transfer(state)


def _asked_long_ago(state: State, progress: Progress, now_ms: float) -> bool:
    since = progress.waiting_since_ms
    return since is not None and now_ms - since >= state.config.retry_ms


def leader_deadline_ms(state: State) -> float:
    """When `tick_leader` next has something to do; for ever when all followers know all."""
    deadline = state.transfer_deadline_ms if state.transferring_to else float("inf")
    for progress in state.progress.values():
        if not progress.reachable:
            continue
        if owes_notice(state, progress):
            return state.now_ms
        if progress.waiting_since_ms is not None:
            deadline = min(deadline, progress.waiting_since_ms + state.config.retry_ms)
    return deadline
