"""A cluster in one process: real node logic over a fake network, disk and clock, driven from a seed.

Links are first-in-first-out and lose what is under way when they are cut; a disk loses what was not
synced when its node crashes.  Time moves only when the test says so.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from redraft.base.address import Address
from redraft.base.config import Config
from redraft.base.limits import TICK_MS
from redraft.control.applier import reason_of, topology_of
from redraft.control.topology import Command, Join, Topology, founding_topology
from redraft.node.node import Node
from redraft.node.roster import Roster
from redraft.node.seams import Next
from redraft.node.standing import Standing
from redraft.node.states import MemoryStates, States
from redraft.node.steering import Change
from redraft.raft.log import CompactedError
from redraft.raft.types import Entry, EntryKind, HardState
from redraft.replica.request import Request
from redraft.snapshot.store import Store
from redraft.snapshot.worker import Worker
from redraft.topology.cluster_map import Member, first_map
from tests.wal.faultyfiles import FaultyFiles


class Asked(Request):
    """A client's request that remembers its replies."""

    __slots__ = ("replies",)

    def __init__(
        self, group: int, commands: Sequence[Sequence[bytes]], *, write: bool, proto: int = 2
    ) -> None:
        super().__init__(group, b"".join(map(encode, commands)), len(commands), proto, write)
        self.replies: list[bytes] | None = None

    def complete(self, replies: list[bytes]) -> None:
        assert self.replies is None, "a request is answered once"
        assert len(replies) == self.count
        self.replies = replies


def encode(command: Sequence[bytes]) -> bytes:
    """Return a command as a RESP array of bulk strings."""
    parts = [b"*%d\r\n" % len(command), *(b"$%d\r\n%s\r\n" % (len(arg), arg) for arg in command)]
    return b"".join(parts)


class Saved(NamedTuple):
    """One group's log as a crash may leave it."""

    entries: list[Entry]
    hard_state: HardState
    first_index: int
    base_term: int


class GroupLog:
    """One group's log in memory, with what of it would survive a crash."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.entries: list[Entry] = []
        self.hard_state = HardState()
        self.first_index = 1
        self.base_term = 0

    @property
    def last_index(self) -> int:
        return self.first_index + len(self.entries) - 1

    @property
    def bytes(self) -> int:
        return sum(len(entry.data) for entry in self.entries)

    def term(self, index: int) -> int:
        if index > self.last_index:
            return 0
        if index < self.first_index - 1:
            raise CompactedError(index)
        return self.entries[index - self.first_index].term if index >= self.first_index else self.base_term

    def slice(self, low: int, high: int, bytes_max: int) -> list[Entry]:
        if low < self.first_index:
            raise CompactedError(low)
        taken: list[Entry] = []
        size = 0
        for entry in self.entries[low - self.first_index : high - self.first_index]:
            if taken and size + len(entry.data) > bytes_max:
                break
            taken.append(entry)
            size += len(entry.data)
        return taken

    def append(self, entries: Sequence[Entry]) -> None:
        del self.entries[entries[0].index - self.first_index :]
        self.entries.extend(entries)
        self._disk.dirty = True

    def tail_index(self, bytes_min: int) -> int:
        index = self.last_index
        while bytes_min > 0 and index >= self.first_index:
            bytes_min -= len(self.entries[index - self.first_index].data)
            index -= 1
        return index

    def configurations(self) -> list[int]:
        return [entry.index for entry in self.entries if entry.kind == EntryKind.CONFIGURATION]

    def compact(self, index: int) -> None:
        assert self.first_index - 1 <= index <= self.last_index
        self.base_term = self.term(index)
        del self.entries[: index + 1 - self.first_index]
        self.first_index = index + 1
        self._disk.dirty = True

    def restore(self, index: int, term: int) -> None:
        self.entries.clear()
        self.first_index, self.base_term = index + 1, term
        self._disk.dirty = True

    def saved(self) -> Saved:
        return Saved(list(self.entries), self.hard_state, self.first_index, self.base_term)

    def save(self, hard_state: HardState) -> None:
        self.hard_state = hard_state
        self._disk.dirty = True


class Disk:
    """The shared log of one node; `sync` makes durable what was flushed."""

    def __init__(self) -> None:
        self.groups: dict[int, GroupLog] = {}
        self.dirty = False
        self.full = False
        self.stuck = False
        """Nothing becomes durable any more."""
        self._lsn = 0
        self._durable_lsn = 0
        self._flushed: dict[int, Saved] = {}
        self._durable: dict[int, Saved] = {}

    def group(self, gid: int) -> GroupLog:
        return self.groups.setdefault(gid, GroupLog(self))

    def flush(self) -> int:
        self._lsn += 1
        self._flushed = {gid: log.saved() for gid, log in self.groups.items()}
        return self._lsn

    @property
    def works(self) -> bool:
        """Whether something will become durable."""
        return self._durable_lsn != self._lsn and not self.stuck

    def sync(self) -> bool:
        if not self.works:
            return False
        self._durable_lsn, self._durable = self._lsn, self._flushed
        return True

    def take_durable(self) -> int:
        return self._durable_lsn

    def has_room(self, _size: int) -> bool:
        return not self.full

    def tend(self, _now_ms: float) -> None:
        """Nothing to collect."""

    def crash(self) -> None:
        for gid, log in self.groups.items():
            saved = self._durable.get(gid, Saved([], HardState(), 1, 0))
            log.entries, log.hard_state = list(saved.entries), saved.hard_state
            log.first_index, log.base_term = saved.first_index, saved.base_term
        self._lsn = self._durable_lsn = 0
        self._flushed = dict(self._durable)


class Link:
    """One direction of a connection."""

    queued_bytes = 0

    def __init__(self, session: int) -> None:
        self.session = session
        self.closed = False
        self.queue: deque[tuple[int, Any]] = deque()

    def send(self, group: int, message: Any) -> None:
        if not self.closed:
            self.queue.append((group, message))

    def flush(self) -> None:
        """Everything sent is on the network at once."""


@dataclass
class BottleClock:
    """Time of one node: a monotonic clock that may run fast or slow, a wall clock that may be off."""

    cluster: Cluster
    offset_ms: float = 0.0
    rate: float = 1.0
    busy: float = 0.0
    """The share of its core that the node is in use."""

    def now_ms(self) -> float:
        return self.cluster.now * self.rate

    def wall_ms(self) -> float:
        return 1_700_000_000_000.0 + self.cluster.now + self.offset_ms

    def cpu_ms(self) -> float:
        return self.cluster.now * self.busy


class Memory:
    """What a node keeps on disk besides its log and its snapshots: durable at once."""

    def __init__(self) -> None:
        self.dropped: set[int] = set()
        self.topology: Topology | None = None

    def drop(self, group: int) -> None:
        self.dropped.add(group)

    def undrop(self, group: int) -> None:
        self.dropped.discard(group)

    def save_topology(self, topology: Topology) -> None:
        self.topology = topology


def member_of(number: int) -> Member:
    """The member of that number."""
    return Member(
        number, f"{number:040x}", "127.0.0.1", 7000 + number, 8000 + number, 9000 + number, 17000 + number
    )


@dataclass
class Cluster:
    """Nodes 1..n; `settings` go into each Config.  The controller is off unless they say otherwise."""

    size: int = 3
    groups: int = 1
    seed: int = 1
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.now = 1000.0
        self.rng = random.Random(self.seed)
        self.disks = {number: Disk() for number in range(1, self.size + 1)}
        self.clocks = {number: BottleClock(self) for number in range(1, self.size + 1)}
        self.nodes: dict[int, Node] = {}
        self.memories = {number: Memory() for number in self.disks}
        self.snapshot_files = {number: FaultyFiles(self.seed + number) for number in self.disks}
        self.workers: dict[int, Worker] = {}
        self.links: dict[tuple[int, int], Link] = {}
        self.cut: set[frozenset[int]] = set()
        self.paused: set[int] = set()
        self.incarnations = dict.fromkeys(self.disks, 0)
        self.sessions = 0
        ports = [Address("127.0.0.1", 7000 + number) for number in self.disks]
        members = [member_of(number) for number in self.disks]
        settings = {"controller": False, **self.settings}
        self.config = Config(listen=ports[0], cluster=tuple(ports), groups=self.groups, **settings)
        self.map = first_map(
            "bottle", members, groups=self.groups, replication_factor=self.config.replication_factor
        )
        for number in self.disks:
            self.start(number)

    # ---- what happens to nodes ----

    def start(self, number: int) -> Node:
        node = self.boot(number)
        for other in self.nodes:
            if other != number:
                self.connect(number, other)
        return node

    def boot(self, number: int) -> Node:
        """Start a node that has no links yet."""
        self.incarnations[number] += 1

        if number in self.workers:
            self.workers[number].close()
        worker = self.workers[number] = Worker(threaded=False)
        node = Node(
            self.config,
            self.standing(number),
            self.incarnations[number],
            self.disks[number],
            self.clocks[number],
            store=Store(Path("/snapshots"), self.snapshot_files[number], worker),
            states=self.states(number, worker),
            rng=random.Random(self.rng.random()),
            first_start=self.incarnations[number] == 1,
        )
        self.nodes[number] = node
        return node

    def states(self, _number: int, _worker: Worker) -> States:
        """Where a node's replicas have their states: all in memory."""
        return MemoryStates()

    def standing(self, number: int) -> Standing:
        """What a node knows of its cluster when it starts."""
        member = member_of(number)
        memory = self.memories[number]
        founding = founding_topology(self.map, self.config.replication_factor)
        roster = Roster("bottle", member.address, founding, self.map.members)
        if memory.topology is not None:
            roster.update(memory.topology)
        ports = (member.primary_port, member.replica_port, member.peer_port)
        return Standing(number, founding, roster, memory, ports)

    def join(self, at: int) -> int:
        """Make one more node a member by asking a member, and start it; returns its number."""
        number = max(self.disks) + 1
        new = member_of(number)
        command = Join(new.hex_id, new.host, new.client_port, 0, 0, 0)
        while reason_of(reply := self.change(at, command)) is not None:
            self.run(500)
        self.disks[number] = Disk()
        self.clocks[number] = BottleClock(self)
        self.memories[number] = Memory()
        self.memories[number].topology = topology_of(reply)
        self.snapshot_files[number] = FaultyFiles(self.seed + number)
        self.incarnations[number] = 0
        self.start(number)
        return number

    def change(self, at: int, command: Command) -> bytes:
        """Put a command to the topology group by way of a node, and let time pass until it is answered."""
        replies: list[bytes] = []
        self.nodes[at].submit(Change(command, replies.append))
        assert self.run(20_000, until=lambda: bool(replies)), "no answer"
        return replies[0]

    def crash(self, number: int) -> None:
        """kill -9 and a power cut: what was not synced is gone, links break."""
        self.nodes.pop(number).close()
        self.disks[number].crash()
        self.snapshot_files[number].crash()
        for other in list(self.nodes):
            self.disconnect(number, other)

    def connect(self, one: int, other: int) -> None:
        if frozenset((one, other)) in self.cut:
            return
        self.sessions += 1
        for sender, receiver in ((one, other), (other, one)):
            self.links[sender, receiver] = Link(self.sessions)
        for sender, receiver in ((one, other), (other, one)):
            self.nodes[sender].on_link_up(receiver, self.links[sender, receiver])

    def disconnect(self, one: int, other: int) -> None:
        for sender, receiver in ((one, other), (other, one)):
            if self.links.pop((sender, receiver), None) is not None and sender in self.nodes:
                self.nodes[sender].on_link_down(receiver)

    def partition(self, one: int, other: int) -> None:
        self.cut.add(frozenset((one, other)))
        self.disconnect(one, other)

    def silence(self, one: int, other: int) -> None:
        """Lose all that the two say to each other from now on; neither is told that the link is gone."""
        for sender, receiver in ((one, other), (other, one)):
            link = self.links[sender, receiver]
            link.closed = True
            link.queue.clear()

    def heal(self) -> None:
        pairs, self.cut = self.cut, set()
        for pair in pairs:
            one, other = sorted(pair)
            if one in self.nodes and other in self.nodes:
                self.connect(one, other)

    # ---- time ----

    def settle(self, until: Callable[[], bool] = lambda: False) -> None:
        """Deliver and sync until nothing moves or `until` holds, in an order drawn from the seed."""
        for _ in range(10_000):
            moved = False
            numbers = [number for number in self.nodes if number not in self.paused]
            self.rng.shuffle(numbers)
            for number in numbers:
                moved |= self._turn(number)
                if until():
                    return
            if not moved:
                return
        raise AssertionError("the cluster never comes to rest")

    def _turn(self, number: int) -> bool:
        node = self.nodes[number]
        moved = False
        incoming = [link for link in self.links.items() if link[0][1] == number]
        self.rng.shuffle(incoming)
        for (sender, _), link in incoming:
            for _ in range(self.rng.randint(0, len(link.queue))):
                group, message = link.queue.popleft()
                node.on_frame(sender, group, message)
                moved = True
        if self.rng.random() < 0.5 and self.disks[number].sync():
            node.on_durable()
            moved = True
        if self.rng.random() < 0.5 and self.workers[number].step():
            self.workers[number].take_done()
            moved = True
        moved |= node.flush() is Next.NOW
        waiting = any(link.queue for (_, to), link in self.links.items() if to not in self.paused)
        return moved or waiting or self.disks[number].works

    def run(self, duration_ms: float, *, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass, tick by tick; stop early when `until` holds, and say whether it does."""
        end = self.now + duration_ms
        while self.now < end:
            self.now += TICK_MS
            for number in list(self.nodes):
                if number not in self.paused:
                    self.nodes[number].tick()
            self.settle()
            if until():
                return True
        return until()

    def catch(self, within_ms: float, until: Callable[[], bool]) -> bool:
        """Let time pass up to the very turn in which `until` holds, whatever is under way then; say if so."""
        end = self.now + within_ms
        while not until() and self.now < end:
            self.now += TICK_MS
            for number in list(self.nodes):
                if number not in self.paused:
                    self.nodes[number].tick()
            self.settle(until)
        return until()

    # ---- what tests ask ----

    def leader(self, group: int = 1) -> int:
        """The living node that leads with the highest term, 0 if none."""
        led = [
            (node.replicas[group].raft.term, number)
            for number, node in self.nodes.items()
            if group in node.replicas and node.leads(group)
        ]
        return max(led)[1] if led else 0

    def elect(self) -> None:
        """Let time pass until every group has a leader that takes requests on every node."""
        assert self.run(20_000, until=lambda: all(node.ready for node in self.nodes.values())), "no leader"

    def ask(
        self, number: int, *commands: Sequence[bytes], write: bool, group: int = 1, proto: int = 2
    ) -> Asked:
        """Submit a request at a node, without waiting."""
        request = Asked(group, commands, write=write, proto=proto)
        self.nodes[number].submit(request)
        return request

    def call(
        self,
        number: int,
        *commands: Sequence[bytes],
        write: bool,
        group: int = 1,
        within_ms: float = 20_000,
    ) -> list[bytes]:
        """Submit a request at a node and let time pass until it is answered."""
        request = self.ask(number, *commands, write=write, group=group)
        assert self.run(within_ms, until=lambda: request.replies is not None), "no answer"
        assert request.replies is not None
        return request.replies
