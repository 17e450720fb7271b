"""A cluster in a bottle to which everything happens, from one seed, while clients go on.

Finer than the bottle's own `run`: nodes take their turns one by one, and between any two turns a node
may crash (with or without what was flushed and not synced), start, stop in the middle of nowhere and
go on, a link may break (each end notices when it does, and reads some of what was under way), be slow
or be made anew, a wall clock may step; monotonic clocks run at rates that differ a little.

What is remembered: the history of operations in order of moments (no two things happen at one), and
every entry that any replica ever applied.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from redraft.accel.scan import key_slot
from redraft.base.limits import TICK_MS
from redraft.raft.types import Entry
from redraft.replica.request import Request
from tests.cluster.history import Kind, Operation, Outcome
from tests.node.bottle import Cluster, Link, encode

REFUSALS = (b"-CLUSTERDOWN", b"-TRYAGAIN", b"-MISCONF", b"-OOM")
"""What promises that a command had no effect."""


@dataclass
class Append:
    """One APPEND of a token of two bytes; `length` is what it answered."""

    key: bytes
    token: bytes
    start: int
    end: float = float("inf")
    length: int = 0
    refused: bool = False


@dataclass
class LogRead:
    """One GET of a key that is only appended to."""

    key: bytes
    start: int
    end: float = float("inf")
    value: bytes | None = None


Done = Callable[[bytes], None]


class Pipeline(Request):
    """Commands of one client for one group; each reply goes to the one who waits for it."""

    __slots__ = ("_dones", "answered")

    def __init__(self, group: int, commands: list[tuple[list[bytes], Done]], *, write: bool) -> None:
        data = b"".join(encode(command) for command, _done in commands)
        super().__init__(group, data, len(commands), 2, write)
        self._dones = [done for _command, done in commands]
        self.answered = False

    def complete(self, replies: list[bytes]) -> None:
        assert not self.answered, "a request is answered once"
        assert len(replies) == self.count
        self.answered = True
        for done, reply in zip(self._dones, replies, strict=True):
            done(reply)


@dataclass
class Client:
    """One connection: one request at a time, as the front end sees to."""

    session: int
    node: int
    request: Pipeline | None = None
    reads_only: bool = False
    """No write that waits for its outcome keeps it from seeing what its node would tell."""


@dataclass
class Keys:
    """The keys of one group, by what is done with them."""

    registers: list[bytes]
    expiring: list[bytes]
    counters: list[bytes]
    logs: list[bytes]


@dataclass
class Chaos:
    """One run; `trouble` scales how much goes wrong."""

    seed: int
    clients: int = 10
    trouble: float = 1.0
    history: list[Operation] = field(default_factory=list)
    appends: list[Append] = field(default_factory=list)
    log_reads: list[LogRead] = field(default_factory=list)

    def __post_init__(self) -> None:
        rng = self.rng = random.Random(self.seed)
        size, factor = rng.choice([(3, 3), (3, 3), (5, 3), (5, 5), (1, 1), (2, 2)])
        self.cluster = Cluster(
            size=size,
            groups=rng.choice([1, 1, 1, 2, 3]),
            seed=rng.getrandbits(32),
            settings={
                "replication_factor": factor,
                "election_timeout_ms": 200,
                "heartbeat_ms": 60,
                "request_timeout_ms": rng.choice([600, 1500]),
                "leader_wait_ms": 500,
                "read_mode": rng.choice(["index", "lease"]),
                "entry_commands_max": rng.choice([2, 4096]),
                "entry_bytes_max": 4096,
                "inflight_reads_max": rng.choice([1, 2, 4]),
            },
        )
        for clock in self.cluster.clocks.values():
            clock.rate = rng.uniform(0.98, 1.02)
            clock.offset_ms = rng.choice([0.0, rng.uniform(-500, 500)])
        for number in list(self.cluster.nodes):  # anew, with these clocks
            self.cluster.crash(number)
            self.cluster.boot(number)
        self.moment = 0
        self.number = 0
        self.applied: dict[tuple[int, int], Entry] = {}
        self.ticked = {number: self.cluster.now + rng.uniform(0, TICK_MS) for number in self.cluster.disks}
        self.due: list[tuple[float, Callable[[], None]]] = []
        self.slow: dict[tuple[int, int], float] = {}
        self.keys = {group.group_id: self._keys_of(group.group_id) for group in self.cluster.map.groups}
        self.sessions = [
            Client(number, self._any_node(), reads_only=number % 2 == 1) for number in range(self.clients)
        ]
        for keys in self.keys.values():
            self._begin_empty(keys.expiring)
        self.unread: dict[int, list[Pipeline]] = {number: [] for number in self.cluster.disks}
        self.writes = rng.choice((0.5, 0.8, 1.0))
        self.happened: dict[str, int] = {}

    def _keys_of(self, group: int) -> Keys:
        def keys(prefix: str, count: int) -> list[bytes]:
            names = (b"%s%d" % (prefix.encode(), number) for number in range(100_000))
            owned = (name for name in names if self.cluster.map.group_of_slot[key_slot(name)] == group)
            return [next(owned) for _ in range(count)]

        return Keys(keys("register", 2), keys("expiring", 1), keys("counter", 1), keys("log", 1))

    def _begin_empty(self, keys: list[bytes]) -> None:
        """Deletions that did nothing: so that the checker does not take "none" for a value written once."""
        for key in keys * 2:
            deletion, _done = self._operation(-1, key, Kind.WRITE, None)
            deletion.outcome, deletion.end = Outcome.OK, self.now()

    def _any_node(self) -> int:
        return self.rng.choice(sorted(self.cluster.disks))

    def now(self) -> int:
        """A new moment."""
        self.moment += 1
        return self.moment

    # ---- the run ----

    def run(self, duration_ms: float) -> None:
        """Let time pass with all its troubles."""
        end = self.cluster.now + duration_ms
        while self.cluster.now < end:
            self._step()
            if self.rng.random() < 0.004 * self.trouble:
                self._trouble()

    def heal(self) -> None:
        """End all troubles; every request that can be answered is, and the replicas catch up."""
        cluster = self.cluster
        cluster.paused.clear()
        cluster.cut.clear()
        self.slow.clear()
        for number in cluster.disks:
            if number not in cluster.nodes:
                cluster.boot(number)
        self.trouble = 0.0
        for client in self.sessions:
            client.node = -1  # it asks no more
        self._settle(8000, lambda: self._answered() and self._equal())
        assert self._answered(), "a request was never answered"
        self._read_all()
        self._settle(8000, self._answered)
        assert self._answered(), "a read of a healthy cluster was never answered"
        self._settle(8000, self._equal)
        self._compare()

    def _settle(self, duration_ms: float, until: Callable[[], bool]) -> None:
        end = self.cluster.now + duration_ms
        while self.cluster.now < end:
            for _ in range(20):
                self._step()
            if until():
                return

    def _step(self) -> None:
        cluster, rng = self.cluster, self.rng
        cluster.now += rng.choice((0, 0, 0, 1, 1, 2))
        self._due()
        for number in list(cluster.nodes):
            overdue = cluster.now - self.ticked[number] >= TICK_MS
            if overdue and number not in cluster.paused and rng.random() < 0.2:
                self.ticked[number] = cluster.now
                cluster.nodes[number].tick()
                cluster.nodes[number].flush()
        self._relink()
        if cluster.nodes:
            number = rng.choice(list(cluster.nodes))
            if number not in cluster.paused:
                self._turn(number)
        for client in self.sessions:
            if rng.random() < 0.05:
                self._ask(client)

    def _due(self) -> None:
        now = self.cluster.now
        if any(at <= now for at, _event in self.due):
            events = [event for at, event in self.due if at <= now]
            self.due = [(at, event) for at, event in self.due if at > now]
            for event in events:
                event()

    def _turn(self, number: int) -> None:
        cluster, rng = self.cluster, self.rng
        node = cluster.nodes[number]
        early = rng.random() < 0.5
        if early:
            self._read_requests(number)
        incoming = [(key, link) for key, link in cluster.links.items() if key[1] == number]
        rng.shuffle(incoming)
        for (sender, _), link in incoming:
            if node.link_session(sender) != link.session or self.slow.get((sender, number), 0) > cluster.now:
                continue
            for _ in range(rng.choice((0, 1, 2, len(link.queue), len(link.queue)))):
                if not link.queue:
                    break
                node.on_frame(sender, *link.queue.popleft())
        if rng.random() < 0.3 and cluster.disks[number].sync():
            node.on_durable()
        if not early:
            self._read_requests(number)
        node.flush()

    def _read_requests(self, number: int) -> None:
        requests, self.unread[number] = self.unread[number], []
        for request in requests:
            self.cluster.nodes[number].submit(request)

    # ---- links ----

    def _relink(self) -> None:
        cluster, rng = self.cluster, self.rng
        one, other = self._any_node(), self._any_node()
        if one >= other or frozenset((one, other)) in cluster.cut:
            return
        if one not in cluster.nodes or other not in cluster.nodes:
            return
        link = cluster.links.get((one, other))
        if (link is not None and not link.closed) or rng.random() < 0.7:
            return
        cluster.sessions += 1
        for me, peer in ((one, other), (other, one)):
            self._raise(me, peer, Link(cluster.sessions))

    def _raise(self, me: int, peer: int, link: Link) -> None:
        cluster = self.cluster
        cluster.links[me, peer] = link
        node = cluster.nodes[me]

        def up() -> None:
            if cluster.nodes.get(me) is node and cluster.links.get((me, peer)) is link and not link.closed:
                node.on_link_up(peer, link)

        self.due.append((cluster.now + self.rng.choice((0, 0, 5, 40)), up))

    def _break(self, one: int, other: int) -> None:
        """The connection is gone; each end may still read some of what was sent, and then notices."""
        cluster, rng = self.cluster, self.rng
        for me, peer in ((one, other), (other, one)):
            link = cluster.links.get((me, peer))
            if link is None or link.closed:
                continue
            link.closed = True
            for _ in range(rng.randint(0, len(link.queue))):
                link.queue.pop()
            if me in cluster.nodes:
                self._notice(me, peer, link.session)

    def _notice(self, me: int, peer: int, session: int) -> None:
        cluster, node = self.cluster, self.cluster.nodes[me]

        def down() -> None:
            if cluster.nodes.get(me) is not node:
                return
            if me in cluster.paused:
                self._notice(me, peer, session)
            elif node.link_session(peer) == session:
                node.on_link_down(peer)

        self.due.append((cluster.now + self.rng.choice((1, 20, 300)), down))

    # ---- troubles ----

    def _trouble(self) -> None:
        kinds = (self._crash, self._crash, self._pause, self._cut, self._flap, self._flap, self._stall)
        kind = self.rng.choice((*kinds, self._clock_step, self._hand_over))
        name = kind.__name__
        self.happened[name] = self.happened.get(name, 0) + 1
        kind()

    def _victim(self) -> int:
        """Any node; every other time one that leads."""
        leader = self.cluster.leader(self.rng.choice(self.cluster.map.groups).group_id)
        return leader if leader and self.rng.random() < 0.5 else self._any_node()

    def _crash(self) -> None:
        cluster, rng = self.cluster, self.rng
        number = self._victim()
        if number not in cluster.nodes:
            return
        self._note_applied(number)
        if rng.random() < 0.5:
            cluster.disks[number].sync()  # only the process died, or the disk was faster than it
        for other in cluster.disks:
            if other != number:
                self._break(number, other)
        del cluster.nodes[number]
        self.unread[number] = []
        cluster.disks[number].crash()
        cluster.paused.discard(number)
        for client in self.sessions:
            if client.node == number:
                client.request = None
                client.node = self._any_node()

        def start() -> None:
            if number not in cluster.nodes:
                cluster.boot(number)
                self.ticked[number] = cluster.now

        self.due.append((cluster.now + rng.choice((0, 5, 100, 800)), start))

    def _pause(self) -> None:
        number = self._victim()
        self.cluster.paused.add(number)
        for_ms = self.rng.choice((30, 150, 400, 700, 1000))
        if self.rng.random() < 0.5:
            self.slow[self._any_node(), number] = self.cluster.now + for_ms + self.rng.choice((100, 300))
        self.due.append((self.cluster.now + for_ms, lambda: self.cluster.paused.discard(number)))

    def _cut(self) -> None:
        """Partition one pair, or one node from all others."""
        cluster, rng = self.cluster, self.rng
        one = self._victim()
        others = [number for number in cluster.disks if number != one]
        if others and rng.random() < 0.5:
            others = [rng.choice(others)]
        pairs = [frozenset((one, other)) for other in others]
        cluster.cut.update(pairs)
        for other in others:
            self._break(one, other)

        def end() -> None:
            cluster.cut.difference_update(pairs)

        self.due.append((cluster.now + rng.choice((100, 400, 900)), end))

    def _flap(self) -> None:
        self._break(self._victim(), self._any_node())

    def _stall(self) -> None:
        """One direction between two nodes is slow: nothing arrives for a while."""
        pair = self.rng.sample((self._victim(), self._any_node()), 2)
        self.slow[pair[0], pair[1]] = self.cluster.now + self.rng.choice((20, 100, 300, 700))

    def _clock_step(self) -> None:
        clock = self.cluster.clocks[self._any_node()]
        clock.offset_ms = self.rng.choice((0.0, self.rng.uniform(-1000, 1000), 3_600_000.0, -3_600_000.0))

    def _hand_over(self) -> None:
        """A leader hands a group to another voter, as balancing does."""
        cluster, rng = self.cluster, self.rng
        group = rng.choice(cluster.map.groups)
        leader = cluster.leader(group.group_id)
        others = [voter for voter in group.voters if voter != leader]
        if leader and others and leader not in cluster.paused:
            node = cluster.nodes[leader]
            if node.replicas[group.group_id].proposes:
                node.transfer(group, rng.choice(others))

    # ---- clients ----

    def _ask(self, client: Client) -> None:
        if client.request is not None and not client.request.answered:
            return
        rng = self.rng
        if client.node not in self.cluster.nodes or rng.random() < 0.05:
            if client.node < 0:
                return
            client.node = self._any_node()
        if client.node not in self.cluster.nodes:
            return
        group = rng.choice(sorted(self.keys))
        keys = self.keys[group]
        write = not client.reads_only and rng.random() < self.writes
        makers = [lambda: self._get(client, rng.choice(keys.registers + keys.expiring + keys.counters))]
        makers.append(lambda: self._get_log(rng.choice(keys.logs)))
        if write:
            makers += [
                lambda: self._set(client, rng.choice(keys.registers)),
                lambda: self._set_expiring(client, rng.choice(keys.expiring)),
                lambda: self._increment(client, rng.choice(keys.counters)),
                lambda: self._append(rng.choice(keys.logs)),
            ]
        commands = [rng.choice(makers)() for _ in range(rng.choice((1, 1, 2, 4)))]
        client.request = Pipeline(group, commands, write=write)
        self.unread[client.node].append(client.request)

    def _operation(
        self, session: int, key: bytes, kind: Kind, argument: str | int | None
    ) -> tuple[Operation, Done]:
        self.number += 1
        operation = Operation(key.decode(), kind, argument, self.now(), session=session, number=self.number)
        self.history.append(operation)

        def done(reply: bytes) -> None:
            operation.end = self.now()
            if reply.startswith(REFUSALS):
                operation.outcome = Outcome.FAILED
            elif not reply.startswith(b"-TIMEOUT"):
                operation.outcome = Outcome.OK
                operation.result = _value(reply)
            else:
                operation.end = float("inf")

        return operation, done

    def _get(self, client: Client, key: bytes) -> tuple[list[bytes], Done]:
        operation, done = self._operation(client.session, key, Kind.READ, None)

        def read(reply: bytes) -> None:
            done(reply)
            if key.startswith(b"counter") and isinstance(operation.result, str):
                operation.result = int(operation.result)

        return [b"GET", key], read

    def _set(self, client: Client, key: bytes) -> tuple[list[bytes], Done]:
        value = f"v{self.number}"
        _operation, done = self._operation(client.session, key, Kind.WRITE, value)
        return [b"SET", key, value.encode()], done

    def _set_expiring(self, client: Client, key: bytes) -> tuple[list[bytes], Done]:
        """SET PX: a write, and a deletion at some time behind it."""
        value = f"v{self.number}"
        operation, done = self._operation(client.session, key, Kind.WRITE, value)
        deletion, _done = self._operation(-1, key, Kind.WRITE, None)

        def told(reply: bytes) -> None:
            done(reply)
            if operation.outcome is Outcome.FAILED:
                deletion.outcome = Outcome.FAILED

        return [b"SET", key, value.encode(), b"PX", b"%d" % self.rng.choice((1, 60, 400))], told

    def _increment(self, client: Client, key: bytes) -> tuple[list[bytes], Done]:
        _operation, done = self._operation(client.session, key, Kind.INCREMENT, 1)
        return [b"INCR", key], done

    def _append(self, key: bytes) -> tuple[list[bytes], Done]:
        append = Append(key, len(self.appends).to_bytes(2, "big"), self.now())
        self.appends.append(append)

        def done(reply: bytes) -> None:
            if reply.startswith(REFUSALS):
                append.refused = True
            elif not reply.startswith(b"-"):
                append.end = self.now()
                append.length = int(reply[1:])

        return [b"APPEND", key, append.token], done

    def _get_log(self, key: bytes) -> tuple[list[bytes], Done]:
        read = LogRead(key, self.now())

        def done(reply: bytes) -> None:
            if not reply.startswith(b"-"):
                read.end = self.now()
                read.value = _bulk(reply) or b""
                self.log_reads.append(read)
            else:
                assert reply.startswith((*REFUSALS, b"-TIMEOUT")), reply

        return [b"GET", key], done

    def _read_all(self) -> None:
        """Every key, from every node."""
        for number, node in self.cluster.nodes.items():
            client = Client(1000 + number, number)
            for group, keys in self.keys.items():
                commands = [self._get(client, key) for key in keys.registers + keys.counters]
                commands += [self._get_log(key) for key in keys.logs]
                request = Pipeline(group, commands, write=False)
                self.sessions.append(Client(client.session, -1, request))
                node.submit(request)

    # ---- what must hold ----

    def _answered(self) -> bool:
        return all(client.request is None or client.request.answered for client in self.sessions)

    def _replicas(self) -> dict[int, list[tuple[int, Any]]]:
        found: dict[int, list[tuple[int, Any]]] = {group: [] for group in self.keys}
        for number, node in self.cluster.nodes.items():
            for group, replica in node.replicas.items():
                found[group].append((number, replica))
        return found

    def _equal(self) -> bool:
        return all(
            len({replica.applier.applied_index for _number, replica in replicas}) == 1
            and all(replica.applier.applied_index == replica.raft.last_index for _number, replica in replicas)
            for replicas in self._replicas().values()
        )

    def _note_applied(self, number: int) -> None:
        for group, replica in self.cluster.nodes[number].replicas.items():
            entries = self.cluster.disks[number].group(group).entries
            for entry in entries[: replica.applier.applied_index]:
                known = self.applied.setdefault((group, entry.index), entry)
                assert known == entry, f"two entries applied at {entry.index} of group {group}"

    def _compare(self) -> None:
        """All replicas of a group hold the same, and all of what any replica ever applied."""
        for number in self.cluster.nodes:
            self._note_applied(number)
        for group, replicas in self._replicas().items():
            states = [_state(replica.applier) for _number, replica in replicas]
            assert all(state == states[0] for state in states), f"replicas of group {group} differ"
            last = states[0]["applied_index"]
            assert all(index <= last for gid, index in self.applied if gid == group), "an entry was lost"


def _state(applier: Any) -> dict[str, Any]:
    keyspace, sessions = applier.keyspace, applier.sessions
    return {
        "applied_index": applier.applied_index,
        "clock_ms": applier.clock_ms,
        "tables": {slot: table for slot, table in enumerate(keyspace.engine.tables) if table},
        "counts": (keyspace.key_count, keyspace.expiring_count, keyspace.data_bytes),
        "sessions": {
            origin: (session.incarnation, session.acknowledged_below, session.replies)
            for origin, session in sessions._by_origin.items()
        },
    }


def _bulk(reply: bytes) -> bytes | None:
    if reply == b"$-1\r\n":
        return None
    if reply.startswith(b":"):
        return reply[1:-2]
    assert reply.startswith(b"$"), reply
    return reply.split(b"\r\n", 1)[1][:-2]


def _value(reply: bytes) -> str | int | None:
    if reply.startswith(b":"):
        return int(reply[1:])
    if reply == b"+OK\r\n":
        return None
    assert reply.startswith(b"$"), reply
    value = _bulk(reply)
    return value.decode() if value is not None else None
