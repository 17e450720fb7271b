"""Generated sequences of requests against redis-server, byte for byte."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.commands.oracle import Oracle, compare, generated
from tests.commands.strategies import (
    CONDITIONS,
    EXPIRIES,
    INDEXES,
    KEYS,
    MOMENTS,
    NUMBERS,
    TIMES,
    VALUES,
    joined,
    options,
    request,
    sequences,
    untied,
    word,
)

REQUESTS = st.one_of(
    request(b"GET", KEYS),
    request(b"SET", KEYS, VALUES),
    request(b"INCR", KEYS),
    request(b"DEL", KEYS),
    joined(request(b"SET", KEYS, VALUES), options(EXPIRIES, word(b"NX", b"XX", b"GET", b"KEEPTTL", b"BAD"))),
    joined(request(b"GETEX", KEYS), options(EXPIRIES, word(b"PERSIST", b"NX"))),
    request(b"GETDEL", KEYS),
    request(b"GETSET", KEYS, VALUES),
    request(b"SETNX", KEYS, VALUES),
    request(b"SETEX", KEYS, TIMES, VALUES),
    request(b"PSETEX", KEYS, TIMES, VALUES),
    request(b"APPEND", KEYS, VALUES),
    request(b"STRLEN", KEYS),
    request(b"SETRANGE", KEYS, INDEXES, VALUES),
    request(b"GETRANGE", KEYS, INDEXES, INDEXES),
    request(b"DECR", KEYS),
    request(b"INCRBY", KEYS, NUMBERS),
    request(b"DECRBY", KEYS, NUMBERS),
    request(b"INCRBYFLOAT", KEYS, NUMBERS),
    request(b"MGET", KEYS, KEYS),
    request(b"MSET", KEYS, VALUES, KEYS, VALUES),
    request(b"MSETNX", KEYS, VALUES, KEYS, VALUES),
    joined(
        request(b"LCS", KEYS, KEYS),
        options(word(b"LEN", b"IDX", b"WITHMATCHLEN"), request(b"MINMATCHLEN", INDEXES)),
    ),
    request(b"UNLINK", KEYS, KEYS),
    request(b"EXISTS", KEYS, KEYS),
    request(b"TYPE", KEYS),
    request(b"RENAME", KEYS, KEYS),
    request(b"RENAMENX", KEYS, KEYS),
    joined(request(b"COPY", KEYS, KEYS), options(word(b"REPLACE"), word(b"replace"))),
    joined(request(b"EXPIRE", KEYS, TIMES), CONDITIONS),
    joined(request(b"PEXPIRE", KEYS, TIMES), CONDITIONS),
    joined(request(b"EXPIREAT", KEYS, MOMENTS), CONDITIONS),
    joined(request(b"PEXPIREAT", KEYS, MOMENTS), CONDITIONS),
    request(b"TTL", KEYS),
    request(b"PTTL", KEYS),
    request(b"EXPIRETIME", KEYS),
    request(b"PEXPIRETIME", KEYS),
    request(b"PERSIST", KEYS),
    request(b"OBJECT", st.sampled_from([b"ENCODING", b"REFCOUNT", b"encoding"]), KEYS),
    request(b"DUMP", KEYS),
    request(b"KEYS", st.sampled_from([b"*", b"?", b"[a-b]"])),
)  # fmt: skip


@generated
@given(requests=sequences(REQUESTS))
def test_generated_sequence_gets_redis_replies(
    oracle: Oracle, proto: int, requests: list[list[bytes]]
) -> None:
    """Whatever the sequence, every reply is Redis's."""
    compare(oracle, untied(requests), proto)
