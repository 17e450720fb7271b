"""The loop for engines on disk does what the handlers do, and what the engine in memory does."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from redraft.commands.context import Context
from redraft.commands.execute import execute_batch
from redraft.commands.keyspace import ExpiredKeyError, Keyspace
from redraft.engine import kinds
from redraft.engine.hash import HashEngine
from redraft.engine.overlay import ENTRY_BYTES
from redraft.engine.stored import StoredEngine
from redraft.topology.slots import SLOTS
from tests.commands.executors import check_counts, encode
from tests.commands.oracle import execute_one

NOW_MS = 1_700_000_000_000
KEYS = [b"a", b"b", b"c", b"{a}d", b"{a}e"]
MEMBERS = [b"%d" % number for number in range(12)]


class Handlers:
    """An engine on disk that is not known as one, so that every command goes to its handler."""

    def __init__(self, engine: StoredEngine) -> None:
        self.inner = engine

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)


def request(rng: random.Random) -> list[bytes]:
    """A request: mostly those of the loop, on keys of every type."""
    key, member, number = rng.choice(KEYS), rng.choice(MEMBERS), b"%d" % rng.randrange(1000)
    plain = [
        [b"SET", key, number], [b"SET", key, b"words"], [b"GET", key], [b"GET", key], [b"INCR", key],
        [b"INCR", key], [b"DEL", key], [b"DEL", key, b"b"], [b"SET", key, b"9223372036854775807"],
        [b"SET", key, number, b"PX", b"20"], [b"SET", key, number, b"PX", b"100000"], [b"EXPIRE", key, b"1"],
        [b"APPEND", key, b"7"], [b"MSET", b"a", number, b"{a}d", b"2"], [b"EXISTS", key],
    ]  # fmt: skip
    others = [
        [b"LPUSH", key, member], [b"RPUSH", key, member, number], [b"LPOP", key], [b"RPOP", key],
        [b"LRANGE", key, b"0", b"-1"], [b"LREM", key, b"1", member], [b"SADD", key, member, number],
        [b"SPOP", key], [b"SREM", key, member], [b"SMEMBERS", key], [b"HSET", key, member, number],
        [b"HGETALL", key], [b"HDEL", key, member], [b"ZADD", key, number, member],
        [b"ZADD", key, b"INCR", b"inf", member], [b"ZADD", key, b"INCR", b"-inf", member],
        [b"ZADD", key, b"-0", member], [b"ZPOPMIN", key], [b"ZPOPMAX", key, b"2"],
        [b"ZRANGE", key, b"0", b"2", b"REV"], [b"ZRANGE", key, b"1", b"3", b"WITHSCORES"],
        [b"RENAME", key, rng.choice(KEYS)], [b"COPY", key, rng.choice(KEYS), b"REPLACE"], [b"TTL", key],
        [b"ZRANGEBYSCORE", key, b"-inf", number, b"LIMIT", b"1", b"3"], [b"FLUSHALL"], [b"PERSIST", key],
        [b"SUNIONSTORE", key, b"a", b"b"], [b"LMOVE", key, rng.choice(KEYS), b"LEFT", b"RIGHT"],
        [b"ZUNIONSTORE", key, b"2", b"a", b"c"], [b"HINCRBY", key, member, b"1"], [b"KEYS", b"*"],
        [b"SCAN", b"0"], [b"LINSERT", key, b"BEFORE", member, b"x"], [b"LTRIM", key, b"1", b"-2"],
    ]  # fmt: skip
    return rng.choice(plain if rng.random() < 0.5 else others)


class Sides:
    """An engine in memory, and one of a kind on disk twice: with its loop, and by the handlers alone."""

    def __init__(self, kind: str, path: Path) -> None:
        self.open_store = kinds.opener(kind)
        self.path = path
        self.engines = [StoredEngine(self.open_store(path / name), 4000) for name in ("fast", "handlers")]
        self.contexts = [Context(Keyspace(HashEngine(), range(SLOTS)))]
        self.contexts += [
            Context(Keyspace(self.engines[0], range(SLOTS))),
            Context(Keyspace(Handlers(self.engines[1]), range(SLOTS))),  # type: ignore[arg-type]
        ]

    def run(self, requests: list[list[bytes]], now_ms: int, *, write: bool) -> None:
        """Carry out a batch on each side: replies and counts are the same."""
        data = b"".join(map(encode, requests))
        told = []
        for ctx in self.contexts:
            keyspace = ctx.keyspace
            keyspace.index += write
            ctx.begin(now_ms=now_ms, write=write, seed=now_ms)
            try:
                replies: object = execute_batch(ctx, data, [(len(requests), 2)])
            except ExpiredKeyError as expired:
                replies = expired.deadline_ms
            assert not ctx.bugs, ctx.bugs
            sizes = [
                keyspace.engine.slot_size(slot) for slot in sorted({*range(0, SLOTS, 97), 15495, 3300, 7365})
            ]
            told.append((replies, keyspace.counts, keyspace.modified, sizes))
        assert told[0] == told[1], requests
        assert told[0] == told[2], requests

    def step(self, rng: random.Random) -> None:
        """Let a checkpoint of the engines on disk go on, or open one again."""
        for side, engine in enumerate(self.engines):
            if not engine.is_frozen:
                engine.freeze(b"")
            else:
                engine.write_frozen()
                engine.thaw()
                if rng.random() < 0.3:
                    engine.clean()
            if side == 0 and rng.random() < 0.2:
                self.reopen()

    def reopen(self) -> None:
        """Open the first one again, as of now."""
        engine = self.engines[0]
        if engine.is_frozen:
            engine.write_frozen()
            engine.thaw()
        engine.freeze(b"")
        engine.write_frozen()
        engine.thaw()
        engine.close()
        before = self.contexts[1].keyspace
        self.engines[0] = StoredEngine(self.open_store(self.path / "fast"), 4000)
        keyspace = Keyspace(self.engines[0], range(SLOTS))
        assert keyspace.counts == before.counts
        keyspace.index, keyspace.modified = before.index, before.modified
        keyspace.collections_made = before.collections_made
        self.contexts[1] = Context(keyspace)


@pytest.mark.parametrize("kind", kinds.STORES)
@pytest.mark.parametrize("seed", range(12))
def test_loop_for_engines_on_disk_does_what_the_handlers_do(kind: str, seed: int, tmp_path: Path) -> None:
    """Replies, counts, and when slots were changed, through checkpoints and with deadlines."""
    print("seed", seed)
    rng = random.Random(seed)
    sides = Sides(kind, tmp_path)
    now_ms = NOW_MS
    for _ in range(150):
        now_ms += rng.randrange(15)
        write = rng.random() < 0.8
        requests = [request(rng) for _ in range(rng.randrange(1, 12))]
        if not write:
            requests = [[b"GET", rng.choice(KEYS)] for _ in requests]
        sides.run(requests, now_ms, write=write)
        if rng.random() < 0.2:
            sides.step(rng)
    for ctx in sides.contexts:
        ctx.begin(now_ms=now_ms, write=True)
        check_counts(ctx.keyspace)
    for engine in sides.engines:
        engine.close()


@pytest.mark.parametrize("kind", kinds.STORES)
def test_loop_for_engines_on_disk_tells_how_much_was_written(kind: str, tmp_path: Path) -> None:
    """The same as the handlers tell; what is written again counts once."""
    grown = []
    for name in ("fast", "handlers"):
        engine = StoredEngine(kinds.opener(kind)(tmp_path / name))
        side = engine if name == "fast" else Handlers(engine)
        ctx = Context(Keyspace(side, range(SLOTS)))  # type: ignore[arg-type]
        ctx.begin(now_ms=NOW_MS, write=True)
        begin = engine.dirty_bytes
        sizes = []
        for line in (
            b"SET a 1",
            b"SET a 22",
            b"INCR a",
            b"INCR b",
            b"DEL a",
            b"DEL a",
            b"DEL none",
            b"SET a 1",
        ):
            execute_one(ctx, line.split())
            sizes.append(engine.dirty_bytes - begin)
        grown.append(sizes)
        engine.close()
    assert grown[0] == grown[1]
    assert grown[0][-1] == 2 * ENTRY_BYTES + len(b"ab$1\r\n1\r\n:1\r\n")


@pytest.mark.parametrize("kind", kinds.STORES)
def test_loop_for_engines_on_disk_tells_of_bytes_alone_before_a_handler_counts(
    kind: str, tmp_path: Path
) -> None:
    """As many keys as before, as much written as deleted, but a shorter name; FLUSHALL goes by the counts."""
    engine = StoredEngine(kinds.opener(kind)(tmp_path / "store"))
    ctx = Context(Keyspace(engine, range(SLOTS)))
    for lines in (
        [b"SET longer value", b"SET b value", b"DEL b"],
        [b"DEL longer", b"SET b value", b"FLUSHALL"],
    ):
        ctx.begin(now_ms=NOW_MS, write=True)
        execute_batch(ctx, b"".join(encode(line.split()) for line in lines), [(len(lines), 2)])
        check_counts(ctx.keyspace)
    assert ctx.keyspace.data_bytes == 0
    engine.close()
