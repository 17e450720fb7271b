"""DUMP and RESTORE speak Redis's format, both ways."""

from __future__ import annotations

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from redraft.commands.payload import RESTORED_BYTES_MAX, sealed, written_length
from redraft.commands.payload_string import TYPES
from tests.commands.oracle import Oracle, context, execute_one, run

BAD = b"-ERR Bad data format\r\n"
WRONG = b"-ERR DUMP payload version or checksum are wrong\r\n"
VALUES = st.one_of(
    st.binary(max_size=100),
    st.integers(-(2**33), 2**33).map(lambda number: b"%d" % number),
    st.tuples(st.binary(max_size=40), st.integers(1, 300)).map(lambda parts: parts[0] * parts[1]),
)


def dumped(value: bytes) -> bytes:
    """Return the payload we make of a string."""
    ctx = context()
    execute_one(ctx, [b"SET", b"k", value])
    return execute_one(ctx, [b"DUMP", b"k"]).partition(b"\r\n")[2][:-2]


def restored(data: bytes) -> bytes:
    """Return the reply to a RESTORE of a payload; a key must be there only if it was restored."""
    ctx = context()
    reply, there = run(ctx, [[b"RESTORE", b"k", b"0", data], [b"EXISTS", b"k"]], 2)
    assert (reply == b"+OK\r\n") == (there == b":1\r\n")
    return reply


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=VALUES)
def test_dump_is_restored_by_redis_and_redis_dump_here(oracle: Oracle, value: bytes) -> None:
    """What one writes the other reads, compressed or not."""
    oracle.reset(2)
    ours, ctx = dumped(value), context()
    assert oracle.ask([b"RESTORE", b"ours", b"0", ours]) == b"+OK\r\n"
    assert oracle.ask([b"GET", b"ours"]) == b"$%d\r\n%b\r\n" % (len(value), value)
    for compressed in (b"yes", b"no"):
        oracle.ask([b"CONFIG", b"SET", b"rdbcompression", compressed])
        theirs = oracle.ask([b"DUMP", b"ours"]).partition(b"\r\n")[2][:-2]
        assert execute_one(ctx, [b"RESTORE", b"k", b"0", theirs, b"REPLACE"]) == b"+OK\r\n"
        assert execute_one(ctx, [b"GET", b"k"]) == b"$%d\r\n%b\r\n" % (len(value), value)
    assert theirs == ours


@given(contents=st.binary(min_size=1, max_size=40))
def test_restore_survives_any_contents(contents: bytes) -> None:
    """A right checksum over nonsense is an error, never a crash, never a string longer than it said."""
    for type_ in TYPES:
        assert restored(sealed(bytes((type_,)) + contents)) in (b"+OK\r\n", BAD)


@pytest.mark.parametrize("data", [b"", b"short", dumped(b"v")[:-1] + b"x", sealed(b"\0\1v", version=12)])
def test_restore_refuses_wrong_versions_and_checksums(data: bytes) -> None:
    """Newer formats than Redis 7.2's and damaged payloads are refused in Redis's words."""
    assert restored(data) == WRONG


def test_restore_reads_what_redis_72_writes() -> None:
    """Its version is 11."""
    assert restored(sealed(b"\0\1v", version=11)) == b"+OK\r\n"


def test_restore_grows_no_further_than_its_limit() -> None:
    """Compressed strings may claim any size; together they must not have more than a string may have."""
    bomb = b"\0\xc3" + written_length(3) + written_length(RESTORED_BYTES_MAX + 1) + b"\x00a\x00"
    assert restored(sealed(bomb)) == BAD
    half = b"\xc3" + written_length(3) + struct.pack(">BI", 0x80, RESTORED_BYTES_MAX // 2 + 1) + b"\x00a\x00"
    assert restored(sealed(b"\4\1" + half + half)) == BAD


def test_restore_gives_deadlines_and_replaces_when_told() -> None:
    """TTL, ABSTTL and REPLACE do what they do in Redis."""
    payload = dumped(b"v")
    ctx = context()
    requests = [
        [b"RESTORE", b"k", b"0", payload], [b"TTL", b"k"], [b"RESTORE", b"k", b"0", payload],
        [b"RESTORE", b"k", b"100000", payload, b"REPLACE"], [b"TTL", b"k"],
        [b"RESTORE", b"k", b"99999999999999", payload, b"REPLACE", b"ABSTTL"], [b"PEXPIRETIME", b"k"],
        [b"RESTORE", b"k", b"1", payload, b"replace", b"absttl"], [b"EXISTS", b"k"],
    ]  # fmt: skip
    ok = b"+OK\r\n"
    assert run(ctx, requests, 2) == [
        ok, b":-1\r\n", b"-BUSYKEY Target key name already exists.\r\n", ok, b":100\r\n", ok,
        b":99999999999999\r\n", ok, b":0\r\n",
    ]  # fmt: skip
