"""Claims about flow control: what a leader sends to one follower, and when."""

from __future__ import annotations

from redraft.raft.core import Raft, RaftConfig, Role
from redraft.raft.messages import AppendEntries, AppendReply, VoteReply
from redraft.raft.progress import ProgressState
from redraft.raft.types import Entry, EntryKind
from tests.raft.group import raft_of, sent
from tests.raft.memory_log import MemoryLog

SMALL = RaftConfig(inflight_appends_max=3, inflight_bytes_max=100, append_bytes_max=40)


def leader_of(*terms: int, config: RaftConfig = SMALL) -> Raft:
    raft = raft_of(*terms, config=config)
    raft.tick(2000.0)
    raft.step(2, VoteReply(raft.term + 1, True, True), 2000.0)
    sent(raft)
    raft.step(2, VoteReply(raft.term, False, True), 2000.0)
    assert raft.role is Role.LEADER
    return raft


def to(raft: Raft, peer: int) -> list[AppendEntries]:
    return [m for receiver, m in sent(raft) if receiver == peer and isinstance(m, AppendEntries)]


def ack(raft: Raft, index: int, peer: int = 2) -> None:
    raft.step(peer, AppendReply(raft.term, True, index, 0, 0), 2001.0)


def replicating() -> Raft:
    """A leader whose follower 2 has entry 1."""
    raft = leader_of()
    sent(raft)
    ack(raft, 1)
    return raft


def indexes(messages: list[AppendEntries]) -> list[list[int]]:
    return [[entry.index for entry in message.entries] for message in messages]


def test_probe_sends_one_append_until_it_is_answered() -> None:
    """Where the logs agree is not known yet: pipelining would be wasted."""
    raft = leader_of()
    assert indexes(to(raft, 2)) == [[1]]
    raft.propose(EntryKind.PARTS, b"x")
    assert to(raft, 2) == []
    ack(raft, 1)
    assert raft.progress[2].state is ProgressState.REPLICATE
    assert indexes(to(raft, 2)) == [[2]]


def test_replicate_sends_ahead_of_acks_up_to_the_window_in_appends() -> None:
    """Thesis §10.2.1 pipelining, bounded by count."""
    raft = replicating()
    for size in (1, 1, 1, 1, 1):
        raft.propose(EntryKind.PARTS, b"x" * size)
        raft.step(3, AppendReply(raft.term, True, 0, 0, 0), 2001.0)
    raft.take_output()
    for index in range(7, 12):
        raft.propose(EntryKind.PARTS, b"x")
        messages = to(raft, 2)
        assert indexes(messages) == ([[index]] if index < 9 else [])
    ack(raft, 6)
    assert indexes(to(raft, 2)) == [[9, 10, 11]]


def test_replicate_window_is_bounded_in_bytes_too() -> None:
    """A few large entries fill it as well as many small ones."""
    raft = replicating()
    for _ in range(4):
        raft.propose(EntryKind.PARTS, b"x" * 60)
    assert indexes(to(raft, 2)) == [[2], [3]]
    assert raft.progress[2].inflight_bytes == 120
    ack(raft, 2)
    assert indexes(to(raft, 2)) == [[4]]
    assert raft.progress[2].inflight_bytes == 120


def test_replicate_cuts_appends_at_their_size_limit() -> None:
    """And an entry above the limit travels alone."""
    raft = replicating()
    for size in (20, 20, 1, 99, 1):
        raft.propose(EntryKind.PARTS, b"x" * size)
    assert indexes(to(raft, 2)) == [[2, 3], [4], [5]]
    ack(raft, 5)
    assert indexes(to(raft, 2)) == [[6]]


def test_replicate_falls_back_to_probe_on_a_refusal() -> None:
    """Something was lost: the follower's hint says where to begin again."""
    raft = replicating()
    for _ in range(3):
        raft.propose(EntryKind.PARTS, b"x")
        to(raft, 2)
    raft.step(2, AppendReply(raft.term, False, 3, 1, 1), 2001.0)
    progress = raft.progress[2]
    assert (progress.state, progress.next_index, progress.inflight_bytes) == (ProgressState.PROBE, 2, 0)
    assert indexes(to(raft, 2)) == [[2, 3, 4]]


def test_refusals_of_the_past_change_nothing() -> None:
    """What was refused once may have been agreed since; the refusals of a pipeline come in a row."""
    raft = replicating()
    raft.propose(EntryKind.PARTS, b"x")
    to(raft, 2)
    ack(raft, 2)
    raft.step(2, AppendReply(raft.term, False, 1, 0, 0), 2001.0)
    raft.step(2, AppendReply(raft.term, False, 2, 0, 0), 2001.0)
    progress = raft.progress[2]
    assert (progress.state, progress.match_index, progress.next_index) == (ProgressState.REPLICATE, 2, 3)
    for _ in range(3):
        raft.propose(EntryKind.PARTS, b"x")
        to(raft, 2)
    raft.step(2, AppendReply(raft.term, False, 3, 2, 1), 2001.0)
    raft.step(2, AppendReply(raft.term, False, 4, 2, 1), 2001.0)
    assert indexes(to(raft, 2)) == [[3, 4, 5]], "probed once"


def test_acks_never_take_back_what_was_acknowledged() -> None:
    """match_index never falls within a term: acks are durable, so a lower one is an old one."""
    raft = replicating()
    raft.propose(EntryKind.PARTS, b"x")
    ack(raft, 2)
    ack(raft, 1)
    assert raft.progress[2].match_index == 2


def test_link_reset_sends_again_what_was_in_flight() -> None:
    """What left on the old link may be lost; what was acknowledged is not."""
    raft = replicating()
    for _ in range(3):
        raft.propose(EntryKind.PARTS, b"x")
        to(raft, 2)
    ack(raft, 2)
    raft.peer_reset(2)
    assert indexes(to(raft, 2)) == [[3, 4]]


def test_compacted_entries_are_replaced_by_a_snapshot() -> None:
    """The follower needs what the log has no more: the driver is told, and nothing else is sent."""
    raft = leader_of(1, 1, 1, 1)
    sent(raft)
    assert isinstance(raft.log, MemoryLog)
    ack(raft, 5, peer=3)
    raft.log.compact(3)
    raft.step(2, AppendReply(raft.term, False, 4, 0, 0), 2001.0)
    output = raft.take_output()
    assert output is not None
    assert (output.snapshots, output.messages) == ([2], [])
    assert (raft.progress[2].state, raft.progress[2].snapshot_index) == (ProgressState.SNAPSHOT, 3)
    raft.propose(EntryKind.PARTS, b"x")
    assert to(raft, 2) == []
    raft.snapshot_finished(2, 3)
    assert indexes(to(raft, 2)) == [[4, 5, 6]]


def test_snapshot_that_failed_is_asked_for_again() -> None:
    """The progress goes back to probing, finds the entries compacted, and says so."""
    raft = leader_of(1, 1, 1, 1)
    sent(raft)
    assert isinstance(raft.log, MemoryLog)
    raft.log.compact(3)
    raft.step(2, AppendReply(raft.term, False, 4, 0, 0), 2001.0)
    sent(raft)
    raft.snapshot_finished(2, 0)
    output = raft.take_output()
    assert output is not None
    assert output.snapshots == [2]


def test_snapshot_is_over_when_the_follower_acknowledges_beyond_it() -> None:
    """An ack says more than the report of the transfer."""
    raft = leader_of(1, 1, 1, 1)
    sent(raft)
    assert isinstance(raft.log, MemoryLog)
    raft.log.compact(3)
    raft.step(2, AppendReply(raft.term, False, 4, 0, 0), 2001.0)
    sent(raft)
    ack(raft, 2)
    assert raft.progress[2].state is ProgressState.SNAPSHOT
    ack(raft, 3)
    assert raft.progress[2].state is ProgressState.REPLICATE


def test_old_entries_come_from_the_log_and_new_ones_from_memory() -> None:
    """A follower behind reads the log while one in step shares what was just proposed."""
    raft = leader_of()
    sent(raft)
    ack(raft, 1)
    ack(raft, 1, peer=3)
    raft.peer_lost(3)
    raft.propose(EntryKind.PARTS, b"a")
    sent(raft)
    raft.peer_reset(3)
    raft.propose(EntryKind.PARTS, b"b")
    letters = {receiver: message for receiver, message in sent(raft) if isinstance(message, AppendEntries)}
    assert letters[2].entries == (Entry(1, 3, EntryKind.PARTS, b"b"),)
    assert indexes([letters[3]]) == [[2, 3]]


def test_compacted_log_never_probes_in_circles() -> None:
    """A follower whose log ends in a term that ours skips at its very beginning needs the snapshot too."""
    raft = leader_of(3, 3, 3, 3)
    sent(raft)
    assert isinstance(raft.log, MemoryLog)
    raft.log.compact(3)
    raft.step(2, AppendReply(raft.term, False, 4, 3, 2), 2001.0)
    output = raft.take_output()
    assert output is not None
    assert output.snapshots == [2]
