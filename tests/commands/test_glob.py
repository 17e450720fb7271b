"""Glob patterns match what Redis's match."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from redraft.commands.glob import matches
from tests.commands.oracle import Oracle

NAMES = [
    b"a",
    b"b",
    b"ab",
    b"abc",
    b"aab",
    b"^",
    b"-",
    b"]",
    b"a]",
    b"*",
    b"a*c",
    b"\\",
    b"[",
    b"a\nb",
    b"",
    b"bca",
]


def asked(oracle: Oracle, pattern: bytes) -> list[bytes]:
    """Return the names that the oracle's KEYS finds."""
    reply = oracle.ask([b"KEYS", pattern])
    return sorted(found[: int(size)] for size, found in re.findall(rb"\$(\d+)\r\n([^\r]*)\r\n", reply))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pattern=st.text(alphabet="abc*?[]^-\\\n", max_size=8).map(str.encode))
def test_glob_matches_what_redis_matches(oracle: Oracle, pattern: bytes) -> None:
    """A pattern of any letters, stars and classes, well formed or not, finds the keys Redis finds."""
    if oracle.ask([b"EXISTS", *NAMES]) != b":%d\r\n" % len(NAMES):
        oracle.reset(2)
        oracle.ask([b"MSET", *(word for name in NAMES for word in (name, b"v"))])
    assert sorted(name for name in NAMES if matches(pattern, name)) == asked(oracle, pattern)


@pytest.mark.timeout(10)
def test_glob_takes_no_long_time_for_a_hostile_pattern() -> None:
    """Many stars over a long key cost no exponential search."""
    assert not matches(b"*a" * 200 + b"b", b"a" * 20000)
