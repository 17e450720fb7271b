"""Generated sequences over keys of all types at once against redis-server, byte for byte.

So commands meet keys of other types, store over them, and copy, rename and sort what others have made.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
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
from tests.commands.oracle import Oracle, compare, generated, without_small_sets
from tests.commands.strategies import sequences, untied

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
]
SEQUENCES = st.lists(st.sampled_from(TYPES), min_size=2, max_size=4).flatmap(
    lambda chosen: sequences(st.one_of(chosen))
)


def known(words: Sequence[bytes], reply: bytes) -> bytes:
    """What the types' own tests take for the same."""
    if words[0] == b"DUMP":  # of collections other forms are written
        return reply[:1]
    reply = without_small_sets(words, reply)
    return test_oracle_streamgroups.known(words, test_oracle_streams.known(words, reply))


@generated
@given(requests=SEQUENCES)
def test_generated_sequence_of_all_types_gets_redis_replies(
    oracle: Oracle, proto: int, requests: list[list[list[bytes]]]
) -> None:
    """Whatever meets whatever, every reply is Redis's."""
    compare(oracle, untied([words for some in requests for words in some]), proto, known)
