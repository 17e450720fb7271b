"""Strings as rows of bits, against redis-server byte for byte: scripts, and generated sequences."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.commands.oracle import Oracle, compare, context, generated, requests_of, run
from tests.commands.strategies import joined, options, request, sequences, word

LONG = "y" * 200
SCRIPTS = {
    "setbit_getbit": f"""
        SETBIT k 7 1|GET k|OBJECT ENCODING k|SETBIT k 7 1|SETBIT k 7 0|GET k|GETBIT k 7|GETBIT k 100
        SETBIT k 30 1|STRLEN k|GET k|SETBIT z 100 0|STRLEN z|GETBIT nope 0|EXISTS nope|SETBIT k -1 1
        SETBIT k 4294967296 1|SETBIT k 4294967295 2|SETBIT k x 1|SETBIT k 1.5 1|SETBIT k 01 1|SETBIT k 0 2
        SETBIT k 0 -1|SETBIT k 0 x|SETBIT k x x|SETBIT k 0 01|GETBIT k 4294967296|GETBIT k -1|GETBIT k x
        GETBIT k 4294967295|SETBIT k 0|SETBIT k #1 1|GETBIT k #1|GETBIT k|SET n 123|GETBIT n 2|SETBIT n 2 1
        GET n|OBJECT ENCODING n|SET n 123|SETBIT n 2 0|GET n|OBJECT ENCODING n|INCR n|SET e short
        SETBIT e 0 0|OBJECT ENCODING e|GET e|SETBIT e 39 0|SET l {LONG}|SETBIT l 0 1|GET l|SETBIT l 1599 0
        GET l|SETBIT l 1600 1|STRLEN l|EXPIRE l 100|SETBIT l 8 1|TTL l|SETBIT l 2000 1|TTL l|GETBIT l 8
        GETBIT l 9|GET l|INCRBYFLOAT f 3|SETBIT f 0 0|OBJECT ENCODING f|SETEX t 100 {{}}|SETBIT t 0 1|TTL t
        GET t|DUMP t|SETBIT 9 9 1|APPEND k x|GET k|DUMP k""",
    "bitcount": f"""
        SET k foobar|BITCOUNT k|BITCOUNT k 0 0|BITCOUNT k 1 1|BITCOUNT k 0 -5|BITCOUNT k -2 -1
        BITCOUNT k 1 100|BITCOUNT k 100 200|BITCOUNT k -100 -200|BITCOUNT k -100 0|BITCOUNT k -100 -100
        BITCOUNT k 3 1|BITCOUNT k 5 30 BIT|BITCOUNT k 5 30 bit|BITCOUNT k 5 30 BYTE|BITCOUNT k 0 -1 BIT
        BITCOUNT k 1 -1 BIT|BITCOUNT k 7 8 BIT|BITCOUNT k 8 8 BIT|BITCOUNT k 47 47 BIT|BITCOUNT k 48 50 BIT
        BITCOUNT k -3 -1 BIT|BITCOUNT k -1 -5 BIT|BITCOUNT k -1 -5 FOO|BITCOUNT k -5 -1 FOO
        BITCOUNT k 0 1 BIT x|BITCOUNT k 0|BITCOUNT k x|BITCOUNT k x 1|BITCOUNT k 1 x|BITCOUNT k 1 x FOO
        BITCOUNT k x y z w|BITCOUNT nope|BITCOUNT nope x|BITCOUNT nope 0 1 FOO|BITCOUNT|SET n 12345
        BITCOUNT n|BITCOUNT n 1 2|SET e {{}}|BITCOUNT e|BITCOUNT e 0 -1|BITCOUNT e 0 0 BIT
        BITCOUNT e 0 0 FOO|SET l {LONG}|BITCOUNT l|BITCOUNT l 3 1501 BIT
        BITCOUNT l 9223372036854775807 9223372036854775807|BITCOUNT l -9223372036854775808 -1
        BITCOUNT l 0 9223372036854775807 BIT|BITCOUNT l 9223372036854775808 1""",
    "bitpos": """
        SETBIT k 12 1|SETBIT k 30 1|BITPOS k 1|BITPOS k 0|BITPOS k 1 2|BITPOS k 1 2 -1|BITPOS k 1 1 2
        BITPOS k 1 2 2|BITPOS k 1 13 29 BIT|BITPOS k 1 13 30 BIT|BITPOS k 1 12 12 BIT|BITPOS k 0 12 12 BIT
        BITPOS k 0 12 13 BIT|BITPOS k 1 -2 -1 BIT|BITPOS k 0 -1 -5|BITPOS k 0 -1 -5 BIT
        BITPOS k 0 -100 -500 BIT|BITPOS k 1 -100 -500|BITPOS k 1 100|BITPOS k 0 100|BITPOS k 0 100 200
        BITPOS k 2|BITPOS k -1|BITPOS k x|BITPOS k 1 x|BITPOS k 1 0 x|BITPOS k 1 0 x FOO|BITPOS k 1 x y FOO
        BITPOS k 1 0 1 FOO|BITPOS k 1 0 1 BIT x|BITPOS k 1 x 1 BIT x|BITPOS nope 0|BITPOS nope 1
        BITPOS nope 0 5|BITPOS nope 1 x|BITPOS nope 2|BITPOS nope x|BITPOS k|SET e {}|BITPOS e 0
        BITPOS e 1|BITPOS e 0 0|BITPOS e 0 0 -1 BIT|SET n 777|BITPOS n 0|BITPOS n 1|BITPOS n 1 1
        SETRANGE f 0 a|BITFIELD f SET i64 0 -1 SET i64 64 -1|BITPOS f 0|BITPOS f 0 3|BITPOS f 0 0 -1
        BITPOS f 0 16|BITPOS f 0 15|BITPOS f 1 15|BITPOS f 0 3 100 BIT|SETBIT f 100 0|BITPOS f 0
        BITPOS f 0 101 -1 BIT|BITPOS f 0 2 11|BITPOS f 0 2 12|BITPOS f 0 9223372036854775807
        BITPOS f 0 -9223372036854775808""",
    "bitop": f"""
        SET a foobar|SET b abcdef|SET c abc|SET n 123|BITOP AND d a b|GET d|OBJECT ENCODING d|BITOP OR d a b
        GET d|BITOP XOR d a b|GET d|BITOP NOT d a|GET d|BITOP and d a c|GET d|BITOP oR d a c|GET d
        BITOP XOR d a b c n|GET d|BITOP AND d n nope|GET d|STRLEN d|BITOP OR d nope n|GET d
        OBJECT ENCODING d|BITOP OR d nope|EXISTS d|BITOP NOT d nope|EXISTS d|SET d x EX 100|BITOP OR d n n
        TTL d|GET d|SET d x|BITOP AND d nope nope|EXISTS d|BITOP NOT d a b|BITOP FOO d a|BITOP FOO d a b
        BITOP NOT d|BITOP AND d|BITOP|BITOP NOT a a|GET a|BITOP XOR a a a|GET a|SET e {{}}|BITOP OR e e
        EXISTS e|SET e {{}}|BITOP NOT d e|EXISTS d|SET l {LONG}|BITOP XOR l l c a|GET l|BITOP OR l nope l n
        GET l|BITOP AND l l c|STRLEN l|DUMP d|BITOP NOT n n|GET n|BITOP NOT n n|OBJECT ENCODING n|INCR n
        OBJECT ENCODING n""",
    "bitfield": f"""
        BITFIELD k|EXISTS k|BITFIELD k GET u8 0|EXISTS k|BITFIELD k SET u8 0 255 GET u8 0 INCRBY u8 0 10
        GET k|OBJECT ENCODING k|BITFIELD k INCRBY i5 100 1 GET u4 0
        BITFIELD k SET i8 #1 -100 GET i8 8 GET u8 8 GET i8 #1
        BITFIELD k OVERFLOW SAT INCRBY u2 100 5 OVERFLOW FAIL INCRBY u2 102 3 INCRBY u2 102 1
        BITFIELD k OVERFLOW WRAP INCRBY u2 102 1
        BITFIELD k OVERFLOW FAIL SET u8 0 256 SET u8 0 -1 SET i8 0 128 GET u8 0
        BITFIELD k OVERFLOW SAT SET u8 0 256 GET u8 0 SET u8 0 -1 GET u8 0
        BITFIELD k OVERFLOW SAT SET i8 0 128 GET i8 0 SET i8 0 -129 GET i8 0
        BITFIELD k SET u8 0 256 GET u8 0 SET u8 0 -1 GET u8 0
        BITFIELD k SET i8 0 128 GET i8 0 SET i8 0 -129 GET i8 0
        BITFIELD k SET i64 3 9223372036854775807 OVERFLOW SAT INCRBY i64 3 1 OVERFLOW WRAP
        BITFIELD k INCRBY i64 3 1 GET i64 3
        BITFIELD k OVERFLOW FAIL INCRBY i64 3 -1 INCRBY i64 3 1
        BITFIELD k SET u63 5 9223372036854775807 GET u63 5
        BITFIELD k INCRBY u63 5 1 INCRBY u63 5 -1
        BITFIELD k OVERFLOW SAT INCRBY u63 5 9223372036854775807 INCRBY u63 5 -1
        BITFIELD k INCRBY u63 5 -9223372036854775808
        BITFIELD k OVERFLOW SAT INCRBY u63 5 -9223372036854775808
        BITFIELD k SET i64 0 -9223372036854775808 OVERFLOW SAT INCRBY i64 0 -1 OVERFLOW FAIL INCRBY i64 0 -1
        BITFIELD k SET i1 0 0 INCRBY i1 0 1 INCRBY i1 0 1 SET u1 0 1 GET i1 0
        BITFIELD k GET u63 100000 GET i64 3|BITFIELD k GET u64 0|BITFIELD k GET i65 0|BITFIELD k GET u0 0
        BITFIELD k GET i0 0|BITFIELD k GET x8 0|BITFIELD k GET U8 0|BITFIELD k GET u 0|BITFIELD k GET {{}} 0
        BITFIELD k GET i-1 0|BITFIELD k GET u08 0|BITFIELD k GET u8|BITFIELD k GET u8 -1|BITFIELD k GET u8 x
        BITFIELD k GET u8 #x|BITFIELD k GET u8 #-1|BITFIELD k GET u8 #|BITFIELD k GET u8 {{}}
        BITFIELD k GET u8 4294967295|BITFIELD k GET u8 4294967296|BITFIELD k GET u8 #536870911
        BITFIELD k GET u8 #536870912|BITFIELD k GET u8 #9223372036854775807|BITFIELD k SET u8 0
        BITFIELD k SET u8 0 x|BITFIELD k SET u8 0 9223372036854775808|BITFIELD k INCRBY u8 0 1.5
        BITFIELD k OVERFLOW|BITFIELD k OVERFLOW FOO|BITFIELD k OVERFLOW SAT|BITFIELD k FOO
        BITFIELD k FOO u8 0|BITFIELD k set U8 0 x|BITFIELD k SET u8 0 1 BAD|GET k|get k
        bitfield k get u8 0 overflow sat incrby u4 0 20|BITFIELD
        BITFIELD grow OVERFLOW FAIL INCRBY u8 100 -1|STRLEN grow|BITFIELD grow GET u8 0 SET u1 200 0
        STRLEN grow|SET n 123|BITFIELD n GET u8 0|OBJECT ENCODING n|BITFIELD n SET u8 0 49|OBJECT ENCODING n
        GET n|SET n 5 EX 100|BITFIELD n INCRBY u8 0 1|TTL n|GET n|BITFIELD n INCRBY u8 #5 1|TTL n|DUMP n
        SET l {LONG}|BITFIELD l INCRBY i33 77 9|GET l|BITFIELD l OVERFLOW FAIL INCRBY u8 0 -128
        OBJECT ENCODING l|SET e emb|BITFIELD e OVERFLOW FAIL INCRBY u8 0 -128|OBJECT ENCODING e|SET e emb
        BITFIELD e OVERFLOW SAT|OBJECT ENCODING e""",
    "wrong_type": """
        HSET h a 1|SETBIT h 0 1|GETBIT h 0|BITCOUNT h|BITCOUNT h x|BITPOS h 1|BITPOS h 2|BITPOS h 1 x
        BITOP AND d h
        BITOP NOT d h|BITOP OR d nope h|BITFIELD h|BITFIELD h GET u8 0|BITFIELD h SET u8 0 1|BITFIELD h GET u8
        BITFIELD_RO h GET u8 0|BITFIELD_RO h SET u8 0 1|BITFIELD_RO h|SETBIT h x 1|SETBIT h 0 2|HGETALL h
        SET s abc|BITOP NOT h s|TYPE h|GET h|HSET h2 a 1|BITOP OR h2 nope|EXISTS h2|HSET h2 b 2|HGETALL h2""",
    "bitfield_ro": """
        BITFIELD_RO k|BITFIELD_RO k GET u8 0|EXISTS k|SET k abc|BITFIELD_RO k GET u8 0 GET i7 #2 GET u63 3
        BITFIELD_RO k SET u8 0 1|BITFIELD_RO k INCRBY u8 0 1|BITFIELD_RO k SET u8 0 x
        BITFIELD_RO k OVERFLOW SAT GET u8 0|BITFIELD_RO k GET u64 0|BITFIELD_RO k GET|BITFIELD_RO k FOO
        BITFIELD_RO|GET k|BITFIELD_RO k get u8 0""",
}

KEYS = st.sampled_from([b"a", b"b", b"c"])
VALUES = st.one_of(
    st.binary(max_size=5),
    st.integers(0, 20).map(lambda size: b"\xff" * size),
    st.integers(0, 20).map(bytes),
    st.sampled_from([b"0", b"12", b"-7"]),
)
BITS = st.sampled_from([b"0", b"1", b"0", b"1", b"2"])
OFFSETS = st.one_of(
    st.integers(-1, 140).map(lambda offset: b"%d" % offset), st.sampled_from([b"x", b"4294967296"])
)
FIELDS = st.tuples(st.sampled_from([b"i", b"u"]), st.integers(0, 65)).map(lambda drawn: b"%b%d" % drawn)
FIELD_OFFSETS = st.one_of(OFFSETS, st.integers(-1, 6).map(lambda index: b"#%d" % index))
NUMBERS = st.one_of(
    st.integers(-5, 300),
    st.sampled_from([2**63 - 1, -(2**62), 2**62, 2**31]),
).map(lambda number: b"%d" % number)
FIELD_OPERATIONS = st.lists(
    st.one_of(
        request(b"GET", FIELDS, FIELD_OFFSETS),
        request(b"SET", FIELDS, FIELD_OFFSETS, NUMBERS),
        request(b"INCRBY", FIELDS, FIELD_OFFSETS, NUMBERS),
        request(b"OVERFLOW", st.sampled_from([b"WRAP", b"SAT", b"FAIL", b"sat", b"fail"])),
    ),
    max_size=4,
).map(lambda lists: [each for words in lists for each in words])
RANGES = st.one_of(
    st.just([]),
    st.tuples(OFFSETS).map(list),
    st.tuples(OFFSETS, OFFSETS).map(list),
    st.tuples(OFFSETS, OFFSETS, st.sampled_from([b"BYTE", b"BIT", b"bit", b"BITS"])).map(list),
    st.tuples(st.integers(-90, 90), st.integers(-90, 90), st.booleans()).map(
        lambda drawn: [b"%d" % drawn[0], b"%d" % drawn[1], b"BIT" if drawn[2] else b"BYTE"]
    ),
)
REQUESTS = st.one_of(
    request(b"SETBIT", KEYS, OFFSETS, BITS),
    request(b"SETBIT", KEYS, OFFSETS, BITS),
    request(b"GETBIT", KEYS, OFFSETS),
    joined(request(b"BITCOUNT", KEYS), RANGES),
    joined(request(b"BITPOS", KEYS, BITS), RANGES),
    request(b"BITOP", st.sampled_from([b"AND", b"OR", b"XOR", b"not", b"NAND"]), KEYS, KEYS, KEYS),
    request(b"BITOP", st.sampled_from([b"AND", b"or", b"NOT"]), KEYS, KEYS),
    joined(request(b"BITFIELD", KEYS), FIELD_OPERATIONS),
    joined(request(b"BITFIELD", KEYS), FIELD_OPERATIONS),
    joined(request(b"BITFIELD_RO", KEYS), FIELD_OPERATIONS),
    joined(request(b"SET", KEYS, VALUES), options(word(b"KEEPTTL"), word(b"NX"))),
    request(b"APPEND", KEYS, VALUES),
    request(b"INCR", KEYS),
    request(b"EXPIRE", KEYS, st.just(b"100")),
    request(b"TTL", KEYS),
    request(b"GET", KEYS),
    request(b"OBJECT", st.just(b"ENCODING"), KEYS),
    request(b"COPY", KEYS, KEYS),
    request(b"DEL", KEYS),
    request(b"HSET", KEYS, st.just(b"f"), st.just(b"v")),
    request(b"TYPE", KEYS),
)


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_on_bits_gets_redis_replies(oracle: Oracle, proto: int, name: str) -> None:
    """Every reply of the script is Redis's."""
    compare(oracle, requests_of(SCRIPTS[name]), proto)


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        ("BITFIELD k OVERFLOW SAT SET i8 0 -9223372036854775808 GET i8 0", b"*2\r\n:0\r\n:-128\r\n"),
        (
            "BITFIELD k SET u8 #2305843009213693953 1",
            b"-ERR bit offset is not an integer or out of range\r\n",
        ),
        ("BITFIELD k SET u8 4294967289 1", b"-ERR bit offset is not an integer or out of range\r\n"),
    ],
)
def test_where_bitfield_differs_from_redis(request_: str, reply: bytes) -> None:
    """Arithmetic does not wrap where Redis's does, and no string is longer than 512 MB."""
    assert run(context(), requests_of(request_), 2) == [reply]


@generated
@given(requests=sequences(REQUESTS))
def test_generated_sequence_on_bits_gets_redis_replies(
    oracle: Oracle, proto: int, requests: list[list[bytes]]
) -> None:
    """Whatever the sequence, every reply is Redis's, and so are the strings left behind."""
    compare(oracle, [*requests, *([b"GET", key] for key in (b"a", b"b", b"c"))], proto)
