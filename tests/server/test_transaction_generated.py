"""Generated requests between WATCH and EXEC, and inside of MULTI, against redis-server."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from redraft.accel.scan import key_slot
from tests.commands.oracle import TOLERANCE, Oracle
from tests.commands.test_oracle_generated import REQUESTS
from tests.server.harness import Site
from tests.server.test_transaction import Theirs

WATCHED = (b"a", b"b")
NULL = b"*-1\r\n"
_UNEXACT = frozenset(TOLERANCE) | {b"keys", b"scan"}


def steady(words: list[bytes]) -> bool:
    """Whether a request leaves nothing that the oracle's clock would end while the test runs."""
    return b"100" not in words or not (b"PX" in words or words[0] in (b"PSETEX", b"PEXPIRE"))


STEADY = REQUESTS.filter(steady)
EXACT = STEADY.filter(
    lambda words: (
        words[0].lower() not in _UNEXACT and words[:2] != [b"OBJECT", b"REFCOUNT"]
    )  # Redis counts the queued argument too
)
LASTING = STEADY.filter(
    lambda words: words[0] != b"SET" or not {b"EXAT", b"PXAT"} & set(words)  # of the past: nothing is stored
)
SETTINGS = settings(
    max_examples=60,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@SETTINGS
@given(before=st.lists(STEADY, max_size=15), between=st.lists(LASTING, max_size=2))
def test_watch_sees_every_change_that_redis_sees(
    redis_server: Oracle, before: list[list[bytes]], between: list[list[bytes]]
) -> None:
    """Whatever change fails an EXEC in Redis fails it here; where its slot is left alone, none does."""
    with Site(groups=1) as site:
        theirs = Theirs(redis_server, 2)
        client, other = site.client(), site.client()
        for words in before:
            other.ask(*words)
            theirs.ask(2, words)
        touched = {key_slot(word) for words in between for word in words[1:]}
        for key in WATCHED:
            for words in ([b"WATCH", key], [b"MULTI"]):
                assert client.ask(*words) == theirs.ask(1, words)
            for words in between:
                other.ask(*words)
                theirs.ask(2, words)
            ours, said = client.ask("EXEC"), theirs.ask(1, [b"EXEC"])
            if said == NULL:
                assert ours == NULL, (key, between)
            elif key_slot(key) not in touched:
                assert ours == said, (key, between)
        theirs.close()


@SETTINGS
@given(
    before=st.lists(STEADY, max_size=10),
    inside=st.lists(st.lists(EXACT, max_size=12), max_size=4),
    proto=st.sampled_from([2, 3]),
)
def test_generated_transaction_gets_redis_replies(
    redis_server: Oracle, before: list[list[bytes]], inside: list[list[list[bytes]]], proto: int
) -> None:
    """Whatever is queued, EXEC answers as Redis does."""
    with Site(groups=1) as site:
        theirs = Theirs(redis_server, proto)
        client = site.client()
        client.ask("HELLO", str(proto))
        for words in before:
            client.ask(*words)
            theirs.ask(1, words)
        for transaction in inside:
            for words in ([b"MULTI"], *transaction, [b"EXEC"]):
                assert client.ask(*words) == theirs.ask(1, words), (words, transaction)
        theirs.close()
