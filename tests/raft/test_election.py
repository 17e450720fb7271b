"""Claims about elections: votes, pre-votes, stickiness, stepping down."""

from __future__ import annotations

import pytest

from redraft.raft.core import RaftConfig, Role
from redraft.raft.messages import AppendEntries, AppendReply, RequestVote, VoteReply
from redraft.raft.types import EntryKind, HardState
from tests.raft.group import TIMEOUT_MS, Group, raft_of, sent

LEASE = RaftConfig(election_timeout_ms=TIMEOUT_MS, lease=True)


def ask(
    term: int, index: int = 0, last_term: int = 0, *, pre: bool = False, transfer: bool = False
) -> RequestVote:
    return RequestVote(term, pre, index, last_term, transfer)


def heartbeat(term: int, index: int = 0, last_term: int = 0) -> AppendEntries:
    return AppendEntries(term, index, last_term, 0, ())


# ---- campaigning (Raft §5.2) ----


def test_election_follower_waits_a_random_time_between_one_and_two_timeouts() -> None:
    """Raft §5.2: randomised time-outs; nothing happens before."""
    for draw in (0.0, 0.3, 0.99):
        raft = raft_of(draw=draw)
        deadline = TIMEOUT_MS * (1 + draw)
        assert raft.next_deadline_ms() == deadline
        raft.tick(deadline - 1)
        assert raft.role is Role.FOLLOWER
        raft.tick(deadline)
        assert raft.role is Role.PRE_CANDIDATE


def test_election_prevote_changes_neither_term_nor_vote() -> None:
    """Thesis §9.6: asking before is free, on both sides."""
    asker, asked = raft_of(node_id=1), raft_of(node_id=2)
    asker.tick(2000.0)
    letters = sent(asker)
    assert letters == [(2, ask(1, pre=True)), (3, ask(1, pre=True))]
    asked.step(1, letters[0][1], 2000.0)
    assert sent(asked) == [(1, VoteReply(1, True, True))]
    for raft in (asker, asked):
        assert raft.log.hard_state == HardState(0, 0)


def test_election_own_vote_is_durable_before_others_are_asked() -> None:
    """Figure 2, persistent state: RequestVote tells of the candidate's own vote, so it is gated."""
    raft = raft_of()
    raft.tick(2000.0)
    raft.take_output()
    raft.step(2, VoteReply(1, True, True), 2001.0)
    output = raft.take_output()
    assert output is not None
    assert output.wrote
    assert output.messages == []
    assert output.gated == [(2, ask(1)), (3, ask(1))]
    assert raft.log.hard_state == HardState(1, 1)


def test_election_vote_is_durable_before_it_is_told() -> None:
    """Figure 2, persistent state: a vote forgotten in a crash could be given twice."""
    raft = raft_of()
    raft.step(2, ask(1), 2000.0)
    output = raft.take_output()
    assert output is not None
    assert output.wrote
    assert output.messages == []
    assert output.gated == [(2, VoteReply(1, False, True))]
    assert raft.log.hard_state == HardState(1, 2)


def test_election_winner_begins_with_a_noop_of_its_term() -> None:
    """Raft §8: a leader commits something of its own term first; ReadIndex waits for that (thesis §6.4)."""
    group = Group.of(3)
    group.now = 2000.0
    leader = group[1]
    leader.tick(group.now)
    group.deliver(lambda letter: not isinstance(letter[2], AppendEntries))
    assert leader.role is Role.LEADER
    assert not leader.committed_in_term
    first = leader.log.slice(1, 2, 0)[0]
    assert (first.term, first.index, first.kind) == (1, 1, EntryKind.NOOP)
    group.now += TIMEOUT_MS
    leader.tick(group.now)
    group.deliver()
    assert leader.committed_in_term
    assert leader.commit_index == 1


def test_election_single_voter_leads_at_its_first_timeout() -> None:
    """A cluster of one works; its vote counts when its disk has it, and so do its entries, not before."""
    raft = raft_of(voters=1)
    raft.tick(2000.0)
    assert raft.role is Role.CANDIDATE
    output = raft.take_output()
    assert output is not None
    assert output.wrote
    raft.durable(*output.stable)
    assert raft.role is Role.LEADER
    output = raft.take_output()
    assert output is not None
    assert raft.commit_index == 0
    raft.durable(*output.stable)
    assert raft.commit_index == 1


def test_election_own_vote_of_an_earlier_term_does_not_count() -> None:
    """A late report of the disk, about the election before."""
    raft = raft_of(voters=1)
    raft.tick(2000.0)
    output = raft.take_output()
    assert output is not None
    raft.tick(4000.0)
    raft.durable(*output.stable)
    assert (raft.role, raft.term) == (Role.CANDIDATE, 2)


def test_election_candidate_yields_to_the_leader_of_its_term() -> None:
    """Raft §5.2 (b): AppendEntries of a term not below its own makes a candidate a follower."""
    raft = raft_of()
    raft.tick(2000.0)
    raft.step(2, VoteReply(1, True, True), 2000.0)
    assert raft.role is Role.CANDIDATE
    raft.step(3, heartbeat(1), 2001.0)
    assert (raft.role, raft.leader_id, raft.term) == (Role.FOLLOWER, 3, 1)


def test_election_split_vote_is_tried_again_in_a_new_term() -> None:
    """Raft §5.2 (c): nobody wins; a random time later there is another term."""
    group = Group.of(4)
    group.now = 2000.0
    for node in (1, 2):
        group[node].tick(group.now)
        group[node].step(3, VoteReply(1, True, True), group.now)
        group[node].step(4, VoteReply(1, True, True), group.now)
    group.deliver(lambda letter: (letter[0] + letter[1]) % 2 == 0 or letter[0] < 3 > letter[1])
    assert group.leaders() == []
    group.advance(2 * TIMEOUT_MS)
    assert len(group.leaders()) == 1
    assert group[group.leaders()[0]].term > 1


def test_election_late_and_foreign_votes_do_not_count() -> None:
    """Only votes for this question of this term, from voters, make a leader."""
    raft = raft_of(term=4, voters=5)
    raft.tick(2000.0)
    raft.step(2, VoteReply(5, True, True), 2000.0)
    raft.step(3, VoteReply(5, True, True), 2000.0)
    assert (raft.role, raft.term) == (Role.CANDIDATE, 5)
    sent(raft)
    for sender, reply in (
        (2, VoteReply(4, False, True)),  # of an earlier term
        (3, VoteReply(5, True, True)),  # a pre-vote
        (9, VoteReply(5, False, True)),  # a stranger
        (4, VoteReply(5, False, False)),
        (5, VoteReply(5, False, True)),
        (5, VoteReply(5, False, True)),  # twice
    ):
        raft.step(sender, reply, 2001.0)
    assert raft.role is Role.CANDIDATE
    raft.step(2, VoteReply(5, False, True), 2002.0)
    assert raft.role is Role.LEADER


# ---- whom to vote for ----


@pytest.mark.parametrize("pre", [False, True])
@pytest.mark.parametrize(
    ("index", "term", "granted"),
    [(2, 3, False), (3, 3, True), (4, 3, True), (9, 2, False), (1, 4, True), (0, 0, False)],
)
def test_election_vote_goes_to_a_log_at_least_as_new(pre: bool, index: int, term: int, granted: bool) -> None:
    """Raft §5.4.1: the later last term wins, then the longer log."""
    raft = raft_of(1, 2, 3, node_id=3)
    raft.step(1, ask(7, index, term, pre=pre), 2000.0)
    expected_term = 3 if pre and not granted else 7
    assert sent(raft) == [(1, VoteReply(expected_term, pre, granted))]


def test_election_one_vote_a_term_first_come_first_served() -> None:
    """Raft §5.2; the same candidate may hear its answer again."""
    raft = raft_of()
    for candidate, granted in ((2, True), (3, False), (2, True)):
        raft.step(candidate, ask(1), 2000.0)
        assert sent(raft) == [(candidate, VoteReply(1, False, granted))]


def test_election_vote_outlives_a_restart() -> None:
    """Figure 2: votedFor is persistent."""
    raft = raft_of(term=5, voted_for=2)
    raft.step(3, ask(5), 2000.0)
    assert sent(raft) == [(3, VoteReply(5, False, False))]


@pytest.mark.parametrize("pre", [False, True])
def test_election_candidate_of_an_old_term_learns_the_term(pre: bool) -> None:
    """Figure 2, RequestVote 1: reply false if term < currentTerm."""
    raft = raft_of(term=5)
    raft.step(2, ask(4, pre=pre), 2000.0)
    assert sent(raft) == [(2, VoteReply(5, pre, False))]


def test_election_old_log_raises_the_term_but_not_the_time_to_wait() -> None:
    """A candidate that can't win must not keep those who can from trying."""
    raft = raft_of(1, 1)
    deadline = raft.next_deadline_ms()
    raft.step(2, ask(7, 1, 1), 100.0)
    assert raft.term == 7
    assert raft.next_deadline_ms() == deadline
    raft.step(3, ask(8, 2, 1), 100.0)
    assert raft.next_deadline_ms() > deadline


# ---- stickiness, PreVote and CheckQuorum (thesis §4.2.3, §6.2, §9.6) ----


def test_election_node_in_touch_with_its_leader_ignores_candidates() -> None:
    """Thesis §4.2.3: neither vote nor term within an election time-out of hearing the leader."""
    raft = raft_of()
    raft.step(2, heartbeat(1), 1000.0)
    sent(raft)
    raft.step(3, ask(9), 1000.0 + TIMEOUT_MS - 1)
    assert (raft.term, raft.leader_id, sent(raft)) == (1, 2, [])
    raft.step(3, ask(9, pre=True), 1000.0 + TIMEOUT_MS - 1)
    assert sent(raft) == [(3, VoteReply(1, True, False))]
    raft.step(3, ask(9), 1000.0 + TIMEOUT_MS)
    assert (raft.term, raft.voted_for) == (9, 3)


def test_election_liveness_vouches_for_an_idle_leader() -> None:
    """A leader that sends nothing is followed as long as its node is heard; asked only when it matters."""
    heard = [0.0]
    raft = raft_of(vouched_ms=lambda leader, term: heard[0] if (leader, term) == (2, 1) else float("-inf"))
    raft.step(2, heartbeat(1), 100.0)
    sent(raft)
    heard[0] = 5000.0
    raft.tick(5100.0)
    assert raft.role is Role.FOLLOWER
    assert raft.next_deadline_ms() == 5000.0 + TIMEOUT_MS * 1.5
    raft.step(3, ask(9), 5000.0 + TIMEOUT_MS - 1)
    assert raft.term == 1
    raft.tick(raft.next_deadline_ms())
    assert raft.role is Role.PRE_CANDIDATE


def test_election_returning_node_disturbs_nobody() -> None:
    """Thesis §9.6: a node that was cut off comes back without a higher term, and finds its leader."""
    group = Group.of(3)
    leader = group.elect(1)
    group.cut_off.add(3)

    def live(ms: float) -> None:
        for _ in range(int(ms / 100)):
            group.advance(100.0)
            leader.quorum_contact(group.now, group.now)
            group[2].leader_heard(group.now)

    live(10_000.0)
    assert group[3].role is Role.PRE_CANDIDATE
    assert group[3].term == 1
    group.cut_off.clear()
    live(2 * TIMEOUT_MS)
    assert (group.leaders(), leader.term) == ([1], 1)
    assert (group[3].role, group[3].leader_id) == (Role.FOLLOWER, 1)


def test_election_node_stuck_in_a_higher_term_makes_the_leader_step_down() -> None:
    """Its leader can't lead it, so there has to be an election, or it would stay out for ever."""
    group = Group.of(3)
    leader = group.elect(1)
    group[3].become_follower(7, 0, group.now)
    for _ in range(20):
        group.advance(100.0)
        for node in group.leaders():
            group[node].quorum_contact(group.now, group.now)
    assert len(group.leaders()) == 1
    assert leader.term > 7
    assert len({raft.term for raft in group.rafts.values()}) == 1


def test_election_leader_without_a_quorum_steps_down() -> None:
    """Thesis §6.2, CheckQuorum: counted from when a quorum was last in touch."""
    raft = Group.of(3).elect(1)
    start = raft.quorum_contact_ms
    raft.quorum_contact(start + 100, start + 500)
    raft.quorum_contact(start + 50, start + 100 + TIMEOUT_MS - 1)
    assert raft.role is Role.LEADER
    raft.quorum_contact(start + 100, start + 100 + TIMEOUT_MS)
    assert (raft.role, raft.leader_id, raft.term) == (Role.FOLLOWER, 0, 1)
    assert raft.next_deadline_ms() > start + 100 + 2 * TIMEOUT_MS


def test_election_broken_link_to_the_leader_hastens_the_campaign() -> None:
    """The leader's process is gone: no need to wait a time-out, and no reason to be sticky."""
    raft = raft_of()
    raft.step(2, heartbeat(1), 1000.0)
    sent(raft)
    raft.leader_lost(1001.0)
    assert raft.leader_id == 0
    assert 1001.0 <= raft.next_deadline_ms() <= 1001.0 + raft.config.leader_lost_delay_ms
    raft.step(3, ask(2), 1002.0)
    assert raft.voted_for == 3


def test_election_broken_link_to_one_follower_only_changes_nothing() -> None:
    """The others still hear the leader, so the pre-vote fails, and the leader's answer brings it back."""
    group = Group.of(3)
    group.elect(1)
    group[3].leader_lost(group.now)
    group.advance(300.0)
    assert (group.leaders(), group[1].term, group[3].leader_id) == ([1], 1, 1)


def test_election_two_who_lost_the_same_leader_rarely_split() -> None:
    """Who grants a pre-vote lets the asker finish before it campaigns itself."""
    raft = raft_of()
    raft.step(2, heartbeat(1), 1000.0)
    raft.leader_lost(1001.0)
    raft.step(3, ask(2, pre=True), 1002.0)
    assert raft.next_deadline_ms() == 1002.0 + raft.config.leader_lost_delay_ms


# ---- leases (docs/guarantees.md, "Reads and leases") ----


def test_election_with_leases_a_broken_link_changes_nothing() -> None:
    """A lease rests on nobody campaigning before its time."""
    raft = raft_of(config=LEASE)
    raft.step(2, heartbeat(1), 1000.0)
    deadline = raft.next_deadline_ms()
    raft.leader_lost(1001.0)
    assert (raft.leader_id, raft.next_deadline_ms()) == (2, deadline)


@pytest.mark.parametrize(("config", "voted_for"), [(LEASE, 0), (None, 3)])
def test_election_with_leases_the_promise_outlives_the_term(
    config: RaftConfig | None, voted_for: int
) -> None:
    """A higher term met by chance frees nobody from the last answer given to a leader with a lease."""
    raft = raft_of(config=config)
    raft.step(2, heartbeat(1), 1000.0)
    raft.step(3, AppendReply(5, False, 0, 0, 0), 1001.0)
    assert (raft.term, raft.leader_id) == (5, 0)
    raft.step(3, ask(5), 1002.0)
    assert raft.voted_for == voted_for
    raft.step(3, ask(5), 1000.0 + TIMEOUT_MS)
    assert raft.voted_for == 3


def test_election_with_leases_what_liveness_heard_is_part_of_the_promise() -> None:
    """An idle leader's lease is renewed by pings alone; leaving its term early must not forget them."""
    heard = [100.0]
    raft = raft_of(config=LEASE, vouched_ms=lambda leader, term: heard[0])
    raft.step(2, heartbeat(1), 100.0)
    heard[0] = 5000.0
    raft.step(3, AppendReply(5, False, 0, 0, 0), 5001.0)
    raft.step(3, ask(5), 5000.0 + TIMEOUT_MS - 1)
    assert raft.voted_for == 0


def test_election_restarted_node_votes_for_nobody_at_first() -> None:
    """What it promised before the crash is forgotten, so it waits until every such promise is over."""
    raft = raft_of(may_vote_from_ms=3000.0)
    raft.step(2, ask(1), 2999.0)
    assert (raft.term, sent(raft)) == (0, [])
    raft.tick(2999.0)
    assert raft.role is Role.FOLLOWER, "nor for itself"
    assert raft.next_deadline_ms() >= 3000.0
    raft.step(2, ask(1), 3000.0)
    assert raft.voted_for == 2
