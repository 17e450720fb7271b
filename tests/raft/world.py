"""A random world for one group: nodes with cores, liveness and disks; links, clocks and crashes, from a seed.

More processes than the group has members: those hold blank replicas until they are added.  Links are
quick or slow, stall in one direction, and lose what is under way when they break; Raft's messages, not
liveness, may besides be lost, doubled and overtaken.  Disks lag, and a crash keeps any prefix of what was
not synced.  Nodes stop for a while and go on as if nothing had happened.  Clocks run at slightly different
speeds.  The driver here is the smallest that keeps the duties written in `redraft.raft.core`, with
`snapshots`; `checks` watches.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush

from redraft.raft.configuration import Configuration
from redraft.raft.core import Output, Raft, RaftConfig, Role
from redraft.raft.liveness import Liveness
from redraft.raft.messages import (
    InstallSnapshot,
    InstallSnapshotReply,
    LivenessMessage,
    RaftMessage,
    SnapshotMessage,
)
from tests.raft.checks import Checks
from tests.raft.disk import Disk, Snapshot, applied
from tests.raft.memory_log import MemoryLog

GROUP = 1
TICK_MS = 20.0
HEARTBEAT_MS = 100.0
TIMEOUT_MS = 600.0
DRIFT = 0.05


@dataclass(frozen=True)
class Weather:
    """How bad things are; probabilities are per message or per 20 ms."""

    lose: float = 0.01
    double: float = 0.01
    overtake: float = 0.03
    crash: float = 0.004
    cut: float = 0.006
    pause: float = 0.003
    slow_sync: float = 0.01
    transfer: float = 0.01
    slow_link: float = 0.2
    isolate: float = 0.003
    stall: float = 0.01
    snapshot: float = 0.01
    fail_snapshot: float = 0.02
    change: float = 0.0
    retire: float = 0.02


FAIR = Weather(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, fail_snapshot=0, retire=0.2)


@dataclass
class Read:
    """A read that waits for its round; `floor` is what had been committed when it came."""

    round: int
    term: int
    index: int
    floor: int


@dataclass
class Sending:
    """A snapshot on its way to a follower."""

    snapshot: Snapshot
    offset: int
    asked_ms: float


@dataclass
class Node:
    """One process, from start to crash."""

    number: int
    raft: Raft
    disk: Disk
    liveness: Liveness
    applied_index: int
    state: int
    followed: tuple[int, int] = (0, 0)
    gated: deque[tuple[int, Output]] = field(default_factory=deque)
    syncs_until: float = 0.0
    paused_until: float = 0.0
    heartbeat_ms: float = 0.0
    reads: list[Read] = field(default_factory=list)
    lives: int = 0
    """How often the replica was emptied since the start."""
    sending: dict[int, Sending] = field(default_factory=dict)
    arriving: tuple[Snapshot, int, int] | None = None
    """(snapshot, sender, pieces here)."""

    @property
    def log(self) -> MemoryLog:
        return self.disk.log


class World:
    """Time, network, disks and the nodes that are up."""

    def __init__(
        self,
        seed: int,
        *,
        size: int = 3,
        spare: int = 0,
        lease: bool = False,
        weather: Weather | None = None,
    ) -> None:
        """`size` founders, and `spare` other processes."""
        self.rng = random.Random(seed)
        self.now = 0.0
        self.lease = lease
        self.weather = weather or Weather()
        self.config = RaftConfig(
            election_timeout_ms=TIMEOUT_MS,
            inflight_appends_max=4,
            append_bytes_max=64,
            inflight_bytes_max=256,
            lease=lease,
        )
        self.numbers = range(1, size + spare + 1)
        founding = Configuration(tuple(self.numbers[:size]))
        self.checks = Checks(founding)
        self.speed = {number: 1 + self.rng.uniform(-DRIFT, DRIFT) / 3 for number in self.numbers}
        self.disks = {
            number: Disk(
                MemoryLog(observer=self.checks.appended), founding if number <= size else Configuration()
            )
            for number in self.numbers
        }
        self.lives = dict.fromkeys(self.numbers, 0)
        self.nodes: dict[int, Node] = {}
        self.links: dict[frozenset[int], int] = {}  # pair -> session, while up
        self.sessions = 0
        self.latency_ms: dict[tuple[int, int], float] = {}  # by direction
        self.arrivals: dict[tuple[int, int], float] = {}
        self.events: list[tuple[float, int, int, Callable[[], None]]] = []
        self.order = 0
        self.proposed = 0
        self.reads_done = 0
        for number in self.numbers:
            self.start(number)
            self.at(self.rng.uniform(0, TICK_MS), 0, partial(self.tick, number))

    # ---- time ----

    def at(self, delay: float, number: int, action: Callable[[], None]) -> None:
        """Let something happen later; what happens to a node that is stopped then happens when it goes on."""
        self.order += 1
        heappush(self.events, (self.now + delay, self.order, number, action))

    def run(self, ms: float) -> None:
        end = self.now + ms
        while self.events and self.events[0][0] <= end:
            when, order, number, action = heappop(self.events)
            self.now = when
            node = self.nodes.get(number)
            if node is not None and node.paused_until > when:
                heappush(self.events, (node.paused_until, order, number, action))
                continue
            action()
        self.now = end

    def clock(self, number: int) -> float:
        return 1000.0 + self.now * self.speed[number]

    # ---- nodes ----

    def start(self, number: int) -> None:
        self.lives[number] += 1
        first = self.lives[number] == 1
        disk = self.disks[number]
        snapshot = disk.recover()

        def supports(peer: int, _group: int, term: int) -> bool:
            return node.raft.term == term and node.raft.leader_id == peer

        liveness = Liveness(number, supports, incarnation=self.lives[number])
        raft = Raft(
            node_id=number,
            configuration=snapshot.configuration,
            applied_index=snapshot.index,
            log=disk.log,
            config=self.config,
            random=lambda: self.rng.random() ** 3,  # time-outs near the shortest, where a lease is tight
            now_ms=self.clock(number),
            may_vote_from_ms=0.0 if first else self.clock(number) + TIMEOUT_MS,
            vouched_ms=lambda leader, term: liveness.vouched_ms(leader, GROUP, term),
        )
        node = self.nodes[number] = Node(number, raft, disk, liveness, snapshot.index, snapshot.state)
        for other in self.nodes:
            if other != number:
                delay = self.rng.choice([self.rng.uniform(1, 30), self.rng.uniform(1, 30), 1000.0])
                self.at(delay, 0, partial(self.connect, number, other))

    def crash(self, number: int) -> None:
        node = self.nodes.pop(number)
        node.disk.log = node.log.crash(self.rng.randint(0, node.log.unsynced))
        for other in self.numbers:
            self.disconnect(number, other)
        self.at(self.rng.choice([5.0, 200.0, 2000.0]), 0, lambda: self.start(number))

    def tick(self, number: int) -> None:
        node = self.nodes.get(number)
        self.at(TICK_MS, number, partial(self.tick, number))
        if node is None:
            return
        now = self.clock(number)
        if node.raft.next_deadline_ms() <= now:
            node.raft.tick(now)
        if now - node.heartbeat_ms >= HEARTBEAT_MS:
            node.heartbeat_ms = now
            node.liveness.open_round(now, now, 0)
            node.raft.quorum_contact(node.liveness.quorum_contact(GROUP, node.raft.configuration), now)
        self.carry_out(node)
        self.move_snapshots(node)
        self.trouble(node)

    def trouble(self, node: Node) -> None:
        """What happens to a node in 20 ms; nothing, in this world."""

    def move_snapshots(self, node: Node) -> None:
        """What a node does in 20 ms about snapshots; nothing, in this world."""

    def on_link_news(self, node: Node, peer: int) -> None:
        """The link to a peer broke or is new."""

    # ---- the driver ----

    def carry_out(self, node: Node) -> None:
        """Everything a driver does after a call: liveness first, then messages, then the disk."""
        raft, liveness = node.raft, node.liveness
        if node.followed != (raft.leader_id, raft.term):
            node.followed = (raft.leader_id, raft.term)
            if raft.role is Role.LEADER:
                self.checks.elected(node.number, raft)
                liveness.lead(GROUP, raft.term)
            else:
                liveness.unlead(GROUP)
            liveness.recheck(GROUP)
        for peer, message in liveness.take_messages():
            self.post(node.number, peer, partial(self.on_liveness, node.number, message))
        while (output := raft.take_output()) is not None:
            for peer, raft_message in output.messages:
                self.checks.told(node.number, peer, raft_message, node.log)
                self.post_raft(node.number, peer, raft_message)
            for peer in output.snapshots:
                node.sending.pop(peer, None)
            if output.wrote or output.gated:
                self.sync(node, output)
        self.checks.committed((node.number, self.lives[node.number]), raft, self.disks)
        if not raft.is_blank and raft.commit_index > node.applied_index:
            for entry in raft.log.slice(node.applied_index + 1, raft.commit_index + 1, 1 << 30):
                node.state = applied(node.state, entry)
            node.applied_index = raft.commit_index
            assert node.state == self.checks.states[node.applied_index], "a state of its own"

    def sync(self, node: Node, output: Output) -> None:
        """Hand the log to the disk; the last one to be done is done with all before."""
        lsn = node.log.flush()
        node.gated.append((lsn, output))
        slow = self.rng.random() < self.weather.slow_sync
        until = self.now + (self.rng.uniform(100, 1000) if slow else self.rng.uniform(0.2, 3))
        node.syncs_until = max(node.syncs_until, until)
        self.at(node.syncs_until - self.now, node.number, lambda: self.synced(node, lsn))

    def synced(self, node: Node, lsn: int) -> None:
        if self.nodes.get(node.number) is not node:
            return
        node.log.sync(lsn)
        node.disk.forget_retired()
        while node.gated and node.gated[0][0] <= lsn:
            output = node.gated.popleft()[1]
            if output.wrote:
                node.raft.durable(*output.stable)
            for peer, message in output.gated:
                self.checks.told(node.number, peer, message, node.log)
                self.post_raft(node.number, peer, message)
        self.carry_out(node)

    # ---- network ----

    def connect(self, a: int, b: int) -> None:
        pair = frozenset((a, b))
        if a in self.nodes and b in self.nodes and pair not in self.links:
            self.sessions += 1
            self.links[pair] = session = self.sessions
            slow = self.rng.random() < self.weather.slow_link
            self.latency_ms[a, b] = self.latency_ms[b, a] = 100.0 if slow else 1.0
            for number, other in ((a, b), (b, a)):
                self.at(0.0, number, partial(self.on_link, number, other, session))

    def on_link(self, number: int, other: int, session: int) -> None:
        node = self.nodes.get(number)
        if node is not None and self.links.get(frozenset((number, other))) == session:
            node.liveness.link_up(other, self.clock(number))
            self.on_link_news(node, other)
            node.raft.peer_reset(other)
            self.carry_out(node)

    def disconnect(self, a: int, b: int) -> None:
        if self.links.pop(frozenset((a, b)), 0):
            for number, other in ((a, b), (b, a)):
                delay = self.rng.choice([0.0, 0.0, 20.0, 2000.0])  # each end finds out by itself
                self.at(delay, number, partial(self.on_link_lost, number, other))

    def on_link_lost(self, number: int, other: int) -> None:
        node = self.nodes.get(number)
        if node is None or frozenset((number, other)) in self.links:
            return  # a new link is there already: it says all that is needed
        node.liveness.link_down(other, self.clock(number))
        self.on_link_news(node, other)
        node.raft.peer_lost(other)
        if node.raft.leader_id == other:
            node.raft.leader_lost(self.clock(number))
        self.carry_out(node)

    def post(self, sender: int, to: int, deliver: Callable[[Node], None], *, in_order: bool = True) -> None:
        session = self.links.get(frozenset((sender, to)))
        if session is None:
            return
        delay = (
            self.rng.expovariate(1 / self.latency_ms[sender, to]) if in_order else self.rng.uniform(0, 400)
        )
        when = self.now + delay
        if in_order:
            self.arrivals[sender, to] = when = max(when, self.arrivals.get((sender, to), 0.0))

        def arrive() -> None:
            node = self.nodes.get(to)
            if node is not None and self.links.get(frozenset((sender, to))) == session:
                deliver(node)

        self.at(when - self.now, to, arrive)

    def post_raft(self, sender: int, to: int, message: RaftMessage | SnapshotMessage) -> None:
        rng, weather = self.rng, self.weather
        if rng.random() < weather.lose:
            return
        for _ in range(2 if rng.random() < weather.double else 1):
            in_order = rng.random() >= weather.overtake
            self.post(sender, to, lambda node: self.on_raft(node, sender, message), in_order=in_order)

    def on_raft(self, node: Node, sender: int, message: RaftMessage | SnapshotMessage) -> None:
        if isinstance(message, InstallSnapshot | InstallSnapshotReply):
            self.on_snapshot(node, sender, message)
        else:
            node.raft.step(sender, message, self.clock(node.number))
        if self.nodes.get(node.number) is node:
            self.carry_out(node)

    def on_snapshot(self, node: Node, sender: int, message: SnapshotMessage) -> None:
        """A piece of a snapshot, or the answer to one; nobody sends any in this world."""

    def on_liveness(self, sender: int, message: LivenessMessage, node: Node) -> None:
        now = self.clock(node.number)
        node.liveness.step(sender, message, now, now, 0)
        self.confirm_reads(node)
        self.carry_out(node)

    def confirm_reads(self, node: Node) -> None:
        """The confirmed round may have moved; nobody reads in this world."""

    def leaders(self) -> list[Node]:
        """Who believes to lead, and can act."""
        return [
            node
            for node in self.nodes.values()
            if node.raft.role is Role.LEADER and node.paused_until <= self.now
        ]

    # ---- what may go wrong ----

    def others(self, number: int) -> list[int]:
        return [other for other in self.numbers if other != number]

    def cut(self, a: int, b: int, ms: float) -> None:
        self.disconnect(a, b)
        self.at(ms, 0, lambda: self.connect(a, b))

    def stall(self, sender: int, to: int, ms: float) -> None:
        """Nothing arrives for a while, then everything at once, as when TCP resends."""
        self.arrivals[sender, to] = max(self.now + ms, self.arrivals.get((sender, to), 0.0))
