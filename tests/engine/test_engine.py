"""What every engine has to do: the conformance suite (redraft.engine.interface)."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from redraft.engine import kinds
from redraft.engine.capture import WHOLE_KEYS_MAX
from redraft.engine.hash import ORDER_KEPT_KEYS_MIN, HashEngine
from redraft.engine.interface import POSITION_END, Engine, position
from redraft.engine.stored import StoredEngine


def maker(kind: str) -> Callable[[Path], Engine]:
    """What makes an engine of a kind."""
    if kind == "hash":
        return lambda _path: HashEngine()
    open_store = kinds.opener(kind)
    return lambda path: StoredEngine(open_store(path))


ENGINES = {kind: maker(kind) for kind in ("hash", *kinds.STORES)}


def settled(engine: Engine) -> None:
    """Let an engine on disk be as of now: captures are of its newest checkpoint."""
    if isinstance(engine, StoredEngine):
        engine.freeze(b"a checkpoint")
        engine.write_frozen()
        engine.thaw()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty engine of each kind."""
    made = ENGINES[request.param](tmp_path)
    yield made
    made.close()


def test_engine_put_get_delete_tell_what_was_there(engine: Engine) -> None:
    """Writes return what they replace; slots don't see each other's keys."""
    assert engine.get(5, b"k") is None
    assert engine.delete(5, b"k") is None
    assert engine.put(5, b"k", b"1") is None
    assert engine.put(5, b"k", b"2") == b"1"
    assert engine.get(5, b"k") == b"2"
    assert engine.get(6, b"k") is None
    assert (engine.slot_size(5), engine.slot_size(6)) == (1, 0)
    assert engine.delete(5, b"k") == b"2"
    assert engine.get(5, b"k") is None
    assert engine.slot_size(5) == 0


def test_engine_delete_slot_is_a_range(engine: Engine) -> None:
    """A slot's keys go at once, its neighbours' stay."""
    for slot in (4, 5, 6):
        engine.put(slot, b"k", b"v")
    engine.delete_slots([5])
    assert [engine.slot_size(slot) for slot in (4, 5, 6)] == [1, 0, 1]
    assert list(engine.items(5)) == []


@pytest.mark.parametrize("size", [0, 1, 20, ORDER_KEPT_KEYS_MIN + 50])
@pytest.mark.parametrize("limit", [1, 7, 10_000])
def test_engine_scan_goes_through_a_slot_in_order(engine: Engine, size: int, limit: int) -> None:
    """Scans give all keys by (position, key), at least `limit` of them while there are more."""
    names = [b"key:%d" % number for number in range(size)]
    for name in names:
        engine.put(3, name, b"v")
    found: list[bytes] = []
    start = 0
    while start != POSITION_END:
        keys, start = engine.scan(3, start, limit)
        assert len(keys) >= limit or start == POSITION_END
        found += keys
    assert found == sorted(names, key=lambda name: (position(name), name))


def test_engine_scan_gives_keys_of_one_position_together(engine: Engine) -> None:
    """Keys whose CRC-32 is the same are not torn apart: a cursor could not name the second."""
    first, second = b"plumless", b"buckeroo"
    assert position(first) == position(second)
    engine.put(1, first, b"v")
    engine.put(1, second, b"v")
    assert engine.scan(1, 0, 1) == ([second, first], POSITION_END)


def test_engine_scan_sees_changes_made_between_its_calls(engine: Engine) -> None:
    """Against a plain model: at any time a scan from a position gives the model's keys from there on."""
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    model: set[bytes] = set()
    for number in range(ORDER_KEPT_KEYS_MIN * 2):
        model.add(b"%d" % number)
        engine.put(0, b"%d" % number, b"v")
    start = 0
    for _ in range(500):
        name = b"%d" % chance.randrange(ORDER_KEPT_KEYS_MIN * 3)
        if chance.random() < 0.5:
            engine.put(0, name, b"v")
            model.add(name)
        else:
            engine.delete(0, name)
            model.discard(name)
        keys, following = engine.scan(0, start, 5)
        rest = sorted((position(key), key) for key in model if position(key) >= start)
        assert keys == [key for _, key in rest[: len(keys)]]
        start = 0 if following == POSITION_END else following


@pytest.mark.parametrize("seed", range(10))
def test_engine_members_are_an_ordered_map(engine: Engine, seed: int) -> None:
    """Against a plain model: whatever was written, ranges from either end, counts and single members."""
    print("seed", seed)
    rng = random.Random(seed)
    members = engine.members(7, 1)
    other = engine.members(7, 2)
    other.put(b"n", b"another's")
    model: dict[bytes, bytes] = {}
    names = [rng.randbytes(rng.randrange(4)) for _ in range(rng.choice((5, 2000)))]
    for number in range(3000):
        name = rng.choice(names)
        if rng.random() < 0.3:
            assert members.delete(name) == model.pop(name, None)
        else:
            assert members.put(name, b"%d" % number) == model.get(name)
            model[name] = b"%d" % number
        if number % 50:
            continue
        low, high = rng.choice(names), rng.choice([None, *names[:5]])
        rest = sorted((name, model[name]) for name in model if low <= name and (high is None or name < high))
        offset, limit = rng.randrange(4), rng.choice((None, 0, 1, 10))
        end = None if limit is None else offset + limit
        assert members.range(low, high) == rest
        assert members.range(low, high, offset=offset, limit=limit) == rest[offset:end]
        assert members.range(low, high, offset=offset, limit=limit, reverse=True) == rest[::-1][offset:end]
        assert members.count(low, high) == len(rest)
        assert members.get_many([low, b"none"]) == [model.get(low), model.get(b"none")]
    assert members.range() == sorted(model.items())
    assert members.count() == len(model)
    engine.drop_members(7, 1)
    assert engine.members(7, 1).range() == []
    assert engine.members(7, 2).get(b"n") == b"another's"


@pytest.mark.parametrize("seed", range(20))
def test_engine_capture_is_of_its_moment_whatever_is_written_meanwhile(engine: Engine, seed: int) -> None:
    """Every key and record as they were, each once: small slots and large ones, dropped and refilled."""
    print("seed", seed)
    rng = random.Random(seed)
    names = [b"key:%d" % number for number in range(3 * WHOLE_KEYS_MAX)]
    places: dict[int, int] = {}  # slots of collections

    def write_member(number: int) -> None:
        of = abs(rng.choice([*places, len(places) + 1, 1, 1, 1]))
        if -of in places:
            return
        slot = places.setdefault(of, rng.randrange(5))
        if not slot:
            new = len(places) + 1
            places[new] = rng.randrange(1, 5)
            engine.move_members(slot, of, places[new], new)
            del places[of]
            places[-of] = 0  # so that ids are not used again
        elif rng.random() < 0.4:
            engine.members(slot, of).delete(rng.choice(names))
        elif rng.random() < 0.002:
            engine.drop_members(slot, of)
            del places[of]
            places[-of] = 0
        else:
            engine.members(slot, of).put(rng.choice(names), b"%d" % number)

    def write(number: int) -> None:
        slot = rng.choice((1, 1, 1, 1, 2, 3))
        if rng.random() < 0.5:
            write_member(number)
        elif rng.random() < 0.4:
            engine.delete(slot, rng.choice(names))
        elif rng.random() < 0.001:
            engine.delete_slots([slot])
        else:
            engine.put(slot, rng.choice(names), b"%d" % number)

    for number in range(rng.choice((100, 3000))):
        write(number)
    expected = {(slot, key, 0): record for slot in range(5) for key, record in engine.items(slot)}
    for of, slot in [(of, slot) for of, slot in places.items() if of > 0]:
        expected |= {(slot, name, of): value for name, value in engine.members(slot, of).range()}
    settled(engine)
    captured = engine.capture()
    found: list[tuple[tuple[int, bytes, int], bytes]] = []
    while True:
        runs = captured.take(rng.choice((1, 10, 300)))
        if not runs:
            break
        for run in runs:
            pairs = zip(run.keys, run.records, strict=True)
            found += (((run.slot, key, run.id), record) for key, record in pairs)
        for number in range(rng.choice((0, 3, 200))):
            write(-number)
        if rng.random() < 0.3:
            engine.tend()
    engine.release()
    while engine.tend():
        pass
    assert len(found) == len(expected)
    assert dict(found) == expected
    settled(engine)
    again = engine.capture()
    engine.release()
    assert again is not captured


def test_engine_commit_remembers_the_entry(engine: Engine) -> None:
    """What was applied last stands with the data."""
    assert engine.last_applied == 0
    engine.commit(42)
    assert engine.last_applied == 42
