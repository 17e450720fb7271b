"""Consumer groups of streams against redis-server, byte for byte.

The server is of Redis 7.0, in which consumers come to be only once they get something, and have no time of
activity: scripts and sequences make consumers before they use them, and what 7.2 adds has tests of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redraft.commands.context import Context
from redraft.commands.stream import Stream
from redraft.commands.streamgroup import groups_of
from redraft.commands.streamid import MIN
from redraft.commands.table import BY_NAME
from tests.commands.oracle import Oracle, compare, context, execute_one, generated, requests_of, run
from tests.commands.strategies import ANY_KEY, joined, options, request, sequences, word

ENTRIES = "XADD s 1-1 a 1|XADD s 1-2 b 2|XADD s 2-1 c 3|XADD s 3-5 d 4|"
CONSUMERS = "XGROUP CREATECONSUMER s g x|XGROUP CREATECONSUMER s g y|"
SCRIPTS: dict[str, str] = {
    "groups": f"""
        XGROUP CREATE s g 0|XGROUP CREATE s g x|XGROUP CREATE s g 0 MKSTREAM|XGROUP CREATE s g 0 MKSTREAM
        XGROUP CREATE s g x MKSTREAM|XGROUP CREATE t g x MKSTREAM|EXISTS t|XLEN s|TYPE s|XINFO STREAM s
        XINFO STREAM s FULL
        XINFO GROUPS s|XGROUP CREATE u g $ MKSTREAM|XINFO GROUPS u|{ENTRIES}XGROUP CREATE s h $
        XGROUP CREATE s i 1-2
        XGROUP CREATE s j 99-99 ENTRIESREAD 2|XGROUP CREATE s k 0 ENTRIESREAD -1
        XGROUP CREATE s l 0 ENTRIESREAD -2
        XGROUP CREATE s l 0 ENTRIESREAD x|XGROUP CREATE s l 0 ENTRIESREAD|XGROUP CREATE s l -
        XGROUP CREATE s l +
        XGROUP CREATE s l 0 FOO|XGROUP CREATE s l 0 ENTRIESREAD 1 MKSTREAM
        XGROUP CREATE s m 0 MKSTREAM MKSTREAM MKSTREAM
        XGROUP CREATE s m 0 MKSTREAM MKSTREAM MKSTREAM MKSTREAM
        XGROUP CREATE s m x ENTRIESREAD 1 ENTRIESREAD 2
        XGROUP CREATE v m 0 ENTRIESREAD 1 ENTRIESREAD 2 MKSTREAM|XINFO GROUPS s|XGROUP SETID s g 1-1
        XGROUP SETID s g $
        XGROUP SETID s g +|XGROUP SETID s h -|XGROUP SETID s i 1-2 ENTRIESREAD 7|XGROUP SETID s i 1 MKSTREAM
        XGROUP SETID s i x|XGROUP SETID s none 1|XGROUP SETID none g 1|XGROUP SETID s i 1 ENTRIESREAD
        XGROUP SETID s i 1 ENTRIESREAD 1 ENTRIESREAD 2|XGROUP SETID s i|XINFO GROUPS s|XGROUP DESTROY s g
        XGROUP DESTROY s g
        XGROUP DESTROY none g|XGROUP DESTROY s|XINFO GROUPS s|XGROUP|XGROUP FOO|XGROUP FOO s g|XGROUP CREATE
        XINFO|XINFO FOO
        XGROUP HELP x|XINFO HELP x|XINFO GROUPS none|XINFO GROUPS|XINFO STREAM none|XINFO CONSUMERS none g
        XINFO CONSUMERS s none|XINFO CONSUMERS s|xgroup create s zz 0|xinfo groups s|XINFO STREAM s FULL x
        XINFO STREAM s FULL COUNT|XINFO STREAM s FULL COUNT x|XINFO STREAM s FOO|XINFO STREAM s FULL FOO 1
        XINFO STREAM s full count 1|XINFO STREAM s FULL COUNT 0|XINFO STREAM s FULL COUNT -1
        XINFO STREAM none FOO""",
    "consumers": f"""
        {ENTRIES}XGROUP CREATE s g 0|XGROUP CREATECONSUMER s g x|XGROUP CREATECONSUMER s g x
        XGROUP CREATECONSUMER s g {{}}
        XGROUP CREATECONSUMER s none x|XGROUP CREATECONSUMER none g x|XGROUP CREATECONSUMER s g
        XINFO CONSUMERS s g
        XREADGROUP GROUP g y COUNT 2 STREAMS s >|XREADGROUP GROUP g x STREAMS s >|XINFO CONSUMERS s g
        XINFO GROUPS s
        XGROUP DELCONSUMER s g y|XPENDING s g|XPENDING s g - + 10|XGROUP DELCONSUMER s g y
        XGROUP DELCONSUMER s none y
        XGROUP DELCONSUMER none g y|XGROUP DELCONSUMER s g {{}}|XINFO GROUPS s|XGROUP DELCONSUMER s g x
        XINFO CONSUMERS s g
        XINFO STREAM s FULL|XGROUP DELCONSUMER s g""",
    "read": f"""
        {ENTRIES}XGROUP CREATE s g 0|XREADGROUP GROUP g x COUNT 1 STREAMS s >|XREADGROUP GROUP g x STREAMS s 0
        XREADGROUP GROUP g x STREAMS s 1-1|XREADGROUP GROUP g x NOACK COUNT 1 STREAMS s >
        XREADGROUP GROUP g x STREAMS s 0
        XINFO GROUPS s|XPENDING s g|XPENDING s g - + 10|XREADGROUP GROUP g y COUNT 0 STREAMS s >
        XPENDING s g - + 10
        XREADGROUP GROUP g y STREAMS s >|XREADGROUP GROUP g y BLOCK 1 STREAMS s >
        XREADGROUP GROUP g y COUNT 1 STREAMS s 0
        XREADGROUP GROUP g z STREAMS s 0|XDEL s 2-1|XREADGROUP GROUP g y STREAMS s 0|XPENDING s g - + 10
        XINFO STREAM s FULL
        XREADGROUP GROUP g x STREAMS s 18446744073709551615-18446744073709551615|XADD s 9-1 e 5|XADD s 9-2 f 6
        XREADGROUP GROUP g x COUNT 1 STREAMS s s > >|XREADGROUP GROUP g x STREAMS s s > 0
        XGROUP CREATE t g $ MKSTREAM
        XADD t 1-1 a 1|XREADGROUP GROUP g x STREAMS t s > 0|XREADGROUP GROUP g x STREAMS t s > >
        XGROUP SETID s g 0
        XREADGROUP GROUP g y COUNT 2 STREAMS s >|XPENDING s g|XINFO GROUPS s|XREADGROUP GROUP g y STREAMS s >
        XREADGROUP GROUP g x STREAMS s >|XREADGROUP GROUP none x STREAMS s >
        XREADGROUP GROUP g x STREAMS none >
        XREADGROUP GROUP g x STREAMS s none > >|XREADGROUP GROUP g x STREAMS s $
        XREADGROUP GROUP g x STREAMS s x
        XREADGROUP GROUP g x STREAMS s|XREADGROUP GROUP g x COUNT x STREAMS s >
        XREADGROUP COUNT 1 NOACK STREAMS s t > >
        XREADGROUP GROUP g x BLOCK -1 STREAMS s >|XREADGROUP GROUP g x BLOCK x STREAMS s >
        XREADGROUP GROUP g x STREAMS s -
        XREADGROUP GROUP g x FOO STREAMS s >|XREADGROUP|XREADGROUP GROUP g x COUNT 1 NOACK
        XREADGROUP GROUP g x STREAMS s s t >
        XREADGROUP GROUP g x STREAMS s none x >|XREADGROUP GROUP g x STREAMS none s x >|XPENDING s g
        XREADGROUP GROUP g x COUNT 2 STREAMS s 1-1
        XREADGROUP GROUP g x COUNT 9223372036854775807 STREAMS s 0""",
    "acknowledge": f"""
        {ENTRIES}XGROUP CREATE s g 0|XREADGROUP GROUP g x COUNT 2 STREAMS s >|XREADGROUP GROUP g y STREAMS s >
        XACK s g 1-1 9-9 2-1|XPENDING s g|XPENDING s g - + 10|XACK s g 1-1|XACK s g x|XACK s g 3-5 x
        XPENDING s g|XACK none g 1
        XACK none g x|XACK s none 1|XACK s none x|XACK s g|XACK s g 1-2 1-2 3-5|XPENDING s g
        XINFO CONSUMERS s g|XINFO GROUPS s
        XREADGROUP GROUP g x STREAMS s 0|XGROUP DESTROY s g|XPENDING s g|XGROUP CREATE s g 0|XPENDING s g
        XINFO STREAM s FULL
        XREADGROUP GROUP g x STREAMS s >|XGROUP DESTROY s g|XINFO STREAM s FULL|XGROUP CREATE s g 0
        XPENDING s g - + 10""",
    "pending": f"""
        {ENTRIES}XGROUP CREATE s g 0|XREADGROUP GROUP g y COUNT 2 STREAMS s >|XREADGROUP GROUP g x STREAMS s >
        XPENDING s g
        XPENDING s g - + 10|XPENDING s g - + 1|XPENDING s g - + 0|XPENDING s g - + -1|XPENDING s g - + x
        XPENDING s g (1-1 + 9
        XPENDING s g - (2-1 9|XPENDING s g 1 1 9|XPENDING s g 2 1 9|XPENDING s g x + 9|XPENDING s g - x 9
        XPENDING s g - +
        XPENDING s g - + 9 x|XPENDING s g - + 9 y|XPENDING s g - + 1 y|XPENDING s g 1-2 + 9 y
        XPENDING s g - + 9 none
        XPENDING s g IDLE 0 - + 9|XPENDING s g IDLE 100000 - + 9|XPENDING s g idle -5 - + 9 x
        XPENDING s g IDLE x - + 9
        XPENDING s g IDLE 0 - + 9 x y|XPENDING s g IDLE 0 - +|XPENDING s g IDLE 0 -|XPENDING s g IDLE 0
        XPENDING s g IDLE
        XPENDING s g - + 9 x y|XPENDING s g - + 9 x y z|XPENDING s none|XPENDING none g|XPENDING none g - + 9
        XPENDING s none - + 9 x|XPENDING s|XPENDING s g (18446744073709551615-18446744073709551615 + 9
        XPENDING s g - (0-0 9
        XPENDING s g - + 9223372036854775807|XPENDING s g IDLE 0 - + 9223372036854775807
        XPENDING s g IDLE x - + x
        XPENDING none g x + 9|XPENDING s g x x x|XDEL s 1-1|XPENDING s g - + 9""",
    "claim": f"""
        {ENTRIES}XGROUP CREATE s g 0|{CONSUMERS}XREADGROUP GROUP g x COUNT 3 STREAMS s >|XCLAIM s g y 0 1-1
        XPENDING s g - + 9
        XCLAIM s g y 100000 1-2|XCLAIM s g y 0 1-2 JUSTID|XPENDING s g - + 9|XCLAIM s g y 0 3-5
        XCLAIM s g y 0 3-5 FORCE
        XCLAIM s g y 0 9-9 FORCE|XPENDING s g - + 9|XCLAIM s g y 0 1-1 RETRYCOUNT 7
        XCLAIM s g y 0 1-1 RETRYCOUNT -7
        XCLAIM s g y 0 1-1 JUSTID RETRYCOUNT 3|XPENDING s g - + 9|XCLAIM s g x 0 1-1 2-1 1-1 TIME 1000
        XPENDING s g IDLE 9999 - + 9
        XCLAIM s g x 100 1-1|XCLAIM s g x 0 1-1 IDLE 50000|XPENDING s g IDLE 9999 - + 9
        XCLAIM s g x 0 1-1 IDLE -50000
        XCLAIM s g x 0 1-1 IDLE 9223372036854775807|XCLAIM s g x 0 1-1 TIME -1
        XCLAIM s g x 0 1-1 TIME 9223372036854775807
        XPENDING s g IDLE 9999 - + 9|XCLAIM s g x 0 1-1 LASTID 9-9|XINFO GROUPS s|XCLAIM s g x 0 1-1 LASTID 1
        XINFO GROUPS s
        XDEL s 1-2|XCLAIM s g x 0 1-2|XPENDING s g - + 9|XCLAIM s g x 0 1-2 FORCE|XDEL s 2-1
        XCLAIM s g x 99999999 2-1
        XPENDING s g|XCLAIM s g x 0 1-1 FOO|XCLAIM s g x 0 FOO|XCLAIM s g x 0 1-1 x 3-5|XCLAIM s g x 0 FORCE
        XCLAIM s g x x 1-1
        XCLAIM s g x 0 1-1 IDLE|XCLAIM s g x 0 1-1 IDLE x|XCLAIM s g x 0 1-1 TIME x
        XCLAIM s g x 0 1-1 RETRYCOUNT x
        XCLAIM s g x 0 1-1 LASTID x|XCLAIM s g x 0 1-1 TIME|XCLAIM s g x 0 1-1 LASTID
        XCLAIM s g x -5 1-1 justid force
        XCLAIM none g x 0 1-1|XCLAIM s none x 0 1-1|XCLAIM none g x x 1-1|XCLAIM s g x 0
        XCLAIM s g x 0 1-1 IDLE 5 TIME 1000
        XPENDING s g|XINFO STREAM s FULL|XCLAIM s g x 0 - JUSTID|XCLAIM s g x 0 1-1 - JUSTID""",
    "autoclaim": f"""
        {ENTRIES}XGROUP CREATE s g 0|{CONSUMERS}XREADGROUP GROUP g x STREAMS s >|XAUTOCLAIM s g y 0 0 COUNT 2
        XPENDING s g - + 9
        XAUTOCLAIM s g y 0 2-1 COUNT 1 JUSTID|XPENDING s g - + 9|XAUTOCLAIM s g y 100000 0
        XAUTOCLAIM s g y 0 -|XDEL s 1-2 2-1
        XAUTOCLAIM s g x 0 0 COUNT 2|XAUTOCLAIM s g x 0 (1-1 COUNT 1|XPENDING s g - + 9|XAUTOCLAIM s g x 0 +
        XDEL s 1-1 3-5
        XAUTOCLAIM s g x 100000 0 COUNT 1|XPENDING s g|XAUTOCLAIM s g x 0 0 COUNT 0
        XAUTOCLAIM s g x 0 0 COUNT -1
        XAUTOCLAIM s g x 0 0 COUNT x|XAUTOCLAIM s g x 0 0 COUNT|XAUTOCLAIM s g x 0 0 FOO|XAUTOCLAIM s g x x 0
        XAUTOCLAIM s g x 0 x
        XAUTOCLAIM none g x 0 0|XAUTOCLAIM s none x 0 0|XAUTOCLAIM none g x 0 x|XAUTOCLAIM s g x 0
        XAUTOCLAIM s g x -1 0
        XAUTOCLAIM s g x 0 (18446744073709551615-18446744073709551615
        XAUTOCLAIM s g x 0 0 COUNT 9223372036854775807
        XAUTOCLAIM s g x 0 0 COUNT 576460752303423488|XAUTOCLAIM s g x 0 0 justid count 5|XPENDING s g
        XINFO CONSUMERS s g""",
    "autoclaim_attempts": "|".join(
        [f"XADD s {number}-0 f {number}" for number in range(1, 61)]
        + ["XGROUP CREATE s g 0", CONSUMERS + "XREADGROUP GROUP g x STREAMS s >"]
        + [f"XCLAIM s g x 0 {number}-0 JUSTID IDLE 100000" for number in range(5, 61, 7)]
        + [
            f"XAUTOCLAIM s g y 50000 {start} COUNT {count} JUSTID"
            for start, count in ((0, 1), (0, 2), (20, 1), (0, 5))
        ]
        + [
            "XPENDING s g",
            "XDEL s 3-0 4-0 5-0 6-0",
            "XAUTOCLAIM s g y 0 0 COUNT 3 JUSTID",
            "XINFO STREAM s FULL COUNT 3",
        ]
    ),
    "progress": f"""
        {ENTRIES}XGROUP CREATE s g 0|XINFO GROUPS s|XREADGROUP GROUP g x COUNT 1 STREAMS s >|XINFO GROUPS s
        XDEL s 2-1
        XINFO GROUPS s|XREADGROUP GROUP g x COUNT 1 STREAMS s >|XINFO GROUPS s
        XREADGROUP GROUP g x STREAMS s >|XINFO GROUPS s
        XADD s 4-1 a 1|XINFO GROUPS s|XTRIM s MAXLEN 1|XINFO GROUPS s|XGROUP CREATE s h 0
        XGROUP CREATE s i 4-1|XGROUP CREATE s j 4
        XGROUP CREATE s k 99|XGROUP CREATECONSUMER s j x|XINFO GROUPS s|XREADGROUP GROUP h x STREAMS s >
        XINFO GROUPS s|XDEL s 4-1
        XINFO GROUPS s
        XREADGROUP GROUP j x STREAMS s >|XADD s 5-1 a 1|XADD s 5-2 a 1|XINFO GROUPS s
        XREADGROUP GROUP j x COUNT 1 STREAMS s >
        XINFO GROUPS s|XSETID s 9 ENTRIESADDED 100|XINFO GROUPS s|XSETID s 9 MAXDELETEDID 1|XINFO GROUPS s""",
}
KEYS = st.sampled_from([b"a", b"a", b"b"])
GROUPS = st.sampled_from([b"g", b"h"])
CONSUMER_NAMES = st.sampled_from([b"x", b"y"])
IDS = st.sampled_from([b"1-1", b"1-2", b"2-0", b"2-1", b"3-1", b"4-1", b"5-1"])
NEW_IDS = st.sampled_from([b"1-*", b"2-*", b"2-*", b"3-*", b"4-*", b"5-*"])
FROM = st.sampled_from([b"0", b"1-1", b"2-0", b"3", b">", b">", b">", b"$"])
BOUNDS = st.sampled_from([b"-", b"+", b"1-1", b"(2-0", b"3"])
COUNTS = st.sampled_from([b"0", b"1", b"2", b"10"])
IDLE = st.sampled_from([b"0", b"0", b"90000"])


def _with_consumer(words: list[bytes]) -> list[list[bytes]]:
    """Redis 7.0 makes consumers at other times than 7.2: here they are there before."""
    at = words.index(b"GROUP") if b"GROUP" in words else 1
    key = words[words.index(b"STREAMS") + 1] if b"STREAMS" in words else words[1]
    group, consumer = words[at + 1 : at + 3]
    return [[b"XGROUP", b"CREATECONSUMER", key, group, consumer], words]


ONE_REQUEST = st.one_of(
    request(b"XADD", KEYS, NEW_IDS, st.just(b"f"), st.sampled_from([b"v", b"w"])),
    request(b"XDEL", KEYS, IDS),
    request(b"XTRIM", KEYS, st.just(b"MAXLEN"), COUNTS),
    joined(
        request(b"XGROUP", st.just(b"CREATE"), KEYS, GROUPS, FROM),
        options(word(b"MKSTREAM"), request(b"ENTRIESREAD", COUNTS)),
    ),
    joined(
        request(b"XGROUP", st.just(b"SETID"), KEYS, GROUPS, FROM), options(request(b"ENTRIESREAD", COUNTS))
    ),
    request(b"XGROUP", st.just(b"DESTROY"), KEYS, GROUPS),
    request(b"XGROUP", st.sampled_from([b"CREATECONSUMER", b"DELCONSUMER"]), KEYS, GROUPS, CONSUMER_NAMES),
    request(b"XACK", KEYS, GROUPS, IDS, IDS),
    request(b"XPENDING", KEYS, GROUPS),
    request(b"XPENDING", KEYS, GROUPS, BOUNDS, BOUNDS, COUNTS),
    request(b"XPENDING", KEYS, GROUPS, st.just(b"IDLE"), IDLE, BOUNDS, BOUNDS, COUNTS, CONSUMER_NAMES),
    request(b"XINFO", st.sampled_from([b"STREAM", b"GROUPS"]), KEYS),
    request(b"XINFO", st.just(b"CONSUMERS"), KEYS, GROUPS),
    request(b"XINFO", st.just(b"STREAM"), KEYS, st.just(b"FULL")),
    ANY_KEY,
).map(lambda words: [words])
FOR_A_CONSUMER = st.one_of(
    joined(
        joined(
            request(b"XREADGROUP", st.just(b"GROUP"), GROUPS, CONSUMER_NAMES),
            options(word(b"NOACK"), request(b"COUNT", COUNTS)),
        ),
        st.tuples(st.just(b"STREAMS"), KEYS, FROM).map(list),
    ),
    joined(
        request(b"XCLAIM", KEYS, GROUPS, CONSUMER_NAMES, IDLE, IDS, IDS),
        options(
            word(b"FORCE", b"JUSTID"), request(b"RETRYCOUNT", COUNTS), request(b"IDLE", IDLE),
            request(b"LASTID", IDS),
        ),
    ),
    joined(
        request(b"XAUTOCLAIM", KEYS, GROUPS, CONSUMER_NAMES, IDLE, BOUNDS),
        options(word(b"JUSTID"), request(b"COUNT", COUNTS)),
    ),
).map(_with_consumer)  # fmt: skip
BEGINNING = requests_of("XGROUP CREATE a g 0 MKSTREAM|XADD a 1-1 f v|XADD a 1-2 f v|XADD a 2-0 f v")

_MOMENT = re.compile(rb":1[78]\d{11}\r\n")
_IDLE_TIME = re.compile(rb"(\$4\r\nidle\r\n):\d+")
_ADDED_IN_7_2 = re.compile(rb"\$(?:8\r\ninactive|11\r\nactive-time)\r\n:-?\d+\r\n")
_CONSUMER = re.compile(
    rb"([%*])(\d+)\r\n"
    rb"(\$4\r\nname\r\n\$\d+\r\n[^\r]*\r\n\$(?:9\r\nseen-time|7\r\npending\r\n:\d+\r\n\$4))"
)
_PENDING_ENTRY = re.compile(rb"(\*4\r\n(?:\$\d+\r\n[^\r]*\r\n){2}):(\d+)")


def known(words: Sequence[bytes], reply: bytes) -> bytes:
    """What a reply says, but for milliseconds, the shape of Redis's tree and what 7.2 added or reworded."""
    name = words[0].upper()
    if reply.startswith(b"-ERR Unbalanced"):
        return b"unbalanced"
    if name == b"XPENDING":
        return _PENDING_ENTRY.sub(lambda match: match[1] + b":%d" % (int(match[2]) // 20_000), reply)
    if name != b"XINFO":
        return reply
    reply = re.sub(rb"(radix-tree-(?:keys|nodes)\r\n):\d+", rb"\1", reply)
    if _ADDED_IN_7_2.search(reply):
        reply = _CONSUMER.sub(_one_pair_less, _ADDED_IN_7_2.sub(b"", reply))
    return _IDLE_TIME.sub(rb"\1", _MOMENT.sub(b":moment\r\n", reply))


def _one_pair_less(match: re.Match[bytes]) -> bytes:
    return match[1] + b"%d\r\n" % (int(match[2]) - (1 if match[1] == b"%" else 2)) + match[3]


@pytest.mark.parametrize("name", SCRIPTS)
def test_group_script_gets_redis_replies(oracle: Oracle, proto: int, name: str) -> None:
    """Every reply of the script is Redis's."""
    compare(oracle, requests_of(SCRIPTS[name]), proto, known)


@generated
@given(requests=sequences(st.one_of(ONE_REQUEST, FOR_A_CONSUMER)))
def test_generated_group_sequence_gets_redis_replies(
    oracle: Oracle, proto: int, requests: list[list[list[bytes]]]
) -> None:
    """Whatever the sequence, every reply is Redis's."""
    compare(oracle, BEGINNING + [words for some in requests for words in some], proto, known)


# ---- what Redis 7.2 does and 7.0 does not ----


def _consumers(ctx: Context) -> list[tuple[bytes, int, int, int]]:
    """Name, pending, idle, inactive of each."""
    words = execute_one(ctx, [b"XINFO", b"CONSUMERS", b"s", b"g"]).split(b"\r\n")
    names = [at + 2 for at, text in enumerate(words) if text == b"name"]
    return [
        (words[at], int(words[at + 3][1:]), int(words[at + 6][1:]), int(words[at + 9][1:])) for at in names
    ]


def _at(ctx: Context, milliseconds: int, script: str) -> list[bytes]:
    """Carry out a script at a time."""
    ctx.begin(now_ms=1_000_000 + milliseconds, write=True)
    return [execute_one(ctx, words) for words in requests_of(script)]


def test_a_consumer_is_made_whether_there_is_something_for_it_or_not() -> None:
    """By XREADGROUP, XCLAIM and XAUTOCLAIM; it was seen, and not active."""
    ctx = context()
    _at(ctx, 0, "XGROUP CREATE s g 0 MKSTREAM|XREADGROUP GROUP g a STREAMS s >")
    _at(ctx, 0, "XCLAIM s g b 0 1-1|XAUTOCLAIM s g c 0 0")
    _at(ctx, 7, "XGROUP CREATECONSUMER s g d")
    assert _consumers(ctx) == [(b"a", 0, 7, -1), (b"b", 0, 7, -1), (b"c", 0, 7, -1), (b"d", 0, 0, -1)]


def test_a_consumer_is_seen_when_it_asks_and_active_when_it_gets() -> None:
    """Idle since the first, inactive since the second; NOACK and what is pending already are no activity."""
    ctx = context()
    _at(ctx, 0, "XADD s 1-1 f v|XGROUP CREATE s g 0|XREADGROUP GROUP g a STREAMS s >")
    _at(ctx, 10, "XREADGROUP GROUP g a STREAMS s >|XREADGROUP GROUP g a STREAMS s 0")
    assert _consumers(ctx) == [(b"a", 1, 0, 10)]
    _at(ctx, 20, "XADD s 1-2 f v|XREADGROUP GROUP g b NOACK STREAMS s >|XCLAIM s g c 0 1-1")
    assert _consumers(ctx) == [(b"a", 0, 10, 20), (b"b", 0, 0, -1), (b"c", 1, 0, 0)]
    _at(ctx, 30, "XAUTOCLAIM s g a 5 0|XACK s g 1-1")
    assert _consumers(ctx) == [(b"a", 0, 0, 0), (b"b", 0, 10, -1), (b"c", 0, 10, 10)]
    full = _at(ctx, 30, "XINFO STREAM s FULL")[0]
    assert [int(text) for text in re.findall(rb"active-time\r\n:(-?\d+)", full)] == [1_000_030, -1, 1_000_020]


def test_pending_entries_tell_how_long_they_have_been_idle() -> None:
    """By the entry's clock; a clock that went back counts as none."""
    ctx = context()
    _at(ctx, 0, "XADD s 1-1 f v|XADD s 1-2 f v|XGROUP CREATE s g 0")
    _at(ctx, 0, "XREADGROUP GROUP g a COUNT 1 STREAMS s >")
    _at(ctx, 50, "XREADGROUP GROUP g a STREAMS s >")
    (reply,) = _at(ctx, 80, "XPENDING s g - + 9")
    assert [int(idle) for idle in re.findall(rb"\$1\r\na\r\n:(\d+)", reply)] == [80, 30]
    (reply,) = _at(ctx, 80, "XPENDING s g IDLE 31 - + 9")
    assert b"1-1" in reply
    assert b"1-2" not in reply
    (reply,) = _at(ctx, -5, "XPENDING s g - + 9")
    assert [int(idle) for idle in re.findall(rb"\$1\r\na\r\n:(\d+)", reply)] == [0, 0]


def test_setid_does_not_go_below_what_was_deleted() -> None:
    """Or a deleted ID might be given again."""
    ctx = context()
    replies = _at(ctx, 0, "XADD s 5-1 f v|XDEL s 5-1|XSETID s 5|XSETID s 5-1")
    assert replies[2:] == [
        b"-ERR The ID specified in XSETID is smaller than current max_deleted_entry_id\r\n", b"+OK\r\n",
    ]  # fmt: skip


def test_words_of_redis_7_2() -> None:
    """Errors that 7.0 words otherwise, or does not know."""
    ctx = context()
    replies = _at(
        ctx, 0,
        "XREAD STREAMS a b 0|XREADGROUP GROUP g c STREAMS a b >|XREAD BLOCK 9223372036854775807 STREAMS a 0",
    )  # fmt: skip
    unbalanced = (
        b"-ERR Unbalanced '%b' list of streams: for each stream key an ID or '%b' must be specified.\r\n"
    )
    assert replies == [
        unbalanced % (b"xread", b"$"), unbalanced % (b"xreadgroup", b">"),
        b"-ERR timeout is out of range\r\n",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "keys"),
    [
        ("XREAD STREAMS a b 0 0", [b"a", b"b"]),
        ("XREAD COUNT 1 BLOCK 0 streams a 0", [b"a"]),
        ("XREADGROUP GROUP g c NOACK STREAMS a b > >", [b"a", b"b"]),
        ("XREADGROUP GROUP STREAMS STREAMS STREAMS STREAMS >", [b"STREAMS"]),
        ("XREAD COUNT 1 a 0", []),
    ],
)
def test_the_router_finds_the_keys_behind_streams(request_: str, keys: list[bytes]) -> None:
    """The first half of what follows."""
    (words,) = requests_of(request_)
    assert [words[at] for at in BY_NAME[words[0].lower()].find_keys(words)] == keys


def test_a_consumer_called_streams_comes_first_or_is_refused() -> None:
    """The router takes what follows the first STREAMS behind the consumer's place for keys."""
    ctx = context()
    _at(ctx, 0, "XADD s 1-1 f v|XGROUP CREATE s g 0")
    first, later = _at(
        ctx, 0, "XREADGROUP GROUP g STREAMS STREAMS s 0|XREADGROUP NOACK GROUP g STREAMS STREAMS s 0"
    )
    assert first == b"*1\r\n*2\r\n$1\r\ns\r\n*0\r\n"
    assert later == b"-ERR syntax error\r\n"


# ---- what is kept ----


@given(requests=st.lists(st.one_of(ONE_REQUEST, FOR_A_CONSUMER), min_size=5, max_size=40))
def test_counts_are_those_of_what_is_pending(requests: list[list[list[bytes]]]) -> None:
    """Whatever the sequence: of groups, of consumers, and no member is left over."""
    ctx = context()
    run(ctx, BEGINNING + [words for some in requests for words in some], 2)
    for key in (b"a", b"b"):
        if execute_one(ctx, [b"TYPE", key]) != b"+stream\r\n":
            continue
        stream = Stream.find(ctx, key)
        assert stream is not None
        entries = stream.entries()
        assert stream.length == len(entries)
        assert stream.first == (entries[0][0] if entries else MIN)
        assert stream.last >= stream.top()
        expected = len(entries)
        for group in groups_of(stream):
            pending, consumers = group.all_pending(), group.all_consumers()
            assert (group.pending, group.consumers) == (len(pending), len(consumers))
            held = [one for consumer in consumers for one in group.pending_of_consumer(consumer.name)]
            assert sorted(held, key=lambda one: one.id) == pending
            assert sum(consumer.pending for consumer in consumers) == len(pending)
            expected += 1 + len(consumers) + 2 * len(pending)
        assert stream.collection.size == stream.collection.members.count() == expected
