"""When engines on disk are brought up to date: one checkpoint at a time on a node, written by the worker.

A checkpoint is of the last applied entry.  It is begun when an engine has so much in memory that it should go
to the disk, or when somebody (`snapshots`) wants the log cut behind it, or a snapshot made of it.  One that
fails, because the disk is full, is tried again until it is written; apply waits when too much gathers.
Between checkpoints what was dropped is deleted, a bit at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from redraft.engine.interface import Durable, is_durable
from redraft.replica.replica import Replica
from redraft.replica.snapshotting import checkpoint_of
from redraft.snapshot.worker import Worker

if TYPE_CHECKING:
    from redraft.node.node import Node

RETRY_MS: Final = 2000.0
"""How long after a failure (a full disk) it is tried again."""
CLEAN_MS: Final = 50.0
"""Between two visits that delete what was dropped: the log's syncs come first."""

log = logging.getLogger("redraft.node")

Then = Callable[[Replica], None]


class Checkpoints:
    """The part of a node that writes checkpoints."""

    __slots__ = (
        "_clean_ms", "_cleaning", "_done", "_engine", "_failed", "_node", "_replica", "_retry_ms", "_soon",
        "_then", "_unclean", "_worker",
    )  # fmt: skip

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
        self._unclean: set[int] = set()
        """Groups whose engine may have something to delete."""
        self._cleaning = False
        self._clean_ms = 0.0

    @property
    def idle(self) -> bool:
        """Whether one may be begun."""
        return self._engine is None and not self._cleaning

    @property
    def rests(self) -> bool:
        """Whether there is nothing to do."""
        return self.idle and not self._unclean

    def soon(self, group: int) -> None:
        """A group's engine has much in memory."""
        self._soon.add(group)

    def tick(self, now_ms: float) -> None:
        """Begin what is due, or try again what failed."""
        if self._engine is not None:
            if self._retry_ms and (now_ms >= self._retry_ms or not self._current):
                self._retry_ms = 0.0
                self._submit(self._engine)
            return
        while self._soon and self.idle:
            replica = self._node.replicas.get(self._soon.pop())
            if replica is not None and not replica.raft.is_blank:
                self.begin(replica)
        if self._unclean and self.idle and now_ms >= self._clean_ms:
            self._clean(self._unclean.pop())

    def begin(self, replica: Replica, then: Then | None = None) -> None:
        """Write a checkpoint of a replica; `then` is called when it is on disk, if the replica still is."""
        engine = replica.applier.keyspace.engine
        assert is_durable(engine)
        assert self.idle
        raft, index = replica.raft, replica.applier.applied_index
        configuration = raft.configuration_at(index).encode()
        blob = checkpoint_of(replica.applier, replica.group.group_id, raft.log.term(index), configuration)
        engine.freeze(blob)
        self._replica, self._engine, self._then = replica, engine, then
        self._submit(engine)

    @property
    def _current(self) -> bool:
        """Whether the engine under way is still its replica's."""
        replica = self._replica
        return (
            replica is not None
            and replica.applier.keyspace.engine is self._engine
            and self._node.replicas.get(replica.group.group_id) is replica
        )

    def _submit(self, engine: Durable) -> None:
        if self._current:
            self._worker.submit(engine.write_frozen, self._written)
        else:
            self._written(None)

    def _written(self, error: OSError | None) -> None:
        replica, engine, then, current = self._replica, self._engine, self._then, self._current
        assert replica is not None
        assert engine is not None
        group = replica.group.group_id
        if error is not None and current:
            why = error.strerror or str(error)
            if why != self._failed:
                log.error("group %d: a checkpoint could not be written, and is tried again: %s", group, why)
            self._failed = why
            self._retry_ms = self._node.now_ms() + RETRY_MS
            return
        self._replica = self._engine = self._then = None
        if not current:
            return  # its state was replaced or dropped meanwhile
        self._failed = ""
        engine.thaw()
        self._unclean.add(group)
        self._node.stepped(replica)  # apply may have waited
        if then is not None:
            then(replica)
        self._done(replica)

    def _clean(self, group: int) -> None:
        replica = self._node.replicas.get(group)
        engine = replica.applier.keyspace.engine if replica is not None else None
        if engine is None or not is_durable(engine):
            return
        more = False

        def clean() -> None:
            nonlocal more
            more = engine.clean()

        def cleaned(error: OSError | None) -> None:
            self._cleaning = False
            self._clean_ms = self._node.now_ms() + (CLEAN_MS if error is None else RETRY_MS)
            if more or error is not None:
                self._unclean.add(group)

        self._cleaning = True
        self._worker.submit(clean, cleaned)
