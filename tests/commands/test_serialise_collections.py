"""Collections go from redis-server to us and back by DUMP and RESTORE, in every form a server writes."""

from __future__ import annotations

import random
import re

import pytest

from redraft.commands.payload import sealed, written_string
from redraft.engine.hash import HashEngine
from tests.commands.executors import check_counts
from tests.commands.oracle import Oracle, context, execute_one, items_of, run
from tests.commands.test_serialise import BAD

TEXTS = [b"a", b"-1", b"0", b"127", b"128", b"-4096", b"4095", b"4096", b"32767", b"-32769", b"8388607",
         b"-8388609", b"2147483648", b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808",
         b"01", b"", b"x" * 63, b"y" * 64, b"z" * 5000, b"\0\xff\r\n"]  # fmt: skip
"""Each in a form of its own, in one of the encodings."""

LENGTHS = [bytes((97 + at,)) * length for at, length in enumerate(
    (121, 122, 123, 124, 125, 126, 127, 128, 4093, 4095, 4096, 16376, 16377, 16378, 16379, 16380, 16383)
)]  # fmt: skip
"""Lengths about which the sizes in packed forms take another byte."""

COMPACT_LIMITS = (b"hash-max-listpack-entries", b"hash-max-listpack-value", b"set-max-intset-entries",
                  b"zset-max-listpack-entries", b"zset-max-listpack-value",
                  b"list-max-listpack-size")  # fmt: skip

HASHES = {
    "small": [b"a", b"1", b"b", b""],
    "texts": [word for number, text in enumerate(TEXTS) for word in (b"%d" % number, text)],
    "lengths": [word for number, text in enumerate(LENGTHS) for word in (b"%d" % number, text)],
    "many": [word for number in range(700) for word in (b"field:%d" % number, b"%d" % (number * 7919))],
}
STREAMS: dict[str, list[list[bytes]]] = {
    "few": [words.split() for words in (
        b"XADD k 5-5 a 1 b 2", b"XADD k 5-6 a 3 b 4", b"XADD k 7-0 c 5", b"XADD k 7-1 a 1 b -300",
        b"XADD k 18446744073709551615-3 a 1 b 99999", b"XDEL k 5-6",
    )],
    "texts": [[b"XADD", b"k", b"1-%d" % (at + 1), text, text] for at, text in enumerate(TEXTS)],
    "lengths": [[b"XADD", b"k", b"1-%d" % (at + 1), text, text] for at, text in enumerate(LENGTHS)],
    "empty": [b"XADD k 5-5 a 1".split(), b"XTRIM k MAXLEN 0".split()],
    "groups": [words.split() for words in (
        b"XADD k 1-1 a 1", b"XADD k 2-1 a 2", b"XADD k 3-1 a 3", b"XGROUP CREATE k g 0",
        b"XGROUP CREATE k h $",
        b"XGROUP CREATE k i 1-1 ENTRIESREAD 1", b"XREADGROUP GROUP g alice COUNT 2 STREAMS k >",
        b"XREADGROUP GROUP g bob STREAMS k >", b"XGROUP CREATECONSUMER k h nobody", b"XDEL k 2-1",
        b"XCLAIM k g carol 0 1-1 TIME 1000 RETRYCOUNT 9",
    )],
    "many": [[b"XADD", b"k", b"%d-1" % (at + 1), b"n", b"%d" % at, b"even", b"x" * (at % 50)]
             for at in range(350)],
}  # fmt: skip
LISTS = {
    "small": [b"a", b"1", b"b", b"a"],
    "texts": TEXTS,
    "lengths": LENGTHS,
    "large": [b"a" * 9000, b"b" * 20000, b"1"],
    "many": [b"%d" % (number * 7919) for number in range(3000)],
}
SETS = {
    "small": [b"a", b"1", b"b"],
    "texts": TEXTS,
    "bytes": [b"1", b"-5", b"32767"],
    "words": [b"1", b"-5", b"32768", b"-2147483648"],
    "longs": [b"1", b"-5", b"9223372036854775807"],
    "many": [b"%d" % (number * 7919) for number in range(700)],
}
ZSETS = {
    "small": [b"1", b"a", b"2", b"b", b"-1.5", b"c"],
    "texts": [word for number, text in enumerate(TEXTS) for word in (b"%d" % (number * 1000 - 3000), text)],
    "scores": [b"inf", b"a", b"-inf", b"b", b"0.1", b"c", b"1e300", b"d", b"5e-324", b"e", b"0", b"f"],
    "many": [word for number in range(300) for word in (b"%d" % (number % 7), b"m%d" % number)],
}
ONE_WAY: dict[str, tuple[list[list[bytes]], list[bytes]]] = {
    f"zset {name}": ([[b"ZADD", b"k", *words]], [b"ZRANGE", b"k", b"0", b"-1", b"WITHSCORES"])
    for name, words in ZSETS.items()
}
CASES: dict[str, tuple[list[list[bytes]], list[bytes]]] = {
    **{f"stream {name}": (make, [b"XRANGE", b"k", b"-", b"+"]) for name, make in STREAMS.items()},
    **{
        f"list {name}": ([[b"RPUSH", b"k", *words]], [b"LRANGE", b"k", b"0", b"-1"])
        for name, words in LISTS.items()
    },
    **{f"set {name}": ([[b"SADD", b"k", *words]], [b"SMEMBERS", b"k"]) for name, words in SETS.items()},
    **{f"hash {name}": ([[b"HSET", b"k", *words]], [b"HGETALL", b"k"]) for name, words in HASHES.items()},
}
"""Requests that make a key, and one that shows it."""


def payload_of(reply: bytes) -> bytes:
    """Return the string that a reply is."""
    assert reply[:1] == b"$", reply
    return reply.partition(b"\r\n")[2][:-2]


def shown(words: list[bytes], reply: bytes) -> list[bytes]:
    """Return what is in a reply, so that two can be compared in whichever order things are listed."""
    items = items_of(reply.partition(b"\r\n")[2])
    if words[0] == b"HGETALL":
        return sorted(field + value for field, value in zip(items[::2], items[1::2], strict=True))
    return sorted(items) if words[0] == b"SMEMBERS" else items


def theirs(oracle: Oracle, name: str, limit: bytes, compressed: bytes) -> bytes:
    """Return the payload that the oracle makes of a case."""
    oracle.reset(2)
    oracle.ask([b"CONFIG", b"SET", b"rdbcompression", compressed])
    before = [oracle.ask([b"CONFIG", b"GET", setting]).split(b"\r\n")[4] for setting in COMPACT_LIMITS]
    for setting in COMPACT_LIMITS:
        value = b"-5" if setting == b"list-max-listpack-size" and limit != b"0" else limit
        assert oracle.ask([b"CONFIG", b"SET", setting, value]) == b"+OK\r\n"
    try:
        for request in {**CASES, **ONE_WAY}[name][0]:
            assert oracle.ask(request)[:1] != b"-", request
        return payload_of(oracle.ask([b"DUMP", b"k"]))
    finally:
        oracle.ask([b"CONFIG", b"SET", b"rdbcompression", b"no"])
        for setting, value in zip(COMPACT_LIMITS, before, strict=True):
            assert oracle.ask([b"CONFIG", b"SET", setting, value]) == b"+OK\r\n"


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("limit", [b"0", b"1000000"])
@pytest.mark.parametrize("compressed", [b"no", b"yes"])
def test_what_redis_dumps_is_restored_here(
    oracle: Oracle, name: str, limit: bytes, compressed: bytes
) -> None:
    """Packed or plain, compressed or not."""
    look = CASES[name][1]
    data = theirs(oracle, name, limit, compressed)
    expected = oracle.ask(look)
    for fast in (True, False):
        ctx = context(fast=fast)
        assert execute_one(ctx, [b"RESTORE", b"k", b"0", data]) == b"+OK\r\n"
        assert shown(look, execute_one(ctx, look)) == shown(look, expected)
        check_counts(ctx.keyspace)


@pytest.mark.parametrize("name", CASES)
def test_what_is_dumped_here_redis_restores(oracle: Oracle, name: str) -> None:
    """And so do we; the encoding is the one that a server's own key has."""
    oracle.reset(2)
    ctx = context()
    make, look = CASES[name]
    for reply in run(ctx, make, 2):
        assert reply[:1] != b"-", reply
    for request in make:
        oracle.ask(request)
    expected = shown(look, oracle.ask(look))
    data = payload_of(execute_one(ctx, [b"DUMP", b"k"]))
    assert oracle.ask([b"RESTORE", b"k", b"0", data, b"REPLACE"]) == b"+OK\r\n"
    assert shown(look, oracle.ask(look)) == expected
    assert execute_one(ctx, [b"RESTORE", b"k", b"0", data, b"REPLACE"]) == b"+OK\r\n"
    assert shown(look, execute_one(ctx, look)) == expected
    asked = [b"OBJECT", b"ENCODING", b"k"]
    ours = execute_one(ctx, asked)
    if name.startswith("set"):  # sets have listpacks since Redis 7.2 only
        ours = ours.replace(b"$8\r\nlistpack", b"$9\r\nhashtable")
    assert ours == oracle.ask(asked)
    check_counts(ctx.keyspace)


@pytest.mark.parametrize(
    "name", [name for name in (*CASES, *ONE_WAY) if not name.endswith(("many", "lengths", "large"))]
)
@pytest.mark.parametrize("limit", [b"0", b"1000000"])
def test_wrong_contents_are_refused_whole(oracle: Oracle, name: str, limit: bytes) -> None:
    """Cut and changed payloads with right checksums: an error and no key, or another key; nothing else."""
    random_ = random.Random(f"{name} {limit!r}")
    for compressed in (b"no", b"yes"):
        contents = theirs(oracle, name, limit, compressed)[:-10]
        wrong = [contents[:end] for end in range(0, len(contents), 1 + len(contents) // 200)]
        for _ in range(300):
            changed = bytearray(contents)
            for _ in range(random_.choice((1, 1, 2, 4))):
                changed[random_.randrange(min(len(changed), random_.choice((8, 64, 1 << 20))))] = (
                    random_.choice((random_.randrange(256), 0, 0xFF, 0x80, 0xC3))
                )
            wrong.append(bytes(changed))
        check_refused(wrong, name)


ASKED = [words.split() for words in (
    b"XINFO STREAM k", b"XINFO GROUPS k", b"XPENDING k g", b"XPENDING k g - + 10",
)]  # fmt: skip
"""What is told of a stream with its groups; times of consumers differ."""


def about(reply: bytes) -> bytes:
    """Return a reply without how Redis's trees are built and how long something is ago."""
    reply = re.sub(rb"radix-tree-(keys|nodes)\r\n:\d+", b"", reply)
    return re.sub(rb"(\r\n\$[0-9]+\r\n(?:alice|bob|carol)\r\n):\d+", rb"\1", reply)


def test_groups_of_a_stream_go_both_ways(oracle: Oracle) -> None:
    """What has been read, what is pending, and for whom."""
    data = theirs(oracle, "stream groups", b"0", b"no")
    ctx = context()
    assert execute_one(ctx, [b"RESTORE", b"k", b"0", data]) == b"+OK\r\n"
    expected = [about(oracle.ask(words)) for words in ASKED]
    assert [about(execute_one(ctx, words)) for words in ASKED] == expected
    ours = payload_of(execute_one(ctx, [b"DUMP", b"k"]))
    assert oracle.ask([b"RESTORE", b"k", b"0", ours, b"REPLACE"]) == b"+OK\r\n"
    assert [about(oracle.ask(words)) for words in ASKED] == expected


def check_refused(wrong: list[bytes], name: str) -> None:
    """Restore each: it is refused and nothing is left, or it is restored and can be shown and deleted."""
    ctx = context()
    run(ctx, [[b"HSET", b"before", b"f", b"v"]], 2)
    for contents in wrong:
        replies = run(ctx, [
            [b"RESTORE", b"k", b"0", sealed(contents)], [b"EXISTS", b"k"], [b"DUMP", b"k"], [b"DEL", b"k"],
            [b"RESTORE", b"before", b"0", sealed(contents), b"REPLACE"], [b"EXISTS", b"before"],
        ], 2)  # fmt: skip
        assert replies[0] in (b"+OK\r\n", BAD), (name, contents, replies[0])
        assert (replies[0] == BAD) == (replies[1] == b":0\r\n"), (name, contents)
        assert replies[4] == replies[0]
        assert replies[5] == b":1\r\n"
    check_counts(ctx.keyspace)
    assert ctx.keyspace.key_count == 1
    assert isinstance(ctx.keyspace.engine, HashEngine)
    assert sum(len(some) for some in ctx.keyspace.engine.collections if some) <= 1, "members without a key"


@pytest.mark.parametrize("name", ONE_WAY)
@pytest.mark.parametrize("limit", [b"0", b"1000000"])
def test_sorted_sets_come_back_as_they_went(oracle: Oracle, name: str, limit: bytes) -> None:
    """From a server to us, and from us to the server again."""
    data = theirs(oracle, name, limit, b"yes")
    look = ONE_WAY[name][1]
    expected = oracle.ask(look)
    ctx = context()
    assert execute_one(ctx, [b"RESTORE", b"k", b"0", data]) == b"+OK\r\n"
    ours = payload_of(execute_one(ctx, [b"DUMP", b"k"]))
    assert oracle.ask([b"RESTORE", b"k", b"0", ours, b"REPLACE"]) == b"+OK\r\n"
    assert oracle.ask(look) == expected
    check_counts(ctx.keyspace)


ZIPPED = bytes.fromhex(
    "00000000 00000000 0a00 000161 03f6 02026263 04c0d4fe 040164 03f0e09304 05f1 02e0351cdcdf02000000"
    "0afe7f 0300 ff"
)
"""a 5 bc -300 d 300000 0 12345678901 127 and nothing: every form of an entry, but long strings."""


def zipped() -> bytes:
    """Return the ziplist with its lengths."""
    return len(ZIPPED).to_bytes(4, "little") + (len(ZIPPED) - 3).to_bytes(4, "little") + ZIPPED[8:]


@pytest.mark.parametrize(
    ("contents", "look"),
    [
        (b"\x0a", [b"LRANGE", b"k", b"0", b"-1"]),
        (b"\x0e\x02", [b"LRANGE", b"k", b"0", b"-1"]),
        (b"\x0d", [b"HGETALL", b"k"]),
    ],
    ids=["list", "list of nodes", "hash"],
)
def test_ziplists_of_older_servers_are_restored(oracle: Oracle, contents: bytes, look: list[bytes]) -> None:
    """Redis 7 still reads what Redis 6 wrote, and so do we."""
    oracle.reset(2)
    node = written_string(zipped())
    payload = sealed(contents + node + (node if contents[0] == 14 else b""), 9)
    ctx = context()
    assert oracle.ask([b"RESTORE", b"k", b"0", payload]) == b"+OK\r\n"
    assert execute_one(ctx, [b"RESTORE", b"k", b"0", payload]) == b"+OK\r\n"
    assert shown(look, execute_one(ctx, look)) == shown(look, oracle.ask(look))


def test_cut_payloads_are_refused(oracle: Oracle) -> None:
    """A payload that ends too early is never restored."""
    for name in (
        "hash small",
        "hash texts",
        "stream few",
        "stream groups",
        "list texts",
        "set texts",
        "set words",
    ):
        for limit in (b"0", b"1000000"):
            contents = theirs(oracle, name, limit, b"no")[:-10]
            ctx = context()
            for end in range(len(contents)):
                assert execute_one(ctx, [b"RESTORE", b"k", b"0", sealed(contents[:end])]) == BAD
