"""DUMP and RESTORE speak Redis's format, both ways."""

from __future__ import annotations

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from redraft.accel.crc64 import crc64
from redraft.commands.reply import CommandError
from redraft.commands.serialise import dump_string, restore_string
from tests.commands.oracle import Oracle, context, run

VALUES = st.one_of(
    st.binary(max_size=100),
    st.integers(-(2**33), 2**33).map(lambda number: b"%d" % number),
    st.tuples(st.binary(max_size=40), st.integers(1, 300)).map(lambda parts: parts[0] * parts[1]),
)


def sealed(contents: bytes, version: int = 10) -> bytes:
    """Return a payload with a right checksum."""
    versioned = contents + struct.pack("<H", version)
    return versioned + struct.pack("<Q", crc64(versioned))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=VALUES)
def test_dump_is_restored_by_redis_and_redis_dump_here(oracle: Oracle, value: bytes) -> None:
    """What one writes the other reads, compressed or not."""
    oracle.reset(2)
    assert oracle.ask([b"RESTORE", b"ours", b"0", dump_string(value)]) == b"+OK\r\n"
    assert oracle.ask([b"GET", b"ours"]) == b"$%d\r\n%b\r\n" % (len(value), value)
    for compressed in (b"yes", b"no"):
        oracle.ask([b"CONFIG", b"SET", b"rdbcompression", compressed])
        header, _, theirs = oracle.ask([b"DUMP", b"ours"]).partition(b"\r\n")
        assert restore_string(theirs[:-2]) == value, (header, compressed)
    assert theirs[:-2] == dump_string(value)


@given(contents=st.binary(min_size=1, max_size=40))
def test_restore_survives_any_contents(contents: bytes) -> None:
    """A right checksum over nonsense is an error, never a crash, never a string longer than it said."""
    try:
        restore_string(sealed(b"\0" + contents))
    except CommandError as refused:
        assert refused.reply == b"-ERR Bad data format\r\n"  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize("data", [b"", b"short", dump_string(b"v")[:-1] + b"x", sealed(b"\0\1v", version=11)])
def test_restore_refuses_wrong_versions_and_checksums(data: bytes) -> None:
    """Newer formats and damaged payloads are refused in Redis's words."""
    with pytest.raises(CommandError) as refused:
        restore_string(data)
    assert refused.value.reply == b"-ERR DUMP payload version or checksum are wrong\r\n"


def test_restore_gives_deadlines_and_replaces_when_told() -> None:
    """TTL, ABSTTL and REPLACE do what they do in Redis."""
    payload = dump_string(b"v")
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
