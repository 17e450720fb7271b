"""Clients: connections that ask, wait, give up and come back, and remember all they did and were told.

Each is one connection to one node, with one request at a time for one group (as the front end sees to),
which may be a pipeline.  What a reply means is decided here: an error that promises "not executed" is
FAILED; a time-out, a closed connection or no answer leave the outcome UNKNOWN.

Keys, by what is done with them: registers (SET, GET), registers that expire (SET PX: a write, and a
deletion at some time behind it), counters (INCR, GET), lists (APPEND of a token, GET).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import TypeVar

from redraft.accel.scan import key_slot
from redraft.replica.request import Request
from redraft.simulation.agenda import MS
from redraft.simulation.cluster import Cluster
from redraft.simulation.history import Kind, Operation, Outcome
from redraft.simulation.machine import Process

REFUSALS = (b"-CLUSTERDOWN", b"-TRYAGAIN", b"-MISCONF", b"-OOM")
"""What promises that a command had no effect."""
SHOWN_BYTES = 200
PROBE = 100
"""Numbers from here on are those of clients that ask once."""
NEVER_SENT = b"-TRYAGAIN"
"""What becomes of commands that can't be in one request with the first: the client did not send them."""
Done = Callable[[bytes], None]
Command = tuple[list[bytes], Done]
Thing = TypeVar("Thing")


class Pipeline(Request):
    """Commands of one client for one group; the replies are on their way when it completes."""

    __slots__ = ("_answer",)

    def __init__(
        self, group: int, commands: Sequence[Command], *, write: bool, answer: Callable[[list[bytes]], None]
    ) -> None:
        data = b"".join([_encode(arguments) for arguments, _done in commands])
        super().__init__(group, data, len(commands), 2, write)
        self._answer: Callable[[list[bytes]], None] | None = answer

    def complete(self, replies: list[bytes]) -> None:
        """Send the replies; a request is answered once."""
        assert self._answer is not None, "a request is answered once"
        assert len(replies) == self.count
        answer, self._answer = self._answer, None
        answer(replies)


class Client:
    """One connection at a time; a new one is a new session."""

    __slots__ = (
        "answered",
        "asked",
        "number",
        "once",
        "patience_us",
        "process",
        "reads_only",
        "restless",
        "session",
        "then",
    )

    def __init__(
        self,
        number: int,
        *,
        reads_only: bool = True,
        restless: float = 0.0,
        patience_us: int = 5000 * MS,
        once: bool = False,
    ) -> None:
        self.number = number
        self.reads_only = reads_only
        self.restless = restless
        """How often it goes to another node instead of asking the same again."""
        self.patience_us = patience_us
        """After that it closes its connection and goes on without an answer."""
        self.once = once
        """Whether it asks one thing only."""
        self.then: Callable[[], None] | None = None
        """What follows an answer at once."""
        self.session = 0
        self.process: Process | None = None
        self.asked = 0
        """Requests so far; replies to older ones come to nobody."""
        self.answered = True


class Keys:
    """The keys of one group."""

    __slots__ = ("counters", "expiring", "lists", "registers")

    def __init__(self, owned: Callable[[str, int], list[bytes]]) -> None:
        self.registers = owned("register", 2)
        self.expiring = owned("expiring", 2)
        self.counters = owned("counter", 1)
        self.lists = owned("list", 1)

    @property
    def everything(self) -> list[bytes]:
        """All of them."""
        return self.registers + self.expiring + self.counters + self.lists


class Clients:
    """All clients of a run, and the history of what they did."""

    def __init__(self, cluster: Cluster, rng: random.Random, *, count: int, think_us: int) -> None:
        self.history: list[Operation] = []
        self.answered = 0
        """Requests that got replies."""
        self._cluster = cluster
        self._rng = rng
        self._think_us = think_us
        self._moment = 0
        self._sessions = 0
        self._active = True
        self._writes = rng.choice((0.5, 0.8, 1.0))
        self._lull_until_us = 0
        """Until then nobody writes: only in a lull a follower that hears nothing is not left behind."""
        self._two_slots = rng.random() < 0.4
        """Whether all keys of a group are in two of its slots."""
        self._padding = "." * rng.choice((0, 0, 0, 1000, 5000))
        """Makes values so large that entries travel alone, and segments and caches fill."""
        self.keys = {
            group.group_id: Keys(partial(self._owned, group.group_id)) for group in cluster.map.groups
        }
        for keys in self.keys.values():
            self._begin_empty(keys.expiring)
        self._clients = [
            Client(
                number,
                reads_only=number % 2 == 0,
                restless=rng.choice((0.02, 0.3, 1.0)),
                patience_us=rng.choice((300, 1000, 4000)) * MS,
            )
            for number in range(1, count + 1)
        ]
        for client in self._clients:
            self._again(client)
        if rng.random() < 0.6:
            self._ebb()

    def _ebb(self) -> None:
        rng = self._rng
        self.rest(rng.choice((200, 600, 1000)))
        self._cluster.agenda.after(rng.choice((600, 1500, 3000)) * MS, self._ebb)

    def rest(self, duration_ms: int) -> None:
        """Let nobody write for a while; reads go on."""
        agenda = self._cluster.agenda
        self._lull_until_us = max(self._lull_until_us, agenda.now_us + duration_ms * MS)

    def _owned(self, group: int, prefix: str, count: int) -> list[bytes]:
        group_of_slot, kind = self._cluster.map.group_of_slot, prefix.encode()
        if self._two_slots:
            tags = (b"{%d}" % number for number in range(1_000_000))
            two = list(islice((tag for tag in tags if group_of_slot[key_slot(tag)] == group), 2))
            return [b"%s%d%s" % (kind, number, two[number % 2]) for number in range(count)]
        names = (b"%s%d" % (kind, number) for number in range(1_000_000))
        owned = (name for name in names if group_of_slot[key_slot(name)] == group)
        return [next(owned) for _ in range(count)]

    def _begin_empty(self, keys: list[bytes]) -> None:
        """Deletions that did nothing: so that the checker does not take "none" for a value written once."""
        for key in keys * 2:
            deletion, _done = self._operation(-1, key, Kind.WRITE, None)
            deletion.outcome, deletion.end = Outcome.OK, self._now()

    def _now(self) -> int:
        """A new moment: no two things happen at one."""
        self._moment += 1
        return self._moment

    # ---- a client's life ----

    def stop(self) -> None:
        """Let nobody ask any more."""
        self._active = False

    @property
    def waiting(self) -> int:
        """How many clients wait for an answer that may come."""
        return sum(
            not client.answered and client.process is not None and client.process.alive
            for client in self._clients
        )

    def died(self, process: Process) -> None:
        """Connections to a process end with it: what was not answered stays unknown."""
        for client in list(self._clients):
            if client.process is process:
                self._hang_up(client)

    def _hang_up(self, client: Client) -> None:
        client.process = None
        if not client.answered:
            client.answered = True
            client.asked += 1
            self._again(client)

    def _again(self, client: Client) -> None:
        if client.once:
            self._clients.remove(client)
            return
        self._cluster.agenda.after(
            self._rng.randrange(self._think_us // 4, 2 * self._think_us), partial(self._ask, client)
        )

    def _ask(self, client: Client) -> None:
        if not self._active:
            return
        rng = self._rng
        if client.process is None or not client.process.alive or rng.random() < client.restless:
            self._connect(client)
        if client.process is None:
            self._again(client)
            return
        home = rng.choice(sorted(self.keys))
        write = (
            not (client.reads_only or self._cluster.agenda.now_us < self._lull_until_us)
            and rng.random() < self._writes
        )
        commands = [self._command(client, self.keys[home], write) for _ in range(rng.choice((1, 1, 1, 2, 4)))]
        (group, first), *others = _by_group(client.process, commands, _key_of).items()
        for _group, commands in others:
            for _arguments, done in commands:
                done(NEVER_SENT)
        self.submit(client, client.process, group, first, write=write)

    def _connect(self, client: Client) -> None:
        """To any living node, or to where something goes wrong."""
        cluster, rng = self._cluster, self._rng
        alive = cluster.processes
        client.process = rng.choice(alive) if alive else None
        spot = cluster.machines[cluster.spot].process if cluster.spot else None
        if spot is not None and rng.random() < 0.4:
            client.process = spot
        self._sessions += 1
        client.session = self._sessions

    def submit(
        self, client: Client, process: Process, group: int, commands: list[Command], *, write: bool
    ) -> None:
        """Ask a node for something; the client asks the next thing after that."""
        client.asked += 1
        client.answered = False
        agenda, rng, number = self._cluster.agenda, self._rng, client.asked

        def answer(replies: list[bytes]) -> None:
            process.effect()
            agenda.after(rng.randrange(20, 500), partial(self._take, client, number, commands, replies))

        request = Pipeline(group, commands, write=write, answer=answer)
        self._trace(client, f"asks n{process.number} g{group} {_shown(commands)}")
        agenda.after(rng.randrange(20, 500), partial(_arrive, process, request))
        agenda.after(client.patience_us, partial(self._lose_patience, client, number))

    def _take(self, client: Client, number: int, commands: list[Command], replies: list[bytes]) -> None:
        if client.asked != number or client.answered:
            return
        client.answered = True
        self.answered += 1
        self._trace(client, f"is told {b' '.join(replies)[:SHOWN_BYTES]!r}")
        for (_arguments, done), reply in zip(commands, replies, strict=True):
            done(reply)
        if client.then is not None:
            client.then()
        self._again(client)

    def _lose_patience(self, client: Client, number: int) -> None:
        if client.asked == number and not client.answered:
            self._trace(client, "loses patience")
            self._hang_up(client)

    def _trace(self, client: Client, what: str) -> None:
        trace = self._cluster.trace
        if trace is not None:
            trace.line(f"c{client.number}", what)

    # ---- commands ----

    def _command(self, client: Client, keys: Keys, write: bool) -> Command:
        rng, session = self._rng, client.session
        if write and rng.random() < 0.7:
            kind = rng.randrange(4)
            if kind == 0:
                return self._set(session, rng.choice(keys.registers))
            if kind == 1:
                return self._set_expiring(session, rng.choice(keys.expiring))
            if kind == 2:
                return self._increment(session, rng.choice(keys.counters))
            return self._append(session, rng.choice(keys.lists))
        return self._get(session, rng.choice(keys.registers + keys.expiring + keys.counters + keys.lists))

    def read_all(self) -> None:
        """Ask every living node for every key."""
        for process in self._cluster.processes:
            self.probe(process.number)

    def probe(self, number: int) -> None:
        """Let somebody new ask a node for every key, once."""
        process = self._cluster.machines[number].process
        if process is None:
            return
        for keys in self.keys.values():
            names = keys.registers + keys.counters + keys.lists
            for group, some in _by_group(process, names, _itself).items():
                client = self._once(process)
                commands = [self._get(client.session, key) for key in some]
                self.submit(client, process, group, commands, write=False)

    def _once(self, process: Process) -> Client:
        """Somebody new who asks a node one thing."""
        self._sessions += 1
        client = Client(PROBE + self._sessions, once=True)
        client.process, client.session = process, self._sessions
        self._clients.append(client)
        return client

    def challenge(self, group: int, leader: int, deposed: int) -> None:
        """A group has a new leader: write there, and read where the old one may not know yet."""
        if not self._active:
            return
        rng, agenda = self._rng, self._cluster.agenda
        agenda.after(rng.randrange(MS), partial(self._write_once, group, leader, deposed))
        for _ in range(rng.choice((0, 1, 3))):
            write_us = rng.choice((5, 50, 200)) * rng.randrange(100, MS)
            agenda.after(write_us, partial(self._write_once, group, leader, deposed))

    def _write_once(self, group: int, number: int, deposed: int) -> None:
        """Write at one node; as soon as that is acknowledged, another is asked what it knows of it."""
        process = self._cluster.machines[number].process
        if process is None:
            return
        keys = self.keys[group]
        for owner, some in _by_group(process, keys.counters + keys.lists, _itself).items():
            client = self._once(process)
            client.then = partial(self.probe, deposed)
            commands = [
                (self._increment if key in keys.counters else self._append)(client.session, key)
                for key in some
            ]
            self.submit(client, process, owner, commands, write=True)

    def _operation(
        self, session: int, key: bytes, kind: Kind, argument: str | int | None
    ) -> tuple[Operation, Done]:
        now = self._now()
        operation = Operation(key.decode(), kind, argument, now, session=session, number=now)
        self.history.append(operation)

        def done(reply: bytes) -> None:
            if reply.startswith(REFUSALS):
                operation.end, operation.outcome = self._now(), Outcome.FAILED
            elif not reply.startswith(b"-TIMEOUT"):
                operation.end, operation.outcome = self._now(), Outcome.OK
                operation.result = _value(reply)
                if kind is Kind.READ and isinstance(operation.result, str) and key.startswith(b"counter"):
                    operation.result = int(operation.result)

        return operation, done

    def _get(self, session: int, key: bytes) -> Command:
        return [b"GET", key], self._operation(session, key, Kind.READ, None)[1]

    def _set(self, session: int, key: bytes) -> Command:
        value = f"v{self._moment}{self._padding}"
        return [b"SET", key, value.encode()], self._operation(session, key, Kind.WRITE, value)[1]

    def _set_expiring(self, session: int, key: bytes) -> Command:
        value = f"v{self._moment}{self._padding}"
        operation, done = self._operation(session, key, Kind.WRITE, value)
        deletion, _done = self._operation(-1, key, Kind.WRITE, None)

        def answered(reply: bytes) -> None:
            done(reply)
            if operation.outcome is Outcome.FAILED:
                deletion.outcome = Outcome.FAILED

        ttl_ms = self._rng.choice((1, 60, 400))
        return [b"SET", key, value.encode(), b"PX", b"%d" % ttl_ms], answered

    def _increment(self, session: int, key: bytes) -> Command:
        return [b"INCR", key], self._operation(session, key, Kind.INCREMENT, 1)[1]

    def _append(self, session: int, key: bytes) -> Command:
        token = f"{self._moment};"
        return [b"APPEND", key, token.encode()], self._operation(session, key, Kind.APPEND, token)[1]


def _arrive(process: Process, request: Request) -> None:
    if process.alive:
        process.submit(request)


def _by_group(
    process: Process, things: Sequence[Thing], key_of: Callable[[Thing], bytes]
) -> dict[int, list[Thing]]:
    """Divide what has a key by the group that a node asks for its slot, as its front end does."""
    table = process.node.group_of_slot
    divided: dict[int, list[Thing]] = {}
    for thing in things:
        divided.setdefault(table[key_slot(key_of(thing))], []).append(thing)
    return divided


def _itself(key: bytes) -> bytes:
    return key


def _key_of(command: Command) -> bytes:
    return command[0][1]


def _encode(arguments: Sequence[bytes]) -> bytes:
    """Return a command as a RESP array of bulk strings."""
    parts = [b"*%d\r\n" % len(arguments), *(b"$%d\r\n%s\r\n" % (len(each), each) for each in arguments)]
    return b"".join(parts)


def _shown(commands: Sequence[Command]) -> str:
    return ", ".join(b" ".join(arguments).decode().rstrip(".") for arguments, _done in commands)


def _value(reply: bytes) -> str | int | None:
    if reply.startswith(b":"):
        return int(reply[1:])
    if reply in (b"+OK\r\n", b"$-1\r\n"):
        return None
    assert reply.startswith(b"$"), reply
    return reply.split(b"\r\n", 1)[1][:-2].decode()
