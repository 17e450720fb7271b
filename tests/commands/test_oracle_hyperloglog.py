"""HyperLogLogs against redis-server: replies and stored strings are the same, byte for byte."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redraft.commands.sketch_registers import pack, place
from tests.commands.oracle import (
    Oracle,
    compare,
    context,
    execute_one,
    generated,
    now_ms,
    requests_of,
    run,
)  # fmt: skip
from tests.commands.strategies import request, sequences

SCRIPTS = {
    "pfadd": """
        PFADD h|GET h|PFADD h|OBJECT ENCODING h|PFADD h a|GET h|PFADD h a|PFADD h a b c|GET h|PFCOUNT h
        GET h|PFADD h a|GET h|PFADD h d|GET h|PFADD h {}|PFADD h {}|GET h|PFADD|STRLEN h|TYPE h|DUMP h
        EXPIRE h 100|PFADD h more|TTL h|PFADD new x y z|GET new|PFADD new a1234567 b12345678 c123456789
        GET new|PFADD s a|SET s 123|PFADD s a|SET s HYLL|PFADD s a|SET s HYLLaaaaaaaaaaaaaaaaaaa|PFADD s a
        SET s {}|PFADD s|INCR n|PFADD n a|GET n|APPEND h x|PFADD h a|pfadd p q|GET p""",
    "wrong_type": """
        HSET x a 1|PFADD x a|PFADD x|PFCOUNT x|PFCOUNT h x|PFMERGE x|PFMERGE h x|EXISTS h|PFADD h a
        PFMERGE x h
        PFMERGE h x|PFCOUNT h x|HGETALL x|GET h""",
    "pfcount": """
        PFCOUNT h|PFCOUNT h i|PFADD h a b c|PFCOUNT h|PFCOUNT h|PFADD i c d e|PFCOUNT h i|GET h|GET i
        PFCOUNT i|GET i|PFCOUNT h h|PFCOUNT h nope|PFCOUNT nope h|PFCOUNT|SET s x|PFCOUNT s|PFCOUNT h s
        PFCOUNT s h|PFCOUNT nope s|EXPIRE i 100|PFADD i f|PFCOUNT i|TTL i|RENAME i j|PFCOUNT j|COPY j k
        PFCOUNT k h|DUMP k""",
    "pfmerge": """
        PFADD a 1 2 3|PFADD b 3 4 5|PFMERGE c a b|GET c|PFCOUNT c|GET c|PFMERGE c|GET c|PFMERGE new|GET new
        OBJECT ENCODING new|PFCOUNT new|PFMERGE a a|GET a|PFMERGE a b nope c|GET a|PFCOUNT a|EXPIRE a 100
        PFMERGE a b|TTL a|PFMERGE|SET s x|PFMERGE s|PFMERGE s a|PFMERGE a s|PFMERGE n s|EXISTS n
        PFMERGE n nope|GET n|PFCOUNT n|PFMERGE n n n|GET n|PFMERGE z b|PFMERGE z a|GET z""",
}

KEYS = st.sampled_from([b"a", b"b", b"c"])
ELEMENTS = st.integers(0, 400).map(lambda number: b"%d" % number)
REQUESTS = st.one_of(
    st.tuples(KEYS, st.lists(ELEMENTS, max_size=30)).map(lambda drawn: [b"PFADD", drawn[0], *drawn[1]]),
    st.tuples(KEYS, st.integers(0, 2**40), st.integers(1, 500)).map(
        lambda drawn: [b"PFADD", drawn[0], *(b"e%d" % (drawn[1] + number) for number in range(drawn[2]))]
    ),
    request(b"PFCOUNT", KEYS),
    request(b"PFCOUNT", KEYS, KEYS),
    request(b"PFMERGE", KEYS, KEYS),
    request(b"PFMERGE", KEYS, KEYS, KEYS),
    request(b"GET", KEYS),
    request(b"DEL", KEYS),
    request(b"HSET", KEYS, st.just(b"f"), st.just(b"v")),
    request(b"TYPE", KEYS),
    request(b"COPY", KEYS, KEYS),
    request(b"EXPIRE", KEYS, st.just(b"100")),
    request(b"TTL", KEYS),
    request(b"SET", KEYS, st.just(b"HYLL")),
    request(b"OBJECT", st.just(b"ENCODING"), KEYS),
)


def values_of(*keys: bytes) -> list[list[bytes]]:
    """Requests for all that is stored."""
    return [[b"GET", key] for key in keys]


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_on_hyperloglogs_gets_redis_replies(oracle: Oracle, proto: int, name: str) -> None:
    """Every reply of the script is Redis's."""
    compare(oracle, requests_of(SCRIPTS[name]), proto)


@generated
@given(requests=sequences(REQUESTS))
def test_generated_sequence_on_hyperloglogs_gets_redis_replies(
    oracle: Oracle, proto: int, requests: list[list[bytes]]
) -> None:
    """Whatever the sequence, every reply is Redis's, and so are the strings left behind."""
    compare(oracle, [*requests, *values_of(b"a", b"b", b"c")], proto)


def element_at(index: int, rank: int) -> bytes:
    """The element of eight bytes that belongs to a register and has a rank there: the hash, backwards."""
    word, factor = 1 << 64, 0xC6A4A7935BD1E995
    inverse = pow(factor, -1, word)
    hashed = index | 1 << (13 + rank)
    hashed = (hashed ^ hashed >> 47) * inverse % word
    hashed = (hashed ^ hashed >> 47) * inverse % word
    block = (hashed ^ 0xADC83B19 ^ 8 * factor % word) * inverse % word
    return ((block ^ block >> 47) * inverse % word).to_bytes(8, "little")


def test_element_at_is_where_it_should_be() -> None:
    """The tests below raise the registers that they say."""
    for index, rank in ((0, 1), (16383, 50), (77, 33)):
        assert place(element_at(index, rank)) == (index, rank)


@pytest.mark.parametrize("seed", range(6))
def test_neighbours_are_split_and_merged_as_by_redis(oracle: Oracle, seed: int) -> None:
    """Runs come about, grow, are divided and joined: the bytes are the same after each step."""
    chance = random.Random(seed)
    near, ranks = chance.choice([6, 30, 200, 16384]), chance.choice([2, 3, 32])
    first = chance.choice([0, 16384 - near, (16384 - near) // 2])
    requests = []
    for _ in range(400):
        element = element_at(first + chance.randrange(near), chance.randint(1, ranks))
        requests += [[b"PFADD", b"h", element], *values_of(b"h")]
    compare(oracle, requests, 2)


@pytest.mark.parametrize("seed", range(6))
def test_merge_joins_runs_as_redis_does(oracle: Oracle, seed: int) -> None:
    """Registers close to each other, raised in order by a merge: the same runs, and dense when too long."""
    chance = random.Random(seed)
    near, ranks = chance.choice([50, 500, 1500, 2500]), chance.choice([1, 2, 4])
    requests = []
    for key in (b"a", b"b", b"c"):
        places = [(chance.randrange(near), chance.randint(1, ranks)) for _ in range(near // 2)]
        requests.append([b"PFADD", key, *(element_at(*each) for each in places)])
    requests += [[b"PFMERGE", b"d", b"a"], [b"PFMERGE", b"a", b"b"], [b"PFMERGE", b"b", b"c", b"a"]]
    requests += [[b"PFMERGE", b"c", b"d"], *values_of(b"a", b"b", b"c", b"d"), [b"PFCOUNT", b"a"]]
    compare(oracle, requests, 2)


@pytest.mark.parametrize("rank", [31, 32, 33, 50])
def test_large_rank_makes_a_sketch_dense(oracle: Oracle, rank: int) -> None:
    """The sparse form holds ranks up to 32; a larger one makes the sketch dense, also by way of a merge."""
    requests = [[b"PFADD", b"h", b"a", b"b"], [b"PFCOUNT", b"h"], [b"PFADD", b"h", element_at(500, rank)]]
    requests += [
        *values_of(b"h"),
        [b"PFADD", b"h", element_at(500, 7)],
        [b"PFADD", b"h", element_at(16383, 9)],
    ]
    requests += [[b"PFADD", b"i", b"c"], [b"PFMERGE", b"i", b"h"], [b"PFCOUNT", b"i"], *values_of(b"h", b"i")]
    compare(oracle, requests, 2)


@pytest.mark.parametrize("seed", range(3))
def test_growing_sketch_is_redis_all_the_way(oracle: Oracle, seed: int) -> None:
    """One by one from empty through sparse to dense: the same bytes, the same counts."""
    chance = random.Random(seed)
    requests = []
    for number in range(3000):
        requests.append([b"PFADD", b"h", chance.randbytes(chance.randrange(20))])
        if number % 50 == 0:
            requests += [*values_of(b"h"), [b"PFCOUNT", b"h"], *values_of(b"h")]
    compare(oracle, requests, 2)


def test_counts_of_many_elements_are_redis(oracle: Oracle) -> None:
    """The estimate is the same far beyond what the sparse form holds."""
    requests = []
    for step in range(60):
        requests.append(
            [b"PFADD", b"h", *(b"%d" % number for number in range(step * 5000, step * 5000 + 5000))]
        )
        requests.append([b"PFCOUNT", b"h"])
    compare(oracle, [*requests, *values_of(b"h")], 2)


@pytest.mark.parametrize("seed", range(8))
def test_merged_sketches_are_redis(oracle: Oracle, seed: int) -> None:
    """Sparse with sparse, below, at and above what fits; sparse with dense, either way round."""
    chance = random.Random(seed)
    sizes = [chance.choice([10, 100, 300, 600, 900, 1100]) for _ in range(3)]
    requests = [
        [b"PFADD", key, *(b"%d" % chance.randrange(4000) for _ in range(size))]
        for key, size in zip((b"a", b"b", b"c"), sizes, strict=True)
    ]
    if seed % 4 == 3:
        requests.append([b"PFADD", b"b", *(b"%d" % number for number in range(5000))])
    requests += [[b"PFCOUNT", b"a", b"b", b"c"], [b"PFMERGE", b"d", b"a", b"c"], *values_of(b"d")]
    requests += [[b"PFMERGE", b"a", b"b"], [b"PFMERGE", b"b", b"c"], [b"PFMERGE", b"c"]]
    requests += [*values_of(b"a", b"b", b"c"), [b"PFCOUNT", b"a"], [b"PFCOUNT", b"b", b"d"]]
    compare(oracle, requests, 2)


def test_registers_set_from_outside_are_counted_as_by_redis(oracle: Oracle) -> None:
    """A dense string with any registers at all, large ranks and few zeros among them, has Redis's count."""
    chance = random.Random(5)
    requests = []
    for most in (1, 2, 3, 5, 20, 40, 51):
        registers = bytes(chance.randint(0, most) for _ in range(16384))
        dense = b"HYLL" + bytes(11) + b"\x80" + pack(registers)
        requests += [[b"SET", b"h", dense], [b"PFCOUNT", b"h"], [b"PFCOUNT", b"h", b"h"], *values_of(b"h")]
        requests += [[b"PFADD", b"h", b"x"], [b"PFMERGE", b"g", b"h"], *values_of(b"h", b"g")]
    compare(oracle, requests, 2)


SPARSE = b"HYLL\x01" + bytes(10) + b"\x80"


@pytest.mark.parametrize(
    "data",
    [
        SPARSE,
        SPARSE + b"\x7f\xfe",
        SPARSE + b"\x7f\xff\x00",
        SPARSE + b"\x7f\xff\x80",
        SPARSE + b"\x00" * 20,
        SPARSE + b"\x83" * 4097,
        b"HYLL\x00" + bytes(10) + b"\x80" + bytes(12287),
        b"HYLL\x00" + bytes(10) + b"\x80" + bytes(12289),
        b"HYLL\x02" + bytes(10) + b"\x80" + b"\x7f\xff",
        b"HYLM\x01" + bytes(10) + b"\x80" + b"\x7f\xff",
        SPARSE[:15],
    ],
    ids=lambda data: data[:24].hex(),
)
def test_corrupt_sketch_is_refused_as_by_redis(oracle: Oracle, data: bytes) -> None:
    """What is no whole sketch is an error, and stays as it is."""
    requests = [[b"SET", b"h", data], [b"PFCOUNT", b"h"], [b"PFCOUNT", b"h", b"g"], [b"PFMERGE", b"g", b"h"]]
    requests += [[b"EXISTS", b"g"], [b"PFMERGE", b"h"], *values_of(b"h")]
    requests += [[b"SET", b"s", b"no sketch"], [b"RPUSH", b"l", b"x"]]
    requests += [[name, *keys, other] for name in (b"PFCOUNT", b"PFMERGE") for other in (b"s", b"l")
                 for keys in ([b"h"], [b"d", b"h"], [b"h", b"d"])]  # fmt: skip
    requests += [[b"PFADD", b"h", element_at(16383, 2)], *values_of(b"h")]
    compare(oracle, requests, 2)


@pytest.mark.parametrize("runs", [b"\x7f", b"\x84\x7f", b"\x7f\xfe\x40", b"\x7f\xfe\x40\x01", b"\x83" * 5000])
def test_sketch_with_a_run_too_long_or_cut_off_is_corrupt(runs: bytes) -> None:
    """No command works on it, and none stumbles."""
    ctx = context()
    add = [b"PFADD", b"h", *(element_at(index, 2) for index in (0, 1, 16382, 16383))]
    replies = run(ctx, [[b"SET", b"h", SPARSE + runs], [b"PFCOUNT", b"h"], [b"PFMERGE", b"h"], add], 2)
    assert [reply[:11] for reply in replies[1:]] == [b"-INVALIDOBJ"] * 3
    assert execute_one(ctx, [b"GET", b"h"]).endswith(runs + b"\r\n")


def test_sketch_of_an_impossible_set_is_corrupt() -> None:
    """Registers that no set can have, and no number can count, are refused; nothing is divided by zero."""
    ctx = context()
    dense = b"HYLL" + bytes(11) + b"\x80" + b"\xff" * 12288
    assert run(ctx, [[b"SET", b"h", dense], [b"PFCOUNT", b"h"]], 2)[1].startswith(b"-INVALIDOBJ")


def test_valid_cache_is_believed(oracle: Oracle) -> None:
    """A stored estimate is the reply as it stands, also over registers that are corrupt."""
    data = b"HYLL\x01\0\0\0" + (12345).to_bytes(8, "little")
    requests = [[b"SET", b"h", data], [b"PFCOUNT", b"h"], [b"OBJECT", b"ENCODING", b"h"], *values_of(b"h")]
    requests += [[b"SET", b"h", data + b"\x7f\xff"], [b"PFCOUNT", b"h"], [b"OBJECT", b"ENCODING", b"h"]]
    requests += [[b"SET", b"h", data + b"\x7f\xff"], [b"PFADD", b"h"], [b"OBJECT", b"ENCODING", b"h"]]
    requests += [[b"PFADD", b"h", b"x"], *values_of(b"h"), [b"PFCOUNT", b"h"], *values_of(b"h")]
    compare(oracle, requests, 2)


def test_sketch_dumped_here_is_restored_there(oracle: Oracle) -> None:
    """DUMP and RESTORE carry a sketch between the servers, in both directions and both forms."""
    for size in (5, 500, 5000):
        oracle.reset(2)
        ctx = context()
        add = [b"PFADD", b"h", *(b"%d" % number for number in range(size))]
        run(ctx, [add], 2)
        oracle.ask(add)
        ours = execute_one(ctx, [b"DUMP", b"h"]).split(b"\r\n", 1)[1][:-2]
        theirs = oracle.ask([b"DUMP", b"h"]).split(b"\r\n", 1)[1][:-2]
        assert oracle.ask([b"RESTORE", b"r", b"0", ours]) == b"+OK\r\n"
        assert run(ctx, [[b"RESTORE", b"r", b"0", theirs]], 2) == [b"+OK\r\n"]
        for ask in (oracle.ask, lambda words, ctx=ctx: execute_one(ctx, words)):
            assert ask([b"GET", b"r"]) == ask([b"GET", b"h"])
            assert ask([b"PFCOUNT", b"r"]) == ask([b"PFCOUNT", b"h"])


def test_pfcount_without_an_entry_writes_nothing() -> None:
    """A read has Redis's reply and leaves the string as it is; within an entry the estimate is stored."""
    ctx = context()
    run(ctx, [[b"PFADD", b"h", b"a", b"b"]], 2)
    before = execute_one(ctx, [b"GET", b"h"])
    ctx.begin(now_ms=now_ms(), write=False)
    assert execute_one(ctx, [b"PFCOUNT", b"h"]) == b":2\r\n"
    assert execute_one(ctx, [b"GET", b"h"]) == before
    ctx.begin(now_ms=now_ms(), write=True)
    assert execute_one(ctx, [b"PFCOUNT", b"h"]) == b":2\r\n"
    assert execute_one(ctx, [b"GET", b"h"]) != before
    assert not ctx.bugs
