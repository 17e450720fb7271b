"""SCAN over one group and over several: complete, in bounds, the same on every replica."""

from __future__ import annotations

import random
import re

import pytest

from redraft.accel.scan import key_slot
from redraft.commands.context import Context
from redraft.commands.keyspace import Keyspace
from redraft.commands.whole import CURSOR_POSITION_BITS
from redraft.engine.hash import HashEngine
from redraft.topology.slots import SLOTS, contiguous_ranges
from tests.commands.oracle import execute_one

NOW_MS = 1_700_000_000_000


def cluster(groups: int) -> list[Context]:
    """Return contexts of groups that share all slots."""
    contexts = []
    for first, last in contiguous_ranges(groups):
        ctx = Context(Keyspace(HashEngine(), range(first, last + 1)))
        ctx.begin(now_ms=NOW_MS, write=True)
        contexts.append(ctx)
    return contexts


def owner(contexts: list[Context], slot: int) -> Context:
    """Return the group that owns a slot."""
    return next(ctx for ctx in contexts if slot in ctx.keyspace.slots)


def scan(contexts: list[Context], cursor: int, *options: bytes) -> tuple[int, list[bytes]]:
    """Ask the owner of the cursor's slot, as the front end does; return the next cursor and the keys."""
    ctx = owner(contexts, cursor >> CURSOR_POSITION_BITS)
    reply = execute_one(ctx, [b"SCAN", b"%d" % cursor, *options])
    match = re.match(rb"\*2\r\n\$\d+\r\n(\d+)\r\n\*(\d+)\r\n", reply)
    assert match is not None
    keys = re.findall(rb"\$\d+\r\n([^\r]*)\r\n", reply[match.end() :])
    assert len(keys) == int(match[2])
    return int(match[1]), keys


def scan_all(contexts: list[Context], *options: bytes, limit: int = 100_000) -> list[bytes]:
    """Return the keys of a whole scan, repetitions included."""
    cursor, found = scan(contexts, 0, *options)
    for _ in range(limit):
        if cursor == 0:
            return found
        cursor, keys = scan(contexts, cursor, *options)
        found += keys
    raise AssertionError("the scan does not end")


def fill(contexts: list[Context], names: list[bytes]) -> None:
    """Set each key at its owner."""
    for name in names:
        execute_one(owner(contexts, key_slot(name)), [b"SET", name, b"v"])


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("count", [1, 10, 1000])
def test_scan_finds_each_key_once(groups: int, count: int) -> None:
    """While nothing changes a scan finds every key once, whatever COUNT and the number of groups."""
    contexts = cluster(groups)
    names = [b"key:%d" % number for number in range(300)] + [b"{tag}%d" % number for number in range(700)]
    fill(contexts, names)
    assert sorted(scan_all(contexts, b"COUNT", b"%d" % count)) == sorted(names)


def test_scan_finds_keys_that_stay_while_others_come_and_go() -> None:
    """Keys there from beginning to end are found, in small slots and in big ones."""
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    contexts = cluster(2)
    stay = [b"stay:%d" % number for number in range(200)] + [b"{big}%d" % number for number in range(800)]
    fill(contexts, stay)
    cursor, found = scan(contexts, 0, b"COUNT", b"7")
    while cursor:
        name = chance.choice([b"{big}go:%d", b"go:%d"]) % chance.randrange(100)
        execute_one(owner(contexts, key_slot(name)), [chance.choice([b"SET", b"GETSET"]), name, b"v"])
        name = chance.choice([b"{big}go:%d", b"go:%d"]) % chance.randrange(100)
        execute_one(owner(contexts, key_slot(name)), [chance.choice([b"DEL", b"UNLINK"]), name])
        cursor, keys = scan(contexts, cursor, b"COUNT", b"7")
        found += keys
    assert set(stay) <= set(found)


def test_scan_does_about_as_much_as_it_was_told() -> None:
    """A call looks at COUNT keys, and at no more than those of one position beyond."""
    contexts = cluster(1)
    fill(
        contexts, [b"{big}%d" % number for number in range(2000)] + [b"%d" % number for number in range(2000)]
    )
    cursor, keys = scan(contexts, 0, b"COUNT", b"100")
    while cursor:
        assert 100 <= len(keys) <= 102
        cursor, keys = scan(contexts, cursor, b"COUNT", b"100")


def test_scan_cursor_goes_on_at_another_replica() -> None:
    """A cursor means the same on a replica whose keys came in another order."""
    names = [b"{big}%d" % number for number in range(1000)] + [b"key:%d" % number for number in range(100)]
    here, there = cluster(1), cluster(1)
    fill(here, names)
    fill(there, random.Random(1).sample(names, len(names)))
    cursor, found = scan(here, 0)
    turn = 0
    while cursor:
        turn += 1
        cursor, keys = scan((here, there)[turn % 2], cursor)
        found += keys
    assert sorted(found) == sorted(names)


def test_scan_filters_by_pattern_type_and_deadline() -> None:
    """MATCH and TYPE choose; keys past their deadline are left out, in reads too."""
    contexts = cluster(1)
    fill(contexts, [b"a1", b"a2", b"b1"])
    execute_one(contexts[0], [b"SET", b"a3", b"v", b"PX", b"10"])
    assert sorted(scan_all(contexts, b"MATCH", b"a*")) == [b"a1", b"a2", b"a3"]
    assert len(scan_all(contexts, b"TYPE", b"STRING")) == 4
    assert scan_all(contexts, b"TYPE", b"list") == []
    for write in (False, True):
        contexts[0].begin(now_ms=NOW_MS + 10, write=write)
        assert sorted(scan_all(contexts, b"MATCH", b"a*")) == [b"a1", b"a2"]


def test_scan_of_an_empty_keyspace_ends_at_once() -> None:
    """One call per group is enough when there is nothing."""
    assert scan(cluster(1), 0) == (0, [])
    assert scan_all(cluster(3), limit=3) == []


def test_scan_cursor_beyond_the_slots_is_the_end() -> None:
    """A cursor nobody gave out is no error, and ends the scan."""
    contexts = cluster(1)
    for cursor in (SLOTS << CURSOR_POSITION_BITS, 2**64 - 1):
        assert execute_one(contexts[0], [b"SCAN", b"%d" % cursor]) == b"*2\r\n$1\r\n0\r\n*0\r\n"


def test_keys_of_a_slot_are_counted_and_listed() -> None:
    """CLUSTER COUNTKEYSINSLOT and GETKEYSINSLOT answer for a slot the group owns."""
    (ctx,) = cluster(1)
    fill([ctx], [b"{tag}1", b"{tag}2", b"{tag}3"])
    slot = b"%d" % key_slot(b"tag")
    assert execute_one(ctx, [b"CLUSTER", b"COUNTKEYSINSLOT", slot]) == b":3\r\n"
    assert execute_one(ctx, [b"CLUSTER", b"GETKEYSINSLOT", slot, b"2"]).startswith(b"*2\r\n$6\r\n{tag}")
    assert execute_one(ctx, [b"CLUSTER", b"GETKEYSINSLOT", slot, b"0"]) == b"*0\r\n"
    assert execute_one(ctx, [b"CLUSTER", b"COUNTKEYSINSLOT", b"16384"]) == b"-ERR Invalid slot\r\n"
    assert (
        execute_one(ctx, [b"CLUSTER", b"GETKEYSINSLOT", b"1", b"-1"])
        == b"-ERR Invalid slot or number of keys\r\n"
    )
