"""Elections: votes (Raft §5.2, §5.4.1), PreVote (thesis §9.6), stickiness, CheckQuorum (thesis §4.2.3, §6.2).

A campaign has two rounds.  The pre-vote asks without changing anything: only who could win goes on to
raise its term, so a node that was away disturbs nobody.  Invariant: one vote a term, durable before it
is told or counted; a candidate's own vote is one of them.
"""

from __future__ import annotations

from redraft.raft.log import is_up_to_date
from redraft.raft.membership import may_campaign
from redraft.raft.messages import AppendEntries, RequestVote, TimeoutNow, VoteReply
from redraft.raft.quorum import Tally
from redraft.raft.replication import begin_term
from redraft.raft.state import NEVER_MS, Role, State


def tick_election(state: State, now_ms: float) -> None:
    """Campaign when no leader was heard of for a random time (§5.2), or the last try got no answer."""
    if now_ms >= state.deadline_ms:
        state.consult_liveness()
    if now_ms < state.deadline_ms:
        return
    if now_ms < state.may_vote_from_ms:
        # Our vote for ourselves counts too: it may break a promise made before the restart.
        state.deadline_ms = state.may_vote_from_ms + state.random() * state.config.leader_lost_delay_ms
        return
    if may_campaign(state):
        campaign(state, now_ms)
    else:
        state.become_follower(state.term, 0, now_ms)
        state.restart_timer(now_ms)


def lose_leader(state: State, now_ms: float) -> None:
    """The leader's process is gone: campaign soon, at random; the pre-vote asks whether others agree.

    Not where leases are in use: they rest on nobody campaigning before its time.
    """
    if state.config.lease or state.role is not Role.FOLLOWER:
        return
    state.leave_role()
    state.heard_ms = NEVER_MS
    state.deadline_ms = min(state.deadline_ms, now_ms + state.random() * state.config.leader_lost_delay_ms)


def campaign(state: State, now_ms: float) -> None:
    """Ask who would vote for us in the next term."""
    assert state.role is not Role.LEADER
    state.leave_role()
    state.role = Role.PRE_CANDIDATE
    _ask(state, now_ms, state.term + 1, pre_vote=True, transfer=False)


def start_election(state: State, now_ms: float, *, transfer: bool) -> None:
    """Raise the term, vote for ourselves, ask for votes (§5.2)."""
    assert state.role is not Role.LEADER
    state.leave_role()
    state.role = Role.CANDIDATE
    state.save(state.term + 1, state.node_id)
    _ask(state, now_ms, state.term, pre_vote=False, transfer=transfer)


def _ask(state: State, now_ms: float, term: int, *, pre_vote: bool, transfer: bool) -> None:
    state.deadline_ms = now_ms + state.config.campaign_retry_ms * (1.0 + state.random())
    last_index = state.log.last_index
    question = RequestVote(term, pre_vote, last_index, state.log.term(last_index), transfer)
    for peer in state.configuration.nodes:
        if peer == state.node_id or not state.configuration.is_voter(peer):
            continue
        if pre_vote:
            state.send(peer, question)
        else:
            # The question tells of our own vote, which must be durable (figure 2).
            state.gate(peer, question)
    if pre_vote:
        _count(state, state.node_id, True, now_ms)


def on_durable(state: State, saved_term: int) -> None:
    """A candidate's vote in saved_term is durable: if it is for itself in this election, it counts now.

    Not before: a sole voter would lead, and speak, in a term that a crash may let it begin once more.
    """
    if saved_term == state.term and state.node_id not in state.votes:
        _count(state, state.node_id, True, state.now_ms)


def _count(state: State, voter: int, granted: bool, now_ms: float) -> None:
    state.votes[voter] = granted
    result = state.configuration.tally(state.votes)
    if result is Tally.WON:
        if state.role is Role.PRE_CANDIDATE:
            start_election(state, now_ms, transfer=False)
        else:
            begin_term(state, now_ms)
    elif result is Tally.LOST:
        # The time of the next try stands: another may win before it.
        state.leave_role()
        state.role = Role.FOLLOWER


def on_request_vote(state: State, sender: int, message: RequestVote, now_ms: float) -> None:
    """A candidate asks, in earnest or before."""
    term, pre_vote, last_log_index, last_log_term, transfer = message
    if term < state.term:
        # It must learn the term, or it asks for ever (figure 2, RequestVote 1).
        _reply(state, sender, VoteReply(state.term, pre_vote, False))
        return
    if not transfer and (now_ms < state.may_vote_from_ms or state.is_sticky(now_ms)):
        _keep_away(state, sender, pre_vote)
        return
    if term > state.term and not pre_vote:
        state.become_follower(term, 0, now_ms)
    free = term > state.term or (state.voted_for in (0, sender) and state.leader_id in (0, sender))
    if state.is_blank or not free or not is_up_to_date(state.log, last_log_index, last_log_term):
        _reply(state, sender, VoteReply(state.term, pre_vote, False))
        return
    if pre_vote:
        # Give it time to win: two that lost the same leader together would split the votes.
        courtesy_ms = now_ms + state.config.leader_lost_delay_ms
        state.deadline_ms = max(state.deadline_ms, courtesy_ms)
    else:
        if state.voted_for != sender:
            state.save(term, sender)
        state.restart_timer(now_ms)
    _reply(state, sender, VoteReply(term, pre_vote, True))


def _reply(state: State, sender: int, reply: VoteReply) -> None:
    if reply.pre_vote:
        state.send(sender, reply)
    else:
        state.gate(sender, reply)


def _keep_away(state: State, sender: int, pre_vote: bool) -> None:
    """Thesis §4.2.3: neither vote nor take the term.

    A leader answers with an empty append instead: the asker comes back to it, or, if its term is higher,
    says so; then there has to be an election, or it would stay out for ever.  One that is no member may stay
    out: it was removed.
    """
    if state.role is Role.LEADER and sender in state.configuration.nodes:
        prev_index = state.log.last_index
        prev_term = state.log.term(prev_index)
        state.send(sender, AppendEntries(state.term, prev_index, prev_term, state.commit_index, ()))
    elif pre_vote:
        state.send(sender, VoteReply(state.term, True, False))


def on_vote_reply(state: State, sender: int, message: VoteReply, now_ms: float) -> None:
    """A voter's answer; one to an older question, or to none, is ignored."""
    term, pre_vote, granted = message
    if term > state.term and not (pre_vote and granted):
        state.learn_term(sender, term, now_ms)
    elif pre_vote and state.role is Role.PRE_CANDIDATE:
        if term == state.term + 1 if granted else term == state.term:
            _count(state, sender, granted, now_ms)
    elif not pre_vote and state.role is Role.CANDIDATE and term == state.term:
        _count(state, sender, granted, now_ms)


def on_timeout_now(state: State, message: TimeoutNow, now_ms: float) -> None:
    """Thesis §3.10: the leader asks us to take over; no pre-vote, and others need not be sticky."""
    if message.term == state.term and state.role is Role.FOLLOWER and may_campaign(state):
        start_election(state, now_ms, transfer=True)


def check_quorum(state: State, contact_ms: float, now_ms: float) -> None:
    """Thesis §6.2: a leader that lost touch with a quorum for an election time-out steps down."""
    if state.role is not Role.LEADER:
        return
    # A sole voter is in contact for ever, but may not stay one.
    state.quorum_contact_ms = max(state.quorum_contact_ms, min(contact_ms, now_ms))
    if now_ms - state.quorum_contact_ms >= state.config.election_timeout_ms:
        state.become_follower(state.term, 0, now_ms)
