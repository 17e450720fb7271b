"""Groups that take part in moves, without Raft: what a log does to a state, and a mover's requests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from redraft.commands.context import Context
from redraft.commands.execute import execute_batch
from redraft.commands.keyspace import Keyspace
from redraft.commands.moving import Status
from redraft.commands.ownership import format_slots
from redraft.commands.staging import Operation, encode_operations
from redraft.engine.hash import HashEngine
from redraft.engine.interface import Engine
from redraft.engine.record import collection_id
from tests.commands.executors import encode

NOW_MS = 1_700_000_000_000
Requests = Sequence[Sequence[bytes]]


class Group:
    """One replica of a group: every call is an entry of its own, or a read."""

    def __init__(self, slots: Iterable[int], engine: Engine | None = None) -> None:
        self.ctx = Context(Keyspace(engine or HashEngine(), slots, (0, 0, 0)))
        self.now_ms = NOW_MS

    @property
    def keyspace(self) -> Keyspace:
        """Its keys."""
        return self.ctx.keyspace

    def entry(self, *connections: Requests, deny_oom: bool = False) -> list[bytes]:
        """Carry out the requests of some connections in one entry; all replies."""
        self.keyspace.index += 1
        floor_ms = self.keyspace.ownership.clock_ms if self.keyspace.ownership is not None else 0
        self.now_ms = max(self.now_ms, floor_ms)
        self.ctx.begin(now_ms=self.now_ms, write=True, seed=self.keyspace.index, deny_oom=deny_oom)
        return self._carry_out(connections)

    def read(self, *connections: Requests) -> list[bytes]:
        """Carry out reads."""
        self.ctx.begin(now_ms=self.now_ms, write=False)
        return self._carry_out(connections)

    def ask(self, line: str) -> bytes:
        """Carry out one request in an entry; return its reply."""
        return self.entry([line.encode().split()])[0]

    def move(self, step: str, *arguments: object) -> bytes:
        """A mover's request."""
        words = [each if isinstance(each, bytes) else str(each).encode() for each in arguments]
        return self.entry([[b"REDRAFT", b"MOVE", step.encode(), *words]])[0]

    def imports(
        self, move: int, slots: Iterable[int], attempt: int, number: int, *operations: Operation
    ) -> bytes:
        """An IMPORT."""
        return self.move("IMPORT", move, format_slots(slots), attempt, number, encode_operations(operations))

    def accept(self, move: int, attempt: int, count: int, clock_ms: int = 0, made: int = 0) -> bytes:
        """An ACCEPT."""
        return self.move("ACCEPT", move, attempt, count, msgspec.msgpack.encode((clock_ms, made)))

    def status(self, move: int) -> Status:
        """A STATUS."""
        reply = self.read([[b"REDRAFT", b"MOVE", b"STATUS", b"%d" % move]])[0]
        return msgspec.msgpack.decode(reply.partition(b"\r\n")[2][:-2], type=Status)

    def _carry_out(self, connections: Sequence[Requests]) -> list[bytes]:
        data = b"".join(encode(request) for requests in connections for request in requests)
        replies = execute_batch(self.ctx, data, [(len(requests), 2) for requests in connections])
        if self.ctx.bugs:
            raise AssertionError(f"a handler raised in {connections!r}") from self.ctx.bugs[0]
        return replies


def contents(
    keyspace: Keyspace, slots: Iterable[int]
) -> dict[tuple[int, bytes], tuple[bytes, list[tuple[bytes, bytes]]]]:
    """Return the records of slots, and the members that those name."""
    engine = keyspace.engine
    found = {}
    for slot in slots:
        for key, record in engine.items(slot):
            number = collection_id(record)
            found[slot, key] = record, engine.members(slot, number).range() if number else []
    return found
