"""Lists against redis-server, byte for byte."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redraft.commands.elements import MIDDLE, READ_AT_ONCE, find_list
from redraft.commands.reply import array, bulk, bulk_array
from tests.commands.oracle import Oracle, compare, context, execute_one, generated, requests_of
from tests.commands.strategies import ANY_KEY, INDEXES, KEYS, joined, options, request, sequences, word

SCRIPTS: dict[str, str] = {
    "push_and_pop": """
        RPUSH l a b c|LPUSH l x y|LRANGE l 0 -1|LLEN l|LLEN none|LPUSHX none a|RPUSHX none a|EXISTS none
        LPUSHX l p q|RPUSHX l r s|LRANGE l 0 -1|LPOP l|RPOP l|LPOP none|RPOP none|LPOP l 0|LPOP none 0
        RPOP none 0|LPOP l 2|RPOP l 2|LRANGE l 0 -1|LPOP l 100|EXISTS l|LPOP l 1|RPOP l 1|RPUSH l a|LPOP l
        EXISTS l|RPUSH l a|RPOP l 1|EXISTS l|RPUSH l a b c d|LPOP l -1|LPOP l x|LPOP none -1|LPOP l 1 2
        rpop l 1 2|RPOP l 9223372036854775808|RPOP l 9223372036854775807|EXISTS l|RPUSH l {}|LRANGE l 0 -1
        LPOP l|LPUSH|LPUSH l|RPUSH l|LPUSHX l|RPUSHX l|LPOP|RPOP|LLEN|LLEN a b|RPUSH e a|EXPIRE e 100
        RPUSH e b|TTL e|LPOP e|TTL e|LPOP e|RPUSH e a|TTL e|OBJECT ENCODING e|OBJECT REFCOUNT e|TYPE e""",
    "read": """
        RPUSH l a b c d e|LRANGE l 0 0|LRANGE l 1 3|LRANGE l -2 -1|LRANGE l 3 1|LRANGE l 5 9|LRANGE l -9 1
        LRANGE l -9 -6|LRANGE l 4 100|LRANGE none 0 -1|LRANGE l x 1|LRANGE l 1 x|LRANGE none x 1|LRANGE l 0
        LRANGE l -9223372036854775808 9223372036854775807|LRANGE l 9223372036854775807 -1|LINDEX l 0
        LINDEX l 4|LINDEX l 5|LINDEX l -1|LINDEX l -5|LINDEX l -6|LINDEX l x|LINDEX none x|LINDEX none 0
        LINDEX l -9223372036854775808|LINDEX l 9223372036854775807|LINDEX l|LRANGE l 0 1 2""",
    "lpos": """
        RPUSH l a b c a b a d|LPOS l a|LPOS l d|LPOS l z|LPOS none a|LPOS l a RANK 2|LPOS l a RANK -1
        LPOS l a RANK -3|LPOS l a RANK 4|LPOS l a RANK -4|LPOS l a COUNT 0|LPOS l a COUNT 2|LPOS l a COUNT 9
        LPOS l a COUNT 1 RANK 2|LPOS l a RANK -1 COUNT 2|LPOS l a RANK -2 COUNT 0|LPOS l z COUNT 0
        LPOS none a COUNT 0|LPOS l a MAXLEN 1|LPOS l b MAXLEN 1|LPOS l a MAXLEN 0|LPOS l a COUNT 0 MAXLEN 4
        LPOS l a COUNT 0 MAXLEN 5 RANK -1|LPOS l a MAXLEN 100|LPOS l d RANK -1 MAXLEN 1|LPOS l a RANK 0
        LPOS l a COUNT -1|LPOS l a MAXLEN -1|LPOS l a RANK x|LPOS l a COUNT x|LPOS l a MAXLEN x|LPOS l a FOO 1
        LPOS l a RANK|LPOS l a rank 1 rank 2|LPOS l a count 1 COUNT 2|LPOS l a RANK 9223372036854775807
        LPOS l a RANK -9223372036854775807|LPOS l a COUNT 9223372036854775807 RANK 2|LPOS l
        LPOS none a RANK 0|LPOS none a FOO 1|LPOS l a RANK 9223372036854775807 COUNT 9223372036854775807
        LPOS l a MAXLEN 9223372036854775807""",
    "middle": """
        RPUSH l a b c d|LSET l 0 A|LSET l -1 D|LSET l 1 B|LSET l 4 x|LSET l -5 x|LSET l x x|LSET none x a
        LSET none 0 a|LRANGE l 0 -1|LSET l 0|LINSERT l BEFORE A 0|LINSERT l AFTER D 9|LINSERT l before c x
        LINSERT l aFTer c y|LINSERT l AFTER none y|LINSERT none AFTER a b|LINSERT l FOO a b
        LINSERT none FOO a b|LINSERT l BEFORE B|LRANGE l 0 -1|LLEN l|LINSERT l AFTER 0 1|LINSERT l BEFORE 9 8
        LRANGE l 0 -1|RPUSH r a b a c a d a|LREM r 1 a|LRANGE r 0 -1|LREM r -1 a|LRANGE r 0 -1|LREM r 0 a
        LRANGE r 0 -1|LREM r 0 none|LREM none 0 a|LREM r x a|LREM none x a|LREM r 5 b|LREM r -5 c
        LREM r 0 d|EXISTS r|RPUSH r a a a a|LREM r -2 a|LREM r 9223372036854775807 a|EXISTS r
        RPUSH r a b|LREM r -9223372036854775807 b|LRANGE r 0 -1|LREM r 0|RPUSH t 0 1 2 3 4 5|LTRIM t 1 4
        LRANGE t 0 -1|LTRIM t 0 -1|LTRIM t -3 -2|LRANGE t 0 -1|LTRIM t 5 9|EXISTS t|LTRIM none 0 1
        LTRIM none x 1|RPUSH t a b|LTRIM t x 1|LTRIM t 0 x|LTRIM t 1 0|EXISTS t|RPUSH t a b|LTRIM t -100 100
        LTRIM t 0|LRANGE t 0 -1|EXPIRE t 100|LTRIM t 0 0|LSET t 0 z|LINSERT t AFTER z y|LREM t 1 z|TTL t
        LTRIM t -9223372036854775808 9223372036854775807|LRANGE t 0 -1""",
    "move": """
        RPUSH s a b c d|LMOVE s d LEFT LEFT|LMOVE s d left right|LMOVE s d RIGHT LEFT|LMOVE s d RIGHT RIGHT
        LRANGE d 0 -1|EXISTS s|LMOVE s d LEFT LEFT|LMOVE d d LEFT RIGHT|LRANGE d 0 -1|LMOVE d d RIGHT LEFT
        LMOVE d d LEFT LEFT|LMOVE d d RIGHT RIGHT|LRANGE d 0 -1|LMOVE d d FOO LEFT|LMOVE none d LEFT FOO
        LMOVE d s LEFT|RPOPLPUSH d s|RPOPLPUSH d d|RPOPLPUSH none d|RPOPLPUSH d|LRANGE d 0 -1|LRANGE s 0 -1
        EXPIRE s 100|LMOVE s s LEFT RIGHT|TTL s|LMOVE d s LEFT RIGHT|TTL s|LMOVE s d LEFT LEFT|TTL d
        SET str v|LMOVE s str LEFT LEFT|LMOVE none str LEFT LEFT|LMOVE str s LEFT LEFT|RPOPLPUSH s str
        RPOPLPUSH str s|LRANGE s 0 -1|LLEN s""",
    "lmpop": """
        RPUSH a 1 2 3 4 5|RPUSH b 6 7|LMPOP 1 a LEFT|LMPOP 2 a b RIGHT|LMPOP 2 none a left COUNT 2
        LMPOP 2 a b LEFT COUNT 100|LMPOP 2 a b RIGHT count 100|LMPOP 2 a b LEFT|LMPOP 1 none LEFT COUNT 3
        EXISTS a b|LMPOP 0 a LEFT|LMPOP -1 a LEFT|LMPOP x a LEFT|LMPOP 1 a FOO|LMPOP 1 a LEFT COUNT 0
        LMPOP 1 a LEFT COUNT -1|LMPOP 1 a LEFT COUNT x|LMPOP 1 a LEFT COUNT 1 COUNT 2|LMPOP 2 a LEFT
        LMPOP 3 a LEFT|LMPOP 1 a LEFT FOO|LMPOP 1 a LEFT COUNT|LMPOP 9223372036854775807 a LEFT|LMPOP 1 a
        LMPOP|LMPOP 1 a LEFT 1 COUNT|RPUSH a 1 2|SET s v|LMPOP 1 s LEFT|LMPOP 2 s a LEFT|LMPOP 2 none s LEFT
        LMPOP 2 a s LEFT|LMPOP 1 a RIGHT COUNT 9223372036854775807|LMPOP 1 a LEFT COUNT 9223372036854775808
        RPUSH a 1|EXPIRE a 100|RPUSH a 2|LMPOP 2 a a LEFT|TTL a|LMPOP +1 a LEFT|LMPOP 01 a LEFT""",
    "wrong_type": """
        SET s v|LPUSH s a|RPUSH s a|LPUSHX s a|RPUSHX s a|LPOP s|RPOP s|LPOP s 1|LPOP s x|RPOP s 0|LLEN s
        LRANGE s 0 -1|LRANGE s x 1|LINDEX s 0|LINDEX s x|LSET s 0 a|LSET s x a|LINSERT s BEFORE a b
        LINSERT s FOO a b|LREM s 0 a|LREM s x a|LTRIM s 0 1|LTRIM s x 1|LPOS s a|LPOS s a RANK 0|GET s
        HSET h a 1|LPUSH h a|LRANGE h 0 1|RPUSH l a|GET l|HGET l a|APPEND l x|INCR l|STRLEN l|SETNX l x
        MGET l s|GETDEL l|SET l x GET|SET l x|GET l|TYPE l|RPUSH l2 a|MSET l2 v|GET l2""",
    "other_commands": """
        RPUSH l a b c|TYPE l|OBJECT ENCODING l|COPY l m|LRANGE m 0 -1|RPUSH m d|LRANGE l 0 -1|RENAME l n
        LRANGE n 0 -1|EXISTS l|RENAMENX n m|RENAME n m|LRANGE m 0 -1|DEL m|LRANGE m 0 -1|RPUSH m x
        LRANGE m 0 -1|RENAME m {m}1|LPUSH {m}1 y|LRANGE {m}1 0 -1|COPY {m}1 m REPLACE|LPOP m 9
        LRANGE {m}1 0 -1|UNLINK {m}1|LLEN {m}1|RPUSH l a|FLUSHALL|LLEN l|DBSIZE""",
    "large": "|".join(
        [f"RPUSH l {number % 7}:{number % 50}" for number in range(600)]
        + [f"LPUSH l {'x' * 100} y z" for _ in range(100)]
        + ["LLEN l", "LRANGE l 0 -1", "LINDEX l 300", "LREM l 5 y", "LREM l -5 3:3", "LREM l 0 z", "LLEN l"]
        + ["LINSERT l BEFORE 1:1 new", "LINSERT l AFTER 6:41 new", "LPOS l new COUNT 0", "LRANGE l 0 -1"]
        + ["LTRIM l 50 -50", "LRANGE l 0 -1", "LPOP l 20", "RPOP l 20", "OBJECT ENCODING l", "LPOP l 1000"]
    ),
}
# LPOS RANK -9223372036854775808: an error since Redis 7.2; the oracle overflows and takes it for -1.
VALUES = st.sampled_from([b"a", b"b", b"c", b"", b"12", b"x" * 70])
END = st.sampled_from([b"LEFT", b"right", b"RIGHT", b"left"])
WHERE = st.sampled_from([b"BEFORE", b"AFTER", b"after"])
COUNTS = st.sampled_from([b"0", b"1", b"2", b"5", b"-1", b"x"])
SIGNED = st.sampled_from([b"0", b"1", b"2", b"-1", b"-2", b"9", b"nan"])
REQUESTS = st.one_of(
    request(b"LPUSH", KEYS, VALUES),
    request(b"RPUSH", KEYS, VALUES, VALUES, VALUES),
    request(b"LPUSH", KEYS, VALUES, VALUES, VALUES, VALUES),
    request(b"LPUSHX", KEYS, VALUES),
    request(b"RPUSHX", KEYS, VALUES, VALUES),
    request(b"LPOP", KEYS),
    request(b"RPOP", KEYS),
    request(b"LPOP", KEYS, COUNTS),
    request(b"RPOP", KEYS, COUNTS),
    request(b"LLEN", KEYS),
    request(b"LRANGE", KEYS, INDEXES, INDEXES),
    request(b"LRANGE", KEYS, st.just(b"0"), st.just(b"-1")),
    request(b"LINDEX", KEYS, INDEXES),
    request(b"LSET", KEYS, INDEXES, VALUES),
    request(b"LINSERT", KEYS, WHERE, VALUES, VALUES),
    request(b"LREM", KEYS, SIGNED, VALUES),
    request(b"LTRIM", KEYS, INDEXES, INDEXES),
    joined(
        request(b"LPOS", KEYS, VALUES),
        options(
            request(b"RANK", SIGNED), request(b"COUNT", COUNTS), request(b"MAXLEN", COUNTS), word(b"RANK")
        ),
    ),
    request(b"LMOVE", KEYS, KEYS, END, END),
    request(b"RPOPLPUSH", KEYS, KEYS),
    joined(request(b"LMPOP", st.just(b"2"), KEYS, KEYS, END), options(request(b"COUNT", COUNTS))),
    joined(request(b"LMPOP", COUNTS, KEYS, END), options(request(b"COUNT", COUNTS))),
    ANY_KEY,
)


@pytest.mark.parametrize("name", SCRIPTS)
def test_list_script_gets_redis_replies(oracle: Oracle, proto: int, name: str) -> None:
    """Every reply of the script is Redis's."""
    compare(oracle, requests_of(SCRIPTS[name]), proto)


@generated
@given(requests=sequences(REQUESTS))
def test_generated_list_sequence_gets_redis_replies(
    oracle: Oracle, proto: int, requests: list[list[bytes]]
) -> None:
    """Whatever the sequence, every reply is Redis's."""
    compare(oracle, requests, proto)


def test_rank_without_a_negative_is_refused() -> None:
    """The smallest of 64 bits can't be turned round."""
    ctx = context()
    execute_one(ctx, [b"RPUSH", b"l", b"a"])
    reply = execute_one(ctx, [b"LPOS", b"l", b"a", b"RANK", b"-9223372036854775808"])
    assert reply.startswith(b"-ERR value is out of range, value must between")


@pytest.mark.parametrize("size", [3, READ_AT_ONCE, 2 * READ_AT_ONCE + 5])
def test_elements_in_the_middle_move_as_in_a_python_list(size: int) -> None:
    """Insertions and deletions at both ends and between, over several reads; positions stay without gaps."""
    ctx, rng = context(), random.Random(size)
    expected = [b"%d" % (number % 9) for number in range(size)]
    execute_one(ctx, [b"RPUSH", b"l", *expected])
    for _ in range(30):
        found = find_list(ctx, b"l")
        assert found is not None
        if rng.random() < 0.6 or len(expected) < 3:
            at = rng.choice([0, len(expected), rng.randrange(len(expected) + 1)])
            found.insert(at, b"new")
            expected.insert(at, b"new")
        else:
            count = rng.choice([1, 2, len(expected) // 3 or 1])
            indexes = sorted(rng.sample(range(len(expected)), count))
            found.remove_at(indexes)
            expected = [value for at, value in enumerate(expected) if at not in indexes]
        found.save()
        ctx.keyspace.keep()
        assert found.values(0, found.size) == expected
        assert [value for _, value in found.members.range()] == expected


def test_what_is_shorter_moves() -> None:
    """An insertion near an end leaves the other where it was."""
    ctx = context()
    execute_one(ctx, [b"RPUSH", b"l", *[b"%d" % number for number in range(10)]])
    for pivot, head in ((b"1", MIDDLE - 1), (b"8", MIDDLE - 1), (b"2", MIDDLE - 2)):
        execute_one(ctx, [b"LINSERT", b"l", b"BEFORE", pivot, b"x"])
        found = find_list(ctx, b"l")
        assert found is not None
        assert found.head == head


@pytest.mark.parametrize("sizes", [[], [0], [3, 0, 9, 10], [511], [511, 512], [513, 1, 100_000]])
def test_bulk_array_is_an_array_of_bulks(sizes: list[int]) -> None:
    """The quick way and the other one agree, whatever the strings' lengths."""
    values = [b"x" * size for size in sizes]
    assert bulk_array(values) == array([bulk(value) for value in values])
