"""Streams and their entries against redis-server, byte for byte."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redraft.commands.streamid import MAX, MIN, following, parse_if_valid, preceding, spell
from tests.commands.oracle import Oracle, compare, context, execute_one, generated, now_ms, requests_of, run
from tests.commands.strategies import ANY_KEY, joined, options, request, sequences, word

ODD_IDS = "|".join(
    f"XADD odd {text} f v"
    for text in (
        "-", "+", "1-", "-1", "1-1-1", "1--1", "1--2", "1--02", "01-1", "+2-1", "2-+2", "x",
        "1-x", "18446744073709551616", "**", "1-**",
        "18446744073709551615-18446744073709551616", "{sp}3-1", "3-{sp}2", "3{sp}-3", "0-0", "0", "0-*",
        "*-1", "9" * 60, "0" * 120 + "4-0", "0" * 130 + "5-0", "$", ">",
        "18446744073709551615-18446744073709551615",
        "*", "18446744073709551615-*",
    )
)  # fmt: skip
SCRIPTS: dict[str, str] = {
    "add": """
        XADD s 1-1 a 1|XADD s 1-1 a 2|XADD s 1-0 a 2|XADD s 0-0 a 2|XADD none 0-0 a 2|EXISTS none
        XADD s 1-* b 2
        XADD s 1-* b|XADD s 0-* a 1|XADD s 2-* c 3 d 4|XADD s 3 e 5|XADD s 3 e 5|XADD s 3-* e 6|XLEN s
        XRANGE s - +
        XADD t 0-* a 1|XADD u 0 a 1|XADD u 0-1 a 1|XADD|XADD s|XADD s *|XADD s * a|XADD s * a b c|XADD s 9-9
        XADD s NOMKSTREAM 10-1 {} {}|XADD none NOMKSTREAM 1-1 a 1|XADD none nomkstream * a 1|XLEN none
        EXISTS none
        XADD s NOMKSTREAM a 1|XADD none NOMKSTREAM x a 1|XADD s FOO 11-1 a 1|TYPE s|OBJECT ENCODING s
        XRANGE s - +
        XADD v 18446744073709551615-18446744073709551614 a 1|XADD v 18446744073709551615-* a 1|XADD v * a 1
        XADD v 18446744073709551615-* a 1|XADD w 5-18446744073709551615 a 1|XADD w 5-* a 1|XADD w 6-* a 1
        xadd W 1-1 a 1|xlen W|XLEN|XLEN a b|XADD s NOMKSTREAM MAXLEN 3 20-1 a 1|XLEN s""",
    "odd_ids": ODD_IDS + "|XRANGE odd - +|XLEN odd",
    "trim_on_add": """
        XADD s MAXLEN 2 1-1 a 1|XADD s MAXLEN = 2 1-2 a 1|XADD s MAXLEN 2 1-3 a 1|XRANGE s - +
        XADD s MAXLEN 0 1-4 a 1
        XLEN s|EXISTS s|XINFO STREAM s|XADD s MAXLEN -1 1-5 a 1|XADD s MAXLEN x 1-5 a 1|XADD s MAXLEN
        XADD s MAXLEN 2 LIMIT 1 1-5 a 1|XADD s MAXLEN ~ 2 LIMIT 1 1-5 a 1|XADD s MAXLEN ~ 2 LIMIT -1 1-6 a 1
        XADD s MAXLEN ~ 2 LIMIT x 1-6 a 1|XADD s LIMIT 5 1-6 a 1|XADD s LIMIT 0 1-6 a 1
        XADD s MAXLEN ~ 1-7 a 1
        XADD s MAXLEN 5 MINID 1 1-8 a 1|XADD s MINID 1 MINID 1 1-8 a 1|XADD s MINID 1-6 1-9 a 1|XRANGE s - +
        XADD s MINID ~ 1-6 1-10 a 1|XADD s MINID = x 1-11 a 1|XADD s MINID - 1-11 a 1|XADD s MINID 99 1-12 a 1
        XLEN s
        XADD s maxlen = 3 limit 0 2-1 a 1|XADD s LIMIT 3 MAXLEN ~ 100 2-2 a 1|XADD s MAXLEN = = 2-3 a 1
        XADD s MAXLEN ~ 1 2-3 a|XADD s MAXLEN 1 2-3|XADD s MAXLEN ~ 2-3 a 1|XADD s MINID 2-3 a 1
        XINFO STREAM s""",
    "range": """
        XADD s 1-1 a 1|XADD s 1-2 b 2|XADD s 2-1 c 3|XADD s 3-5 d 4|XADD s 18446744073709551615-5 e 5
        XRANGE s - +
        XREVRANGE s + -|XRANGE s 1 1|XRANGE s 1 2|XRANGE s 1-2 2-1|XRANGE s (1-2 (3-5|XRANGE s (1-1 +
        XRANGE s - (1-2
        XREVRANGE s (3-5 (1-1|XREVRANGE s 2 1|XRANGE s 2 1|XRANGE s (1 (2|XRANGE s (- +|XRANGE s - (+
        XRANGE s (x +
        XRANGE s ( +|XRANGE s - x|XRANGE s + -|XRANGE s + +|XRANGE s - -|XRANGE s (0 +|XRANGE s - (0-0
        XRANGE s - (0
        XRANGE s (18446744073709551615-18446744073709551615 +|XREVRANGE s (0-0 -|XREVRANGE s + (0-0
        XREVRANGE s - +
        XRANGE s - + COUNT 2|XRANGE s - + COUNT 0|XRANGE s - + COUNT -1|XRANGE s - + COUNT -5
        XRANGE s - + COUNT x
        XREVRANGE s + - COUNT 2|XRANGE s - + COUNT|XRANGE s - + FOO 2|XRANGE s - + COUNT 1 COUNT 3
        XRANGE none - +
        XRANGE none - + COUNT 0|XRANGE none x +|XRANGE none - + FOO|XRANGE s - + COUNT 9223372036854775807
        XRANGE s -
        XREVRANGE s + - count 9223372036854775808|XRANGE|XREVRANGE s +|XRANGE s 2|xrange s 5 6""",
    "delete": """
        XADD s 1-1 a 1|XADD s 1-2 b 2|XADD s 2-1 c 3|XADD s 3-5 d 4|XDEL s 9-9|XDEL s 1-2|XINFO STREAM s
        XDEL s 1-2
        XDEL s 1-1 1-1 3-5|XINFO STREAM s|XDEL s x|XDEL s 2-1 x|XDEL s - |XDEL none 1|XDEL none x|XDEL s
        XDEL s 2-1
        XINFO STREAM s|EXISTS s|XADD s 3-5 a 1|XADD s 3-6 a 1|XRANGE s - +|XINFO STREAM s|XDEL s 3
        XADD s 4 a 1|XDEL s 4
        XINFO STREAM s""",
    "trim": """
        XADD s 1-1 a 1|XADD s 1-2 b 2|XADD s 2-1 c 3|XADD s 3-5 d 4|XTRIM s MAXLEN 10|XTRIM s MAXLEN 3
        XINFO STREAM s
        XTRIM s MINID 2|XTRIM s MINID 2|XTRIM s MINID 1|XRANGE s - +|XTRIM s MINID ~ 3|XTRIM s MAXLEN ~ 1
        XTRIM s MAXLEN = 1
        XTRIM s|XTRIM s MAXLEN|XTRIM s MAXLEN x|XTRIM s MAXLEN -1|XTRIM s MINID x|XTRIM s MINID|XTRIM s FOO 1
        XTRIM s MAXLEN 1 LIMIT 1|XTRIM s MAXLEN ~ 1 LIMIT 0|XTRIM s MAXLEN ~ 1 LIMIT -1|XTRIM s LIMIT 1
        XTRIM s LIMIT 0
        XTRIM s LIMIT 1 MAXLEN ~ 1|XTRIM s MAXLEN 1 MINID 1|XTRIM none MAXLEN 1|XTRIM none FOO 1
        XTRIM s MAXLEN ~ 0
        EXISTS s|XINFO STREAM s|XTRIM s MAXLEN 1 FOO|XTRIM s MAXLEN ~|XTRIM s MAXLEN =|XTRIM s NOMKSTREAM
        XTRIM s *""",
    "approximate": "|".join(
        [f"XADD s {number}-0 f {number}" for number in range(1, 451)]
        + [
            "XTRIM s MAXLEN ~ 400",
            "XLEN s",
            "XTRIM s MAXLEN ~ 251",
            "XLEN s",
            "XTRIM s MAXLEN ~ 250",
            "XLEN s",
        ]
        + [
            "XTRIM s MINID ~ 280",
            "XLEN s",
            "XTRIM s MINID ~ 301",
            "XLEN s",
            "XTRIM s MAXLEN ~ 0 LIMIT 99",
            "XLEN s",
        ]
        + [
            "XTRIM s MAXLEN ~ 0 LIMIT 100",
            "XLEN s",
            "XTRIM s MINID ~ 1000 LIMIT 10",
            "XTRIM s MINID ~ 1000",
            "XLEN s",
        ]
        + [f"XADD s MAXLEN ~ 100 {number}-0 f {number}" for number in range(1000, 1450)]
        + ["XLEN s", "XINFO STREAM s", "XRANGE s - + COUNT 1"]
    ),
    "set_id": """
        XSETID none 1|XADD s 5-1 a 1|XADD s 6-1 a 1|XSETID s 5|XSETID s 6-1|XSETID s 9-9|XADD s 9-9 a 1
        XADD s 9-10 a 1
        XSETID s x|XSETID s -|XSETID s 20 ENTRIESADDED 100|XINFO STREAM s|XSETID s 20 ENTRIESADDED 2
        XSETID s 20 ENTRIESADDED -1
        XSETID s 20 ENTRIESADDED x|XSETID s 20 MAXDELETEDID 21|XSETID s 20 MAXDELETEDID 7-1|XINFO STREAM s
        XSETID s 20 FOO 1
        XSETID s 20 MAXDELETEDID x|XSETID s 20 MAXDELETEDID|XSETID s 20 ENTRIESADDED 50 MAXDELETEDID 3-3
        XINFO STREAM s
        XDEL s 9-10 6-1 5-1|XSETID s 9-10|XSETID s 9-11 ENTRIESADDED 0|XINFO STREAM s|XSETID s
        XSETID s 9-12 X
        XSETID none x|XSETID none 1 MAXDELETEDID 0-0|XSETID s 30 MAXDELETEDID 0-0|XINFO STREAM s""",
    "read": """
        XADD s 1-1 a 1|XADD s 1-2 b 2|XADD t 2-1 c 3|XREAD STREAMS s 0|XREAD STREAMS s t 0 0
        XREAD COUNT 1 STREAMS s t 0 0
        XREAD STREAMS s t 1-2 0|XREAD STREAMS s $|XREAD STREAMS s t $ 0|XREAD STREAMS s 1|XREAD STREAMS s 1-1
        XREAD STREAMS none 0|XREAD STREAMS none $|XREAD STREAMS none s 0 0|XREAD BLOCK 1 STREAMS s $
        XREAD BLOCK 0 STREAMS s 0
        XREAD BLOCK -1 STREAMS s 0|XREAD BLOCK x STREAMS s 0|XREAD COUNT x STREAMS s 0
        XREAD COUNT 0 STREAMS s 0
        XREAD COUNT -5 STREAMS s 0|XREAD STREAMS s x|XREAD STREAMS s >|XREAD STREAMS s -|XREAD STREAMS s +
        XREAD STREAMS s
        XREAD STREAMS s t 0|XREAD STREAMS|XREAD COUNT 1 s 0|XREAD s 0 STREAMS|XREAD FOO STREAMS s 0
        XREAD NOACK STREAMS s 0
        XREAD GROUP g c STREAMS s 0|XREAD GROUP g STREAMS s 0|XREAD COUNT 1 BLOCK 1|XREAD COUNT STREAMS s 0
        XREAD STREAMS s s 0 1-1|XREAD streams s 18446744073709551615-18446744073709551615|XDEL s 1-2
        XREAD STREAMS s 1-1
        XREAD STREAMS STREAMS 0|XADD STREAMS 1-1 a 1|XREAD STREAMS STREAMS 0|XREAD BLOCK 0 COUNT 1 STREAMS s 0
        XREAD
        XREAD STREAMS s t none x y z|XREAD STREAMS none x|XREAD COUNT 9223372036854775807 STREAMS s 0""",
    "wrong_type": """
        SET v x|XADD v 1-1 a 1|XADD v NOMKSTREAM 1-1 a 1|XLEN v|XRANGE v - +|XRANGE v - + COUNT 0|XDEL v 1
        XDEL v x
        XTRIM v MAXLEN 1|XTRIM v FOO|XSETID v 1|XSETID v x|XREAD STREAMS v 0|XREAD STREAMS v x
        XREAD STREAMS none v x 0
        XINFO STREAM v|XINFO STREAM v FOO|XINFO GROUPS v|XINFO CONSUMERS v g|XGROUP CREATE v g 0
        XGROUP CREATE v g x
        XGROUP SETID v g 0|XGROUP DESTROY v g|XGROUP CREATECONSUMER v g c|XGROUP DELCONSUMER v g c|XACK v g 1
        XACK v g x
        XPENDING v g|XPENDING v g - + x|XCLAIM v g c 0 1|XCLAIM v g c x 1|XAUTOCLAIM v g c 0 0
        XAUTOCLAIM v g c x 0
        XREADGROUP GROUP g c STREAMS v >|XGROUP CREATE v g 0 MKSTREAM|XADD s 1-1 a 1|GET s|APPEND s x|HGET s a
        LCS s v
        SET s x|XLEN s|GET s""",
    "other_commands": """
        XADD s 1-1 a 1|XADD s 1-2 b 2|XGROUP CREATE s g 0|XREADGROUP GROUP g c COUNT 1 STREAMS s >|COPY s t
        XRANGE t - +
        XPENDING t g|XINFO GROUPS t|XADD t 1-3 c 3|XLEN s|RENAME s {s}2|XRANGE {s}2 - +|XPENDING {s}2 g
        EXISTS s|EXPIRE t 100
        XADD t 1-4 d 4|TTL t|XDEL t 1-1|TTL t|PERSIST t|DEL t|XLEN t|XADD t 1-1 a 1|XRANGE t - +
        COPY {s}2 t REPLACE
        XRANGE t - +|XPENDING t g|OBJECT REFCOUNT t|FLUSHALL|EXISTS t|XINFO STREAM t""",
}
KEYS = st.sampled_from([b"a", b"b"])
IDS = st.sampled_from([
    b"1", b"1-1", b"1-2", b"2-*", b"3-3", b"4", b"5-*", b"7", b"0-*", b"x", b"9-0", b"12-*", b"20-*",
])  # fmt: skip
HIGH_IDS = st.sampled_from([b"20-0", b"15", b"x"])
"""Above all that are deleted: Redis 7.0 lets XSETID go below those."""
BOUNDS = st.sampled_from([b"-", b"+", b"1", b"(1-1", b"2-0", b"(3-3", b"5", b"(", b"18446744073709551615"])
COUNTS = st.sampled_from([b"0", b"1", b"2", b"3", b"-1", b"x"])
LIMITS = joined(
    word(b"MAXLEN", b"MINID"),
    joined(options(word(b"=")), st.sampled_from([[b"1"], [b"3"], [b"0"], [b"2-0"]])),
)
REQUESTS = st.one_of(
    request(b"XADD", KEYS, IDS, st.just(b"f"), st.sampled_from([b"v", b"w"])),
    joined(joined(request(b"XADD", KEYS), LIMITS), st.tuples(IDS, st.just(b"f"), st.just(b"v")).map(list)),
    request(b"XADD", KEYS, st.just(b"NOMKSTREAM"), IDS, st.just(b"f"), st.just(b"v")),
    request(b"XLEN", KEYS),
    joined(request(b"XRANGE", KEYS, BOUNDS, BOUNDS), options(request(b"COUNT", COUNTS))),
    joined(request(b"XREVRANGE", KEYS, BOUNDS, BOUNDS), options(request(b"COUNT", COUNTS))),
    request(b"XDEL", KEYS, IDS),
    request(b"XDEL", KEYS, IDS, IDS),
    joined(request(b"XTRIM", KEYS), LIMITS),
    joined(
        request(b"XSETID", KEYS, HIGH_IDS),
        options(request(b"ENTRIESADDED", COUNTS), request(b"MAXDELETEDID", IDS)),
    ),
    request(b"XREAD", st.just(b"COUNT"), COUNTS, st.just(b"STREAMS"), KEYS, IDS),
    request(b"XREAD", st.just(b"STREAMS"), KEYS, KEYS, IDS, st.sampled_from([b"$", b"0"])),
    request(b"XINFO", st.just(b"STREAM"), KEYS),
    ANY_KEY,
)


_NO_SEQUENCE_LEFT = b"-ERR The ID specified in XADD is equal or smaller than the target stream top item\r\n"


def known(words: Sequence[bytes], reply: bytes) -> bytes:
    """What a reply says, but for the shape of a tree only Redis has, and for words that 7.2 changed."""
    if words[0] == b"XINFO":
        return re.sub(rb"(radix-tree-(?:keys|nodes)\r\n):\d+", rb"\1", reply)
    if reply == b"-ERR Elements are too large to be stored\r\n":
        return _NO_SEQUENCE_LEFT
    return b"unbalanced" if reply.startswith(b"-ERR Unbalanced") else reply


@pytest.mark.parametrize("name", SCRIPTS)
def test_stream_script_gets_redis_replies(oracle: Oracle, proto: int, name: str) -> None:
    """Every reply of the script is Redis's."""
    compare(oracle, requests_of(SCRIPTS[name]), proto, known)


@generated
@given(requests=sequences(REQUESTS))
def test_generated_stream_sequence_gets_redis_replies(
    oracle: Oracle, proto: int, requests: list[list[bytes]]
) -> None:
    """Whatever the sequence, every reply is Redis's."""
    compare(oracle, requests, proto, known)


def test_ids_go_by_the_entry_clock_and_never_back() -> None:
    """`*` is the clock's milliseconds, or what follows the last ID if that is ahead of the clock."""
    ctx = context()
    for clock, expected in ((1000, b"1000-0"), (1000, b"1000-1"), (1005, b"1005-0"), (900, b"1005-1")):
        ctx.begin(now_ms=clock, write=True)
        assert execute_one(ctx, [b"XADD", b"s", b"*", b"f", b"v"]) == b"$6\r\n%b\r\n" % expected
    assert execute_one(ctx, [b"XADD", b"s", b"2000-18446744073709551615", b"f", b"v"])
    assert execute_one(ctx, [b"XADD", b"s", b"*", b"f", b"v"]) == b"$6\r\n2001-0\r\n"


@given(number=st.integers(0, 2**128 - 1))
def test_ids_are_spelled_and_read_back(number: int) -> None:
    """And have neighbours."""
    entry_id = number.to_bytes(16, "big")
    assert parse_if_valid(spell(entry_id)) == entry_id
    after, before = following(entry_id), preceding(entry_id)
    assert after is None or (after > entry_id and preceding(after) == entry_id)
    assert before is None or (before < entry_id and following(before) == entry_id)
    assert (after is None, before is None) == (entry_id == MAX, entry_id == MIN)


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 999, 12345])
@pytest.mark.parametrize("kept", [0, 1, 50, 100, 1000])
def test_approximate_trimming_keeps_less_than_a_hundred_too_many(size: int, kept: int) -> None:
    """Never fewer than asked for; up to a hundred times hundred entries go at once."""
    ctx = context()
    run(ctx, [[b"XADD", b"s", b"%d-1" % number, b"f", b"v"] for number in range(size)], 2)
    deleted = int(execute_one(ctx, [b"XTRIM", b"s", b"MAXLEN", b"~", b"%d" % kept])[1:])
    left = int(execute_one(ctx, [b"XLEN", b"s"])[1:])
    assert left == size - deleted
    assert left == size or kept <= left
    assert deleted == 10000 or left < kept + 100


def test_a_stream_is_the_same_whatever_was_read(proto: int) -> None:
    """Reading leaves the stored bytes alone."""
    ctx = context()
    run(ctx, requests_of("XADD s 1-1 a 1|XADD s 1-2 b 2|XGROUP CREATE s g 0"), proto)
    before = list(ctx.keyspace.engine.items(ctx.slot_of(b"s")))
    ctx.begin(now_ms=now_ms(), write=False)
    for words in requests_of(
        "XRANGE s - +|XREAD STREAMS s 0|XPENDING s g|XINFO STREAM s FULL|XPENDING s g - + 9"
    ):
        execute_one(ctx, words)
    assert list(ctx.keyspace.engine.items(ctx.slot_of(b"s"))) == before
