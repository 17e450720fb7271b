"""Claims about log replication and commitment, many from the figures of the paper."""

from __future__ import annotations

import pytest

from redraft.raft.core import Raft, RaftConfig, Role
from redraft.raft.messages import AppendEntries, AppendReply, RequestVote, VoteReply
from redraft.raft.types import Entry, EntryKind
from tests.raft.group import TIMEOUT_MS, Group, raft_of, sent
from tests.raft.memory_log import MemoryLog, entries_of, terms_of

PARTS = EntryKind.PARTS


def append(term: int, prev: int, prev_term: int, *terms: int, commit: int = 0) -> AppendEntries:
    entries = tuple(Entry(t, index, PARTS, b"") for index, t in enumerate(terms, prev + 1))
    return AppendEntries(term, prev, prev_term, commit, entries)


def log_of(raft: Raft) -> list[int]:
    assert isinstance(raft.log, MemoryLog)
    return terms_of(raft.log)


def lead(raft: Raft, now: float = 2000.0) -> Raft:
    """Make one of three nodes leader by answers put in its mouth; what it sent is thrown away."""
    raft.tick(now)
    raft.step(2, VoteReply(raft.term + 1, True, True), now)
    sent(raft)
    raft.step(2, VoteReply(raft.term, False, True), now)
    assert raft.role is Role.LEADER
    return raft


# ---- the follower (Raft §5.3) ----


def test_append_is_acknowledged_only_once_durable() -> None:
    """Figure 2: persistent state is updated on stable storage before responding."""
    raft = raft_of()
    raft.step(2, append(1, 0, 0, 1, 1), 10.0)
    output = raft.take_output()
    assert output is not None
    assert output.wrote
    assert output.messages == []
    assert output.gated == [(2, AppendReply(1, True, 2, 0, 0))]


def test_append_acks_of_one_cycle_are_one_message() -> None:
    """Pipelined appends that arrive together are acknowledged together."""
    raft = raft_of()
    raft.step(2, append(1, 0, 0, 1), 10.0)
    raft.step(2, append(1, 1, 1, 1), 10.0)
    raft.step(2, append(1, 0, 0, 1), 10.0)
    assert sent(raft) == [(2, AppendReply(1, True, 2, 0, 0))]


def test_append_of_an_old_term_is_refused_with_ours() -> None:
    """Figure 2, AppendEntries 1: reply false if term < currentTerm."""
    raft = raft_of(term=3)
    raft.step(2, append(2, 0, 0, 2), 10.0)
    assert sent(raft) == [(2, AppendReply(3, False, 0, 0, 0))]
    assert raft.leader_id == 0


@pytest.mark.parametrize(
    ("terms", "matched"),
    [
        ((1, 1, 1, 4, 4, 5, 5, 6, 6), None),  # (a) lacks an entry
        ((1, 1, 1, 4), None),  # (b) lacks many
        ((1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6), 10),  # (c) has one too many
        ((1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7), 10),  # (d) has others after
        ((1, 1, 1, 4, 4, 4, 4), None),  # (e) both
        ((1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3), None),  # (f) both
    ],
)
def test_append_brings_every_log_of_figure_7_in_line(terms: tuple[int, ...], matched: int | None) -> None:
    """Figure 7: whatever a follower's log, the leader's first entry of term 8 makes them equal."""
    leader_terms = (1, 1, 1, 4, 4, 5, 5, 6, 6, 6)
    leader, follower = lead(raft_of(*leader_terms, term=7)), raft_of(*terms, node_id=3)
    group = Group(leader, follower)
    rounds: list[AppendReply] = []

    def note(letter: tuple[int, int, object]) -> bool:
        if letter[1] == 2:
            return False
        if isinstance(letter[2], AppendReply):
            rounds.append(letter[2])
        return True

    group.rafts[2] = raft_of(node_id=2)
    group.deliver(note)
    assert log_of(follower) == log_of(leader) == [*leader_terms, 8]
    assert rounds[0].success is (matched is not None)
    assert len([reply for reply in rounds if not reply.success]) <= 2, "a hint skips whole terms"


def test_append_hint_skips_all_entries_of_newer_terms_at_once() -> None:
    """Raft §5.3: one refusal per term at most, not one per entry."""
    raft = raft_of(*[1] * 3, *[3] * 50, node_id=3)
    raft.step(1, append(4, 40, 2, 4), 10.0)
    assert sent(raft) == [(1, AppendReply(4, False, 40, 3, 1))]


def test_append_that_is_late_cuts_nothing_off() -> None:
    """Raft §5.3: only a conflict removes entries; an old message may say less than we have."""
    raft = raft_of(1, 1, 1)
    raft.step(2, append(1, 0, 0, 1, 1), 10.0)
    assert log_of(raft) == [1, 1, 1]
    assert sent(raft) == [(2, AppendReply(1, True, 2, 0, 0))]
    raft.step(2, append(2, 1, 1, 2), 10.0)
    assert log_of(raft) == [1, 2]


def test_append_writes_only_what_is_new() -> None:
    """Entries already here are not written again."""
    raft = raft_of(1, 1)
    raft.step(2, append(1, 0, 0, 1, 1), 10.0)
    output = raft.take_output()
    assert output is not None
    assert not output.wrote


def test_append_commits_no_further_than_what_it_vouches_for() -> None:
    """Figure 2, AppendEntries 5: min(leaderCommit, last *new* entry): ours may go on with a dead leader's."""
    raft = raft_of(1, 1, 1, 1)
    raft.step(2, append(3, 2, 1, commit=4), 10.0)
    assert raft.commit_index == 2
    raft.step(2, append(3, 2, 1, 3, commit=1), 10.0)
    assert raft.commit_index == 2, "and it never falls"


def test_append_below_the_commit_index_needs_no_old_entries() -> None:
    """What is committed is equal everywhere (§5.4.3), so a compacted prefix is no obstacle."""
    raft = raft_of(1, 1, 1, 1, applied_index=3)
    assert isinstance(raft.log, MemoryLog)
    raft.log.compact(3)
    raft.step(2, append(1, 0, 0, 1, 1), 10.0)
    assert sent(raft) == [(2, AppendReply(1, True, 3, 0, 0))]
    raft.step(2, append(1, 1, 1, 1, 1, 1, 1), 10.0)
    assert sent(raft) == [(2, AppendReply(1, True, 5, 0, 0))]
    assert raft.last_index == 5


def test_append_leaves_alone_what_is_committed() -> None:
    """State machine safety (figure 3): at or below commit_index nothing is even compared, let alone cut."""
    raft = raft_of(1, 1, applied_index=2)
    raft.step(2, append(2, 0, 0, 2, 2, 2), 10.0)
    assert log_of(raft) == [1, 1, 2]


def test_append_of_two_leaders_in_one_term_is_a_bug() -> None:
    """Election safety (figure 3): at most one leader a term."""
    raft = raft_of()
    raft.step(2, append(1, 0, 0), 10.0)
    with pytest.raises(AssertionError, match="two leaders"):
        raft.step(3, append(1, 0, 0), 10.0)


# ---- the leader ----


def test_leader_sends_before_its_own_disk_is_done() -> None:
    """The leader writes in parallel with its followers (thesis §10.2.1)."""
    group = Group.of(3)
    leader = group.elect(1)
    leader.propose(PARTS, b"x")
    output = leader.take_output()
    assert output is not None
    assert output.wrote
    assert [to for to, _ in output.messages] == [2, 3]
    assert output.stable == (2, 1, 1)


def test_leader_commits_without_its_own_disk() -> None:
    """Thesis §10.2.1: a majority of followers is enough; the leader counts itself when it is durable."""
    group = Group.of(3)
    leader = group.elect(1)
    group.slow_disks[1] = []
    leader.propose(PARTS, b"x")
    group.deliver(lambda letter: letter[1] != 3)
    assert leader.commit_index == 1
    group.deliver()
    group.sync(1)
    assert leader.commit_index == 2


def test_leader_with_a_majority_of_slow_disks_does_not_commit() -> None:
    """Nothing is committed that a crash of the majority could lose."""
    group = Group.of(3)
    leader = group.elect(1)
    group.slow_disks.update({1: [], 2: []})
    leader.propose(PARTS, b"x")
    group.deliver()
    assert leader.commit_index == 1
    group.sync(2)
    group.deliver()
    assert leader.commit_index == 2


def test_leader_of_five_needs_three() -> None:
    """A majority, counted with itself."""
    group = Group.of(5)
    leader = group.elect(1)
    group.cut_off.update({3, 4, 5})
    leader.propose(PARTS, b"x")
    group.deliver()
    assert leader.commit_index == 1
    group.cut_off.remove(5)
    leader.peer_reset(5)
    group.deliver()
    assert leader.commit_index == 2


def test_leader_does_not_count_what_was_durable_in_an_older_term() -> None:
    """An old report may be of an entry that was cut since; and only own-term entries commit."""
    raft = lead(raft_of(1, 1, 1))
    raft.durable(3, 1, raft.term)
    assert raft.self_match == 0


def test_leader_commits_older_entries_only_through_one_of_its_term() -> None:
    """Figure 8: an entry of an older term on a majority may still be overwritten (§5.4.2)."""
    leader = lead(raft_of(1, 2, term=3))  # (c): S1 leads in term 4, entry 2 of term 2 comes to a majority
    sent(leader)
    leader.step(2, AppendReply(4, True, 2, 0, 0), 2001.0)
    leader.step(3, AppendReply(4, True, 2, 0, 0), 2001.0)
    assert leader.commit_index == 0
    leader.step(2, AppendReply(4, True, 3, 0, 0), 2002.0)  # (e): with its own entry both are safe
    assert leader.commit_index == 3


def test_leader_steps_down_on_a_newer_term() -> None:
    """Figure 2, all servers: a higher term in any message makes a follower."""
    raft = lead(raft_of())
    raft.step(2, AppendReply(9, False, 0, 0, 0), 2001.0)
    assert (raft.role, raft.term, raft.leader_id) == (Role.FOLLOWER, 9, 0)
    assert raft.progress == {}
    assert not raft.committed_in_term


def test_leader_ignores_acks_of_another_term() -> None:
    """A late ack to an earlier leadership says nothing about this one."""
    raft = lead(raft_of(1, 1, term=3))
    sent(raft)
    raft.step(2, AppendReply(3, True, 2, 0, 0), 2001.0)
    assert raft.progress[2].match_index == 0


def test_leader_shares_one_message_between_followers_at_the_same_place() -> None:
    """So that it is encoded once."""
    group = Group.of(3)
    leader = group.elect(1)
    for _ in range(3):
        leader.propose(PARTS, b"x")
    output = leader.take_output()
    assert output is not None
    assert len(output.messages) == 2
    (_, first), (_, second) = output.messages
    assert first is second
    assert isinstance(first, AppendEntries)
    assert len(first.entries) == 3, "what is proposed in one cycle travels together"


def test_leader_overwrites_what_a_deposed_one_left() -> None:
    """Raft §5.3: the follower's conflicting entries go, the leader's own log never changes."""
    group = Group.of(3)
    old = group.elect(1)
    group.cut_off.add(1)
    for _ in range(5):
        old.propose(PARTS, b"lost")
    group.deliver()
    new = group.elect(2)
    new.propose(PARTS, b"kept")
    group.cut_off.clear()
    new.peer_reset(1)
    group.deliver()
    group.advance(100.0)
    assert log_of(old) == log_of(new) == [1, 2, 2]
    assert {raft.commit_index for raft in group.rafts.values()} == {3}
    assert (old.role, old.leader_id) == (Role.FOLLOWER, 2)


def test_leader_brings_a_restarted_follower_up_to_date() -> None:
    """A follower that lost what it had not acknowledged is sent it again."""
    group = Group.of(3)
    leader = group.elect(1)
    group.cut_off.add(3)
    for _ in range(5):
        leader.propose(PARTS, b"x")
    group.deliver()
    group.rafts[3] = raft_of(1, node_id=3)
    group.cut_off.clear()
    leader.peer_reset(3)
    group.deliver()
    assert log_of(group[3]) == log_of(leader)


# ---- commit notices and idleness ----


def test_commit_notice_waits_for_the_next_append_or_tick() -> None:
    """A message for each commit would wake followers twice; the next append carries it."""
    group = Group.of(3)
    leader = group.elect(1)
    group.advance(60.0)
    leader.propose(PARTS, b"x")
    group.deliver()
    assert (leader.commit_index, group[2].commit_index) == (2, 1)
    assert leader.next_deadline_ms() <= group.now
    leader.propose(PARTS, b"y")
    group.deliver()
    assert group[2].commit_index == 2
    group.advance(20.0)
    assert group[2].commit_index == 3


def test_commit_notice_can_be_forced() -> None:
    """For a reader at the follower that waits for the read index."""
    group = Group.of(3)
    leader = group.elect(1)
    leader.commit_notice(2)
    group.deliver()
    assert (group[2].commit_index, group[3].commit_index) == (1, 0)
    leader.commit_notice(2)
    assert leader.take_output() is None


def test_idle_leader_needs_no_tick() -> None:
    """Once all followers know all, a group costs nothing."""
    group = Group.of(3)
    leader = group.elect(1)
    group.advance(60.0)
    assert leader.next_deadline_ms() == float("inf")
    leader.propose(PARTS, b"x")
    leader.take_output()
    assert group.now < leader.next_deadline_ms() <= group.now + leader.config.retry_ms


def test_leader_asks_nothing_of_a_follower_whose_link_is_down() -> None:
    """A dead follower of an idle group costs nothing either; a new link is probed at once."""
    group = Group.of(3)
    leader = group.elect(1)
    group.cut_off.add(3)
    leader.peer_lost(3)
    leader.propose(PARTS, b"x")
    group.deliver()
    group.advance(60.0)
    assert leader.next_deadline_ms() == float("inf")
    group.cut_off.clear()
    leader.peer_reset(3)
    group.deliver()
    assert log_of(group[3]) == [1, 1]


def test_lost_append_is_found_out_by_asking() -> None:
    """A follower that owes an answer is asked what it has, without sending the entries again."""
    group = Group.of(3)
    leader = group.elect(1)
    group.advance(60.0)
    leader.propose(PARTS, b"x")
    group.deliver(lambda letter: letter[1] != 3)
    seen: list[AppendEntries] = []

    def note(letter: tuple[int, int, object]) -> bool:
        if letter[1] == 3 and isinstance(letter[2], AppendEntries):
            seen.append(letter[2])
        return True

    group.now += TIMEOUT_MS
    leader.tick(group.now)
    group.deliver(note)
    assert [len(message.entries) for message in seen] == [0, 1]
    assert log_of(group[3]) == [1, 1]


# ---- a whole group against many histories ----


def test_group_agrees_after_leaders_came_and_went() -> None:
    """Leaders change with entries half replicated; in the end all logs are equal and all is committed."""
    group = Group.of(5)
    for turn in range(12):
        leader = group.elect(turn % 5 + 1)
        cut = {(turn + 2) % 5 + 1, (turn + 3) % 5 + 1} - {leader.node_id}
        group.cut_off = cut
        for _ in range(turn % 3 + 1):
            leader.propose(PARTS, b"%d" % turn)
        group.deliver()
        group.cut_off = set()
        for node in group.leaders():
            for peer in cut:
                group[node].peer_reset(peer)
        group.deliver()
    group.advance(2 * TIMEOUT_MS)
    logs = {tuple(log_of(raft)) for raft in group.rafts.values()}
    assert len(logs) == 1
    assert {raft.commit_index for raft in group.rafts.values()} == {group[1].last_index}


def test_vote_request_reaches_no_further_than_the_log_it_names() -> None:
    """A candidate names its last entry, durable or not: its own vote is gated behind it."""
    raft = raft_of(1, 1)
    raft.step(2, append(1, 2, 1, 1), 10.0)
    raft.leader_lost(11.0)
    raft.tick(2000.0)
    raft.step(3, VoteReply(2, True, True), 2000.0)
    output = raft.take_output()
    assert output is not None
    assert output.gated[-1] == (3, RequestVote(2, False, 3, 1, False))


def test_config_refuses_limits_that_contradict_each_other() -> None:
    """Every limit has a name and its relations are checked."""
    from redraft.base.errors import ConfigError

    for wrong in (
        {"election_timeout_ms": 0.0},
        {"inflight_appends_max": 0},
        {"append_bytes_max": 0},
        {"append_bytes_max": 2, "inflight_bytes_max": 1},
    ):
        with pytest.raises(ConfigError):
            RaftConfig(**wrong)


def test_log_of_figure_7_is_written_as_the_paper_writes_it() -> None:
    """The notation of these tests."""
    assert terms_of(MemoryLog(entries_of(1, 1, 2))) == [1, 1, 2]
