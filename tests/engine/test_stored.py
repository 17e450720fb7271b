"""Engines on disk against a plain model: through checkpoints, cleaning, and being opened again."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from redraft.commands.keyspace import Keyspace
from redraft.engine import kinds, stored
from redraft.engine.hash import HashEngine
from redraft.engine.overlay import SLOT_BYTES
from redraft.engine.record import Head, collection_body, expiring, string_body
from redraft.engine.stored import CHECKPOINT, JUNK, STATE, StoredEngine
from redraft.engine.stores import Store

STORES: dict[str, Callable[[Path], Store]] = {kind: kinds.opener(kind) for kind in kinds.STORES}
SLOTS = (1, 2, 3)
OpenStore = Callable[[], Store]


@pytest.fixture(params=STORES)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    """Opens one store of each kind, again and again."""
    return lambda: STORES[request.param](tmp_path / "store")


def settled(engine: StoredEngine, checkpoint: bytes = b"a checkpoint") -> None:
    """Make a checkpoint of now."""
    engine.freeze(checkpoint)
    engine.write_frozen()
    engine.thaw()


def rows(engine: StoredEngine) -> list[bytes]:
    """All that stands in an engine's store, but for what it knows of itself."""
    view = engine._store.view()
    found = [key for key, _ in view.range(b"", b"\xff\xff") if key not in {CHECKPOINT, STATE}]
    view.close()
    return found


class Model:
    """What an engine should hold, and a copy of it as of the newest checkpoint on disk."""

    def __init__(self) -> None:
        self.keys: dict[tuple[int, bytes], bytes] = {}
        self.members: dict[tuple[int, int], dict[bytes, bytes]] = {}
        self.made = 0

    def copy(self) -> Model:
        """The same, to be kept."""
        other = Model()
        other.keys = dict(self.keys)
        other.members = {of: dict(members) for of, members in self.members.items()}
        other.made = self.made
        return other

    def write(self, engine: StoredEngine, rng: random.Random) -> None:
        """One random write, to both."""
        slot, name, value = rng.choice(SLOTS), rng.choice(NAMES), rng.randbytes(rng.randrange(20))
        what = rng.random()
        if what < 0.4:
            assert engine.put(slot, name, value) == self.keys.get((slot, name))
            self.keys[slot, name] = value
        elif what < 0.55:
            assert engine.delete(slot, name) == self.keys.pop((slot, name), None)
        elif what < 0.97:
            self._write_member(engine, rng, name, value)
        else:
            self._write_much(engine, rng, slot)

    def _write_member(self, engine: StoredEngine, rng: random.Random, name: bytes, value: bytes) -> None:
        if not self.members or rng.random() < 0.02:
            self.made += 1
            self.members[rng.choice(SLOTS), self.made] = {}
        of = rng.choice(list(self.members))
        members = engine.members(*of)
        if rng.random() < 0.4:
            assert members.delete(name) == self.members[of].pop(name, None)
        else:
            assert members.put(name, value) == self.members[of].get(name)
            self.members[of][name] = value

    def _write_much(self, engine: StoredEngine, rng: random.Random, slot: int) -> None:
        what = rng.random()
        if what < 0.4 and self.members:
            of = rng.choice(list(self.members))
            engine.drop_members(*of)
            del self.members[of]
        elif what < 0.8 and self.members:
            of = rng.choice(list(self.members))
            to_slot = rng.choice([each for each in SLOTS if each != of[0]])
            self.made += 1
            engine.move_members(*of, to_slot, self.made)
            self.members[to_slot, self.made] = self.members.pop(of)
        elif what < 0.9:
            for of in [of for of in self.members if of[0] == slot]:
                if not any(at == slot for at, _ in self.keys):
                    engine.drop_members(*of)
                del self.members[of]
            engine.delete_slots([slot])
            self.keys = {place: record for place, record in self.keys.items() if place[0] != slot}
        elif what < 0.93:  # as FLUSHALL does it
            for of in list(self.members):
                engine.drop_members(*of)
            for each in SLOTS:
                engine.delete_slots([each])
            self.keys, self.members = {}, {}

    def check(self, engine: StoredEngine, rng: random.Random) -> None:
        """The engine holds this, and nothing else."""
        for slot in SLOTS:
            assert dict(engine.items(slot)) == {
                name: record for (at, name), record in self.keys.items() if at == slot
            }
            assert engine.slot_size(slot) == sum(at == slot for at, _ in self.keys)
        for of, expected in self.members.items():
            members = engine.members(*of)
            low, high = rng.choice(NAMES), rng.choice([None, *NAMES])
            between = sorted(
                (name, value)
                for name, value in expected.items()
                if low <= name and (high is None or name < high)
            )
            assert members.range(low, high) == between
            assert members.range(low, high, reverse=True, limit=3) == between[::-1][:3]
            assert members.range() == sorted(expected.items())
            assert members.count() == len(expected)


NAMES = [b"%02d" % number * (number % 5) for number in range(60)]


def captured(engine: StoredEngine, rng: random.Random) -> tuple[dict[tuple[int, bytes], bytes], Model]:
    """Read a capture of now to its end."""
    found = Model()
    capture = engine.capture()
    while runs := capture.take(rng.choice((1, 7, 1000))):
        for run in runs:
            where = found.members.setdefault((run.slot, run.id), {}) if run.id else None
            for name, record in zip(run.keys, run.records, strict=True):
                if where is None:
                    found.keys[run.slot, name] = record
                else:
                    where[name] = record
    engine.release()
    return found.keys, found


@pytest.mark.parametrize("seed", range(25))
def test_stored_engine_is_as_of_its_newest_checkpoint_when_it_is_opened_again(
    opened: OpenStore, seed: int
) -> None:
    """Whatever was written, frozen, dropped, cleaned: all of the checkpoint, nothing of what came behind."""
    print("seed", seed)
    rng = random.Random(seed)
    engine, model = StoredEngine(opened()), Model()
    durable, frozen = model.copy(), model.copy()
    written = False
    for step in range(4000):
        model.write(engine, rng)
        what = rng.random()
        if what < 0.02:
            model.check(engine, rng)
        elif what < 0.04 and not engine.is_frozen:
            frozen, written = model.copy(), False
            engine.freeze(b"%d" % step)
        elif what < 0.06 and engine.is_frozen and not written:
            engine.write_frozen()
            durable, written = frozen, True
        elif what < 0.08 and engine.is_frozen and written:
            engine.thaw()
            keys, found = captured(engine, rng)
            assert keys == durable.keys
            assert found.members == {of: members for of, members in durable.members.items() if members}
        elif what < 0.1 and not engine.is_frozen:
            engine.clean()
        elif what < 0.105:
            engine.close()
            engine, model = StoredEngine(opened()), durable.copy()
            model.check(engine, rng)
    if engine.is_frozen:
        engine.write_frozen()
        engine.thaw()
    model.check(engine, rng)
    settled(engine)
    while engine.clean():
        pass
    expected = len(model.keys) + sum(map(len, model.members.values()))
    assert len(rows(engine)) == expected, "what is not there any more takes no room"
    engine.close()
    engine = StoredEngine(opened())
    model.check(engine, rng)
    engine.close()


def test_stored_engine_gives_the_checkpoint_with_the_state_it_is_of(opened: OpenStore) -> None:
    """None in a new one; later the newest that was written."""
    engine = StoredEngine(opened())
    assert engine.checkpoint is None
    engine.put(1, b"k", b"1")
    settled(engine, b"first")
    engine.put(1, b"k", b"2")
    engine.freeze(b"second")
    assert engine.checkpoint == b"first"
    engine.close()
    engine = StoredEngine(opened())
    assert (engine.checkpoint, engine.get(1, b"k")) == (b"first", b"1")
    engine.close()


def test_stored_engine_cleans_many_collections_at_a_time(opened: OpenStore) -> None:
    """What is dropped between two checkpoints goes with a visit or two, however many it was."""
    engine = StoredEngine(opened())
    for number in range(1, 3001):
        engine.members(1, number).put(b"n", b"v")
    engine.put(1, b"k", b"v")
    settled(engine)
    for number in range(1, 3001):
        engine.drop_members(1, number)
    settled(engine)
    assert not engine.clean()
    assert len(rows(engine)) == 1
    engine.close()


def test_stored_engine_cleans_a_large_slot_bit_by_bit(
    opened: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a limit for each visit; also if the engine is opened again in the middle."""
    monkeypatch.setattr("redraft.engine.stored.JUNK_AT_ONCE", 40)
    engine = StoredEngine(opened())
    for number in range(500):
        engine.put(1, b"%d" % number, b"v")
    settled(engine)
    engine.delete_slots([1])
    engine.put(1, b"new", b"v")
    settled(engine)
    visits = 0
    while engine.clean():
        visits += 1
        if visits == 5:
            engine.close()
            engine = StoredEngine(opened())
            assert [name for name, _ in engine.items(1)] == [b"new"]
    assert 10 < visits < 20
    assert len(rows(engine)) == 1
    engine.close()


def test_stored_engine_notes_nothing_of_collections_that_never_reached_the_disk(opened: OpenStore) -> None:
    """A queue that is filled and emptied again costs the store nothing."""
    engine = StoredEngine(opened())
    engine.put(1, b"k", b"v")
    for number in range(1, 100):
        engine.members(1, number).put(b"n", b"v")
        engine.drop_members(1, number)
    settled(engine)
    assert len(rows(engine)) == 1
    engine.members(1, 100).put(b"n", b"v")
    settled(engine)
    engine.close()
    engine = StoredEngine(opened())
    engine.drop_members(1, 100)
    settled(engine)
    assert [key[: len(JUNK)] for key in rows(engine)].count(JUNK) == 1
    engine.clean()
    assert len(rows(engine)) == 1
    engine.close()


def test_stored_engine_emptied_slot_by_slot_looks_at_nothing_and_writes_nothing_of_it(
    opened: OpenStore,
) -> None:
    """FLUSHALL of all slots does not look at what was written lately; it is not written down either."""
    engine = StoredEngine(opened())
    for slot in range(4000):
        engine.put(slot, b"k", b"v")
        engine.members(slot, slot + 1).put(b"n", b"v")
    looked = 0

    class Watched(dict):  # type: ignore[type-arg]
        def __iter__(self):  # type: ignore[no-untyped-def]
            nonlocal looked
            looked += 1
            return super().__iter__()

    engine.active.maps = Watched(engine.active.maps)
    for slot in range(4000):
        engine.delete_slots([slot])
    assert not looked
    settled(engine)
    assert all(key.startswith(JUNK) for key in rows(engine))
    engine.close()


@pytest.mark.parametrize("first", ["get", "get_many", "put", "delete"])
def test_objects_of_one_collection_all_see_what_any_of_them_writes(
    opened: OpenStore, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """One was kept by a caller while the engine made room for others, and nothing was written to it since."""
    monkeypatch.setattr(stored, "COLLECTIONS_KEPT", 2)
    engine = StoredEngine(opened())
    engine.members(1, 7).put(b"n", b"old")
    settled(engine)
    kept = engine.members(1, 7)
    assert kept.get(b"n") == b"old"
    for number in range(8, 12):
        engine.members(1, number)
    other = engine.members(1, 7)
    assert other is not kept
    assert other.get_many([b"n"]) == [b"old"]
    kept.put(b"n", b"new")
    if first == "get":
        assert other.get(b"n") == b"new"
    elif first == "get_many":
        assert other.get_many([b"m", b"n"]) == [None, b"new"]
    elif first == "put":
        assert other.put(b"n", b"newer") == b"new"
        assert kept.get_many([b"n"]) == [b"newer"]
    else:
        assert other.delete(b"n") == b"new"
        assert kept.get_many([b"n"]) == [None]
    engine.close()


def test_stored_engine_range_reads_what_is_asked_for_of_a_large_collection(opened: OpenStore) -> None:
    """A collection in memory is walked, not copied: LPOP of a long list would take as long as the list."""
    engine = StoredEngine(opened())
    members = engine.members(1, 1)
    for number in range(5000):
        members.put(b"%06d" % number, b"v")
    values = engine.active.maps[members._prefix].values
    looked = 0

    class Watched(dict):  # type: ignore[type-arg]
        def __getitem__(self, name: bytes) -> bytes:
            nonlocal looked
            looked += 1
            return super().__getitem__(name)  # type: ignore[no-any-return]

    engine.active.maps[members._prefix].values = Watched(values)
    assert members.range(limit=2) == [(b"000000", b"v"), (b"000001", b"v")]
    assert looked < 20
    engine.close()


def test_stored_capture_reads_no_more_bytes_at_once_than_it_may(
    opened: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large records come a few at a time: thousands of them would be more than there is memory."""
    monkeypatch.setattr("redraft.engine.stored.TAKEN_BYTES_MAX", 1000)
    engine = StoredEngine(opened())
    for number in range(20):
        engine.put(1, b"%d" % number, b"x" * 400)
    settled(engine)
    capture = engine.capture()
    taken = []
    while runs := capture.take(3000):
        taken.append(sum(len(run.keys) for run in runs))
    assert sum(taken) == 20
    assert max(taken) <= 3
    engine.release()
    engine.close()


class Pair:
    """The keyspace of an engine in memory and of one on disk, which are told the same."""

    def __init__(self, opened: OpenStore) -> None:
        self.opened = opened
        self.memory = Keyspace(HashEngine(), SLOTS)
        self.disk = Keyspace(StoredEngine(opened()), SLOTS, (0, 0, 0))

    @property
    def both(self) -> tuple[Keyspace, Keyspace]:
        """One after the other."""
        return self.memory, self.disk

    def reopen(self) -> None:
        """A checkpoint, and the disk's again from that."""
        engine, counts = self.disk.engine, self.disk.counts
        assert isinstance(engine, StoredEngine)
        settled(engine)
        while engine.clean():
            pass
        engine.close()
        now_ms = self.disk.now_ms
        self.disk = Keyspace(StoredEngine(self.opened()), SLOTS, counts)
        self.disk.now_ms, self.disk.writing = now_ms, True


@pytest.mark.parametrize("seed", range(15))
def test_deadlines_on_disk_are_those_in_memory(opened: OpenStore, seed: int) -> None:
    """Set, changed, taken away, undone, expired, cleared: the same comes due in the same order."""
    print("seed", seed)
    rng = random.Random(seed)
    pair = Pair(opened)
    for keyspace in pair.both:
        keyspace.writing = True
    for number in range(2000):
        slot, key = rng.choice(SLOTS), b"%d" % rng.randrange(60)
        now_ms = 1000 + number
        what, deadline_ms, undone = rng.random(), now_ms + rng.randrange(-2, 500), rng.random() < 0.2
        record = string_body(b"%d" % number)
        if rng.random() < 0.3:
            record = collection_body(Head(ord("h"), 0, number + 1, 1, 2))
        results = []
        for keyspace in pair.both:
            keyspace.now_ms = keyspace.index = now_ms
            done: object = None
            if what < 0.55:
                keyspace.put(slot, key, expiring(record, deadline_ms))
            elif what < 0.65:
                keyspace.put(slot, key, record)
            elif what < 0.8:
                done = keyspace.remove(slot, key)
            elif what < 0.81:
                keyspace.clear()
            elif what < 0.87:
                keyspace.settle()
            if undone:
                keyspace.undo()
            else:
                keyspace.keep()
                keyspace.release()
            if what > 0.87:
                done = keyspace.expire_due(now_ms - 5, 3)
            results.append((done, keyspace.next_deadline_ms(), keyspace.counts, keyspace.find(slot, key)))
            keyspace.keep()
            keyspace.release()
        assert results[0] == results[1]
        if rng.random() < 0.02:
            pair.reopen()
            assert pair.disk.next_deadline_ms() == pair.memory.next_deadline_ms()
    pair.reopen()
    engine = pair.disk.engine
    assert isinstance(engine, StoredEngine)
    engine.clean()
    due = [key for key in rows(engine) if key[SLOT_BYTES:][:1] == b"e"]
    assert len(due) == pair.disk.expiring_count, "deadlines that were changed take no room"
    engine.close()
