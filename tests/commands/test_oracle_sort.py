"""SORT and SORT_RO against redis-server, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redraft.commands.context import Context
from redraft.commands.keyspace import Keyspace
from redraft.engine.hash import HashEngine
from tests.commands.oracle import Oracle, compare, context, execute_one, generated, now_ms, requests_of
from tests.commands.strategies import KEYS, joined, options, request, sequences, word

SCRIPTS: dict[str, str] = {
    "order": """
        RPUSH l 3 1 10 2|SORT l|SORT l DESC|SORT l ASC|SORT l ALPHA|SORT l ALPHA DESC|SORT l asc desc
        SORT none|SORT_RO l|SORT_RO l DESC ALPHA|SORT_RO none|SORT l LIMIT 1 2|SORT l LIMIT 0 0
        SORT l LIMIT -5 2|SORT l LIMIT 2 -1|SORT l LIMIT 10 2|SORT l LIMIT 2 100|SORT l LIMIT 0 -7 DESC
        SORT l LIMIT a 2|SORT l LIMIT 1 b|SORT l LIMIT 1|SORT l LIMIT|SORT l FOO|SORT l BY|SORT l GET
        SORT l STORE|SORT|SORT_RO l STORE x|SORT_RO|RPUSH l x|SORT l|SORT l ALPHA|SORT l BY nosort
        SORT l BY nosort DESC|SORT l BY nosort LIMIT 1 2|SORT l BY nosort LIMIT 1 2 DESC|SADD s 3 1 10 2
        SORT s|SORT s DESC LIMIT 0 2|SORT s ALPHA|SET str v|SORT str|SORT_RO str|HSET h a 1|SORT h
        SORT h BY nosort|SORT str FOO|LRANGE l 0 -1|SORT l LIMIT 9223372036854775807 1 ALPHA
        SORT l LIMIT 0 9223372036854775807 ALPHA
        SORT l LIMIT 9223372036854775807 9223372036854775807 ALPHA""",
    "numbers": """
        RPUSH a 1.5 -3 1e3 inf -inf 0x10 +7|SORT a|SORT a DESC|RPUSH b 1 nan|SORT b|RPUSH c 1 {}|SORT c
        RPUSH d 1 {sp}2|SORT d|RPUSH e 1 2{sp}|SORT e|RPUSH i 1 01 1.0|SORT i|SORT i DESC|RPUSH j {sp}
        SORT j|RPUSH k infinity 1|SORT k|RPUSH m 1 2.2250738585072014e-308|SORT m
        RPUSH n 0e-999 -1 0x0p-9999|SORT n|RPUSH o 1_0|SORT o|RPUSH p -0 0|SORT p""",
    "patterns": """
        RPUSH l 3 1 2|MSET w_1 30 w_2 20 w_3 10|MSET o_1 one o_3 three|SORT l BY w_*|SORT l BY w_* DESC
        SORT l BY w_* GET o_*|SORT l BY w_* GET # GET o_*|SORT l GET w_*x|SORT l GET nothing|SORT l GET #
        SORT l BY none_*|SORT l BY o_* ALPHA|SORT l BY o_*|HSET h_1 f 5 g x|HSET h_2 f 4|HSET h_3 f 6
        SORT l BY h_*->f|SORT l BY h_*->f GET h_*->g|SORT l BY h_*->f GET h_*->f GET #|SORT l GET h_*->
        SORT l GET h_*|SORT l GET w_*->f|SORT l BY w_*->f|SORT l GET h_*->none|SORT l BY *->f|MSET k1->f v
        SET h_1-> odd|SORT l GET h_*->|SORT l BY w_* BY h_*->f|SORT l GET *|SORT l GET w_*b_*
        SORT_RO l BY w_*|SORT_RO l BY w_* GET o_* LIMIT 0 2|SORT l BY nosort GET w_* GET #|SORT l GET ->*
        SORT l GET *->f->g|HSET {}3 f 1|SORT l GET #x|SORT l GET {}|SORT l BY {}|SET 1 a|SET 2 c|SET 3 b
        SORT l BY * ALPHA GET *""",
    "store": """
        RPUSH l 3 1 2|SORT l STORE d|LRANGE d 0 -1|TYPE d|SORT l DESC STORE d LIMIT 0 2|LRANGE d 0 -1
        SORT none STORE d|EXISTS d|SET d v|SORT none STORE d|EXISTS d|SET d v EX 100|SORT l STORE d|TTL d
        SORT l LIMIT 5 5 STORE d|EXISTS d|SORT l STORE l|LRANGE l 0 -1|SORT l GET x_* STORE d
        LRANGE d 0 -1|SADD s c b a|SORT s BY nosort STORE d|LRANGE d 0 -1|SORT s BY nosort DESC STORE d
        LRANGE d 0 -1|SORT s STORE d|LRANGE d 0 -1|SORT s ALPHA STORE a STORE b|EXISTS a|EXISTS b
        SORT l BY q FOO STORE d|SORT s STORE s ALPHA|TYPE s|SORT l GET # GET # STORE d|LRANGE d 0 -1
        OBJECT ENCODING d|SET str v|SORT str STORE d|EXISTS d""",
}
WORDS = st.sampled_from([b"1", b"2", b"-3", b"10", b"0.5", b"b", b"inf"])
PATTERNS = st.sampled_from([b"*", b"{a}*", b"nosort", b"#", b"w*->f", b"*->f"])
FORMED = PATTERNS.filter(lambda pattern: b"*" in pattern)
"""BY without a key leaves a set in an order that is nobody's business."""

LIMITS = st.sampled_from([b"0", b"1", b"-1", b"2", b"9"])
REQUESTS = st.one_of(
    request(b"RPUSH", KEYS, WORDS, WORDS),
    request(b"SADD", KEYS, WORDS, WORDS),
    request(b"HSET", st.sampled_from([b"w1", b"w2"]), st.just(b"f"), WORDS),
    request(b"SET", WORDS, WORDS),
    request(b"DEL", KEYS),
    request(b"LRANGE", KEYS, st.just(b"0"), st.just(b"-1")),
    joined(
        request(b"SORT", KEYS),
        options(
            word(b"ALPHA", b"DESC", b"ASC"),
            request(b"LIMIT", LIMITS, LIMITS),
            request(b"GET", PATTERNS),
            request(b"STORE", KEYS),
        ),
    ),
    joined(request(b"SORT_RO", KEYS), options(request(b"BY", FORMED), request(b"LIMIT", LIMITS, LIMITS))),
)


@pytest.mark.parametrize("name", SCRIPTS)
def test_sort_script_gets_redis_replies(oracle: Oracle, proto: int, name: str) -> None:
    """Every option and every error."""
    compare(oracle, requests_of(SCRIPTS[name]), proto)


@generated
@given(requests=sequences(REQUESTS))
def test_generated_sorts_get_redis_replies(oracle: Oracle, proto: int, requests: list[list[bytes]]) -> None:
    """Whatever is sorted, however."""
    compare(oracle, requests, proto)


@pytest.mark.parametrize("weight", [b"1e999", b"-1e999", b"1e-999", b"5e-324", b"0x1p9999"])
def test_weights_that_no_double_comes_close_to_are_refused(weight: bytes) -> None:
    """As Redis does it, where `errno` then makes the next SORT fail as well, so the oracle is not asked."""
    ctx = context()
    execute_one(ctx, [b"RPUSH", b"l", b"1", weight])
    assert execute_one(ctx, [b"SORT", b"l"]) == b"-ERR One or more scores can't be converted into double\r\n"


def test_patterns_reach_keys_of_the_group_only() -> None:
    """A key of another group is refused by name of the option; no key at all, and the element, are not."""
    ctx = Context(Keyspace(HashEngine(), range(8192)))  # {b} is slot 3300, {a} 15495
    ctx.begin(now_ms=now_ms(), write=True)
    execute_one(ctx, [b"RPUSH", b"{b}l", b"2", b"1"])
    execute_one(ctx, [b"MSET", b"{b}1", b"9", b"{b}2", b"8"])
    assert execute_one(ctx, [b"SORT", b"{b}l", b"BY", b"{b}*"]) == b"*2\r\n$1\r\n2\r\n$1\r\n1\r\n"
    assert execute_one(ctx, [b"SORT", b"{b}l", b"BY", b"no", b"GET", b"#"]) == b"*2\r\n$1\r\n2\r\n$1\r\n1\r\n"
    for option in (b"BY", b"GET"):
        assert execute_one(ctx, [b"SORT", b"{b}l", option, b"{a}*", b"STORE", b"{b}d"]) == (
            b"-ERR %b option of SORT denied in Cluster mode "
            b"when keys formed by the pattern may be in different slots.\r\n" % option
        )
    assert execute_one(ctx, [b"EXISTS", b"{b}d"]) == b":0\r\n"
