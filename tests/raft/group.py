"""A few cores joined by hand: messages wait in one queue until the test lets them go.

Disks are synced as soon as a node's output is taken, unless the test makes them slow; time is what the
test says.  Nothing here is random but for the cores' time-outs, and these are fixed by `draw`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from redraft.raft.configuration import Configuration
from redraft.raft.core import Output, Raft, RaftConfig, Role
from redraft.raft.messages import InstallSnapshot, InstallSnapshotReply, RaftMessage, SnapshotMessage
from redraft.raft.progress import ProgressState
from redraft.raft.types import HardState
from tests.raft.memory_log import MemoryLog, entries_of

TIMEOUT_MS = 600.0
Letter = tuple[int, int, RaftMessage | SnapshotMessage]


def raft_of(
    *terms: int,
    node_id: int = 1,
    voters: int = 3,
    term: int | None = None,
    voted_for: int = 0,
    draw: float = 0.5,
    config: RaftConfig | None = None,
    applied_index: int = 0,
    may_vote_from_ms: float = 0.0,
    vouched_ms: Callable[[int, int], float] | None = None,
) -> Raft:
    """A follower at time 0 whose log holds entries of these terms; no voters: blank."""
    hard_state = HardState(term if term is not None else (terms[-1] if terms else 0), voted_for)
    return Raft(
        node_id=node_id,
        configuration=Configuration(tuple(range(1, voters + 1))),
        log=MemoryLog(entries_of(*terms), hard_state),
        config=config or RaftConfig(election_timeout_ms=TIMEOUT_MS),
        random=lambda: draw,
        now_ms=0.0,
        applied_index=applied_index,
        may_vote_from_ms=may_vote_from_ms,
        vouched_ms=vouched_ms,
    )


def sent(raft: Raft) -> list[tuple[int, RaftMessage]]:
    """What a core sends now, its disk being fast."""
    letters: list[tuple[int, RaftMessage]] = []
    while (output := raft.take_output()) is not None:
        if output.wrote:
            raft.durable(*output.stable)
        letters += output.messages + output.gated
    return letters


class Group:
    """Cores 1..n of one group."""

    def __init__(self, *rafts: Raft) -> None:
        self.rafts = {raft.node_id: raft for raft in rafts}
        self.now = 0.0
        self.queue: deque[Letter] = deque()
        self.cut_off: set[int] = set()
        self.slow_disks: dict[int, list[Output]] = {}
        self.led: dict[int, int] = {}
        """term -> its leader."""
        self._sending: set[tuple[int, int]] = set()
        self.snapshots: dict[int, Configuration] = {}
        """index -> configuration of every snapshot that was sent; a snapshot is no more than that here."""

    @classmethod
    def of(cls, size: int = 3, config: RaftConfig | None = None) -> Group:
        """Fresh nodes; time-outs differ, so that a lower number is earlier."""
        return cls(*(raft_of(node_id=n, voters=size, draw=n / 10, config=config) for n in range(1, size + 1)))

    def __getitem__(self, node_id: int) -> Raft:
        return self.rafts[node_id]

    def add(self, node_id: int) -> Raft:
        """A node that knows nothing and waits to be told."""
        raft = self.rafts[node_id] = raft_of(node_id=node_id, voters=0, draw=node_id / 10)
        return raft

    def collect(self) -> None:
        """Put what all cores want to send into the queue."""
        for node_id, raft in self.rafts.items():
            if raft.role is Role.LEADER:
                assert self.led.setdefault(raft.term, node_id) == node_id, f"two leaders in term {raft.term}"
            while (output := raft.take_output()) is not None:
                self.queue.extend((node_id, to, message) for to, message in output.messages)
                self._sending -= {(node_id, peer) for peer in output.snapshots}
                if node_id in self.slow_disks:
                    self.slow_disks[node_id].append(output)
                else:
                    self._durable(node_id, output)
            self._send_snapshots(node_id, raft)

    def _send_snapshots(self, node_id: int, raft: Raft) -> None:
        """To every follower in need, one of all that is committed, once that is enough; in one piece."""
        index = raft.commit_index
        for peer, progress in raft.progress.items():
            if (node_id, peer) in self._sending or progress.state is not ProgressState.SNAPSHOT:
                continue
            if index >= progress.snapshot_index:
                self._sending.add((node_id, peer))
                self.snapshots[index] = raft.configuration_at(index)
                message = InstallSnapshot(raft.term, index, raft.log.term(index), 1, 0, b"s")
                self.queue.append((node_id, peer, message))

    def _on_snapshot(self, sender: int, to: int, message: SnapshotMessage) -> None:
        """The drivers' part: store, restore, answer."""
        raft = self.rafts[to]
        term, index, snapshot_term = message[:3]
        if isinstance(message, InstallSnapshotReply):
            self._sending.discard((to, sender))
            if raft.on_install_snapshot_reply(sender, message, self.now):
                raft.snapshot_finished(sender, index)
        elif raft.on_install_snapshot(sender, message, self.now):
            raft.restore(index, snapshot_term, self.snapshots[index])
            self.queue.append((to, sender, InstallSnapshotReply(term, index, snapshot_term, 1, True)))

    def _durable(self, node_id: int, output: Output) -> None:
        if output.wrote:
            self.rafts[node_id].durable(*output.stable)
        self.queue.extend((node_id, to, message) for to, message in output.gated)

    def sync(self, node_id: int) -> None:
        """A slow disk is done with all it was given."""
        for output in self.slow_disks.pop(node_id):
            self._durable(node_id, output)

    def deliver(self, accept: Callable[[Letter], bool] = lambda letter: True) -> None:
        """Deliver until nothing is under way; what is not accepted, or to or from a node cut off, is lost."""
        self.collect()
        while self.queue:
            letter = self.queue.popleft()
            sender, to, message = letter
            if sender not in self.cut_off and to not in self.cut_off and accept(letter):
                if isinstance(message, InstallSnapshot | InstallSnapshotReply):
                    self._on_snapshot(sender, to, message)
                else:
                    self.rafts[to].step(sender, message, self.now)
            self.collect()

    def advance(self, ms: float, *, deliver: bool = True) -> None:
        """Let time pass in steps of 20 ms, as the node's ticker does."""
        end = self.now + ms
        while self.now < end:
            self.now = min(end, self.now + 20.0)
            for raft in self.rafts.values():
                if raft.next_deadline_ms() <= self.now:
                    raft.tick(self.now)
            if deliver:
                self.deliver()

    def elect(self, node_id: int) -> Raft:
        """Make a node leader by letting its time-out pass first."""
        raft = self.rafts[node_id]
        self.now = max(self.now + 2 * TIMEOUT_MS, self.now)
        raft.tick(self.now)
        self.deliver()
        assert raft.role is Role.LEADER
        return raft

    def leaders(self) -> list[int]:
        return [node_id for node_id, raft in self.rafts.items() if raft.role is Role.LEADER]
