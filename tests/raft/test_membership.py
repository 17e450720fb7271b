"""Claims about membership changes (Raft §6; thesis §4.1 to §4.3)."""

from __future__ import annotations

import pytest

from redraft.raft.configuration import Configuration
from redraft.raft.core import Raft, Role
from redraft.raft.messages import (
    AppendEntries,
    AppendReply,
    RequestVote,
    TimeoutNow,
    VoteReply,
)
from redraft.raft.types import Entry, EntryKind, HardState
from tests.raft.group import TIMEOUT_MS, Group, Letter, raft_of, sent
from tests.raft.memory_log import MemoryLog, entries_of


def entry_of(term: int, index: int, configuration: Configuration) -> Entry:
    return Entry(term, index, EntryKind.CONFIGURATION, configuration.encode())


def with_learners(*learners: int, size: int = 3) -> tuple[Group, Raft]:
    """A group of `size` voters, led by 1, and learners that have everything."""
    group = Group.of(size)
    leader = group.elect(1)
    for learner in learners:
        group.add(learner)
    leader.change(leader.configuration.voters, learners)
    group.deliver()
    group.advance(60.0)
    assert all(group[node].commit_index == leader.commit_index for node in group.rafts)
    return group, leader


def newest(group: Group) -> Raft:
    """Who leads by the newest term; others may not have heard of it."""
    return max((group[node] for node in group.leaders()), key=lambda raft: raft.term)


def pass_time(group: Group, leader: Raft, ms: float) -> None:
    """Let time pass with the leader in touch with all its members."""
    end = group.now + ms
    while group.now < end:
        for node in leader.configuration.nodes:
            group[node].leader_heard(group.now)
        leader.quorum_contact(group.now, group.now)
        group.advance(200.0)


# ---- learners (thesis §4.2.1) ----


def test_learner_begins_with_a_snapshot_that_knows_of_it() -> None:
    """The first configuration is in no entry, so a log alone would not tell who votes."""
    group, leader = with_learners(4)
    assert group.snapshots == {leader.configuration_index: Configuration((1, 2, 3), (), (4,))}
    assert group[4].configuration == leader.configuration
    assert group[4].log.first_index == leader.configuration_index + 1
    leader.propose(EntryKind.PARTS, b"x")
    group.deliver()
    assert group[4].last_index == leader.last_index


def test_learner_counts_for_no_majority() -> None:
    """Two voters down: what a learner has does not commit anything."""
    group, leader = with_learners(4, 5)
    group.cut_off |= {2, 3}
    before = leader.commit_index
    leader.propose(EntryKind.PARTS, b"x")
    group.deliver()
    assert group[4].last_index == leader.last_index == before + 1
    assert leader.commit_index == before


def test_learner_never_campaigns() -> None:
    """However long it hears nothing; and it forgets who led."""
    group, _leader = with_learners(4)
    group.cut_off |= {1, 2, 3}
    group.advance(5 * TIMEOUT_MS)
    assert (group[4].role, group[4].term, group[4].leader_id) == (Role.FOLLOWER, 1, 0)


def test_learner_follows_again_who_claims_to_lead() -> None:
    """Found by the simulator: of an idle leader that was silent for a while, a learner never heard again."""
    group, leader = with_learners(4)
    group.cut_off |= {1, 2, 3}
    group.advance(5 * TIMEOUT_MS)
    group[4].leader_claims(leader.node_id, leader.term - 1, group.now)
    assert group[4].leader_id == 0, "that was another term"
    group[4].leader_claims(leader.node_id, leader.term, group.now)
    assert group[4].leader_id == leader.node_id


def test_learner_that_was_promoted_without_knowing_votes() -> None:
    """Or the group could be stuck: C_new needs its vote, and only a new leader could tell it so.

    Voters 1, 2, 3 become 1, 2, 4; node 4 hears nothing of it; 1 is lost.  Node 3 is out, 2 must win with 4.
    """
    group, leader = with_learners(4)
    leader.change((1, 2, 4))
    group.deliver(lambda letter: 4 not in letter[:2])
    group.cut_off.add(1)
    assert group[4].configuration.learners == (4,)
    group.advance(4 * TIMEOUT_MS)
    assert newest(group) is group[2]
    assert group[2].is_settled
    assert group[4].configuration == Configuration((1, 2, 4))


def test_learner_becomes_a_voter_and_a_voter_a_learner() -> None:
    """In one change; the one on its way out is an outgoing voter until the end."""
    group, leader = with_learners(4)
    leader.change((1, 3, 4), (2,))
    assert leader.configuration == Configuration((1, 3, 4), (1, 2, 3), (2,))
    group.deliver()
    group.advance(60.0)
    assert {raft.configuration for raft in group.rafts.values()} == {Configuration((1, 3, 4), (), (2,))}
    assert all(raft.is_settled and not raft.is_removed for raft in group.rafts.values())


# ---- a change (§6) ----


def test_change_counts_from_the_append_and_needs_both_majorities() -> None:
    """§6: "a server always uses the latest configuration in its log", committed or not."""
    for silent, enough in (({5, 6}, False), ({2, 3}, False), ({3, 6}, True)):
        group, leader = with_learners(4, 5, 6)
        group.cut_off |= silent
        joint = leader.change((4, 5, 6))
        assert leader.configuration == Configuration((4, 5, 6), (1, 2, 3))
        group.deliver()
        assert (leader.commit_index >= joint) is enough


def test_change_needs_both_majorities_to_elect() -> None:
    """§6: in the joint configuration "agreement (for elections and entry commitment) requires" both."""
    group, leader = with_learners(4, 5, 6)
    leader.change((4, 5, 6))
    group.deliver(lambda letter: isinstance(letter[2], AppendEntries))
    candidate = group[2]
    assert candidate.configuration.is_joint
    candidate.tick(group.now + 2 * TIMEOUT_MS)
    assert {to for to, _ in sent(candidate)} == {1, 3, 4, 5, 6}
    for voter in (1, 3, 4):
        candidate.step(voter, VoteReply(candidate.term + 1, True, True), group.now)
        assert candidate.role is Role.PRE_CANDIDATE
    candidate.step(5, VoteReply(candidate.term + 1, True, True), group.now)
    assert candidate.role is Role.CANDIDATE


def test_change_ends_by_itself_once_the_joint_configuration_is_committed() -> None:
    """§6: then "it is now safe for the leader to create a log entry describing C_new"."""
    group, leader = with_learners(4)
    joint = leader.change((1, 2, 4))
    assert not leader.is_settled
    assert not leader.may_change
    group.deliver()
    assert leader.configuration == Configuration((1, 2, 4))
    assert leader.configuration_index == joint + 1
    assert leader.is_settled
    assert leader.may_change


def test_change_is_ended_by_the_next_leader() -> None:
    """The one that began it is gone before C_old,new was committed."""
    group, leader = with_learners(4)
    leader.change((1, 2, 4))
    group.deliver(lambda letter: letter[0] == 1 and letter[1] in (2, 4))
    group.cut_off.add(1)
    group.advance(6 * TIMEOUT_MS)
    new = newest(group)
    assert new is not leader
    assert new.configuration == Configuration((1, 2, 4))
    assert new.is_settled


def test_change_is_taken_back_with_its_entry() -> None:
    """§5.3's cut takes back the configuration, too: the one before counts again."""
    raft = raft_of(1, 1, term=2)
    entries = (
        entry_of(2, 3, Configuration((1, 2, 4), (1, 2, 3))),
        Entry(2, 4, EntryKind.PARTS, b""),
        entry_of(2, 5, Configuration((1, 2, 4))),
    )
    raft.step(2, AppendEntries(2, 2, 1, 2, entries), 0.0)
    assert (raft.configuration, raft.configuration_index) == (Configuration((1, 2, 4)), 5)
    raft.step(3, AppendEntries(3, 4, 2, 2, (Entry(3, 5, EntryKind.NOOP, b""),)), 1.0)
    assert (raft.configuration, raft.configuration_index) == (Configuration((1, 2, 4), (1, 2, 3)), 3)
    raft.step(1, AppendEntries(4, 2, 1, 2, (Entry(4, 3, EntryKind.NOOP, b""),)), 2.0)
    assert (raft.configuration, raft.configuration_index) == (Configuration((1, 2, 3)), 0)


def test_change_is_found_again_after_a_restart() -> None:
    """The latest configuration in the log counts, on top of the snapshot's."""
    joint, final = Configuration((1, 2, 4), (1, 2, 3)), Configuration((1, 2, 4))
    log = MemoryLog([*entries_of(1, 1), entry_of(1, 3, joint), entry_of(1, 4, final)])
    raft = Raft(
        node_id=1,
        configuration=Configuration((1, 2, 3)),
        log=log,
        config=raft_of().config,
        random=lambda: 0.5,
        now_ms=0.0,
    )
    assert (raft.configuration, raft.configuration_index) == (final, 4)
    assert [raft.configuration_at(i).voters for i in (2, 3, 4)] == [(1, 2, 3), (1, 2, 4), (1, 2, 4)]
    assert raft.configuration_at(3) == joint


def test_change_of_learners_only_is_one_entry() -> None:
    """The majorities stay as they are."""
    group, leader = with_learners(4)
    index = leader.change((1, 2, 3), ())
    group.deliver()
    assert leader.configuration == Configuration((1, 2, 3))
    assert (leader.last_index, leader.commit_index) == (index, index)


@pytest.mark.parametrize("voters", [(1,), (2, 3), (1, 2, 3, 4, 5)])
def test_change_may_be_to_any_number_of_voters(voters: tuple[int, ...]) -> None:
    """Joint consensus takes any step at once (§6), to one voter and from one."""
    group, leader = with_learners(4, 5)
    leader.change(voters)
    group.deliver()
    group.advance(4 * TIMEOUT_MS)
    (found,) = group.leaders()
    assert group[found].configuration == Configuration(voters)
    assert found in voters
    before = group[found].commit_index
    group[found].propose(EntryKind.PARTS, b"x")
    group.deliver()
    assert group[found].commit_index == before + 1


def test_change_back_from_a_sole_voter_is_watched_by_its_quorum() -> None:
    """A sole voter is in contact with its quorum for ever; it must not stay so when it has company again."""
    group, leader = with_learners(2, size=1)
    leader.quorum_contact(float("inf"), group.now)
    leader.change((1, 2))
    group.deliver()
    leader.quorum_contact(float("-inf"), group.now + TIMEOUT_MS)
    assert leader.role is Role.FOLLOWER


# ---- when a change may begin ----


def test_change_waits_for_an_entry_of_this_term() -> None:
    """The bug of single-server changes (Ongaro 2015) ruled out: a leader commits in its own term first."""
    group = Group.of(3)
    leader = group[1]
    leader.tick(2 * TIMEOUT_MS)
    group.deliver(lambda letter: not isinstance(letter[2], AppendEntries))
    assert leader.role is Role.LEADER
    assert not leader.may_change
    with pytest.raises(AssertionError):
        leader.change((1, 2), (3,))
    leader.peer_reset(2)
    group.deliver()
    assert leader.may_change


def test_change_waits_for_the_last_one() -> None:
    """One at a time: neither joint nor uncommitted."""
    group, leader = with_learners(4)
    group.cut_off |= {2, 3, 4}
    leader.change((1, 2, 3), ())
    group.deliver()
    assert not leader.may_change, "not committed"
    with pytest.raises(AssertionError):
        leader.change((1, 2), ())


def test_change_waits_for_a_hand_over() -> None:
    """A leader that hands over proposes nothing."""
    group, leader = with_learners(4)
    leader.transfer(2, group.now)
    assert not leader.may_change


def test_change_makes_nobody_a_voter_who_has_no_log() -> None:
    """A blank replica grants no vote; is the leader lost, a group that needs it would be stuck."""
    group, leader = with_learners(4)
    with pytest.raises(AssertionError, match="must be a learner"):
        leader.change((1, 2, 5))
    group.add(5)
    group.cut_off.add(5)
    leader.change((1, 2, 3), (4, 5))
    group.deliver()
    assert [leader.may_promote(node) for node in (4, 5, 6)] == [True, False, False]
    with pytest.raises(AssertionError, match="must be a learner"):
        leader.change((1, 2, 5))


# ---- those who leave ----


def test_leaver_is_told_that_it_is_out() -> None:
    """It gets C_new and hears of its commit; then it is sent nothing more."""
    group, leader = with_learners(4)
    leader.change((1, 2, 4))
    group.deliver()
    group.advance(60.0)
    assert group[3].is_removed
    assert 3 not in leader.progress
    index = group[3].last_index
    leader.propose(EntryKind.PARTS, b"x")
    group.deliver()
    assert group[3].last_index == index


def test_leaver_that_does_not_answer_is_let_go() -> None:
    """It is told once; the group owes it nothing."""
    group, leader = with_learners(4)
    group.cut_off.add(3)
    leader.change((1, 2, 4))
    pass_time(group, leader, 2 * TIMEOUT_MS)
    assert 3 not in leader.progress
    assert leader.next_deadline_ms() == float("inf")


def test_leaver_that_lost_its_link_is_let_go() -> None:
    """And comes back as a stranger."""
    group, leader = with_learners(4)
    group.cut_off.add(3)
    leader.change((1, 2, 4))
    group.deliver()
    assert 3 in leader.progress
    leader.peer_lost(3)
    leader.peer_reset(3)
    assert 3 not in leader.progress


def test_leader_that_leaves_hands_over() -> None:
    """§6: it steps down once C_new is committed; until then it manages a group without itself."""
    group, leader = with_learners(4)
    leader.change((2, 3, 4))
    seen: list[Letter] = []
    group.deliver(lambda letter: seen.append(letter) is None)
    assert any(isinstance(message, TimeoutNow) for _, _, message in seen)
    assert len(group.leaders()) == 1
    assert group.leaders() != [1]
    group.advance(60.0)
    assert leader.is_removed


def test_leader_that_leaves_does_not_count_itself() -> None:
    """Thesis §4.2.2: "it replicates log entries but does not count itself in majorities"."""
    group, leader = with_learners(4)
    group.cut_off.add(4)
    leader.change((2, 3, 4))
    group.deliver(lambda letter: not (letter[0] == 3 and isinstance(letter[2], AppendReply)))
    assert not leader.is_settled
    assert leader.commit_index < leader.configuration_index


def test_leader_that_leaves_steps_down_if_nobody_takes_over() -> None:
    """It waits an election time-out for its heir; or not at all if none is there."""
    group, leader = with_learners(4)
    joint = leader.change((2, 3, 4))
    group.deliver(lambda letter: not (isinstance(letter[2], AppendReply) and letter[2].match_index > joint))
    leader.propose(EntryKind.PARTS, b"x")
    for voter in (2, 3):
        leader.step(voter, AppendReply(1, True, joint + 1, 0, 0), group.now)
    assert leader.role is Role.LEADER
    assert leader.commit_index == leader.configuration_index == leader.last_index - 1
    assert leader.transferring_to
    assert not leader.may_change
    group.cut_off |= {2, 3, 4}
    group.advance(TIMEOUT_MS, deliver=False)
    assert leader.role is Role.FOLLOWER


def test_leader_that_becomes_a_learner_hands_over_too() -> None:
    """A learner does not lead."""
    group, leader = with_learners(4)
    leader.change((2, 3, 4), (1,))
    group.deliver()
    group.advance(60.0)
    assert group.leaders() != [1]
    assert len(group.leaders()) == 1
    assert not leader.is_removed
    assert leader.commit_index == group[group.leaders()[0]].commit_index


def test_leaver_still_campaigns_until_it_knows_that_it_is_out() -> None:
    """Thesis figure 4.6: it may be the only one that can win.

    1, 2, 3 become 4, 5, 6.  Only 1 and 2 have C_new when 1 is lost: 4, 5 and 6 hold the joint configuration
    and need a majority of 1, 2, 3, where 2 and 1 have longer logs.  So 2 must win, with votes of C_new only.
    """
    group, leader = with_learners(4, 5, 6)
    leader.change((4, 5, 6))
    group.deliver(
        lambda letter: (
            not (
                isinstance(letter[2], AppendEntries)
                and letter[1] in (3, 4, 5, 6)
                and any(
                    entry.kind == EntryKind.CONFIGURATION and not Configuration.decode(entry.data).is_joint
                    for entry in letter[2].entries
                )
            )
        )
    )
    assert group[2].configuration == Configuration((4, 5, 6))
    assert group[4].configuration.is_joint
    group.cut_off.add(1)
    group.advance(6 * TIMEOUT_MS)
    found = newest(group)
    assert found.node_id in (4, 5, 6)
    assert found.is_settled
    assert found.configuration == Configuration((4, 5, 6))
    assert group.led[2] == 2


def test_leaver_that_knows_that_it_is_out_is_quiet() -> None:
    """It does not even ask."""
    group, leader = with_learners(4)
    leader.change((1, 2, 4))
    group.deliver()
    group.advance(60.0)
    out = group[3]
    assert out.is_removed
    out.tick(group.now + 10 * TIMEOUT_MS)
    assert sent(out) == []
    assert out.role is Role.FOLLOWER
    assert out.next_deadline_ms() > group.now + 10 * TIMEOUT_MS


def test_leaver_that_never_heard_disturbs_nobody() -> None:
    """PreVote and stickiness (thesis §4.2.3, §9.6): the term stays, and the leader gives no answer."""
    group, leader = with_learners(4)
    group.cut_off.add(3)
    leader.change((1, 2, 4))
    group.advance(60.0)
    group.cut_off.clear()
    term = leader.term
    leader.peer_lost(3)
    pass_time(group, leader, 4000.0)
    assert group[3].role is not Role.LEADER
    assert group.leaders() == [1]
    assert leader.term == term


@pytest.mark.parametrize(
    "reply", [AppendReply(9, False, 1, 0, 0), VoteReply(9, False, False), AppendReply(1, True, 3, 0, 0)]
)
def test_strangers_replies_count_for_nothing(reply: AppendReply | VoteReply) -> None:
    """Not even a higher term: it is no member's."""
    group, leader = with_learners(4)
    group.cut_off |= {2, 3, 4}
    leader.propose(EntryKind.PARTS, b"x")
    commit_index = leader.commit_index
    leader.step(7, reply, group.now)
    assert (leader.role, leader.term, leader.commit_index) == (Role.LEADER, 1, commit_index)


def test_strangers_requests_are_taken_as_anybodys() -> None:
    """Thesis §4.2.2: a node that lags behind must accept a leader and a candidate it never heard of."""
    raft = raft_of(1)
    raft.step(9, AppendEntries(2, 1, 1, 1, ()), 0.0)
    assert raft.leader_id == 9
    raft = raft_of(1)
    raft.step(9, RequestVote(2, False, 1, 1, False), 0.0)
    assert sent(raft) == [(9, VoteReply(2, False, True))]


# ---- a replica that comes back (no log: what did it promise?) ----


def test_blank_replica_grants_no_vote() -> None:
    """It may have acknowledged entries in an earlier life that a candidate of those days does not have."""
    raft = raft_of(voters=0, term=3)
    for pre_vote in (True, False):
        raft.step(1, RequestVote(4, pre_vote, 100, 3, False), 0.0)
        assert sent(raft) == [(1, VoteReply(3 if pre_vote else 4, pre_vote, False))]


def test_blank_replica_takes_no_entries() -> None:
    """There is no state that they could follow: it refuses index 0, which every other log has."""
    raft = raft_of(voters=0)
    raft.step(1, AppendEntries(4, 0, 0, 0, tuple(entries_of(4))), 0.0)
    assert sent(raft) == [(1, AppendReply(4, False, 0, 0, 0))]
    assert (raft.last_index, raft.leader_id) == (0, 1)


def removed(group: Group, leader: Raft, node: int) -> Raft:
    """Remove a voter, and empty its replica."""
    leader.change(tuple(each for each in leader.configuration.voters if each != node))
    group.deliver()
    group.advance(60.0)
    raft = group[node]
    assert raft.retire()
    assert sent(raft) == []
    return raft


def test_retired_replica_keeps_term_vote_and_place() -> None:
    """All of what it said must stay true."""
    group, leader = with_learners(4)
    raft = removed(group, leader, 3)
    assert raft.is_blank
    assert raft.last_index == raft.log.first_index - 1 == leader.commit_index
    assert raft.log.hard_state == HardState(1, 1)
    assert raft.log.term(raft.last_index) == 1


def test_retired_replica_comes_back_by_a_snapshot_of_its_new_membership() -> None:
    """Not by an older one, even if that names it: what it acknowledged since would be missing."""
    group, leader = with_learners(4)
    old = leader.commit_index
    raft = removed(group, leader, 3)
    for index in (old, raft.last_index):
        assert not raft.restore(index, 1, Configuration((1, 2, 3)) if index == old else leader.configuration)
    joined = leader.change((1, 2), (3,))
    group.deliver()
    assert min(group.snapshots.items(), key=lambda item: item[0] < joined)[1].learners == (3,)
    assert raft.configuration == leader.configuration
    assert not raft.is_blank


def test_retired_replica_must_be_certain_to_be_out() -> None:
    """A member is never emptied; nor one that was told so of a time before it came back."""
    assert not raft_of(1, 1, applied_index=2).retire(), "a founder, by the first configuration"
    group, leader = with_learners(4)
    assert not group[4].retire()
    assert not group[3].retire()
    assert not group[4].retire(leader.configuration_index - 1, 1)
    assert not leader.retire(99, 1)


def test_retired_replica_may_have_a_change_that_was_never_committed() -> None:
    """It lies behind the place that the replica is told of, but in an older term: that is no return."""
    raft = raft_of(1, 1, term=2)
    change = entry_of(2, 3, Configuration((1, 2), (1, 2, 3)))
    raft.step(2, AppendEntries(2, 2, 1, 2, (change,)), 0.0)
    assert not raft.retire(2, 1), "for all it knows it joined later"
    assert raft.retire(3, 3)
    assert raft.is_blank


def test_retired_replica_may_be_told_that_it_is_out() -> None:
    """It was away when it was removed: the leader's word, with a committed place, is enough."""
    group, leader = with_learners(4)
    group.cut_off.add(3)
    leader.change((1, 2, 4))
    group.deliver()
    raft = group[3]
    assert not raft.is_removed
    index = leader.commit_index
    assert raft.retire(index, leader.log.term(index))
    assert (raft.is_blank, raft.last_index) == (True, index)


def test_acks_of_an_earlier_life_are_not_counted() -> None:
    """Node 3 was removed, emptied and is a learner again in one term; an old ack of it comes late."""
    group, leader = with_learners(4)
    raft = removed(group, leader, 3)
    group.cut_off |= {2, 3, 4}
    leader.change((1, 2), (3,))
    late = AppendReply(1, True, leader.last_index - 1, 0, 0)
    leader.step(3, late, group.now)
    assert leader.durable_index(3) == 0
    leader.step(3, AppendReply(1, False, 0, raft.last_index, 1), group.now)
    assert leader.progress[3].match_index == 0
    assert leader.progress[3].snapshot_index == leader.configuration_index
