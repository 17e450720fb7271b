"""What must hold in every run, whatever happens (Raft figure 3, and the rules of ReadIndex and leases).

Watches a world from outside: it knows all logs, all commits and all that was told, across crashes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from redraft.raft.core import Raft
from redraft.raft.messages import AppendReply, RaftMessage, RequestVote, VoteReply
from redraft.raft.quorum import majority
from redraft.raft.types import Entry
from tests.raft.memory_log import MemoryLog


class Checks:
    """The memory of one world."""

    def __init__(self, voters: Sequence[int]) -> None:
        self.quorum = majority(len(voters))
        self.leader_of: dict[int, int] = {}
        self.vote_of: dict[tuple[int, int], int] = {}
        self.entries: dict[tuple[int, int], tuple[Entry, int]] = {}
        self.chosen: list[Entry] = []
        self.applied: dict[tuple[int, int], tuple[int, int]] = {}

    @property
    def commit_index(self) -> int:
        """The highest index that anybody knew to be committed."""
        return len(self.chosen)

    def appended(self, log: MemoryLog, entries: Sequence[Entry]) -> None:
        """Log matching: same index and term, same entry after the same one; so the same prefix."""
        for entry in entries:
            known = (entry, log.term(entry.index - 1))
            assert self.entries.setdefault((entry.index, entry.term), known) == known

    def elected(self, number: int, raft: Raft) -> None:
        """Election safety: one leader a term.  Leader completeness: it has all that was ever committed."""
        assert self.leader_of.setdefault(raft.term, number) == number, f"two leaders in term {raft.term}"
        for entry in self.chosen:
            if entry.term < raft.term:
                assert raft.log.term(entry.index) == entry.term, "a leader lacks a committed entry"

    def committed(self, life: tuple[int, int], raft: Raft, logs: Mapping[int, MemoryLog]) -> None:
        """State machine safety: one entry at a committed index, for ever, and durable on a majority."""
        term, index = self.applied.get(life, (raft.term, 0))
        assert raft.term >= term, "the term fell"
        assert raft.commit_index >= index, "commit_index fell"
        for entry in raft.log.slice(index + 1, raft.commit_index + 1, 1 << 30):
            if entry.index <= len(self.chosen):
                assert self.chosen[entry.index - 1] == entry, "two entries committed at one index"
                continue
            self.chosen.append(entry)
            durable = sum(holds(log, entry) for log in logs.values())
            assert durable >= self.quorum, f"entry {entry.index} committed with {durable} durable copies"
        self.applied[life] = (raft.term, raft.commit_index)

    def told(self, number: int, peer: int, message: RaftMessage, log: MemoryLog) -> None:
        """Figure 2, persistent state: what is told is durable; and nobody votes twice in a term."""
        if isinstance(message, RequestVote | VoteReply) and message.pre_vote:
            return
        durable = log.durable_hard_state
        assert message.term <= durable.term
        if isinstance(message, VoteReply) and message.granted:
            assert self.vote_of.setdefault((number, message.term), peer) == peer, "voted twice"
        elif isinstance(message, RequestVote):
            assert self.vote_of.setdefault((number, message.term), number) == number, "voted twice"
        elif isinstance(message, AppendReply) and message.success and message.term == durable.term:
            # (An ack of an older term may speak of what a newer leader has cut since: that was durable then.)
            assert message.match_index <= len(log.durable_entries), "an ack for what a crash may lose"

    def read(self, index: int, floor: int) -> None:
        """Linearizable reads: no read misses what was committed before it came."""
        assert index >= floor, f"stale read: at {index}, but {floor} was committed before"


def holds(log: MemoryLog, entry: Entry) -> bool:
    """Whether a log has the entry so that no crash can take it."""
    entries = log.durable_entries
    return entry.index <= len(entries) and entries[entry.index - 1] == entry
