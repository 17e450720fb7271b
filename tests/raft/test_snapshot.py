"""Claims about snapshots in the core (Raft §7, figure 13): who wants one, and what becomes of the log."""

from __future__ import annotations

import pytest

from redraft.raft.configuration import Configuration
from redraft.raft.core import Raft, Role
from redraft.raft.log import CompactedError
from redraft.raft.messages import (
    AppendEntries,
    AppendReply,
    InstallSnapshot,
    InstallSnapshotReply,
    VoteReply,
)
from redraft.raft.progress import ProgressState
from redraft.raft.types import Entry, EntryKind
from tests.raft.group import TIMEOUT_MS, Group, raft_of, sent
from tests.raft.memory_log import MemoryLog, terms_of

THREE = Configuration((1, 2, 3))


def piece(term: int, index: int, snapshot_term: int) -> InstallSnapshot:
    """Any piece of a snapshot: the core looks only at what it is of."""
    return InstallSnapshot(term, index, snapshot_term, 1, 0, b"s")


def log_of(raft: Raft) -> MemoryLog:
    assert isinstance(raft.log, MemoryLog)
    return raft.log


# ---- the follower: is it wanted? ----


def test_snapshot_of_an_older_term_is_refused() -> None:
    """Figure 13, rule 1: its leader learns the term."""
    raft = raft_of(1, term=5)
    assert not raft.on_install_snapshot(2, piece(4, 9, 1), 0.0)
    assert sent(raft) == [(2, AppendReply(5, False, 9, 0, 0))]
    assert raft.leader_id == 0


def test_snapshot_comes_from_the_leader() -> None:
    """Figure 2, "All Servers" and §5.2: its term is taken, its sender followed, a candidate gives up."""
    raft = raft_of(1, term=2)
    raft.tick(2 * TIMEOUT_MS)
    assert raft.role is Role.PRE_CANDIDATE
    assert raft.on_install_snapshot(2, piece(4, 9, 3), 2 * TIMEOUT_MS)
    assert (raft.role, raft.term, raft.leader_id) == (Role.FOLLOWER, 4, 2)
    assert raft.log.hard_state.term == 4
    assert raft.deadline_ms > 3 * TIMEOUT_MS


def test_snapshot_keeps_elections_away() -> None:
    """A follower that is being sent one hears its leader with every piece."""
    raft = raft_of(1, term=2)
    for step in range(1, 20):
        now = step * TIMEOUT_MS / 2
        raft.on_install_snapshot(2, piece(4, 9, 3), now)
        raft.tick(now)
    assert raft.role is Role.FOLLOWER


def test_snapshot_behind_the_commit_is_answered_with_the_commit() -> None:
    """The leader goes on from there at once, whatever it thought."""
    raft = raft_of(1, 1, 1, applied_index=2)
    assert not raft.on_install_snapshot(2, piece(1, 2, 1), 0.0)
    assert sent(raft) == [(2, AppendReply(1, True, 2, 0, 0))]


def test_snapshot_of_what_the_log_has_commits_it() -> None:
    """Figure 13, rule 6: an entry with its index and term means that all of it is here."""
    raft = raft_of(1, 1, 2, 2)
    assert not raft.on_install_snapshot(2, piece(3, 3, 2), 0.0)
    assert raft.commit_index == 3
    assert terms_of(log_of(raft)) == [1, 1, 2, 2]
    assert sent(raft) == [(2, AppendReply(3, True, 3, 0, 0))]


def test_snapshot_that_disagrees_with_the_log_is_wanted() -> None:
    """The same index with another term: what is here from some place on was never committed."""
    raft = raft_of(1, 1, 1, 1)
    assert raft.on_install_snapshot(2, piece(3, 3, 2), 0.0)
    assert sent(raft) == []


# ---- the follower: restore ----


def test_restore_puts_the_snapshot_in_the_place_of_the_log() -> None:
    """Figure 13, rule 7; the configuration comes with it (thesis §5.1), and the leader hears of it."""
    raft = raft_of(1, 1, 1, 1)
    raft.on_install_snapshot(2, piece(3, 9, 2), 0.0)
    sent(raft)
    assert raft.restore(9, 2, Configuration((1, 2, 4)))
    assert (raft.log.first_index, raft.last_index, raft.commit_index) == (10, 9, 9)
    assert (raft.configuration, raft.configuration_index) == (Configuration((1, 2, 4)), 9)
    output = raft.take_output()
    assert output is not None
    assert output.wrote
    assert output.messages == []
    assert output.gated == [(2, AppendReply(3, True, 9, 0, 0))]


def test_restore_keeps_what_follows_in_an_equal_log() -> None:
    """Figure 13, rule 6: "retain log entries following it", configurations included."""
    raft = raft_of(1, 1)
    raft.on_install_snapshot(2, piece(3, 4, 2), 0.0)
    joint = Configuration((1, 2, 4), (1, 2, 3))
    entries = (
        Entry(2, 3, EntryKind.NOOP, b""),
        Entry(2, 4, EntryKind.PARTS, b""),
        Entry(3, 5, EntryKind.CONFIGURATION, joint.encode()),
    )
    raft.step(2, AppendEntries(3, 2, 1, 0, entries), 0.0)
    assert raft.restore(4, 2, THREE)
    assert (raft.log.first_index, raft.last_index, raft.commit_index) == (5, 5, 4)
    assert [raft.configuration_at(index) for index in (4, 5)] == [THREE, joint]


def test_restore_comes_too_late_for_a_log_that_went_on() -> None:
    """Entries came faster than the snapshot: nothing changes, so the state must stay, too."""
    raft = raft_of(1, 1)
    raft.on_install_snapshot(2, piece(3, 4, 3), 0.0)
    entries = tuple(Entry(3, index, EntryKind.PARTS, b"") for index in (3, 4, 5))
    raft.step(2, AppendEntries(3, 2, 1, 5, entries), 0.0)
    assert not raft.restore(4, 3, THREE)
    assert (raft.log.first_index, raft.commit_index) == (1, 5)


def test_restore_makes_a_candidate_a_follower() -> None:
    """Its log is another one than it asked votes for."""
    raft = raft_of(1, 1)
    raft.on_install_snapshot(2, piece(3, 9, 2), 0.0)
    raft.tick(3 * TIMEOUT_MS)
    raft.step(3, VoteReply(4, True, True), 3 * TIMEOUT_MS)
    assert raft.role is Role.CANDIDATE
    assert raft.restore(9, 2, THREE)
    assert (raft.role, raft.term, raft.leader_id, raft.commit_index) == (Role.FOLLOWER, 4, 0, 9)


def test_restore_changes_nothing_at_a_leader() -> None:
    """It was elected while the snapshot was stored, so its log has all of that (leader completeness)."""
    raft = raft_of(1, 1)
    raft.on_install_snapshot(2, piece(3, 9, 2), 0.0)
    raft.tick(3 * TIMEOUT_MS)
    raft.step(3, VoteReply(4, True, True), 3 * TIMEOUT_MS)
    sent(raft)
    raft.step(3, VoteReply(4, False, True), 3 * TIMEOUT_MS)
    assert raft.role is Role.LEADER
    assert not raft.restore(2, 1, THREE)


def test_restore_answers_nobody_when_no_leader_is_known() -> None:
    """The next one asks."""
    raft = raft_of(1)
    raft.on_install_snapshot(2, piece(3, 9, 2), 0.0)
    sent(raft)
    raft.leader_lost(1.0)
    assert raft.restore(9, 2, THREE)
    assert sent(raft) == []


def test_start_behind_a_snapshot_knows_its_configuration() -> None:
    """The log's own configurations count only above it."""
    old, new = Configuration((1, 2)), Configuration((1, 2), (), (3,))
    log = MemoryLog([Entry(1, i, EntryKind.CONFIGURATION, c.encode()) for i, c in ((5, old), (6, new))])
    log = MemoryLog(log.entries, base=(4, 1))
    for applied_index, expected in ((4, new), (5, new), (6, THREE)):
        raft = Raft(
            node_id=1,
            configuration=THREE,
            log=log,
            config=raft_of().config,
            random=lambda: 0.5,
            now_ms=0.0,
            applied_index=applied_index,
        )
        assert raft.configuration == expected
        assert raft.commit_index == applied_index


def test_start_without_the_snapshot_behind_the_log_is_a_bug() -> None:
    """Entries that nobody can apply: only a blank replica may begin so."""
    with pytest.raises(AssertionError, match="snapshot behind the log"):
        Raft(
            node_id=1,
            configuration=THREE,
            log=MemoryLog(base=(4, 1)),
            config=raft_of().config,
            random=lambda: 0.5,
            now_ms=0.0,
        )


# ---- the leader ----


def behind(*, size: int = 3) -> tuple[Group, Raft]:
    """Node 1 leads, and its log begins behind what node 3 has."""
    group = Group.of(size)
    leader = group.elect(1)
    group.cut_off.add(3)
    for _ in range(4):
        leader.propose(EntryKind.PARTS, b"x")
        group.deliver()
    leader.log.compact(4)
    group.cut_off.clear()
    return group, leader


def test_follower_that_is_far_behind_gets_a_snapshot_and_goes_on() -> None:
    """§7: "the leader must occasionally send snapshots to followers that lag behind"."""
    group, leader = behind()
    leader.peer_reset(3)
    group.deliver()
    assert list(group.snapshots) == [5]
    assert group[3].log.first_index == 6
    assert leader.progress[3].state is ProgressState.REPLICATE
    leader.propose(EntryKind.PARTS, b"x")
    group.deliver()
    assert group[3].last_index == 6


def test_follower_gets_a_snapshot_that_the_log_goes_on_from() -> None:
    """`snapshot_index` is the least that helps: where the log begins."""
    _, leader = needs_snapshot()
    with pytest.raises(CompactedError):
        leader.log.slice(4, 5, 1)
    assert leader.log.slice(5, 6, 1)
    assert leader.progress[3].snapshot_index == 4


def needs_snapshot() -> tuple[Group, Raft]:
    """Node 3 is to be sent a snapshot, and the driver knows."""
    group, leader = behind()
    leader.peer_reset(3)
    output = leader.take_output()
    assert output is not None
    assert output.snapshots == [3]
    return group, leader


def test_follower_in_need_is_sent_nothing_else() -> None:
    """Neither entries, nor notices, nor questions, however long it takes."""
    group, leader = needs_snapshot()
    group.cut_off.add(3)
    leader.propose(EntryKind.PARTS, b"x")
    group.deliver(lambda letter: letter[1] != 3 or isinstance(letter[2], InstallSnapshot))
    leader.tick(group.now + 10 * TIMEOUT_MS)
    assert 3 not in [to for to, _ in sent(leader)]


def test_link_reset_during_a_snapshot_leaves_it_to_the_driver_to_go_on() -> None:
    """It knows what has arrived; the core sends nothing besides, and takes any answer."""
    _, leader = needs_snapshot()
    leader.peer_lost(3)
    leader.peer_reset(3)
    assert leader.take_output() is None
    assert leader.on_install_snapshot_reply(3, InstallSnapshotReply(1, 4, 1, 1, False), 0.0)
    leader.step(3, AppendReply(1, True, 5, 0, 0), 0.0)
    assert leader.progress[3].state is ProgressState.REPLICATE


def test_snapshot_that_is_too_old_when_it_arrives_is_followed_by_another() -> None:
    """Found by a random run: the log was compacted further while it was sent, and its report was lost.

    The follower, asked with a piece of the old one again, answers that it has that; the leader waited for
    more for ever.
    """
    _, leader = needs_snapshot()
    leader.log.compact(5)
    leader.step(3, AppendReply(1, True, 4, 0, 0), 0.0)
    output = leader.take_output()
    assert output is not None
    assert output.snapshots == [3]
    assert leader.progress[3].snapshot_index == 5


def test_snapshot_reply_matters_only_while_one_is_sent() -> None:
    """Of this term, from a follower that waits for one."""
    _, leader = needs_snapshot()
    reply = InstallSnapshotReply(1, 4, 1, 1, False)
    assert leader.on_install_snapshot_reply(3, reply, 0.0)
    assert not leader.on_install_snapshot_reply(3, reply._replace(term=0), 0.0)
    assert not leader.on_install_snapshot_reply(2, reply, 0.0)
    assert not leader.on_install_snapshot_reply(9, reply, 0.0)
    leader.snapshot_finished(3, 4)
    assert not leader.on_install_snapshot_reply(3, reply, 0.0)


def test_snapshot_for_a_blank_replica_waits_for_its_membership() -> None:
    """It has to be as new as the configuration that brought it, not only as the log's beginning."""
    group = Group.of(3)
    leader = group.elect(1)
    group.add(4)
    group.cut_off |= {2, 3}
    index = leader.change((1, 2, 3), (4,))
    group.deliver()
    assert leader.progress[4].state is ProgressState.SNAPSHOT
    assert leader.progress[4].snapshot_index == index
    assert group.snapshots == {}
    group.cut_off.clear()
    leader.peer_reset(2)
    group.deliver()
    assert group.snapshots == {index: leader.configuration}
    assert not group[4].is_blank


def test_snapshot_for_a_blank_replica_is_as_new_as_the_log_it_lost() -> None:
    """It said more than the leader knows of; what it then lost has to be in the snapshot."""
    group = Group.of(3)
    leader = group.elect(1)
    leader.propose(EntryKind.PARTS, b"x")
    group.deliver()
    leader.step(3, AppendReply(1, False, 0, 2, 1), 0.0)
    assert leader.progress[3].snapshot_index == 2
    assert leader.progress[3].match_index == 0
