"""Generated sequences of requests against redis-server, byte for byte."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.commands.oracle import Oracle, compare

KEYS = st.sampled_from([b"a", b"b", b"{a}c", b""])
NUMBERS = st.sampled_from([
    b"0", b"1", b"-1", b"7", b"10000", b"2147483648", b"9223372036854775807", b"-9223372036854775808",
    b"9223372036854775808", b"1.5", b"-0.1", b"1e3", b"01", b"",
])  # fmt: skip
VALUES = st.one_of(NUMBERS, st.binary(max_size=6), st.just(b"x" * 50), st.just(b"line\r\nline"))
INDEXES = st.sampled_from([b"0", b"1", b"-1", b"3", b"-3", b"70", b"-70", b"nan"])
TIMES = st.sampled_from([b"100", b"5000", b"0", b"-1", b"99999999", b"9223372036854775807", b"x"])
MOMENTS = st.sampled_from([b"1", b"99999999999", b"99999999999500", b"0", b"-1", b"x"])


def request(name: bytes, *words: st.SearchStrategy[bytes]) -> st.SearchStrategy[list[bytes]]:
    """A request of a command with these arguments."""
    return st.tuples(*words).map(lambda drawn: [name, *drawn])


def options(*choices: st.SearchStrategy[list[bytes]]) -> st.SearchStrategy[list[bytes]]:
    """Some options, in any order and number, contradicting ones among them."""
    return st.lists(st.one_of(*choices), max_size=2).map(
        lambda lists: [word for words in lists for word in words]
    )


def word(*words: bytes) -> st.SearchStrategy[list[bytes]]:
    """One of the words, as an option."""
    return st.sampled_from(words).map(lambda chosen: [chosen])


def joined(
    first: st.SearchStrategy[list[bytes]], second: st.SearchStrategy[list[bytes]]
) -> st.SearchStrategy[list[bytes]]:
    """A request with options."""
    return st.tuples(first, second).map(lambda both: both[0] + both[1])


EXPIRIES = st.one_of(
    request(b"EX", TIMES), request(b"PX", TIMES), request(b"EXAT", MOMENTS), request(b"PXAT", MOMENTS)
)
CONDITIONS = options(word(b"NX", b"XX", b"GT", b"LT", b"nx"))

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


@settings(
    max_examples=150,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(requests=st.lists(REQUESTS, min_size=5, max_size=40))
def test_generated_sequence_gets_redis_replies(
    oracle: Oracle, proto: int, requests: list[list[bytes]]
) -> None:
    """Whatever the sequence, every reply is Redis's."""
    compare(oracle, requests, proto)
