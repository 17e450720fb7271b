"""What must hold in every run, whatever happens (Raft figure 3, and the rules of ReadIndex and leases).

Watches a world from outside: it knows all logs, all commits and all that was told, across crashes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from redraft.raft.configuration import Configuration
from redraft.raft.core import Raft
from redraft.raft.messages import AppendReply, RaftMessage, RequestVote, SnapshotMessage, VoteReply
from redraft.raft.types import Entry, EntryKind
from tests.raft.disk import Disk, Snapshot, applied
from tests.raft.memory_log import MemoryLog

Life = tuple[int, int]
"""A process: (node, how often it was started)."""


class Checks:
    """The memory of one world."""

    def __init__(self, founding: Configuration) -> None:
        self.leader_of: dict[int, int] = {}
        self.vote_of: dict[tuple[int, int], int] = {}
        self.entries: dict[tuple[int, int], tuple[Entry, int]] = {}
        self.chosen: list[Entry] = []
        self.states = [0]
        self.configurations = [(0, founding)]
        self._known: dict[Life, tuple[int, int, Configuration]] = {}

    @property
    def commit_index(self) -> int:
        """The highest index that anybody knew to be committed."""
        return len(self.chosen)

    @property
    def configuration(self) -> Configuration:
        """The last one that was committed."""
        return self.configurations[-1][1]

    def appended(self, log: MemoryLog, entries: Sequence[Entry]) -> None:
        """Log matching: same index and term, same entry after the same one; so the same prefix."""
        for entry in entries:
            known = (entry, log.term(entry.index - 1))
            assert self.entries.setdefault((entry.index, entry.term), known) == known

    def elected(self, number: int, raft: Raft) -> None:
        """Election safety: one leader a term.  Leader completeness: it has all that was ever committed."""
        assert self.leader_of.setdefault(raft.term, number) == number, f"two leaders in term {raft.term}"
        assert not raft.is_blank
        first = raft.log.first_index
        for entry in self.chosen[max(first - 2, 0) :]:
            if entry.term < raft.term:
                assert raft.log.term(entry.index) == entry.term, "a leader lacks a committed entry"

    def committed(self, life: Life, raft: Raft, disks: Mapping[int, Disk]) -> None:
        """State machine safety: one entry at a committed index, for ever, and durable where it has to be.

        That is on a majority of the voters of the configuration that counted for who committed it, when it
        did; of both lists while joint (§6).
        """
        log = raft.log
        term, index, counted = self._known.get(life, (raft.term, 0, raft.configuration))
        assert raft.term >= term, "the term fell"
        assert raft.commit_index >= index, "commit_index fell"
        base = log.first_index - 1
        if base > index:
            assert base <= self.commit_index, "a log begins behind what was never committed"
            assert not base or log.term(base) == self.chosen[base - 1].term
            index = base
        if raft.commit_index > index:
            for entry in log.slice(index + 1, raft.commit_index + 1, 1 << 30):
                if entry.index <= len(self.chosen):
                    assert self.chosen[entry.index - 1] == entry, "two entries committed at one index"
                else:
                    self._choose(entry, counted, disks)
        self._known[life] = (raft.term, raft.commit_index, raft.configuration)

    def _choose(self, entry: Entry, counted: Configuration, disks: Mapping[int, Disk]) -> None:
        copies = {number for number, disk in disks.items() if holds_durably(disk.log, entry)}
        agreed = counted.reached(lambda voter: int(voter in copies))
        assert agreed, f"entry {entry.index} committed by {counted} with durable copies on {copies}"
        self.chosen.append(entry)
        self.states.append(applied(self.states[-1], entry))
        if entry.kind == EntryKind.CONFIGURATION:
            self._change(entry.index, Configuration.decode(entry.data))

    def _change(self, index: int, after: Configuration) -> None:
        """Only steps that leave no room for two decisions (§6): the same voters, into joint, out of it."""
        before = self.configuration
        if before.is_joint:
            assert after == before._replace(outgoing=())
        elif after.is_joint:
            assert after.outgoing == before.voters
            assert set(after.voters) <= set(before.nodes), "a voter that was no learner"
        else:
            assert set(after.voters) == set(before.voters)
        self.configurations.append((index, after))

    def snapshot(self, snapshot: Snapshot) -> None:
        """A snapshot is of what was committed, with the configuration as of then."""
        index = snapshot.index
        assert 0 < index <= self.commit_index
        assert snapshot.term == self.chosen[index - 1].term
        assert snapshot.state == self.states[index], "a state that no log leads to"
        configuration = max(known for known in self.configurations if known[0] <= index)[1]
        assert snapshot.configuration == configuration, "a snapshot with another configuration"

    def told(self, number: int, peer: int, message: RaftMessage | SnapshotMessage, log: MemoryLog) -> None:
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
            last_index = log.durable_base[0] + len(log.durable_entries)
            assert message.match_index <= last_index, "an ack for what a crash may lose"

    def read(self, index: int, floor: int) -> None:
        """Linearizable reads: no read misses what was committed before it came."""
        assert index >= floor, f"stale read: at {index}, but {floor} was committed before"


def holds_durably(log: MemoryLog, entry: Entry) -> bool:
    """Whether a log has the entry so that no crash can take it."""
    position = entry.index - log.durable_base[0] - 1
    return 0 <= position < len(log.durable_entries) and log.durable_entries[position] == entry
