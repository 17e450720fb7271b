"""Hashes against redis-server, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.commands.oracle import Oracle, compare, context, execute_one, generated, requests_of
from tests.commands.strategies import ANY_KEY, INDEXES, KEYS, NUMBERS, VALUES, request, sequences

LONG = "x" * 65
SCRIPTS: dict[str, str] = {
    "set_and_get": """
        HSET h a 1|HSET h a 2 b 3|HGET h a|HGET h none|HGET none a|HSET h|HSET h a|HSET h a 1 b|HMSET h c 4
        HMSET h c|HMSET h c 4 d|HGETALL h|HKEYS h|HVALS h|HLEN h|HLEN none|HGETALL none|HKEYS none|HVALS none
        HSETNX h a 9|HSETNX h z 9|HGET h z|HSETNX new f v|HSETNX h|HMGET h a none z|HMGET none a b|HMGET h
        HEXISTS h a|HEXISTS h none|HEXISTS none a|HEXISTS h|HSTRLEN h a|HSTRLEN h none|HSTRLEN none a
        HSET h {} {}|HGET h {}|HSTRLEN h {}|HDEL h a none|HDEL h a|HDEL none a|HDEL h|HDEL h b c z {}|EXISTS h
        HDEL new f f|TYPE new|HLEN new|hset H a 1|hget H a|HSET e a 1|EXPIRE e 100|HSET e b 2|TTL e|HGETALL e
        PERSIST e|TTL e|HGETALL e|HGET|HGETALL|HGETALL a b|HLEN""",
    "numbers": """
        HINCRBY h n 5|HINCRBY h n -7|HGET h n|HINCRBY h n x|HINCRBY h n 1.5|HINCRBY h|HSET h s abc
        HINCRBY h s 1|HSET h m 9223372036854775807|HINCRBY h m 1|HINCRBY h m -1|HSET h e {}|HINCRBY h e 1
        HSET h sp {sp}1|HINCRBY h sp 1|HINCRBYFLOAT h f 1.5|HINCRBYFLOAT h f 1.5|HINCRBYFLOAT h f 0.1
        HINCRBYFLOAT h f x|HINCRBYFLOAT h s 1|HINCRBYFLOAT h f inf|HINCRBYFLOAT h f nan|HINCRBYFLOAT h n 0.5
        HINCRBY h n 1|HINCRBYFLOAT h e 1|HINCRBYFLOAT new f 1e3|HGETALL new|HINCRBYFLOAT h f|HINCRBY new2 a 0
        HGET new2 a|HINCRBYFLOAT h f 1e5000""",
    "wrong_type": """
        SET s v|HSET s a 1|HGET s a|HGETALL s|HLEN s|HDEL s a|HMGET s a|HINCRBY s a 1|HINCRBYFLOAT s a 1
        HEXISTS s a|HSTRLEN s a|HKEYS s|HVALS s|HSETNX s a 1|HSCAN s 0|HRANDFIELD s|HRANDFIELD s 1
        HINCRBY s a x|HINCRBYFLOAT s a x|HSCAN s x|HRANDFIELD s x|GET s|HSET h a 1|GET h|APPEND h x|INCR h
        STRLEN h|GETRANGE h 0 1|SETRANGE h 0 x|MGET h s|GETSET h x|GETDEL h|GETEX h|SETNX h x|MSETNX h x q y
        SET h x GET|LCS h s|SET h x|GET h|TYPE h|HSET h2 a 1|MSET h2 v|GET h2|INCRBYFLOAT h2 1""",
    "other_commands": f"""
        HSET h a 1 b 2|TYPE h|OBJECT ENCODING h|OBJECT REFCOUNT h|COPY h h2|HGETALL h2|HSET h2 a 9|HGET h a
        RENAME h h3|HGETALL h3|EXISTS h|RENAMENX h3 h2|RENAME h3 h2|HGETALL h2|DEL h2|HGETALL h2|HSET h a 1
        DEL h h|HSET h b 2|HGETALL h|COPY h h4 REPLACE|COPY h h4|COPY h h4 REPLACE|HGETALL h4|HSET t a {LONG}
        OBJECT ENCODING t|HDEL t a|HSET t a b|OBJECT ENCODING t|HSET t {LONG} b|OBJECT ENCODING t|HSET t a b
        HDEL t {LONG}|OBJECT ENCODING t|COPY t t2|OBJECT ENCODING t2|RENAME h4 {{h4}}x|HGETALL {{h4}}x
        EXPIRE {{h4}}x 100|COPY {{h4}}x y|TTL y|RENAME y z|TTL z|HGETALL z|FLUSHALL|HGETALL z|DBSIZE
        HSET {{z}}1 a 1|RENAME {{z}}1 {{z}}1|RENAME {{z}}1 {{z}}2|HGETALL {{z}}2|SET {{z}}2 v|GET {{z}}2""",
    "scan_and_random": """
        HSET h a 1|HSCAN h 0|HSCAN h 0 MATCH b*|HSCAN h 0 COUNT 0|HSCAN h 0 COUNT x|HSCAN h 0 FOO 1
        HSCAN h 0 MATCH|HSCAN h abc|HSCAN none 0|HSCAN none abc|HSCAN h|HSCAN h 0 COUNT 10 MATCH a
        HSCAN none 0 COUNT 0
        HRANDFIELD h|HRANDFIELD h 1|HRANDFIELD h 5 WITHVALUES|HRANDFIELD h -2|HRANDFIELD h -2 withvalues
        HRANDFIELD h 0|HRANDFIELD h x|HRANDFIELD h 1 FOO|HRANDFIELD h 1 WITHVALUES x|HRANDFIELD none
        HRANDFIELD none 1|HRANDFIELD none 1 WITHVALUES|HRANDFIELD none FOO|HRANDFIELD
        HRANDFIELD h 9223372036854775807 WITHVALUES|HRANDFIELD h -9223372036854775808
        HRANDFIELD h -9223372036854775808 WITHVALUES|HRANDFIELD h 4611686018427387904 WITHVALUES""",
    "large": "|".join(
        [f"HSET h field:{number} {number}" for number in range(520)]
        + ["OBJECT ENCODING h", "HLEN h", "HGETALL h", "HGET h field:77"]
        + [f"HDEL h field:{number}" for number in range(515)]
        + ["OBJECT ENCODING h", "HGETALL h"]
    ),
}
FIELDS = st.sampled_from([b"f", b"g", b"h", b"", b"x" * 65])
REQUESTS = st.one_of(
    request(b"HSET", KEYS, FIELDS, VALUES),
    request(b"HSET", KEYS, FIELDS, VALUES, FIELDS, VALUES),
    request(b"HMSET", KEYS, FIELDS, NUMBERS),
    request(b"HSETNX", KEYS, FIELDS, VALUES),
    request(b"HGET", KEYS, FIELDS),
    request(b"HMGET", KEYS, FIELDS, FIELDS),
    request(b"HDEL", KEYS, FIELDS),
    request(b"HDEL", KEYS, FIELDS, FIELDS),
    request(b"HINCRBY", KEYS, FIELDS, NUMBERS),
    request(b"HINCRBYFLOAT", KEYS, FIELDS, NUMBERS),
    request(b"HLEN", KEYS),
    request(b"HGETALL", KEYS),
    request(b"HKEYS", KEYS),
    request(b"HVALS", KEYS),
    request(b"HEXISTS", KEYS, FIELDS),
    request(b"HSTRLEN", KEYS, FIELDS),
    request(b"HRANDFIELD", KEYS, INDEXES.filter(lambda text: text in {b"0", b"nan"})),
    ANY_KEY,
)


@pytest.mark.parametrize("name", SCRIPTS)
def test_hash_script_gets_redis_replies(oracle: Oracle, proto: int, name: str) -> None:
    """Every reply of the script is Redis's."""
    compare(oracle, requests_of(SCRIPTS[name]), proto)


@generated
@given(requests=sequences(REQUESTS))
def test_generated_hash_sequence_gets_redis_replies(
    oracle: Oracle, proto: int, requests: list[list[bytes]]
) -> None:
    """Whatever the sequence, every reply is Redis's."""
    compare(oracle, requests, proto)


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 1000])
def test_hscan_gives_every_field_once(size: int) -> None:
    """From cursor to cursor until it is 0."""
    ctx = context()
    for number in range(size):
        execute_one(ctx, [b"HSET", b"h", b"f%d" % number, b"v%d" % number])
    cursor, found = b"0", []
    while True:
        reply = execute_one(ctx, [b"HSCAN", b"h", cursor, b"COUNT", b"7"]).split(b"\r\n")
        cursor = reply[2]
        found += list(zip(reply[5::4], reply[7::4], strict=False))
        if cursor == b"0":
            break
    assert sorted(found) == sorted((b"f%d" % number, b"v%d" % number) for number in range(size))


@pytest.mark.parametrize("size", [1, 5, 600, 3000])
def test_hrandfield_gives_fields_that_are_there(size: int) -> None:
    """One, several different ones, all, and with repetitions."""
    ctx = context()
    names = {b"f%d" % number for number in range(size)}
    for name in names:
        execute_one(ctx, [b"HSET", b"h", name, b"v"])
    assert execute_one(ctx, [b"HRANDFIELD", b"h"]).split(b"\r\n")[1] in names
    for count in (1, 3, size // 2, size, size + 10):
        chosen = execute_one(ctx, [b"HRANDFIELD", b"h", b"%d" % count]).split(b"\r\n")[2::2]
        assert len(chosen) == len(set(chosen)) == min(count, size)
        assert set(chosen) <= names
    repeated = execute_one(ctx, [b"HRANDFIELD", b"h", b"-50"]).split(b"\r\n")[2::2]
    assert len(repeated) == 50
    assert set(repeated) <= names
