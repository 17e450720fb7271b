"""What the states of a group do while power may be cut: run in a recorded process, known again by the test.

    python -m tests.node.statesload KIND DIRECTORY SEED INDEX

From the state of entry INDEX on: entries, checkpoints, what was dropped deleted, another state loaded beside
and taken.  Marks: "begun N" and "written N" around a checkpoint of entry N; "replaced N": a state of entry N,
which is elsewhere too, takes the place of the one before, and counts from its first checkpoint on.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from redraft.engine import kinds, rocks, stored
from redraft.engine.interface import Engine
from redraft.engine.stored import StoredEngine
from redraft.node.states import DiskStates
from redraft.raft.configuration import Configuration
from redraft.replica.apply import Applier
from redraft.replica.snapshotting import checkpoint_of
from redraft.snapshot.worker import Worker
from redraft.topology.cluster_map import Group
from tests.engine.recorded import mark

GROUP = Group(1, ((0, 16383),), (1,))
SLOTS = (3, 700, 16383)
LEAP = 10
"""Entries between a state and the one that replaces it."""
STEPS = 60


class NoLog:
    """A log without entries."""

    first_index, last_index = 1, 0


class Model:
    """What is stored, as of one entry; all of it follows from the seed and the entries before."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.keys: dict[tuple[int, bytes], bytes] = {}
        self.members: dict[int, tuple[int, dict[bytes, bytes]]] = {}
        """By collection: its slot, names and values."""
        self.made = 0

    def copy(self) -> Model:
        """Return one that goes its own way."""
        other = Model(self._seed)
        other.keys, other.made = dict(self.keys), self.made
        other.members = {number: (slot, dict(found)) for number, (slot, found) in self.members.items()}
        return other

    def step(self, index: int, engine: Engine | None = None) -> None:
        """Apply an entry, to an engine too if one is given."""
        rng = random.Random(f"{self._seed} {index}")
        for _ in range(rng.choice((1, 5, 40))):
            slot = rng.choice(SLOTS)
            what = rng.random()
            if what < 0.5:
                self._put(engine, slot, b"k%d" % rng.randrange(200), rng.randbytes(rng.randrange(300)))
            elif what < 0.65:
                self._delete(engine, slot, b"k%d" % rng.randrange(200))
            elif what < 0.7 or not self.members:
                self.made += 1
                self.members[self.made] = slot, {}
                self._put(engine, slot, b"c%d" % self.made, b"collection")
            elif what < 0.99:
                self._collect(engine, rng)
            else:
                self._empty(engine, slot)

    def _put(self, engine: Engine | None, slot: int, key: bytes, record: bytes) -> None:
        self.keys[slot, key] = record
        if engine is not None:
            engine.put(slot, key, record)

    def _delete(self, engine: Engine | None, slot: int, key: bytes) -> None:
        self.keys.pop((slot, key), None)
        if engine is not None:
            engine.delete(slot, key)

    def _collect(self, engine: Engine | None, rng: random.Random) -> None:
        """Change a collection, or drop it."""
        number = rng.choice(sorted(self.members))
        slot, found = self.members[number]
        if rng.random() < 0.1:
            del self.members[number]
            self._delete(engine, slot, b"c%d" % number)
            if engine is not None:
                engine.drop_members(slot, number)
            return
        for _ in range(20):
            name, value = b"m%d" % rng.randrange(100), rng.randbytes(rng.randrange(50))
            found[name] = value
            if engine is not None:
                engine.members(slot, number).put(name, value)

    def _empty(self, engine: Engine | None, slot: int) -> None:
        self.keys = {key: record for key, record in self.keys.items() if key[0] != slot}
        self.members = {number: found for number, found in self.members.items() if found[0] != slot}
        if engine is not None:
            engine.delete_slots([slot])

    def load(self, engine: Engine) -> None:
        """Fill an engine, as from a snapshot."""
        for slot in SLOTS:
            found = sorted((key, record) for (of, key), record in self.keys.items() if of == slot)
            engine.load(slot, [key for key, _ in found], [record for _, record in found])
        for number, (slot, members) in sorted(self.members.items()):
            engine.load_members(slot, number, list(members), list(members.values()))


def opened(kind: str, directory: Path) -> tuple[DiskStates, Worker, Applier, int | None]:
    """Open a group's states; return also of which entry its state is."""
    worker = Worker(threaded=False)
    states = DiskStates(directory / "engine" / kind, kinds.opener(kind), worker, memory_bytes=1 << 20)
    applier, header = states.open(GROUP, NoLog())  # type: ignore[arg-type]
    return states, worker, applier, header.index if header is not None else None


def worked(worker: Worker) -> None:
    """Let the worker do all it has to."""
    while worker.step():
        worker.take_done()


def engine_of(applier: Applier) -> StoredEngine:
    """Return what keeps an applier's keys."""
    engine = applier.keyspace.engine
    assert isinstance(engine, StoredEngine)
    return engine


def freeze(applier: Applier, index: int) -> None:
    """Begin a checkpoint."""
    applier.applied_index = index
    engine_of(applier).commit(index)
    engine_of(applier).freeze(checkpoint_of(applier, 1, 1, Configuration((1,)).encode()))


class Load:
    """The states of a group, at work."""

    def __init__(self, kind: str, directory: Path, seed: int, index: int) -> None:
        self._rng = random.Random(seed)
        self._model = Model(seed)
        for each in range(1, index + 1):
            self._model.step(each)
        self._states, self._worker, self._applier, found = opened(kind, directory)
        assert (found or 0) == index
        self._index = index

    def run(self, steps: int) -> None:
        """Do so many things."""
        for _ in range(steps):
            self._index += 1
            self._model.step(self._index, engine_of(self._applier))
            what = self._rng.random()
            if what < 0.3:
                self._checkpoint()
            elif what < 0.4:
                self._replace()
            elif what < 0.5:
                engine_of(self._applier).clean()
            elif what < 0.6:
                self._states.fresh(GROUP, NoLog())  # type: ignore[arg-type] # nothing comes of it
        self._checkpoint()
        self._states.close()

    def _checkpoint(self) -> None:
        engine, index = engine_of(self._applier), self._index
        freeze(self._applier, index)
        self._index += 1
        self._model.step(self._index, engine)  # the next overlay collects meanwhile

        def write() -> None:
            mark(f"begun {index}")
            engine.write_frozen()

        def written(error: OSError | None) -> None:
            assert error is None
            mark(f"written {index}")
            engine.thaw()

        self._worker.submit(write, written)
        worked(self._worker)

    def _replace(self) -> None:
        coming = self._states.fresh(GROUP, NoLog())  # type: ignore[arg-type]
        for _ in range(LEAP):
            self._index += 1
            self._model.step(self._index)
        self._model.load(engine_of(coming))
        self._worker.submit(engine_of(coming).settle, lambda error: None)
        worked(self._worker)
        mark(f"replaced {self._index}")
        self._states.adopt(1)
        coming.keyspace.collections_made = self._model.made
        self._applier = coming


if __name__ == "__main__":
    rocks.FILL_BYTES = 50_000  # type: ignore[misc]
    stored.JUNK_AT_ONCE = 50  # type: ignore[misc]
    Load(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])).run(STEPS)
