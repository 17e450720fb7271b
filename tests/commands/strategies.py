"""What generated requests are made of: few keys and edge values, so that requests meet."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

KEYS = st.sampled_from([b"a", b"b", b"{a}c", b""])
NUMBERS = st.sampled_from([
    b"0", b"1", b"-1", b"7", b"10000", b"2147483648", b"9223372036854775807", b"-9223372036854775808",
    b"9223372036854775808", b"1.5", b"-0.1", b"1e3", b"01", b"",
])  # fmt: skip
VALUES = st.one_of(NUMBERS, st.binary(max_size=6), st.just(b"x" * 50), st.just(b"line\r\nline"))
INDEXES = st.sampled_from([b"0", b"1", b"-1", b"3", b"-3", b"70", b"-70", b"nan"])
LASTING_TIMES = (b"100", b"5000", b"99999999")
TIMES = st.sampled_from([*LASTING_TIMES, b"0", b"-1", b"9223372036854775807", b"x"])
MOMENTS = st.sampled_from([b"1", b"99999999999", b"99999999999500", b"0", b"-1", b"x"])


def request(name: bytes, *words: st.SearchStrategy[bytes]) -> st.SearchStrategy[list[bytes]]:
    """A request of a command with these arguments."""
    return st.tuples(*words).map(lambda drawn: [name, *drawn])


def options(*choices: st.SearchStrategy[list[bytes]]) -> st.SearchStrategy[list[bytes]]:
    """Some options, in any order and number, contradicting ones among them."""
    return st.lists(st.one_of(*choices), max_size=2).map(
        lambda lists: [word for words in lists for word in words]
    )


_RELATIVE = {b"EXPIRE": 1, b"PEXPIRE": 1000}
"""How a second is told to commands whose deadline counts from now."""


def untied(requests: list[list[bytes]]) -> list[list[bytes]]:
    """Move deadlines that are compared (GT, LT): a tie would be decided by the milliseconds in between."""
    moved = []
    for number, words in enumerate(requests, start=1):
        second = _RELATIVE.get(words[0])
        if second and words[2] in LASTING_TIMES and {b"GT", b"LT"} & set(words[3:]):
            words = [*words[:2], b"%d" % (int(words[2]) + number * second), *words[3:]]
        moved.append(words)
    return moved


def sequences(requests: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Requests in a row: some short ones, which are easy to read, some long ones, which make large keys."""
    return st.one_of(
        st.lists(requests, min_size=5, max_size=40), st.lists(requests, min_size=20, max_size=80)
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

ANY_KEY = st.one_of(
    request(b"DEL", KEYS),
    request(b"TYPE", KEYS),
    request(b"SET", KEYS, VALUES),
    request(b"RENAME", KEYS, KEYS),
    joined(request(b"COPY", KEYS, KEYS), options(word(b"REPLACE"))),
    request(b"EXPIRE", KEYS, TIMES),
    request(b"TTL", KEYS),
    request(b"OBJECT", st.just(b"ENCODING"), KEYS),
    request(b"FLUSHALL"),
)
"""What is done to keys of any type."""
