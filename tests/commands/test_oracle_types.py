"""Generated sequences over keys of all types at once against redis-server, byte for byte.

So commands meet keys of other types, store over them, and copy, rename and sort what others have made.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from tests.commands import (
    test_oracle_bitmaps,
    test_oracle_generated,
    test_oracle_geo,
    test_oracle_hashes,
    test_oracle_hyperloglog,
    test_oracle_lists,
    test_oracle_sets,
    test_oracle_sort,
    test_oracle_sortedsets,
    test_oracle_streamgroups,
    test_oracle_streams,
)
from tests.commands.oracle import (
    Oracle,
    compare,
    context,
    execute_one,
    generated,
    requests_of,
    run,
    without_small_sets,
)
from tests.commands.strategies import (
    INDEXES,
    KEYS,
    TIMES,
    joined,
    options,
    request,
    sequences,
    untied,
    word,
)

TYPE_NAMES = st.sampled_from([b"string", b"list", b"set", b"zset", b"hash", b"stream", b"none"])


def _payloads() -> list[bytes]:
    """One key of each kind as DUMP gives it, and one that is damaged."""
    ctx = context()
    payloads = []
    for line in (
        "SET k v", "SET k 12", "RPUSH k a 1 a", "SADD k 1 2", "SADD k 1 a b", "ZADD k 1 a 2 b",
        "HSET k a 1 b 2", "XADD k 1-1 f v", "PFADD k a b",
    ):  # fmt: skip
        run(ctx, requests_of(f"DEL k|{line}"), 2)
        payloads.append(execute_one(ctx, [b"DUMP", b"k"]).partition(b"\r\n")[2][:-2])
    return [*payloads, payloads[-1][:-1]]


FAR_AWAY = b"9223372036854775807"
"""RESTORE adds it to the clock and wraps round."""
ALL_AT_ONCE = [b"COUNT", b"1000"]
PATTERNS = st.sampled_from([b"*", b"a*", b"[^a]", b"?"])
SCANNED = options(request(b"MATCH", PATTERNS)).map(lambda words: [b"0", *ALL_AT_ONCE, *words])
KEYSPACE = st.one_of(
    joined(
        request(b"RESTORE", KEYS, TIMES.filter(lambda time: time != FAR_AWAY), st.sampled_from(_payloads())),
        options(
            word(b"REPLACE", b"ABSTTL", b"BAD"), request(b"FREQ", INDEXES), request(b"IDLETIME", INDEXES)
        ),
    ),
    request(b"DUMP", KEYS),
    request(b"TOUCH", KEYS, KEYS),
    request(b"UNLINK", KEYS, KEYS),
    request(b"SUBSTR", KEYS, INDEXES, INDEXES),
    request(b"FLUSHDB"),
    request(b"RENAMENX", KEYS, KEYS),
    joined(request(b"COPY", KEYS, KEYS), options(word(b"REPLACE"))),
    request(b"OBJECT", st.sampled_from([b"ENCODING", b"REFCOUNT", b"FREQ", b"IDLETIME"]), KEYS),
    request(b"KEYS", PATTERNS),
    joined(
        st.just([b"SCAN"]),
        st.tuples(SCANNED, options(request(b"TYPE", TYPE_NAMES))).map(lambda both: both[0] + both[1]),
    ),
    *(joined(request(name, KEYS), SCANNED) for name in (b"HSCAN", b"SSCAN", b"ZSCAN")),
)
TYPES = [
    *(
        module.REQUESTS.map(lambda words: [words])
        for module in (
            test_oracle_bitmaps,
            test_oracle_generated,
            test_oracle_geo,
            test_oracle_hashes,
            test_oracle_hyperloglog,
            test_oracle_lists,
            test_oracle_sets,
            test_oracle_sort,
            test_oracle_sortedsets,
            test_oracle_streams,
        )
    ),
    st.one_of(test_oracle_streamgroups.ONE_REQUEST, test_oracle_streamgroups.FOR_A_CONSUMER),
    KEYSPACE.map(lambda words: [words]),
    # A key past its deadline counts there until it is met.
    st.just([[b"EXISTS", b"a", b"b", b"{a}c", b""], [b"DBSIZE"]]),
]
SEQUENCES = st.lists(st.sampled_from(TYPES), min_size=2, max_size=4).flatmap(
    lambda chosen: sequences(st.one_of(chosen))
)


def known(words: Sequence[bytes], reply: bytes) -> bytes:
    """What the types' own tests take for the same."""
    if words[0] == b"DUMP":  # of collections other forms are written
        return reply[:1]
    if words[0] == b"OBJECT":  # what SORT has seen has no small form any more
        reply = reply.replace(b"$8\r\nskiplist", b"$8\r\nlistpack")
    reply = without_small_sets(words, reply)
    return test_oracle_streamgroups.known(words, test_oracle_streams.known(words, reply))


@generated
@given(requests=SEQUENCES)
@example(requests=[[b"ZADD a 1 m".split(), b"SORT a".split(), b"OBJECT ENCODING a".split()]])
def test_generated_sequence_of_all_types_gets_redis_replies(
    oracle: Oracle, proto: int, requests: list[list[list[bytes]]]
) -> None:
    """Whatever meets whatever, every reply is Redis's."""
    compare(oracle, untied([words for some in requests for words in some]), proto, known)
