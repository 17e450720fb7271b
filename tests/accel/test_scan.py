"""The request scanner: what it finds, on the C variant and on its twin alike."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from redraft.accel import cscan, pyscan, scan

FACTS = [
    (b"get", scan.KIND_READ, 2, 1, 1, 1),
    (b"set", scan.KIND_WRITE, -3, 1, 1, 1),
    (b"mset", scan.KIND_WRITE, -3, 1, -1, 2),
    (b"del", scan.KIND_SLOW, -2, 1, -1, 1),
    (b"ping", scan.KIND_SLOW, -1, 0, 0, 0),
]
GET, SET, MSET, DEL, PING = range(5)
GROUPS = [1 + slot // 5462 for slot in range(scan.SLOTS)]


def request(*args: bytes) -> bytes:
    return b"*%d\r\n" % len(args) + b"".join(b"$%d\r\n%s\r\n" % (len(arg), arg) for arg in args)


def key_of(group: int, nth: int = 0) -> bytes:
    """The nth key of the form k<n> that `group` owns."""
    keys = (b"k%d" % n for n in range(10_000))
    return list(islice((key for key in keys if GROUPS[scan.key_slot(key)] == group), nth + 1))[nth]


@pytest.fixture(params=["native", "twin"])
def variant(request: pytest.FixtureRequest) -> Iterator[Any]:
    before = list(scan._configured)
    cscan.configure(FACTS)
    pyscan.configure(FACTS)
    yield cscan if request.param == "native" else pyscan
    cscan.configure(before)
    pyscan.configure(before)


@pytest.fixture
def scanner(variant: Any) -> Any:
    scanner = variant.Scanner(bulk_max=1000)
    scanner.set_groups(GROUPS)
    return scanner


def test_scan_finds_whole_commands_and_says_where_the_rest_begins(scanner: Any) -> None:
    """Ends, ids, kinds, slots, argument counts and groups of whole commands; an unfinished one is left."""
    whole = request(b"SET", b"foo", b"1") + request(b"get", b"foo")
    consumed, status, needed, count, group, writes, last_id, cursor, left = scanner.scan(
        whole + b"*2\r\n$3\r\nGE"
    )
    assert (consumed, status, count, writes, last_id) == (len(whole), scan.OK, 2, 1, GET)
    assert group == GROUPS[12182]
    assert (cursor, left) == (len(whole) + 4, 2)
    assert needed == len(whole) + 4 + 9 + 6
    first = len(request(b"SET", b"foo", b"1"))
    assert scanner.commands() == [first, SET, 2, 12182, 3, group, len(whole), GET, 1, 12182, 2, group]


def test_scan_says_when_commands_go_to_several_groups(scanner: Any) -> None:
    """group is 0 when all is plain but not for one group, and partition splits it in order."""
    a, b = request(b"GET", key_of(1)), request(b"SET", key_of(2), b"x")
    c = request(b"GET", key_of(1, 1))
    assert scanner.scan(a + b + c)[4] == 0
    parts, order = scanner.partition(a + b + c, 0)
    assert parts == [(1, a + c, 2, False), (2, b, 1, True)]
    assert order == [0, 1, 0]


def test_partition_has_room_for_a_group_for_each_command(variant: Any) -> None:
    """As many groups as one scan has commands, each with its own bytes."""
    scanner = variant.Scanner(bulk_max=1000, commands_max=1200)
    scanner.set_groups([1 + slot for slot in range(scan.SLOTS)])
    commands = [request(b"GET", b"key:%d" % n) for n in range(1200)]
    scanner.scan(b"".join(commands))
    parts, order = scanner.partition(b"".join(commands), 0)
    assert len(parts) > 1000
    assert [parts[at][1] for at in order[:3]] == commands[:3]


def test_scan_wants_a_thought_about_what_is_not_plain(scanner: Any) -> None:
    """group is -1 for slow, unknown and keyless commands, wrong arity, and keys of several groups."""
    for data in (
        request(b"DEL", b"a"),
        request(b"NOPE", b"a"),
        request(b"PING"),
        request(b"GET", b"a", b"b"),
        request(b"MSET", key_of(1), b"", key_of(2), b""),
    ):
        assert scanner.scan(data + request(b"GET", b"a"))[4] == -1
    scanner.scan(request(b"MSET", key_of(1), b"", key_of(1, 1), b""))
    assert scanner.commands()[3:] == [scan.SEVERAL, 5, 1]


def test_scan_by_redis_clusters_rule_wants_one_slot(variant: Any) -> None:
    """With one_slot, keys in several slots of one group are as keys of several groups."""
    scanner = variant.Scanner(bulk_max=1000, one_slot=True)
    scanner.set_groups(GROUPS)
    assert scanner.scan(request(b"MSET", key_of(1), b"", key_of(1, 1), b""))[4] == -1
    assert scanner.commands()[3:] == [scan.SEVERAL, 5, scan.SEVERAL]
    assert scanner.scan(request(b"MSET", b"{x}1", b"", b"{x}2", b""))[4] == GROUPS[scan.key_slot(b"x")]


@pytest.mark.parametrize(
    ("data", "status", "detail"),
    [
        (b"PING\r\n", scan.INLINE, None),
        (b"*x\r\n", scan.BAD_COUNT, None),
        (b"*+1\r\n", scan.BAD_COUNT, None),
        (b"*01\r\n", scan.BAD_COUNT, None),
        (b"*4000000000\r\n", scan.BAD_COUNT, None),
        (b"*" + b"1" * 70_000, scan.BIG_COUNT, None),
        (b"*1\r\n:1\r\n", scan.BAD_TYPE, ord(":")),
        (b"*1\r\n$-1\r\n", scan.BAD_BULK, None),
        (b"*1\r\n$1001\r\n", scan.BAD_BULK, None),
        (b"*1\r\n$\r\n", scan.BAD_BULK, None),
        (b"*1\r\n$" + b" " * 70_000, scan.BIG_BULK, None),
    ],
)
def test_scan_names_protocol_errors(scanner: Any, data: bytes, status: int, detail: int | None) -> None:
    """Each of Redis's protocol errors ends the scan behind the commands before it."""
    ping = request(b"PING")
    found = scanner.scan(ping + data)
    assert list(found[:2]) == [len(ping), status]
    assert found[3] == 1
    if detail is not None:
        assert found[2] == detail


def test_scan_skips_empty_requests(scanner: Any) -> None:
    """`*0` and `*-1` are nothing, as in Redis, and belong to the command behind them."""
    data = b"*0\r\n*-1\r\n" + request(b"PING") + b"*0\r\n"
    found = scanner.scan(data)
    assert (found[0], found[3]) == (len(data), 1)
    assert scanner.commands()[0] == len(data) - 4


def test_scan_ends_at_commands_max(variant: Any) -> None:
    """One scan yields a bounded number of commands; the rest is for the next one."""
    scanner = variant.Scanner(bulk_max=1000, commands_max=2)
    found = scanner.scan(request(b"PING") * 3)
    assert (found[0], found[3]) == (len(request(b"PING")) * 2, 2)
    assert scanner.scan(request(b"PING") * 3, found[0])[3] == 1


def test_probe_finds_the_end_without_looking_back(scanner: Any) -> None:
    """Fed piece by piece, an unfinished command is found whole exactly at its last byte."""
    data = request(b"MSET", *[b"x" * n for n in range(40)])
    for step in (1, 7, 100):
        cursor, left, needed, size, probes = 0, -1, 1, 0, 0
        while size < len(data):
            size = min(size + step, len(data))
            if size < needed:
                continue
            probes += 1
            if left < 0:
                found = scanner.scan(data[:size])
                needed, cursor, left = found[2], found[7], found[8]
                done = found[3] == 1
            else:
                status, needed, cursor, left = scanner.probe(bytearray(data[:size]), cursor, left)
                assert status == scan.OK
                done = left == 0
            assert done == (size == len(data))
        assert probes <= 100


def test_scan_args_takes_requests_apart(variant: Any) -> None:
    """Ids, slots, argument counts and the offsets of every argument, of however many."""
    data = request(b"SET", b"{foo}x", b"") + b"*0\r\n" + request(b"wat")
    assert variant.scan_args(data) == ([SET, 12182, 3, -1, -1, 1], [8, 11, 17, 23, 29, 29, 43, 46])
    many = request(b"DEL", *[b"k"] * 50_000)
    commands, args = variant.scan_args(many)
    assert commands == [DEL, scan.key_slot(b"k"), 50_001]
    assert len(args) == 100_002


@pytest.mark.parametrize(
    "data", [b"*1\r\n", b"PING\r\n", b"*1\r\n$4\r\nPIN", b"*9\r\n$1\r\na\r\n", b"*", b"*1\r\n$9999999999\r\n"]
)
def test_scan_args_refuses_what_is_not_whole(variant: Any, data: bytes) -> None:
    """Anything but whole, valid requests is a ValueError, never a guess."""
    with pytest.raises(ValueError):
        variant.scan_args(data)


@pytest.mark.parametrize(
    ("key", "slot"),
    [
        (b"123456789", 0x31C3),
        (b"foo", 12182),
        (b"{foo}bar", 12182),
        (b"a{foo}{bar}", 12182),
        (b"{}foo", scan.key_slot(b"{}foo")),
        (b"", 0),
    ],
)
def test_key_slot_is_redis_clusters(scanner: Any, key: bytes, slot: int) -> None:
    """CRC16/XMODEM of the key or of its first non-empty tag; the scan agrees with key_slot."""
    assert scan.key_slot(key) == slot
    scanner.scan(request(b"GET", key))
    assert scanner.commands()[3] == slot
