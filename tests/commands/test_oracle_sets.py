"""Sets against redis-server, byte for byte; what Redis 7.2 does otherwise is tested by itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.commands.oracle import (
    Oracle,
    compare,
    context,
    execute_one,
    generated,
    requests_of,
    without_small_sets,
)
from tests.commands.strategies import ANY_KEY, KEYS, joined, options, request, sequences

LONG = "x" * 65
SCRIPTS: dict[str, str] = {
    "members": """
        SADD s a b c|SADD s a d|SADD s|SADD s {}|SMEMBERS s|SCARD s|SCARD none|SMEMBERS none|SISMEMBER s a
        SISMEMBER s z|SISMEMBER none a|SISMEMBER s|SMISMEMBER s a z b|SMISMEMBER none a b|SMISMEMBER s
        SREM s a z b a|SMEMBERS s|SREM none a|SREM s|SREM s c d {} x|EXISTS s|SADD s a a a|SCARD s|TYPE s
        SADD e a|EXPIRE e 100|SADD e b|TTL e|SREM e a|TTL e|SREM e b|TTL e|SCARD|SMEMBERS|SMEMBERS a b
        sadd S x|smembers S|SADD n 1 2 3 -5 9223372036854775807 -9223372036854775808|SMEMBERS n|SREM n 1
        SISMEMBER n 2|SISMEMBER n 02|SISMEMBER n +2|SADD n 02|SMEMBERS n|SADD n x|SMEMBERS n|SCARD n""",
    "moving": """
        SADD a 1 2 x|SADD b 1|SMOVE a b x|SMEMBERS a|SMEMBERS b|SMOVE a b 1|SMEMBERS b|SMOVE a b none
        SMOVE none b 1|SMOVE a new 2|EXISTS a|SMEMBERS new|SMOVE new new 2|SMOVE new new 3|SMOVE none none 1
        SMOVE a b|SET s v|SMOVE none s 1|SMOVE s b 1|SMOVE b s 1|SMOVE b s none|SMEMBERS b|SADD {b}2 q
        SMOVE {b}2 b q|SMEMBERS b|EXISTS {b}2|SADD t 1|EXPIRE t 100|SMOVE b t x|TTL t|SMEMBERS t""",
    "random": """
        SADD s a|SPOP s|EXISTS s|SPOP s|SPOP s 1|SADD s a b c|SPOP s 0|SPOP s -1|SPOP s x|SPOP s 1 2|SPOP s 3
        EXISTS s|SADD s a b|SPOP s 100|EXISTS s|SPOP none x|SPOP none -1|SPOP none 0|SPOP none 1 2|SPOP
        SPOP none 9223372036854775808|SADD s a|SRANDMEMBER s|SRANDMEMBER s 1|SRANDMEMBER s 5|SRANDMEMBER s -3
        SRANDMEMBER s 0|SRANDMEMBER s x|SRANDMEMBER s 1 2|SRANDMEMBER none|SRANDMEMBER none 1|SRANDMEMBER
        SRANDMEMBER none -1|SRANDMEMBER none x|SRANDMEMBER s -9223372036854775808|SSCAN s 0
        SSCAN s 0 MATCH a*|SSCAN s 0 COUNT 0|SSCAN s 0 COUNT x
        SSCAN s 0 FOO 1|SSCAN s abc|SSCAN none 0|SSCAN none abc|SSCAN s|SSCAN s 0 MATCH|SADD s b c
        SRANDMEMBER s 3|SRANDMEMBER s 9223372036854775807""",
    "wrong_type": """
        SET s v|SADD s a|SREM s a|SMEMBERS s|SISMEMBER s a|SMISMEMBER s a|SCARD s|SPOP s|SPOP s 1|SPOP s x
        SRANDMEMBER s|SRANDMEMBER s 1|SRANDMEMBER s x|SSCAN s 0|SINTER s|SUNION s|SDIFF s|SINTERCARD 1 s
        SADD a 1|SINTER a s|SINTER none s|SINTER s none|SUNION none s|SDIFF none s|SDIFF a s|SINTERSTORE d a s
        SINTERSTORE d none s|SUNIONSTORE d a s|SDIFFSTORE d a s|SDIFFSTORE d none s|EXISTS d|SINTERCARD 2 a s
        SINTERCARD 2 none s|SINTERSTORE s a|TYPE s|SET s v|SUNIONSTORE s none|EXISTS s|GET a|APPEND a x|INCR a
        HSET a f v|SADD h x|HSET h2 f v|SADD h2 x|SDIFFSTORE d|SPOP s 0""",
    "algebra": """
        SADD a 1 2 3 x y|SADD b 2 3 x|SADD c 3 x z|SINTER a b c|SINTER a|SINTER a none|SINTER none|SINTER a a
        SUNION a b c|SUNION a|SUNION none|SUNION none c|SUNION a a|SDIFF a b|SDIFF a b c|SDIFF a|SDIFF none a
        SDIFF a none|SDIFF a a|SDIFF b a|SINTERSTORE d a b c|SMEMBERS d|SUNIONSTORE d a b c|SMEMBERS d
        SDIFFSTORE d a c|SMEMBERS d|SDIFFSTORE d a a|EXISTS d|SINTERSTORE a a b|SMEMBERS a|SUNIONSTORE a a c
        SMEMBERS a|SDIFFSTORE b a b|SMEMBERS b|SINTERSTORE a none b|EXISTS a|SINTERSTORE a none|SUNIONSTORE a
        SADD e 1|EXPIRE e 100|SUNIONSTORE e e c|TTL e|EXPIRE e 100|SDIFFSTORE e e e|TTL e|SINTER|SUNION|SDIFF
        SINTERCARD 2 c e|SINTERCARD 2 c c|SINTERCARD 1 c LIMIT 2|SINTERCARD 1 c LIMIT 0|SINTERCARD 1 c LIMIT 9
        SINTERCARD 0 c|SINTERCARD -1 c|SINTERCARD x c|SINTERCARD 2 c|SINTERCARD 9223372036854775807 c
        SINTERCARD 1 c LIMIT|SINTERCARD 1 c LIMIT -1|SINTERCARD 1 c LIMIT x|SINTERCARD 1 c FOO
        SINTERCARD 1 c FOO 1|SINTERCARD 1 c limit 1 LIMIT 2|SINTERCARD 1 c e|SINTERCARD 1|SINTERCARD
        SINTERCARD 1 none|SINTERCARD 1 none LIMIT x|SINTERCARD 1.5 c""",
    "other_commands": f"""
        SADD s 1 2 3|OBJECT ENCODING s|SADD s a|OBJECT ENCODING s|SREM s a|OBJECT ENCODING s|OBJECT REFCOUNT s
        COPY s t|SMEMBERS t|SADD t q|SISMEMBER s q|RENAME t u|SMEMBERS u|OBJECT ENCODING u|SADD v 5
        SADD v {LONG}|OBJECT ENCODING v|SINTERSTORE w s s|OBJECT ENCODING w|SUNIONSTORE w s u
        OBJECT ENCODING w|SDIFFSTORE w s u|SDIFFSTORE w u s|OBJECT ENCODING w|SPOP u 100|EXISTS u|DEL v
        SADD m 01|OBJECT ENCODING m|SMOVE s m 1|SMOVE s m2 2|OBJECT ENCODING m2""",
    "many": "|".join(
        [f"SADD s {number}" for number in range(512)]
        + ["OBJECT ENCODING s", "SCARD s", "SADD s 0", "OBJECT ENCODING s", "SADD s 512", "OBJECT ENCODING s"]
        + ["SMEMBERS s", "SADD t 3 600 -1", "SINTER s t", "SDIFF t s", "SDIFF s t", "SUNIONSTORE u s t"]
        + ["OBJECT ENCODING u", "SINTERSTORE u s t", "OBJECT ENCODING u", "SREM s 512", "OBJECT ENCODING s"]
        + ["SINTERCARD 2 s s", "SINTERCARD 2 s s LIMIT 500", "SADD w x y", "SUNIONSTORE w w s", "SMEMBERS w"]
    ),
}
MEMBERS = st.sampled_from([b"a", b"b", b"", b"1", b"2", b"-7", b"01", b"x" * 65])
REQUESTS = st.one_of(
    request(b"SADD", KEYS, MEMBERS),
    request(b"SADD", KEYS, MEMBERS, MEMBERS, MEMBERS),
    request(b"SREM", KEYS, MEMBERS, MEMBERS),
    request(b"SMOVE", KEYS, KEYS, MEMBERS),
    request(b"SPOP", KEYS, st.sampled_from([b"0", b"100", b"-1", b"nan"])),
    request(b"SRANDMEMBER", KEYS, st.sampled_from([b"0", b"100", b"nan"])),
    request(b"SMEMBERS", KEYS),
    request(b"SCARD", KEYS),
    request(b"SISMEMBER", KEYS, MEMBERS),
    request(b"SMISMEMBER", KEYS, MEMBERS, MEMBERS),
    request(b"SINTER", KEYS, KEYS),
    request(b"SUNION", KEYS, KEYS, KEYS),
    request(b"SDIFF", KEYS, KEYS),
    request(b"SINTERSTORE", KEYS, KEYS, KEYS),
    request(b"SUNIONSTORE", KEYS, KEYS, KEYS),
    request(b"SDIFFSTORE", KEYS, KEYS, KEYS),
    joined(
        request(b"SINTERCARD", st.sampled_from([b"1", b"2", b"3"]), KEYS, KEYS),
        options(request(b"LIMIT", st.sampled_from([b"0", b"1", b"-1"]))),
    ),
    ANY_KEY,
)  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
def test_set_script_gets_redis_replies(oracle: Oracle, proto: int, name: str) -> None:
    """Every reply of the script is Redis's."""
    compare(oracle, requests_of(SCRIPTS[name]), proto, without_small_sets)


@generated
@given(requests=sequences(REQUESTS))
def test_generated_set_sequence_gets_redis_replies(
    oracle: Oracle, proto: int, requests: list[list[bytes]]
) -> None:
    """Whatever the sequence, every reply is Redis's."""
    compare(oracle, requests, proto, without_small_sets)


ENCODINGS: dict[str, tuple[str, str]] = {
    "words": ("SADD s a", "listpack"),
    "integers_then_a_word": ("SADD s 1 2 a", "listpack"),
    "no_way_back": ("SADD s 1 a|SREM s a", "listpack"),
    "128_words": ("SADD s " + " ".join(f"a{number}" for number in range(128)), "listpack"),
    "129_words": ("SADD s " + " ".join(f"a{number}" for number in range(129)), "hashtable"),
    "129_words_that_are_one": ("SADD s" + " a" * 129, "hashtable"),
    "129_more_words_that_are_one": ("SADD s a|SADD s" + " a" * 129, "hashtable"),
    "128_integers_and_a_word": (
        "SADD s " + " ".join(map(str, range(127))) + "|SADD s a",
        "listpack",
    ),
    "129_integers_and_a_word": (
        "SADD s " + " ".join(map(str, range(128))) + "|SADD s a",
        "hashtable",
    ),
    "513_integers_that_are_one": ("SADD s" + " 1" * 513, "hashtable"),
    "513_more_integers_that_are_one": ("SADD s 1|SADD s" + " 1" * 513, "hashtable"),
    "long_word": ("SADD s " + "x" * 64, "listpack"),
    "too_long_word": ("SADD s 1|SADD s " + LONG, "hashtable"),
    "moved": ("SADD t 1 a|SMOVE t s a|SMOVE t s 1", "listpack"),
    "union": ("SADD t 1 2|SADD u a|SUNIONSTORE s t u", "listpack"),
    "intersection": ("SADD t 1 2 a|SADD u 1 2 b|SINTERSTORE s t u", "intset"),
    "difference": ("SADD t 1 2 a|SADD u 1|SDIFFSTORE s t u", "listpack"),
    "popped": (f"SADD s 1 {LONG}|SREM s {LONG}|SADD s 2 3 4 5 6|SPOP s 5", "intset"),
    "popped_a_few": (f"SADD s 1 {LONG}|SREM s {LONG}|SADD s 2 3 4 5 6|SPOP s 4", "hashtable"),
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_set_has_the_encoding_of_redis_7_2(name: str) -> None:
    """Integers, a list up to 128 short members, a hash table; which Redis 7.0 has not in this way."""
    ctx = context()
    script, expected = ENCODINGS[name]
    for words in requests_of(script):
        execute_one(ctx, words)
    reply = execute_one(ctx, [b"OBJECT", b"ENCODING", b"s"])
    assert reply == b"$%d\r\n%b\r\n" % (len(expected), expected.encode())


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 1000])
def test_sscan_gives_every_member_once(size: int) -> None:
    """From cursor to cursor until it is 0."""
    ctx = context()
    for number in range(size):
        execute_one(ctx, [b"SADD", b"s", b"%d" % number])
    cursor, found = b"0", []
    while True:
        reply = execute_one(ctx, [b"SSCAN", b"s", cursor, b"COUNT", b"7"]).split(b"\r\n")
        cursor = reply[2]
        found += reply[5::2]
        if cursor == b"0":
            break
    assert sorted(found) == sorted(b"%d" % number for number in range(size))


@pytest.mark.parametrize("size", [1, 5, 600, 3000])
def test_spop_takes_out_what_it_gives(size: int) -> None:
    """One, several, nearly all."""
    ctx = context()
    left = {b"m%d" % number for number in range(size)}
    for name in left:
        execute_one(ctx, [b"SADD", b"s", name])
    for count in (0, 1, 3, size // 2, size, 1):
        chosen = execute_one(ctx, [b"SPOP", b"s", b"%d" % count]).split(b"\r\n")[2::2]
        assert len(chosen) == len(set(chosen)) == min(count, len(left))
        assert left.issuperset(chosen)
        left.difference_update(chosen)
        assert execute_one(ctx, [b"SCARD", b"s"]) == b":%d\r\n" % len(left)
        if left:
            member = execute_one(ctx, [b"SPOP", b"s"]).split(b"\r\n")[1]
            left.remove(member)


@pytest.mark.parametrize("size", [1, 5, 3000])
def test_srandmember_gives_members_that_are_there(size: int) -> None:
    """One, several different ones, all, and with repetitions; none goes."""
    ctx = context()
    names = {b"m%d" % number for number in range(size)}
    for name in names:
        execute_one(ctx, [b"SADD", b"s", name])
    assert execute_one(ctx, [b"SRANDMEMBER", b"s"]).split(b"\r\n")[1] in names
    for count in (1, 3, size // 2, size + 10):
        chosen = execute_one(ctx, [b"SRANDMEMBER", b"s", b"%d" % count]).split(b"\r\n")[2::2]
        assert len(chosen) == len(set(chosen)) == min(count, size)
        assert names.issuperset(chosen)
    repeated = execute_one(ctx, [b"SRANDMEMBER", b"s", b"-50"]).split(b"\r\n")[2::2]
    assert len(repeated) == 50
    assert names.issuperset(repeated)
    assert execute_one(ctx, [b"SCARD", b"s"]) == b":%d\r\n" % size
