"""A random world for one group: nodes with cores, liveness and disks; links, clocks and crashes, from a seed.

Links are quick or slow, stall in one direction, and lose what is under way when they break; Raft's
messages, not liveness, may besides be lost, doubled and overtaken.  Disks lag, and a crash keeps any
prefix of what was not synced.  Nodes stop for a while and go on as if nothing had happened.  Clocks run
at slightly different speeds.  The driver here is the smallest that keeps the duties written in
`redraft.raft.core`; `checks` watches.
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
from redraft.raft.messages import LivenessMessage, RaftMessage
from tests.raft.checks import Checks
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


FAIR = Weather(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


@dataclass
class Read:
    """A read that waits for its round; `floor` is what had been committed when it came."""

    round: int
    term: int
    index: int
    floor: int


@dataclass
class Node:
    """One process, from start to crash."""

    number: int
    raft: Raft
    log: MemoryLog
    liveness: Liveness
    followed: tuple[int, int] = (0, 0)
    gated: deque[tuple[int, Output]] = field(default_factory=deque)
    syncs_until: float = 0.0
    paused_until: float = 0.0
    heartbeat_ms: float = 0.0
    reads: list[Read] = field(default_factory=list)


class World:
    """Time, network, disks and the nodes that are up."""

    def __init__(
        self, seed: int, *, size: int = 3, lease: bool = False, weather: Weather | None = None
    ) -> None:
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
        self.voters = range(1, size + 1)
        self.checks = Checks(self.voters)
        self.speed = {number: 1 + self.rng.uniform(-DRIFT, DRIFT) / 3 for number in self.voters}
        self.logs = {number: MemoryLog(observer=self.checks.appended) for number in self.voters}
        self.lives = dict.fromkeys(self.voters, 0)
        self.nodes: dict[int, Node] = {}
        self.links: dict[frozenset[int], int] = {}  # pair -> session, while up
        self.sessions = 0
        self.latency_ms: dict[tuple[int, int], float] = {}  # by direction
        self.arrivals: dict[tuple[int, int], float] = {}
        self.events: list[tuple[float, int, int, Callable[[], None]]] = []
        self.order = 0
        self.proposed = 0
        self.reads_done = 0
        for number in self.voters:
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
        log = self.logs[number]

        def supports(peer: int, _group: int, term: int) -> bool:
            return node.raft.term == term and node.raft.leader_id == peer

        liveness = Liveness(number, supports, incarnation=self.lives[number])
        raft = Raft(
            node_id=number,
            configuration=Configuration(tuple(self.voters)),
            log=log,
            config=self.config,
            random=lambda: self.rng.random() ** 3,  # time-outs near the shortest, where a lease is tight
            now_ms=self.clock(number),
            may_vote_from_ms=0.0 if first else self.clock(number) + TIMEOUT_MS,
            vouched_ms=lambda leader, term: liveness.vouched_ms(leader, GROUP, term),
        )
        node = self.nodes[number] = Node(number, raft, log, liveness)
        for other in self.nodes:
            if other != number:
                delay = self.rng.choice([self.rng.uniform(1, 30), self.rng.uniform(1, 30), 1000.0])
                self.at(delay, 0, partial(self.connect, number, other))

    def crash(self, number: int) -> None:
        node = self.nodes.pop(number)
        self.logs[number] = node.log.crash(self.rng.randint(0, node.log.unsynced))
        for other in self.voters:
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
        self.trouble(node)

    def trouble(self, node: Node) -> None:
        """What happens to a node in 20 ms; nothing, in this world."""

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
            if output.wrote or output.gated:
                self.sync(node, output)
        self.checks.committed((node.number, self.lives[node.number]), raft, self.logs)

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

    def post_raft(self, sender: int, to: int, message: RaftMessage) -> None:
        rng, weather = self.rng, self.weather
        if rng.random() < weather.lose:
            return
        for _ in range(2 if rng.random() < weather.double else 1):
            in_order = rng.random() >= weather.overtake
            self.post(sender, to, lambda node: self.on_raft(node, sender, message), in_order=in_order)

    def on_raft(self, node: Node, sender: int, message: RaftMessage) -> None:
        node.raft.step(sender, message, self.clock(node.number))
        self.carry_out(node)

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
        return [other for other in self.voters if other != number]

    def cut(self, a: int, b: int, ms: float) -> None:
        self.disconnect(a, b)
        self.at(ms, 0, lambda: self.connect(a, b))

    def stall(self, sender: int, to: int, ms: float) -> None:
        """Nothing arrives for a while, then everything at once, as when TCP resends."""
        self.arrivals[sender, to] = max(self.now + ms, self.arrivals.get((sender, to), 0.0))
