"""Claims about leadership transfer (thesis §3.10)."""

from __future__ import annotations

import pytest

from redraft.raft.core import Role
from redraft.raft.messages import AppendEntries, RequestVote, TimeoutNow
from redraft.raft.types import EntryKind
from tests.raft.group import TIMEOUT_MS, Group


def test_transfer_to_an_up_to_date_node_takes_one_round() -> None:
    """No time-out, no pre-vote, and nobody is sticky."""
    group = Group.of(3)
    leader = group.elect(1)
    for node in (2, 3):
        group[node].leader_heard(group.now)
    leader.transfer(3, group.now)
    group.deliver()
    assert group.leaders() == [3]
    assert (leader.role, leader.leader_id, leader.term) == (Role.FOLLOWER, 3, 2)


def test_transfer_waits_until_the_target_has_everything() -> None:
    """Thesis §3.10, steps 1 and 2: or the target could not win."""
    group = Group.of(3)
    leader = group.elect(1)
    leader.propose(EntryKind.PARTS, b"x")
    group.deliver(lambda letter: letter[1] != 2)
    leader.transfer(2, group.now)
    output = leader.take_output()
    assert output is None or not any(isinstance(m, TimeoutNow) for _, m in output.messages)
    leader.peer_reset(2)
    group.deliver()
    assert group.leaders() == [2]
    assert group[2].last_index == 3


def test_transfer_refuses_proposals_meanwhile() -> None:
    """Otherwise the target would never have everything."""
    group = Group.of(3)
    leader = group.elect(1)
    leader.transfer(2, group.now)
    with pytest.raises(AssertionError):
        leader.propose(EntryKind.PARTS, b"x")


def test_transfer_is_given_up_after_an_election_timeout() -> None:
    """The target may be gone; the leader goes on, but its lease is over for this term."""
    group = Group.of(3)
    leader = group.elect(1)
    group.advance(60.0)
    group.cut_off.add(2)
    leader.transfer(2, group.now)
    assert leader.next_deadline_ms() <= group.now + TIMEOUT_MS
    group.advance(TIMEOUT_MS)
    assert leader.role is Role.LEADER
    assert leader.transferring_to == 0
    assert leader.transferred_in_term
    leader.propose(EntryKind.PARTS, b"x")
    group.deliver()
    assert leader.commit_index == 2


def test_transfer_lease_comes_back_with_the_next_term() -> None:
    """`transferred_in_term` is of the term, not of the node."""
    group = Group.of(3)
    group.elect(1).transfer(2, group.now)
    group.deliver()
    group[2].transfer(1, group.now)
    group.deliver()
    assert group.leaders() == [1]
    assert not group[1].transferred_in_term


def test_transfer_request_marks_its_votes() -> None:
    """The flag lets voters skip stickiness for this election and no other."""
    group = Group.of(3)
    group.elect(1)
    seen: list[RequestVote] = []

    def note(letter: tuple[int, int, object]) -> bool:
        if isinstance(letter[2], RequestVote):
            seen.append(letter[2])
        return True

    group[1].transfer(2, group.now)
    group.deliver(note)
    assert {(message.pre_vote, message.transfer) for message in seen} == {(False, True)}


def test_transfer_late_order_is_ignored() -> None:
    """TimeoutNow of an older term, or to a node that is up already, does nothing."""
    group = Group.of(3)
    group.elect(1)
    group.elect(2)
    for node in (2, 3):
        group[node].step(1, TimeoutNow(1), group.now)
    assert group.leaders() == [2]
    assert group[3].role is Role.FOLLOWER
    assert {raft.term for raft in group.rafts.values()} == {2}


def test_transfer_that_is_lost_leaves_the_old_leader_in_charge() -> None:
    """No order arrives: nobody campaigns."""
    group = Group.of(3)
    leader = group.elect(1)
    leader.transfer(2, group.now)
    group.deliver(lambda letter: not isinstance(letter[2], TimeoutNow))
    leader.quorum_contact(group.now, group.now)
    leader.tick(group.now + TIMEOUT_MS)
    leader.propose(EntryKind.PARTS, b"x")
    group.deliver(lambda letter: isinstance(letter[2], AppendEntries) or letter[1] == 1)
    assert leader.commit_index == 2
