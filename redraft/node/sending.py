"""Snapshots on their way to followers that are too far behind: in chunks, a few at a time, not too fast.

The receiver says how far it has come, so nothing is sent twice after a broken link.  Invariants: at most
WINDOW_BYTES are under way to one follower; all together stay within `snapshot_bytes_per_s`; a file that is
being sent stays readable, and the log behind it in place (`pinned`), until it has arrived or was given up.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from redraft.base.errors import DamagedError
from redraft.raft.messages import InstallSnapshot, InstallSnapshotReply
from redraft.raft.progress import ProgressState
from redraft.replica.replica import Replica
from redraft.snapshot.store import Reading, Snapshot, Store

if TYPE_CHECKING:
    from redraft.node.node import Node

CHUNK_BYTES: Final = 128 * 1024
WINDOW_BYTES: Final = 8 * CHUNK_BYTES
PATIENCE_MS: Final = 2000.0
"""How long a follower may say nothing before it is asked again where it is."""
RESTARTS_MAX: Final = 2
"""A follower that begins anew more often makes us look at our own file."""

log = logging.getLogger("redraft.node")


class Transfer:
    """One snapshot to one follower."""

    __slots__ = ("acked", "asked", "heard_ms", "peer", "reading", "replica", "restarts", "sent", "term")

    def __init__(self, replica: Replica, peer: int, reading: Reading, now_ms: float) -> None:
        self.replica = replica
        self.term = replica.raft.term
        self.peer = peer
        self.reading = reading
        self.acked = 0
        self.sent = 0
        self.asked = False
        """The follower was asked where it is and has not answered."""
        self.heard_ms = now_ms
        self.restarts = 0

    @property
    def snapshot(self) -> Snapshot:
        """What is sent."""
        return self.reading.snapshot


class Sending:
    """All transfers of a node; `snapshots` tells it what to send, the links' ups and downs, and the time."""

    __slots__ = ("_budget", "_filled_ms", "_node", "_store", "_transfers")

    def __init__(self, node: Node, store: Store) -> None:
        self._node = node
        self._store = store
        self._transfers: dict[tuple[int, int], Transfer] = {}
        self._budget = 0.0
        self._filled_ms = 0.0

    def begin(self, replica: Replica, peer: int) -> bool:
        """Send the newest snapshot to a follower that needs one; False when there is none that would do."""
        group = replica.group.group_id
        if (group, peer) in self._transfers:
            self._end(group, peer)
        progress = replica.raft.progress.get(peer)
        if progress is None or progress.state is not ProgressState.SNAPSHOT:
            return True  # it got along without, or is gone
        snapshot = self._store.newest.get(group)
        if snapshot is None or snapshot.index < progress.snapshot_index:
            return False
        try:
            reading = self._store.open(snapshot)
        except OSError as error:
            log.error("group %d: %s can't be read: %s", group, snapshot.path, error)
            self._store.forget(snapshot, f"{snapshot.path} can't be read: {error}")
            return False
        transfer = Transfer(replica, peer, reading, self._node.now_ms())
        self._transfers[group, peer] = transfer
        log.info(
            "group %d: sending node %d the snapshot of entry %d, %d bytes",
            group,
            peer,
            snapshot.index,
            snapshot.size,
        )
        self._ask(transfer)
        return True

    def pinned(self, group: int) -> int | None:
        """Return the lowest entry up to which a snapshot of the group is under way, None if there is none."""
        return min((each.snapshot.index for each in self._of(group)), default=None)

    def progress(self, group: int) -> dict[int, tuple[int, int]]:
        """Return (bytes arrived, size) by follower."""
        return {each.peer: (each.acked, each.snapshot.size) for each in self._of(group)}

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return not self._transfers

    def on_reply(self, peer: int, group: int, message: InstallSnapshotReply) -> None:
        """The follower says how far it has come."""
        transfer = self._transfers.get((group, peer))
        if transfer is None or message.index != transfer.snapshot.index or not self._valid(transfer):
            return
        transfer.heard_ms = self._node.now_ms()
        if message.done:
            log.info("group %d: node %d has the snapshot of entry %d", group, peer, message.index)
            self._end(group, peer)
            transfer.replica.raft.snapshot_finished(peer, message.index)
            self._node.stepped(transfer.replica)
            return
        if message.offset < transfer.acked or (transfer.sent and not message.offset and not transfer.asked):
            transfer.restarts += 1
            if transfer.restarts > RESTARTS_MAX:
                self._doubt(transfer)
                return
            transfer.asked = True
        if transfer.asked:
            transfer.asked = False
            transfer.sent = message.offset
        transfer.acked = message.offset
        transfer.sent = max(transfer.sent, message.offset)
        self._pump(transfer)

    def on_link_up(self, peer: int) -> None:
        """What was under way on the old link is lost."""
        for transfer in list(self._transfers.values()):
            if transfer.peer == peer and self._valid(transfer):
                self._ask(transfer)

    def tick(self, now_ms: float) -> None:
        """Refill what may be sent, and ask those that are silent."""
        rate = self._node.config.snapshot_bytes_per_s
        passed_ms = min(now_ms - self._filled_ms, 100.0)
        self._filled_ms = now_ms
        if not self._transfers:
            return
        self._budget = min(self._budget + rate * passed_ms / 1000, rate / 10)
        for transfer in list(self._transfers.values()):
            if not self._valid(transfer):
                self._end(transfer.replica.group.group_id, transfer.peer)
            elif now_ms - transfer.heard_ms > PATIENCE_MS:
                transfer.heard_ms = now_ms
                self._ask(transfer)
            else:
                self._pump(transfer)

    def close(self) -> None:
        """Let go of all files."""
        for group, peer in list(self._transfers):
            self._end(group, peer)

    def _of(self, group: int) -> Iterator[Transfer]:
        return (each for (of, _peer), each in self._transfers.items() if of == group)

    def _valid(self, transfer: Transfer) -> bool:
        replica = transfer.replica
        if self._node.replicas.get(replica.group.group_id) is not replica:
            return False  # its group is gone
        raft = replica.raft
        progress = raft.progress.get(transfer.peer)
        waits = progress is not None and progress.state is ProgressState.SNAPSHOT
        return waits and raft.term == transfer.term

    def _ask(self, transfer: Transfer) -> None:
        transfer.asked = True
        self._send(transfer, 0, b"")

    def _pump(self, transfer: Transfer) -> None:
        size = transfer.snapshot.size
        while (
            not transfer.asked
            and transfer.sent < size
            and transfer.sent - transfer.acked < WINDOW_BYTES
            and self._budget > 0
        ):
            try:
                data = transfer.reading.read(transfer.sent, CHUNK_BYTES)
            except OSError as error:
                log.error("%s can't be read: %s", transfer.snapshot.path, error)
                data = b""
            if not data:
                self._doubt(transfer)
                return
            self._send(transfer, transfer.sent, data)
            transfer.sent += len(data)
            self._budget -= len(data)

    def _send(self, transfer: Transfer, offset: int, data: bytes) -> None:
        header, raft = transfer.snapshot.header, transfer.replica.raft
        message = InstallSnapshot(raft.term, header.index, header.term, transfer.snapshot.size, offset, data)
        self._node.send(transfer.peer, header.group, message)

    def _doubt(self, transfer: Transfer) -> None:
        """Something is wrong with the file or the follower: look, and let the log decide what is next."""
        self._end(transfer.replica.group.group_id, transfer.peer)
        self._store.check(transfer.snapshot, lambda error: self._checked(transfer, error))

    def _checked(self, transfer: Transfer, error: DamagedError | None) -> None:
        group, snapshot = transfer.replica.group.group_id, transfer.snapshot
        if error is not None and self._store.newest.get(group) == snapshot:
            log.error("group %d: %s Another one is made.", group, error)
            self._store.forget(snapshot, str(error))
        if (group, transfer.peer) not in self._transfers and self._valid(transfer):
            transfer.replica.raft.snapshot_finished(transfer.peer, 0)
            self._node.stepped(transfer.replica)

    def _end(self, group: int, peer: int) -> None:
        self._transfers.pop((group, peer)).reading.close()
