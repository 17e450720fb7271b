"""A group of replicas on engines of several kinds, without Raft: one log, and who has applied how much."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

from redraft.commands.keyspace import Keyspace
from redraft.engine import kinds
from redraft.engine.hash import HashEngine
from redraft.engine.interface import Engine
from redraft.engine.record import collection_id, with_id
from redraft.engine.stored import StoredEngine
from redraft.raft.types import Entry, EntryKind
from redraft.replica.apply import Applier
from redraft.replica.digest import Digesting
from redraft.replica.part import encode_part, encode_payload, mark
from redraft.replica.snapshotting import Loading, Making, checkpoint_of, resume
from redraft.snapshot.format import Decoder
from tests.commands.executors import check_counts, encode
from tests.raft.memory_log import MemoryLog

Requests = Sequence[Sequence[bytes]]
Contents = dict[tuple[int, bytes], tuple[bytes, list[tuple[bytes, bytes]]]]


class Replica:
    """One replica, with its own engine."""

    def __init__(self, kind: str, applier: Applier, path: Path) -> None:
        self.kind = kind
        self.applier = applier
        self.path = path

    @property
    def keyspace(self) -> Keyspace:
        """Its keys."""
        return self.applier.keyspace

    def checkpoint(self) -> None:
        """Bring an engine on disk up to date."""
        engine = self.keyspace.engine
        if isinstance(engine, StoredEngine):
            engine.freeze(checkpoint_of(self.applier, 1, 1, b""))
            engine.write_frozen()
            engine.thaw()


class ReplicatedGroup:
    """Replicas of one group; the first one leads."""

    def __init__(self, slots: Sequence[int], kinds_of: Sequence[str], path: Path, rng: random.Random) -> None:
        self._slots = list(slots)
        self._log = MemoryLog([])
        self._path = path
        self._numbers = count()
        self._rng = rng
        self._replies: dict[int, list[bytes]] = {}
        """By entry: what all replicas have to answer."""
        self.clock_ms = 0
        self._is_busy = False
        """Whether a replica is being made."""
        self._kinds = kinds_of
        self.replicas = [self._new(kind) for kind in kinds_of]

    @property
    def keyspace(self) -> Keyspace:
        """The leader's keys."""
        return self.replicas[0].keyspace

    def entry(self, *connections: Requests, seed: int = 0) -> list[bytes]:
        """Carry out requests in one entry; the leader's replies, which are those of all others."""
        number = self._log.last_index + 1
        part = encode_part(
            1,
            1,
            number,
            number,
            True,
            [mark(len(requests), 2) for requests in connections],
            [encode(request) for requests in connections for request in requests],
        )
        self._append(EntryKind.PARTS, encode_payload(self.clock_ms, seed, False, [part]))
        return self._replies[number]

    def expire(self) -> None:
        """Remove what is due by now."""
        self._append(EntryKind.EXPIRE, encode_payload(self.clock_ms, 0, False, []))

    def read(self, requests: Requests) -> list[bytes]:
        """Reads at the leader."""
        data = b"".join(map(encode, requests))
        return self.replicas[0].applier.read(data, [(len(requests), 2)], self.clock_ms)

    def elect(self) -> None:
        """Another replica leads, unless one is being made."""
        if self._is_busy:
            return
        self.keyspace.tracker = None
        self.replicas.append(self.replicas.pop(0))
        self._catch_up(self.replicas[0])

    def disturb(self, meanwhile: Callable[[], None]) -> None:
        """Something happens at a replica: it gets on, writes a checkpoint, restarts, gets a snapshot.

        `meanwhile` is called while the snapshot is made.
        """
        if self._is_busy:
            return
        at = self._rng.randrange(len(self.replicas))
        replica = self.replicas[at]
        what = self._rng.random()
        if what < 0.4:
            self._catch_up(replica)
        elif what < 0.6:
            replica.checkpoint()
            engine = replica.keyspace.engine
            if isinstance(engine, StoredEngine) and self._rng.random() < 0.5:
                engine.clean()
        elif what < 0.75:
            self._restart(at)
        elif at:
            self._replace(at, meanwhile)

    def digests(self) -> list[str]:
        """Of all replicas, as of now."""
        return [self._digest(replica) for replica in self.replicas]

    def close(self) -> None:
        """Let go of files."""
        for replica in self.replicas:
            replica.keyspace.engine.close()

    def _append(self, kind: EntryKind, payload: bytes) -> None:
        self._log.entries.append(Entry(1, self._log.last_index + 1, kind, payload))
        for at, replica in enumerate(self.replicas):
            if not at or self._rng.random() < 0.6:
                self._catch_up(replica)

    def _catch_up(self, replica: Replica) -> None:
        while replica.applier.applied_index < self._log.last_index:
            for answer in replica.applier.apply_slice(self._log.last_index, 1):
                assert self._replies.setdefault(answer.sequence, answer.replies) == answer.replies
            replica.keyspace.tend()

    def _engine(self, kind: str) -> tuple[Engine, Path]:
        path = self._path / str(next(self._numbers))
        return (HashEngine() if kind == "hash" else StoredEngine(kinds.opener(kind)(path))), path

    def _new(self, kind: str) -> Replica:
        engine, path = self._engine(kind)
        return Replica(kind, Applier(Keyspace(engine, self._slots, (0, 0, 0)), self._log), path)

    def _restart(self, at: int) -> None:
        """With an engine on disk from its checkpoint, else from the beginning."""
        replica = self.replicas[at]
        if replica.keyspace.tracker is not None:
            return
        engine = replica.keyspace.engine
        if isinstance(engine, StoredEngine):
            if engine.checkpoint is None:
                return
            engine.close()
            opened = StoredEngine(kinds.opener(replica.kind)(replica.path))
            replica.applier, _ = resume(opened, self._slots, self._log)
        else:
            self.replicas[at] = replica = self._new(replica.kind)
        self._catch_up(replica)

    def _replace(self, at: int, meanwhile: Callable[[], None]) -> None:
        """Load the leader's state, by a snapshot, while it goes on or not."""
        source = self.replicas[0]
        source.checkpoint()
        before = self.replicas.pop(at)
        before.keyspace.engine.close()
        copy = self._new(self._rng.choice(self._kinds))
        self._is_busy = True
        making, decoder, loading = Making(source.applier, 1, 1, b""), Decoder(), Loading(copy.applier)
        while not making.finished:
            for item in decoder.feed(b"".join(making.step(self._rng.choice((1, 100)), 1 << 20))):
                loading.take(item)
            if self._rng.random() < 0.3:
                meanwhile()
        self._is_busy = False
        making.close()
        copy.keyspace.engine.settle()
        self.replicas.insert(at, copy)

    def _digest(self, replica: Replica) -> str:
        self._catch_up(replica)
        replica.checkpoint()
        digesting = Digesting(replica.applier)
        while not digesting.finished:
            digesting.step(1000)
        return digesting.hexdigest


def contents(keyspace: Keyspace) -> Contents:
    """Return the records of owned slots, whatever the ids of their collections, and the members they name."""
    engine = keyspace.engine
    found: Contents = {}
    for slot, _ in keyspace.occupied():
        for key, record in engine.items(slot):
            number = collection_id(record)
            members = engine.members(slot, number).range() if number else []
            found[slot, key] = with_id(record, 0) if number else record, members
    return found


def check_whole(replica: Replica) -> None:
    """The counts are right, and nobody has members that no record names, or keys that are not the group's."""
    keyspace = replica.keyspace
    assert keyspace.ownership is None or not keyspace.ownership.incoming
    check_counts(keyspace)
    replica.checkpoint()
    captured = keyspace.engine.capture()
    runs = [run for some in iter(lambda: captured.take(1000), []) for run in some]
    keyspace.engine.release()
    named = set()
    keys = 0
    for run in runs:
        if not run.id and run.keys:
            assert run.slot in keyspace.slots
            keys += len(run.keys)
            named |= {(run.slot, collection_id(record)) for record in run.records}
    assert keys == keyspace.key_count
    assert {(run.slot, run.id) for run in runs if run.id and run.keys} <= named
    removed = keyspace.expiring_count
    assert keyspace.expire_due(1 << 62, 1 << 30) == removed
    assert keyspace.next_deadline_ms() is None
    check_counts(keyspace)
