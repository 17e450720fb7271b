"""A snapshot coming in: checked and loaded as it arrives, stored beside, and installed once it is durable.

Invariants: a replica's state is swapped for the snapshot's only after the file is durable under its name,
and before anything is applied behind it; until then the replica goes on with what it has.  A process that
dies in between starts with the file and cuts its log to it (`restoring`).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from redraft.raft.configuration import Configuration
from redraft.raft.messages import InstallSnapshot, InstallSnapshotReply
from redraft.replica.apply import Applier
from redraft.replica.replica import Replica
from redraft.replica.snapshotting import Loading
from redraft.snapshot.format import Decoder, SnapshotDamagedError
from redraft.snapshot.store import Store, Writing

if TYPE_CHECKING:
    from redraft.node.node import Node

WAITING_BYTES_MAX: Final = 4 << 20
"""Bytes that wait to be written beyond which the sender hears nothing, and so sends nothing."""
RETRY_MS: Final = 5000.0
"""How long after a failure (a full disk) nothing is taken, and the sender hears nothing."""

log = logging.getLogger("redraft.node")


class Arrival:
    """One snapshot from one leader, as far as it has come."""

    __slots__ = ("_decoder", "loaded", "loading", "message", "offset", "owes_reply", "peer", "writing")

    def __init__(self, peer: int, message: InstallSnapshot, applier: Applier, writing: Writing) -> None:
        self.peer = peer
        self.message = message
        self.loading = Loading(applier)
        self.writing = writing
        self.offset = 0
        self.loaded = False
        self.owes_reply = False
        self._decoder = Decoder()

    def is_of(self, peer: int, message: InstallSnapshot) -> bool:
        """Whether a chunk belongs to this snapshot."""
        mine = self.message
        return (peer, message.index, message.snapshot_term, message.size) == (
            self.peer,
            mine.index,
            mine.snapshot_term,
            mine.size,
        )

    def take(self, data: bytes) -> None:
        """Check, load and store the next bytes; raises SnapshotDamagedError."""
        for item in self._decoder.feed(data):
            self.loaded = self.loading.take(item) or self.loaded
        self.writing.write(data)
        self.offset += len(data)
        header = self.loading.header
        if header is not None and header.index != self.message.index:
            raise SnapshotDamagedError(f"it is of entry {header.index}")
        if self.offset >= self.message.size and not self.loaded:
            raise SnapshotDamagedError(f"it ends at offset {self.offset}")


class Receiving:
    """What is coming in, by group."""

    __slots__ = ("_arrivals", "_installing", "_node", "_retry_ms", "_store")

    def __init__(self, node: Node, store: Store) -> None:
        self._node = node
        self._store = store
        self._arrivals: dict[int, Arrival] = {}
        self._installing: dict[int, Arrival] = {}
        self._retry_ms = 0.0

    def progress(self, group: int) -> tuple[int, int] | None:
        """Return (bytes arrived, size), None when nothing is coming in."""
        arrival = self._arrivals.get(group) or self._installing.get(group)
        return (arrival.offset, arrival.message.size) if arrival is not None else None

    @property
    def idle(self) -> bool:
        """Whether nothing is coming in."""
        return not self._arrivals and not self._installing

    def on_chunk(self, peer: int, replica: Replica, message: InstallSnapshot) -> None:
        """Take a chunk that the group's core wants; say how far this node has come."""
        group = replica.group.group_id
        if group in self._installing:
            return  # the answer follows when it is done
        if self._node.now_ms() < self._retry_ms:
            return
        arrival = self._arrivals.get(group)
        if arrival is None or not arrival.is_of(peer, message):
            self.drop(group)
            try:
                applier = self._node.hosting.fresh_applier(replica)
            except OSError as error:
                self._tell_failure(group, error)
                return
            arrival = Arrival(peer, message, applier, self._store.create(group, message.index))
            self._arrivals[group] = arrival
        if message.data and message.offset == arrival.offset:
            try:
                arrival.take(message.data)
            except SnapshotDamagedError as error:
                log.error("group %d: the snapshot that node %d sent is damaged: %s", group, peer, error)
                self.drop(group)
                self._reply(peer, group, message, 0, done=False)
                return
            except OSError as error:  # of an engine on disk
                self.drop(group)
                self._tell_failure(group, error)
                return
            if arrival.loaded:
                self._finish(replica, arrival)
                return
        arrival.owes_reply = True
        self._answer(group, arrival)

    def drop(self, group: int) -> None:
        """Forget what has arrived."""
        arrival = self._arrivals.pop(group, None)
        if arrival is not None:
            self._abandon(group, arrival)

    def _abandon(self, group: int, arrival: Arrival) -> None:
        arrival.writing.abandon()
        self._node.hosting.abandon_applier(group)

    def tick(self) -> None:
        """Answer those that had to wait for the disk; give up what can't be stored, or is needed no more."""
        for group, arrival in list(self._arrivals.items()):
            raft = self._node.replicas[group].raft
            if arrival.writing.failed is not None:
                self.drop(group)
                self._tell_failure(group, arrival.writing.failed)
            elif arrival.message.index <= raft.commit_index and not raft.is_blank:
                self.drop(group)  # another leader had the entries
            else:
                self._answer(group, arrival)

    def _answer(self, group: int, arrival: Arrival) -> None:
        if arrival.owes_reply and arrival.writing.waiting <= WAITING_BYTES_MAX:
            arrival.owes_reply = False
            self._reply(arrival.peer, group, arrival.message, arrival.offset, done=False)

    def _finish(self, replica: Replica, arrival: Arrival) -> None:
        group = replica.group.group_id
        self._installing[group] = self._arrivals.pop(group)
        engine = arrival.loading.applier.keyspace.engine
        if engine.on_disk:
            self._store.worker.submit(engine.settle, lambda error: self._settled(replica, arrival, error))
        else:
            self._settled(replica, arrival, None)

    def _settled(self, replica: Replica, arrival: Arrival, error: OSError | None) -> None:
        if error is not None:
            self._finished(replica, arrival, error)
            return
        arrival.writing.finish(lambda error: self._finished(replica, arrival, error))

    def _finished(self, replica: Replica, arrival: Arrival, error: OSError | None) -> None:
        group = replica.group.group_id
        del self._installing[group]
        if error is not None:
            self._abandon(group, arrival)
            self._tell_failure(group, error)
            return
        if self._node.replicas.get(group) is not replica:
            self._store.discard(group, arrival.writing.path)  # it was dropped meanwhile
            return
        header = arrival.loading.header
        assert header is not None
        if self._store.add(header, arrival.writing.path, arrival.offset):
            configuration = Configuration.decode(header.configuration)
            if self._node.hosting.install(replica, arrival.loading.applier, configuration, header.term):
                log.info("group %d: installed the snapshot of entry %d", group, header.index)
            else:
                self._node.hosting.abandon_applier(group)
        else:
            self._node.hosting.abandon_applier(group)
        self._reply(arrival.peer, group, arrival.message, arrival.offset, done=True)

    def _tell_failure(self, group: int, error: OSError) -> None:
        self._retry_ms = self._node.now_ms() + RETRY_MS
        log.error("group %d: a snapshot could not be stored: %s", group, error.strerror or error)

    def _reply(self, peer: int, group: int, message: InstallSnapshot, offset: int, *, done: bool) -> None:
        raft = self._node.replicas[group].raft
        reply = InstallSnapshotReply(raft.term, message.index, message.snapshot_term, offset, done)
        self._node.send(peer, group, reply)
