"""Clients that load a cluster while it is being hurt, and remember all they did and were told.

Each client is a thread with one redis-py connection to one node: it writes fresh keys once each,
increments shared counters, writes and reads shared registers, alone and in pipelines.  It never
sends anything twice.  What an answer means is decided here, by the table of replies: an error that
promises "not executed" is FAILED; a time-out or a closed connection leaves the outcome UNKNOWN.  An
error is excused only if the client's own node was out by our hand meanwhile.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from redraft.simulation.history import Kind, Operation, Outcome
from redraft.simulation.linearizability import violations
from tests.cluster.harness import Cluster, Node, connect
from tests.cluster.ledger import Ledger, complaints, ledger
from tests.cluster.waiting import wait_until

FRESH = "fresh:"
COUNTERS = [f"counter:{number}" for number in range(8)]
REGISTERS = 6
REGISTER_LIFE_S = 2.0  # a register's name changes as often, so that no key's history grows without limit
PIPELINE_LENGTH = 8
RECONNECT_S = 0.05
READ_BACK_BATCH = 500
PROGRESS_S = 30.0
SHOWN_MAX = 10
# Replies that promise that a command took no effect; any other error leaves a write's outcome unknown.
NOT_EXECUTED = ("CLUSTERDOWN", "TRYAGAIN", "MISCONF", "OOM", "CROSSSLOT", "LOADING", "NOAUTH")
MIX = {"fresh": 3, "counter": 3, "write": 2, "read": 3, "pipeline": 1}

_sessions = itertools.count(1)


@dataclass(frozen=True)
class Trouble:
    """An error a client met: between when its commands were sent and the error came, what it said."""

    client: str
    start: float
    end: float
    said: str


class Client:
    """One thread, one connection, one node; read what it remembers after `join`."""

    def __init__(
        self, name: str, node: Node, seed: int, mix: dict[str, int], registers: Sequence[str]
    ) -> None:
        self.name = name
        self.node = node
        self.operations: list[Operation] = []
        self.troubles: list[Trouble] = []
        self.completed = 0
        self.crash: BaseException | None = None
        self.ending = threading.Event()
        self._random = random.Random(seed)
        self._choices, self._weights = list(mix), list(mix.values())
        self._registers = registers
        self._serial = 0
        self._session = 0
        self._connection: redis.Redis | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), f"{self.name} got no answer and no error for {timeout_s:g} s"

    def _run(self) -> None:
        try:
            while not self.ending.is_set():
                (choice,) = self._random.choices(self._choices, self._weights)
                self._attempt(choice)
        except BaseException as error:  # noqa: BLE001 - raised again by Workload.stop, in the test's thread
            self.crash = error
        finally:
            self._disconnect()

    def _attempt(self, choice: str) -> None:
        start = time.monotonic()
        try:
            connection = self._connect()
        except (redis.RedisError, OSError) as error:
            self._trouble(start, error)
            return
        if choice == "pipeline":
            parts = self._random.choices(["fresh", "counter", "write", "read"], k=PIPELINE_LENGTH)
            self._send(connection, [self._operation(part) for part in parts])
        else:
            self._send(connection, [self._operation(choice)])

    def _connect(self) -> redis.Redis:
        """Return the connection, made and greeted: what follows is the commands' own time."""
        if self._connection is None:
            connection = connect(self.node.port, single_connection_client=True, decode_responses=True)
            connection.ping()
            self._connection = connection
            self._session = next(_sessions)
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _operation(self, choice: str) -> Operation:
        self._serial += 1
        value = f"{self.name}/{self._serial}"
        key, kind, argument = f"{FRESH}{value}", Kind.WRITE, value
        if choice == "counter":
            return Operation(
                self._random.choice(COUNTERS),
                Kind.INCREMENT,
                1,
                0.0,
                session=self._session,
                number=self._serial,
            )
        if choice != "fresh":
            key = self._random.choice(self._registers)
            if "{life}" in key:
                key = key.replace("{life}", str(int(time.monotonic() / REGISTER_LIFE_S)))
        if choice == "read":
            return Operation(key, Kind.READ, None, 0.0, session=self._session, number=self._serial)
        return Operation(key, kind, argument, 0.0, session=self._session, number=self._serial)

    def _send(self, connection: Any, operations: list[Operation]) -> None:
        """Send `operations` in one go, and enter what became of each."""
        replies: list[object]
        start = time.monotonic()
        try:
            if len(operations) == 1:
                replies = [connection.execute_command(*_command(operations[0]))]
            else:
                pipe = connection.pipeline(transaction=False)
                for operation in operations:
                    pipe.execute_command(*_command(operation))
                replies = pipe.execute(raise_on_error=False)
        except (redis.RedisError, OSError) as error:
            replies = [error] * len(operations)
        end = time.monotonic()
        for operation, reply in zip(operations, replies, strict=True):
            operation.start = start
            _settle(operation, reply, end)
        self.operations.extend(operations)
        errors = [reply for reply in replies if isinstance(reply, Exception)]
        if errors:
            self._trouble(start, errors[0])
        else:
            self.completed += len(operations)

    def _trouble(self, start: float, error: Exception) -> None:
        self.troubles.append(Trouble(self.name, start, time.monotonic(), f"{type(error).__name__}: {error}"))
        if not isinstance(error, redis.ResponseError):
            self._disconnect()
            self.ending.wait(RECONNECT_S)

    def pauses(self) -> Iterator[float]:
        """Seconds from each command to its answer, where the client's node was not out meanwhile."""
        for operation in self.operations:
            if operation.outcome is Outcome.OK and not self.node.was_out(operation.start, operation.end):
                yield operation.end - operation.start


def _command(operation: Operation) -> tuple[str | int, ...]:
    if operation.kind is Kind.READ:
        return "GET", operation.key
    assert operation.argument is not None
    verb = "SET" if operation.kind is Kind.WRITE else "INCRBY"
    return verb, operation.key, operation.argument


def _settle(operation: Operation, reply: object, end: float) -> None:
    """Enter what `reply` says about `operation`."""
    if isinstance(reply, redis.ResponseError):
        promised = operation.kind is Kind.READ or _says_not_executed(reply)
        operation.outcome = Outcome.FAILED if promised else Outcome.UNKNOWN
        operation.end = end if promised else operation.end
    elif isinstance(reply, Exception):
        operation.outcome = Outcome.UNKNOWN
    else:
        operation.outcome = Outcome.OK
        operation.end = end
        assert reply is None or isinstance(reply, str | int | bool)
        operation.result = None if operation.kind is Kind.WRITE else reply


def _says_not_executed(error: redis.ResponseError) -> bool:
    """Whether the server promised it; redis-py turns some prefixes into classes and drops them."""
    names = (str(error).split(" ", 1)[0], type(error).__name__.removesuffix("Error").upper())
    return any(name in NOT_EXECUTED for name in names)


class Workload:
    """`clients_per_node` clients on each node; a context manager: they run inside it, checks come after."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        seed: int,
        clients_per_node: int = 2,
        mix: dict[str, int] | None = None,
        registers: Sequence[str] | None = None,
    ) -> None:
        self.cluster = cluster
        self.began = time.monotonic()
        names = registers or [f"register:{{life}}:{number}" for number in range(REGISTERS)]
        self.clients = [
            Client(
                f"c{node.number}.{number}", node, seed * 1_000 + node.number * 100 + number, mix or MIX, names
            )
            for node in cluster.nodes
            for number in range(clients_per_node)
        ]

    def __enter__(self) -> Workload:
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *exception: object) -> None:
        for client in self.clients:
            client.ending.set()
        for client in self.clients:
            client.join(PROGRESS_S)
        for client in self.clients:
            if client.crash is not None:
                raise client.crash

    def progress(
        self, count: int, nodes: Sequence[Node] | None = None, timeout_s: float = PROGRESS_S
    ) -> None:
        """Wait until every client on the living of `nodes` (default: all) completed `count` more commands."""
        waited = [c for c in self.clients if c.node.living and (nodes is None or c.node in nodes)]
        goals = {client: client.completed + count for client in waited}

        def reached() -> bool:
            self.cluster.check()
            return all(client.completed >= goal or client.crash for client, goal in goals.items())

        wait_until(reached, timeout_s=timeout_s, what=f"{len(waited)} clients complete {count} more commands")

    # -- after the load -------------------------------------------------------------------------------

    @property
    def operations(self) -> list[Operation]:
        return [operation for client in self.clients for operation in client.operations]

    def unexcused(self) -> list[Trouble]:
        """Errors that clients met while their own node was never out."""
        return [
            trouble
            for client in self.clients
            for trouble in client.troubles
            if not client.node.was_out(trouble.start, trouble.end)
        ]

    def longest_pauses(self) -> dict[str, float]:
        """Per client the longest time in seconds that one command took on a living node."""
        return {client.name: max(client.pauses(), default=0.0) for client in self.clients}

    def summary(self) -> dict[str, object]:
        """Figures for people and for the report."""
        operations = self.operations
        pauses = self.longest_pauses()
        return {
            "seconds": round(time.monotonic() - self.began, 1),
            "operations": len(operations),
            **{outcome.value: sum(o.outcome is outcome for o in operations) for outcome in Outcome},
            "errors_on_living_nodes": len(self.unexcused()),
            "longest_pause_ms": round(max(pauses.values()) * 1000),
            "longest_pause_ms_per_client": {name: round(pause * 1000) for name, pause in pauses.items()},
        }

    def judge(self, nodes: Sequence[Node]) -> list[str]:
        """Return all that is wrong, by what each of `nodes` now holds and what the clients saw."""
        operations = self.operations
        book = ledger(operations, FRESH)
        wrong = [
            f"read at node {node.number}: {complaint}"
            for node in nodes
            for complaint in complaints(book, *read_back(node, book))
        ]
        shared = [operation for operation in operations if not operation.key.startswith(FRESH)]
        return [*wrong, *(f"not linearizable: {violation}" for violation in violations(shared))]

    def judge_errors(self) -> list[str]:
        """Return the errors on living nodes as sentences, none when clients saw none."""
        troubles = self.unexcused()
        shown = "; ".join(f"{t.client} after {t.end - t.start:.3f} s: {t.said}" for t in troubles[:SHOWN_MAX])
        return [f"{len(troubles)} errors on living nodes, e.g. {shown}"] if troubles else []


def read_back(node: Node, book: Ledger) -> tuple[dict[str, str | None], dict[str, int]]:
    """Read all that `book` names from `node`."""
    found: dict[str, str | None] = {}
    with connect(node.port, decode_responses=True) as client:
        keys = book.keys
        for low in range(0, len(keys), READ_BACK_BATCH):
            batch = keys[low : low + READ_BACK_BATCH]
            pipe = client.pipeline(transaction=False)
            for key in batch:
                pipe.get(key)
            found.update(zip(batch, pipe.execute(), strict=True))
        sums = {counter: int(client.get(counter) or 0) for counter in book.counters}
    return found, sums
