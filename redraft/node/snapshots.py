"""When a replica's state is written down, and what becomes of the log behind it.

One snapshot is made at a time on a node, a slice a tick: of the group whose log has grown by
`snapshot_log_bytes` (or by the size of its last snapshot, if that is more, so that at most every byte is
written twice), each replica of a group some time after the one before, so that they are seldom busy at
once; of the largest when all logs together exceed `log_bytes_max`; or of one whose last snapshot is older
than `snapshot_interval`.  Behind a durable one the log is compacted, but for a tail that a follower may need
which was away for a moment, and for what a transfer under way needs.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from redraft.engine.interface import is_durable
from redraft.node.checkpoints import Checkpoints
from redraft.node.digests import Digests
from redraft.node.receiving import Receiving
from redraft.node.sending import Sending
from redraft.raft.messages import InstallSnapshot, InstallSnapshotReply
from redraft.replica.replica import Replica
from redraft.replica.snapshotting import Making
from redraft.snapshot.store import Store, Writing

if TYPE_CHECKING:
    from redraft.node.node import Node

SLICE_KEYS: Final = 3000
"""Keys written down in one tick: some milliseconds."""
SLICE_BYTES: Final = 2 << 20
"""Bytes, when the keys have many: a millisecond or two of copying and checksums (a record is never split)."""
STAGGERED: Final = 0.75
"""Over how much of the limit a group's replicas are spread: of three, the second is due at 1.25 times its
limit, the third at 1.5 times, when the first has long written."""
LOOK_MS: Final = 500.0
"""How often it is looked for a replica that is due."""
WAITING_BYTES_MAX: Final = 8 << 20
"""Bytes that wait to be written beyond which no more are made."""
RETRY_MS: Final = 5000.0
"""How long after a failure (a full disk) the next snapshot is tried."""

log = logging.getLogger("redraft.node")


class Snapshots:
    """The part of a node that makes, sends and takes snapshots."""

    __slots__ = (
        "_budget",
        "_failed",
        "_filled_ms",
        "_look_ms",
        "_made_ms",
        "_making",
        "_node",
        "_receiving",
        "_replica",
        "_sending",
        "_store",
        "_uncut",
        "_wanting",
        "_writing",
        "checkpoints",
        "digests",
    )

    def __init__(self, node: Node, store: Store) -> None:
        self._node = node
        self._store = store
        self._sending = Sending(node, store)
        self._receiving = Receiving(node, store)
        self.checkpoints = Checkpoints(node, store.worker, self._checkpointed)
        self.digests = Digests(self)
        self._making: Making | None = None
        self._writing: Writing | None = None
        self._replica: Replica | None = None
        self._made_ms: dict[int, float] = {}
        self._look_ms = 0.0
        self._budget = self._filled_ms = 0.0
        self._failed = ""
        self._wanting: set[tuple[int, int]] = set()
        self._uncut: set[int] = set()  # groups with more log than their snapshot needs, for a follower

    # ---- followers ----

    def send(self, replica: Replica, peer: int) -> None:
        """A follower needs a snapshot; when there is none yet, one is made first."""
        if not self._sending.begin(replica, peer):
            self._wanting.add((replica.group.group_id, peer))

    def on_chunk(self, peer: int, replica: Replica, message: InstallSnapshot) -> None:
        """A leader sends this node a snapshot, and the group's core wants it."""
        self._receiving.on_chunk(peer, replica, message)

    def on_reply(self, peer: int, group: int, message: InstallSnapshotReply) -> None:
        """A follower says how far it has come."""
        self._sending.on_reply(peer, group, message)

    def on_link_up(self, peer: int) -> None:
        """A link is new."""
        self._sending.on_link_up(peer)

    # ---- time ----

    def tick(self, now_ms: float) -> None:
        """Every TICK_MS: one slice of what is to be done."""
        self._sending.tick(now_ms)
        self._receiving.tick()
        for group, peer in list(self._wanting):
            replica = self._node.replicas.get(group)
            if replica is None or peer not in replica.raft.progress or self._sending.begin(replica, peer):
                self._wanting.discard((group, peer))
        rate = self._node.config.snapshot_bytes_per_s
        self._budget = min(self._budget + rate * (now_ms - self._filled_ms) / 1000, rate / 20)
        self._filled_ms = now_ms
        self.checkpoints.tick(now_ms)
        self.digests.tick()
        if self._making is not None:
            self._write_on(self._making)
        elif self._writing is None and self.checkpoints.idle and now_ms >= self._look_ms:
            self._look_ms = now_ms + LOOK_MS
            self._cut_late()
            due = self._due()
            if due is not None:
                self.make(due)

    @property
    def idle(self) -> bool:
        """Whether nothing is going on that needs ticks."""
        own = self._writing is None and self.checkpoints.rests and self.digests.idle
        return own and self._sending.idle and self._receiving.idle

    def make(self, replica: Replica) -> None:
        """Begin a snapshot of a replica as of its last applied entry.

        An engine on disk writes a checkpoint; it needs a snapshot only for others.
        """
        if replica.applier.keyspace.engine.on_disk:
            self.checkpoints.begin(replica)
        else:
            self._begin(replica)

    def _checkpointed(self, replica: Replica) -> None:
        group = replica.group.group_id
        self._made_ms[group] = self._node.now_ms()
        self.compact(replica)
        wanted = any(of == group for of, _peer in self._wanting)
        if wanted and self._writing is None and not self.digests.makes(group):
            self._begin(replica)

    def _begin(self, replica: Replica) -> None:
        assert self._writing is None
        group, raft, applier = replica.group.group_id, replica.raft, replica.applier
        index = applier.applied_index
        configuration = raft.configuration_at(index).encode()
        self._replica = replica
        self._making = Making(applier, group, raft.log.term(index), configuration)
        self._writing = self._store.create(group, self._making.header.index)

    def cancel(self, replica: Replica) -> None:
        """The replica's state is about to be replaced, or dropped."""
        self._receiving.drop(replica.group.group_id)
        self.digests.cancel(replica.group.group_id)
        if self._making is not None and self._replica is replica:
            self._making.close()
            self._making = None
            assert self._writing is not None
            self._writing.abandon()
            self._writing = self._replica = None

    def close(self) -> None:
        """Let go of files."""
        self._sending.close()
        if self._replica is not None:
            self.cancel(self._replica)

    # ---- what can be seen ----

    def status(self, group: int) -> dict[str, object]:
        """Return a replica's newest snapshot, and what is under way."""
        newest = self._store.newest.get(group)
        coming = self._receiving.progress(group)
        digest_index, digest = self.digests.of(group)
        return {
            "digest_index": digest_index,
            "digest": digest,
            "snapshot_index": newest.index if newest is not None else 0,
            "snapshot_bytes": newest.size if newest is not None else 0,
            "snapshot_making": self._replica is not None and self._replica.group.group_id == group,
            "snapshot_receiving": list(coming) if coming is not None else None,
            "snapshot_sending": {
                str(peer): list(progress) for peer, progress in self._sending.progress(group).items()
            },
        }

    # ---- making ----

    def _due(self) -> Replica | None:
        """The replica whose state should be written down now, if there is one.

        First one that a follower waits for, then the one that has grown most beyond its limit.
        """
        config, now_ms = self._node.config, self._node.now_ms()
        wanted = {group for group, _peer in self._wanting}
        candidates = [replica for replica in self._node.replicas.values() if self._news(replica)]
        due = old = None
        most = 1.0
        for replica in candidates:
            group = replica.group.group_id
            if group in wanted:
                return replica
            known = self._store.newest.get(group)
            size = known.size if known is not None and not replica.applier.keyspace.engine.on_disk else 0
            limit = int(max(config.snapshot_log_bytes, size) * (1 + STAGGERED * _turn(replica)))
            grown = (replica.raft.log.bytes - self._tail_bytes) / limit
            if grown >= most and self._wrote(replica, limit):
                most, due = grown, replica
            if now_ms - self._made_ms.setdefault(group, now_ms) >= config.snapshot_interval * 1000:
                old = replica
        return due or self._largest(candidates) or old

    def _largest(self, candidates: list[Replica]) -> Replica | None:
        """When all logs together are too large, the largest of which a snapshot would free something."""
        replicas, bytes_max = self._node.replicas.values(), self._node.config.log_bytes_max
        if sum(replica.raft.log.bytes for replica in replicas) <= bytes_max:
            return None
        least = max(self._tail_bytes, bytes_max // (4 * len(replicas)))
        worth = [replica for replica in candidates if self._wrote(replica, least)]
        return max(worth, key=lambda replica: replica.raft.log.bytes, default=None)

    def _wrote(self, replica: Replica, least: int) -> bool:
        """Whether so many bytes were written since the newest snapshot; older ones may be kept for others."""
        raft_log, index = replica.raft.log, self._known(replica)
        return raft_log.bytes >= least and raft_log.tail_index(least) >= index

    @property
    def _tail_bytes(self) -> int:
        """What is kept of each log: all tails together are at most half of `log_bytes_max`."""
        config = self._node.config
        return min(config.log_tail_bytes, config.log_bytes_max // (2 * max(1, len(self._node.replicas))))

    def _news(self, replica: Replica) -> bool:
        """Whether a replica has applied something that its newest snapshot has not."""
        group, raft = replica.group.group_id, replica.raft
        wanted = any(of == group for of, _peer in self._wanting)
        known = self._snapshot_index(group) if wanted else self._known(replica)
        news = replica.applier.applied_index > known and not raft.is_blank
        return news and not self.digests.makes(group)

    def captures(self, replica: Replica) -> bool:
        """Whether a replica's state can't be captured now."""
        if replica.applier.keyspace.engine.on_disk and not self.checkpoints.idle:
            return True
        return self._making is not None and self._replica is replica

    def _known(self, replica: Replica) -> int:
        """The last entry that a replica would not need its log for after a restart."""
        engine = replica.applier.keyspace.engine
        if is_durable(engine):
            return engine.durable_index
        return self._snapshot_index(replica.group.group_id)

    def _snapshot_index(self, group: int) -> int:
        newest = self._store.newest.get(group)
        return newest.index if newest is not None else 0

    def _write_on(self, making: Making) -> None:
        writing = self._writing
        assert writing is not None
        if self._budget <= 0 or writing.waiting > WAITING_BYTES_MAX:
            return
        for block in making.step(SLICE_KEYS, SLICE_BYTES):
            writing.write(block)
            self._budget -= len(block)
        if making.finished:
            self._making = None
            replica = self._replica
            assert replica is not None
            writing.finish(lambda error: self._finished(replica, making, writing, error))

    def _finished(self, replica: Replica, making: Making, writing: Writing, error: OSError | None) -> None:
        self._writing = self._replica = None
        group = making.header.group
        now_ms = self._node.now_ms()
        if error is not None:
            self._tell_failure(group, error.strerror or str(error))
            self._look_ms = now_ms + RETRY_MS
            return
        self._made_ms[group] = now_ms
        self._failed = ""
        if self._node.replicas.get(group) is not replica:
            self._store.discard(group, writing.path)  # its replica was dropped meanwhile
        elif self._store.add(making.header, writing.path, writing.size):
            self.compact(replica)

    def _tell_failure(self, group: int, why: str) -> None:
        """Log a failure, once until another one or a success."""
        if why != self._failed:
            log.error("group %d: a snapshot could not be written, and is tried again: %s", group, why)
        self._failed = why

    def compact(self, replica: Replica) -> None:
        """Let go of the log that the newest snapshot covers, but for the tail and what is being sent."""
        group, raft_log = replica.group.group_id, replica.raft.log
        index = self._covered(replica)
        pinned = self._sending.pinned(group)
        if pinned is not None and pinned < index:
            index = pinned
            self._uncut.add(group)
        if index >= raft_log.first_index:
            raft_log.compact(index)
        newest = self._store.newest.get(group)
        if (
            newest is not None
            and newest.index + 1 < raft_log.first_index
            and replica.applier.keyspace.engine.on_disk
            and pinned is None
        ):
            self._store.drop(group)  # no follower could go on behind it, and the engine does not need it

    def _covered(self, replica: Replica) -> int:
        """The index up to which a replica's own needs let its log be cut."""
        return min(self._known(replica), replica.raft.log.tail_index(self._tail_bytes))

    def _cut_late(self) -> None:
        """Let go of what was kept for a follower, once that has its snapshot and what came after it."""
        for group in list(self._uncut):
            replica = self._node.replicas.get(group)
            if replica is None:
                self._uncut.discard(group)
            elif self._sending.pinned(group) is None and not self._is_read(replica):
                self._uncut.discard(group)
                self.compact(replica)

    def _is_read(self, replica: Replica) -> bool:
        """Whether a follower that can be reached still needs some of what would be cut."""
        index = self._covered(replica)
        return any(each.reachable and each.match_index < index for each in replica.raft.progress.values())


def _turn(replica: Replica) -> float:
    """Where a replica stands among those of its group: from 0 for the first, less than 1 for the last."""
    nodes = replica.raft.configuration.nodes
    return nodes.index(replica.raft.node_id) / len(nodes) if replica.raft.node_id in nodes else 0.0
