"""When engines on disk are brought up to date: one checkpoint at a time on a node, written by the worker.

A checkpoint is of the last applied entry.  It is begun when an engine has so much in memory that it should go
to the disk, or when somebody (`snapshots`) wants the log cut behind it, or a snapshot made of it.  One that
fails, because the disk is full, is tried again until it is written; apply waits when too much gathers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from redraft.engine.interface import Durable
from redraft.replica.replica import Replica
from redraft.replica.snapshotting import checkpoint_of
from redraft.snapshot.worker import Worker

if TYPE_CHECKING:
    from redraft.node.node import Node

RETRY_MS: Final = 2000.0
"""How long after a failure (a full disk) it is tried again."""

log = logging.getLogger("redraft.node")

Then = Callable[[Replica], None]


class Checkpoints:
    """The part of a node that writes checkpoints."""

    __slots__ = ("_done", "_engine", "_failed", "_node", "_replica", "_retry_ms", "_soon", "_then", "_worker")

    def __init__(self, node: Node, worker: Worker, done: Then) -> None:
        """Tell `done` of every checkpoint that is on disk, if the replica still is."""
        self._done = done
        self._node = node
        self._worker = worker
        self._replica: Replica | None = None
        self._engine: Durable | None = None
        self._then: Then | None = None
        self._retry_ms = 0.0
        self._failed = ""
        self._soon: set[int] = set()

    @property
    def idle(self) -> bool:
        """Whether none is under way."""
        return self._engine is None

    def soon(self, group: int) -> None:
        """A group's engine has much in memory."""
        self._soon.add(group)

    def tick(self, now_ms: float) -> None:
        """Begin what is due, or try again what failed."""
        if self._engine is not None:
            if self._retry_ms and now_ms >= self._retry_ms:
                self._retry_ms = 0.0
                self._submit(self._engine)
            return
        while self._soon and self._engine is None:
            replica = self._node.replicas.get(self._soon.pop())
            if replica is not None and not replica.raft.is_blank:
                self.begin(replica)

    def begin(self, replica: Replica, then: Then | None = None) -> None:
        """Write a checkpoint of a replica; `then` is called when it is on disk, if the replica still is."""
        engine = replica.applier.keyspace.engine
        assert isinstance(engine, Durable)
        assert self._engine is None
        raft, index = replica.raft, replica.applier.applied_index
        configuration = raft.configuration_at(index).encode()
        blob = checkpoint_of(replica.applier, replica.group.group_id, raft.log.term(index), configuration)
        engine.freeze(blob)
        self._replica, self._engine, self._then = replica, engine, then
        self._submit(engine)

    def _submit(self, engine: Durable) -> None:
        def write() -> None:
            engine.write_frozen()
            engine.clean()

        self._worker.submit(write, self._written)

    def _written(self, error: OSError | None) -> None:
        replica, engine, then = self._replica, self._engine, self._then
        assert replica is not None
        assert engine is not None
        current = replica.applier.keyspace.engine is engine
        group = replica.group.group_id
        if error is not None and current and self._node.replicas.get(group) is replica:
            why = error.strerror or str(error)
            if why != self._failed:
                log.error("group %d: a checkpoint could not be written, and is tried again: %s", group, why)
            self._failed = why
            self._retry_ms = self._node.now_ms() + RETRY_MS
            return
        self._replica = self._engine = self._then = None
        if error is not None or not current or self._node.replicas.get(group) is not replica:
            return  # its state was replaced or dropped meanwhile
        self._failed = ""
        engine.thaw()
        self._node.stepped(replica)  # apply may have waited
        if then is not None:
            then(replica)
        self._done(replica)
