"""MEMORY: requests are refused as redis-server refuses them, and sizes are those that are counted."""

from __future__ import annotations

from tests.commands.oracle import Oracle, compare, context, execute_one, requests_of

SCRIPT = """
    MEMORY USAGE none|MEMORY USAGE none SAMPLES|MEMORY USAGE none SAMPLES -1|MEMORY USAGE none SAMPLES x
    MEMORY USAGE none FOO 1|MEMORY USAGE none samples 0|MEMORY USAGE none SAMPLES 1 SAMPLES 2|MEMORY USAGE
    MEMORY USAGE none SAMPLES 5 x|MEMORY USAGE none 5|MEMORY|MEMORY FOO|MEMORY PURGE x|MEMORY PURGE
    MEMORY DOCTOR x|MEMORY MALLOC-STATS x|memory usage none"""


def test_memory_refuses_what_redis_refuses(oracle: Oracle, proto: int) -> None:
    """Wrong options, wrong counts, keys that are not there."""
    compare(oracle, requests_of(SCRIPT), proto)


def test_memory_usage_is_what_the_key_adds_to_the_memory_used() -> None:
    """Whatever its type, with and without a deadline."""
    for make in ("SET k v", "SET k v EX 100", "HSET k f v g w", "XADD k 1-1 f v", "APPEND k v"):
        ctx = context()
        for request in requests_of(make):
            execute_one(ctx, request)
        reply = execute_one(ctx, [b"MEMORY", b"USAGE", b"k"])
        assert reply == b":%d\r\n" % ctx.keyspace.used_bytes, make


def test_memory_has_a_few_words_for_the_rest() -> None:
    """DOCTOR, MALLOC-STATS and HELP are answered."""
    ctx = context()
    for subcommand in (b"DOCTOR", b"MALLOC-STATS"):
        assert execute_one(ctx, [b"MEMORY", subcommand])[:1] == b"$"
    assert b"USAGE" in execute_one(ctx, [b"MEMORY", b"HELP"])
