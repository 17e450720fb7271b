"""A replica's state through a snapshot and back, while entries go on being applied."""

from __future__ import annotations

import random

import pytest

from redraft.commands.keyspace import Keyspace
from redraft.engine.capture import WHOLE_KEYS_MAX, Run
from redraft.engine.hash import HashEngine
from redraft.raft.types import Entry, EntryKind
from redraft.replica.apply import Applier
from redraft.replica.part import encode_part, encode_payload, mark
from redraft.replica.snapshotting import Loading, Making
from redraft.snapshot.format import Decoder
from redraft.topology.slots import SLOTS
from tests.commands.executors import check_counts, encode
from tests.raft.memory_log import MemoryLog

COMMANDS = (
    b"SET %s %d",
    b"SET %s %d PX 5000",
    b"INCR %s",
    b"DEL %s",
    b"APPEND %s %d",
    b"GET %s",
    b"GETSET %s %d",
)


def empty(log: MemoryLog) -> Applier:
    """A new replica's applier over the same log."""
    return Applier(Keyspace(HashEngine(), range(SLOTS)), log)


def entry_of(rng: random.Random, index: int) -> Entry:
    """One entry of a few parts: most keys in one slot, so that it is a large one."""
    parts = []
    for origin in (1, 2):
        requests = []
        for _ in range(rng.choice((1, 5, 60))):
            tag = rng.choice((b"{a}", b"{a}", b"{a}", b"{b}", b""))
            key = tag + b"%d" % rng.randrange(2 * WHOLE_KEYS_MAX)
            template = rng.choice(COMMANDS)
            requests.append(encode((template % ((key, index) if template.count(b"%") > 1 else key)).split()))
        if rng.random() < 0.01:
            requests.append(encode([b"FLUSHALL"]))
        below = max(1, index - rng.randrange(4))
        marks = [mark(len(requests), rng.choice((2, 3)))]
        parts.append(encode_part(origin, 7, index, below, index == 1, marks, [b"".join(requests)]))
    payload = encode_payload(1_700_000_000_000 + 100 * index, rng.getrandbits(64), False, parts)
    return Entry(1, index, EntryKind.PARTS, payload)


def state_of(applier: Applier) -> dict[str, object]:
    """Everything that apply depends on."""
    engine, keyspace = applier.keyspace.engine, applier.keyspace
    assert isinstance(engine, HashEngine)
    return {
        "applied": (applier.applied_index, applier.clock_ms, applier.expired_keys),
        "tables": {slot: dict(table) for slot, table in enumerate(engine.tables) if table},
        "counts": (
            keyspace.key_count,
            keyspace.data_bytes,
            keyspace.expiring_count,
            keyspace.next_deadline_ms(),
        ),
        "modified": (keyspace.index, list(keyspace.modified)),
        "sessions": sorted(
            (each.origin, each.incarnation, each.acknowledged_below, sorted(each.replies.items()))
            for each in applier.sessions.copy_states()
        ),
    }


@pytest.mark.parametrize("seed", range(25))
def test_snapshot_is_the_state_at_its_index_and_goes_on_like_it(seed: int) -> None:
    """Made in slices between entries, by the hot loop and the handlers; loaded, then both apply the rest."""
    print("seed", seed)
    rng = random.Random(seed)
    log = MemoryLog([entry_of(rng, index) for index in range(1, 121)])
    source = empty(log)
    before = rng.choice((0, 1, 30, 60))
    while source.applied_index < before:
        source.apply_slice(before, 1)
    then = state_of(source)
    making = Making(source, 1, 1, b"configuration")
    decoder, loading = Decoder(), Loading(empty(log))
    last = False
    while not making.finished:
        blocks = making.step(rng.choice((1, 100, 1000)), rng.choice((1, 5000, 1 << 20)))
        for item in decoder.feed(b"".join(blocks)):
            last = loading.take(item)
        for _ in range(rng.randrange(3)):
            if source.applied_index < 100:
                source.apply_slice(100, 1)
    assert last
    assert loading.header is not None
    assert loading.header.configuration == b"configuration"
    copy = loading.applier
    assert state_of(copy) == then
    check_counts(copy.keyspace)
    for applier in (copy, source):
        while applier.applied_index < 120:
            applier.apply_slice(120, 1)
    assert state_of(copy) == state_of(source)


def test_snapshot_given_up_leaves_the_engine_free_for_another() -> None:
    """A making that is closed half way takes nothing along."""
    rng = random.Random(1)
    source = empty(MemoryLog([entry_of(rng, index) for index in range(1, 20)]))
    source.apply_slice(10, 1 << 30)
    making = Making(source, 1, 1, b"")
    making.step(1, 1)
    making.close()
    assert making.step(1, 1) == []
    assert making.finished
    source.apply_slice(19, 1 << 30)
    again = Making(source, 1, 1, b"")
    assert again.header.index == source.applied_index


@pytest.mark.parametrize("count", [999, 1000, 1001, 2000])
def test_snapshot_ends_though_a_slice_has_only_keys_that_came_later(count: int) -> None:
    """A large slot, emptied and filled anew since: its last slice is empty, and the end still due."""
    source = empty(MemoryLog([]))
    engine = source.keyspace.engine
    for number in range(count):
        engine.put(5, b"%d" % number, b"old")
    making = Making(source, 1, 1, b"")
    for number in range(count):
        engine.delete(5, b"%d" % number)
    engine.put(5, b"new", b"new")
    decoder = Decoder()
    found: list[bytes] = []
    while not making.finished:
        for item in decoder.feed(b"".join(making.step(1000, 1 << 30))):
            if isinstance(item, Run):
                found += item.keys
    assert decoder.ended
    assert sorted(found) == sorted(b"%d" % number for number in range(count))


def test_snapshot_of_large_keys_comes_in_small_slices() -> None:
    """However many keys a slice may have, its bytes are limited too."""
    source = empty(MemoryLog([]))
    for slot in range(100):
        for number in range(2):
            source.keyspace.engine.put(slot, b"%d" % number, b"x" * 40_000)
    making = Making(source, 1, 1, b"")
    sizes = []
    while not making.finished:
        sizes.append(sum(map(len, making.step(1000, 300_000))))
    assert sum(sizes) > 200 * 40_000
    assert max(sizes) < 300_000 + 2 * 50_000
