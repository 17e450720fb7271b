"""The executor: batches, failures, limits, time and chance."""

from __future__ import annotations

import pytest

from redraft.commands import execute, strings
from redraft.commands.context import Context
from redraft.commands.execute import execute_batch
from redraft.commands.keyspace import ExpiredKeyError, Keyspace
from redraft.commands.reply import CommandError
from redraft.engine.hash import HashEngine
from redraft.topology.slots import SLOTS
from tests.commands.executors import OutOfLine, check_counts, encode
from tests.commands.oracle import execute_one

NOW_MS = 1_700_000_000_000


@pytest.fixture(params=[True, False], ids=["fast", "handlers"])
def ctx(request: pytest.FixtureRequest) -> Context:
    """A context for writing, over an engine with and without the fast branches."""
    engine = HashEngine() if request.param else OutOfLine()
    made = Context(Keyspace(engine, range(SLOTS)))  # type: ignore[arg-type]
    made.begin(now_ms=NOW_MS, write=True)
    return made


def ask(ctx: Context, line: str) -> bytes:
    """Execute one request."""
    return execute_one(ctx, line.encode().split())


def test_execute_batch_replies_in_each_marks_protocol(ctx: Context) -> None:
    """A batch of several connections' requests: each gets its own protocol, in order."""
    data = b"".join(
        encode(line.split()) for line in [b"GET a", b"GET a", b"SET a 1", b"GET a", b"MGET b", b"MGET b"]
    )
    replies = execute_batch(ctx, data, [(1, 2), (1, 3), (3, 2), (1, 3)])
    assert replies == [b"$-1\r\n", b"_\r\n", b"+OK\r\n", b"$1\r\n1\r\n", b"*1\r\n$-1\r\n", b"*1\r\n_\r\n"]


def test_execute_batch_of_nothing_replies_nothing(ctx: Context) -> None:
    """An empty batch is a batch."""
    assert execute_batch(ctx, b"", []) == []


@pytest.mark.parametrize("proto", [2, 3])
def test_execute_batch_frames_values_exactly_whatever_the_request_did(ctx: Context, proto: int) -> None:
    """Redis does not look at the two bytes behind a bulk: they must not get into anybody's reply."""
    loose = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nhelloXY" + b"*3\r\n$3\r\nSET\r\n$1\r\nj\r\n$5\rZhello\r\n"
    assert execute_batch(ctx, loose, [(2, proto)]) == [b"+OK\r\n"] * 2
    assert ask(ctx, "GET k") == ask(ctx, "GET j") == b"$5\r\nhello\r\n"
    assert ask(ctx, "MGET k j") == b"*2\r\n" + b"$5\r\nhello\r\n" * 2
    check_counts(ctx.keyspace)


def test_execute_undoes_a_handler_that_raises(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug of ours costs its own command only: undone, answered, reported; the batch goes on."""

    def broken(ctx: Context, args: list[bytes]) -> bytes:
        strings.mset(ctx, [b"MSET", b"{t}a", b"new", b"{t}b", b"new"])
        ctx.keyspace.remove(ctx.slot_of(b"{t}c"), b"{t}c")
        raise ZeroDivisionError

    ask(ctx, "MSET {t}a 1 {t}c 3")
    ask(ctx, "EXPIRE {t}c 100")
    rows = dict(execute._PLAIN)
    strlen = next(number for number, row in rows.items() if row.name == b"strlen")
    real = rows[strlen]

    class Broken:
        name, kind, denied_when_full, handler, accepts = (
            real.name,
            real.kind,
            False,
            staticmethod(broken),
            real.accepts,
        )

    monkeypatch.setitem(execute._PLAIN, strlen, Broken)
    data = encode([b"SET", b"x", b"1"]) + encode([b"STRLEN", b"{t}a"]) + encode([b"GET", b"x"])
    assert execute_batch(ctx, data, [(3, 2)]) == [b"+OK\r\n", b"-ERR internal error\r\n", b"$1\r\n1\r\n"]
    assert [type(bug) for bug in ctx.bugs] == [ZeroDivisionError]
    assert ask(ctx, "MGET {t}a {t}b {t}c") == b"*3\r\n$1\r\n1\r\n$-1\r\n$1\r\n3\r\n"
    assert ask(ctx, "TTL {t}c") == b":100\r\n"
    check_counts(ctx.keyspace)


def test_execute_lets_memory_errors_out(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """Want of memory is this machine's trouble, never a reply that other replicas would not give."""

    def starved(payload: bytes) -> bytes:
        raise MemoryError

    monkeypatch.setattr(strings, "bulk", starved)
    ask(ctx, "INCR a")
    with pytest.raises(MemoryError):
        ask(ctx, "GETRANGE a 0 -1")


def test_execute_refuses_what_needs_memory_when_told_to(ctx: Context) -> None:
    """Over maxmemory Redis's denyoom commands get -OOM; reads and deletions are carried out."""
    ask(ctx, "MSET a 1 b 2")
    ctx.begin(now_ms=NOW_MS, write=True, deny_oom=True)
    full = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
    for line in ("SET a 2", "INCR a", "APPEND a x", "MSET a 2", "COPY a c", "RESTORE a 0 x"):
        assert ask(ctx, line) == full, line
    assert ask(ctx, "GET a") == b"$1\r\n1\r\n"
    assert ask(ctx, "DEL a") == b":1\r\n"
    assert ask(ctx, "EXPIRE b 10") == b":1\r\n"
    assert ask(ctx, "SET a") == b"-ERR wrong number of arguments for 'set' command\r\n"


def test_execute_read_of_an_expired_key_raises(ctx: Context) -> None:
    """A read does not decide that a key is gone: it says which deadline has to be logged first."""
    ask(ctx, "SET k v PX 100")
    for line in (
        "GET k",
        "EXISTS k",
        "TTL k",
        "MGET a k",
        "KEYS *",
        "RANDOMKEY",
        "STRLEN k",
        "TYPE k",
        "DUMP k",
    ):
        ctx.begin(now_ms=NOW_MS + 99, write=False)
        ask(ctx, line)
        ctx.begin(now_ms=NOW_MS + 100, write=False)
        with pytest.raises(ExpiredKeyError) as met:
            ask(ctx, line)
        assert met.value.deadline_ms == NOW_MS + 100
    assert ctx.keyspace.key_count == 1
    assert ctx.keyspace.expire_due(NOW_MS + 100, 10) == 1
    assert ask(ctx, "GET k") == b"$-1\r\n"


def test_execute_write_of_an_expired_key_finds_it_gone(ctx: Context) -> None:
    """In an entry a key past its deadline is gone by the entry's clock, for the reads in it too."""
    expectations = [
        ("GET k", b"$-1\r\n"), ("DEL k", b":0\r\n"), ("INCR k", b":1\r\n"), ("SETNX k v", b":1\r\n"),
        ("EXISTS k", b":0\r\n"), ("APPEND k x", b":1\r\n"), ("PERSIST k", b":0\r\n"), ("SET k 1", b"+OK\r\n"),
        ("KEYS *", b"*0\r\n"), ("RENAME k j", b"-ERR no such key\r\n"), ("SET k v KEEPTTL", b"+OK\r\n"),
        ("RENAMENX o k", b":1\r\n"), ("COPY o k", b":1\r\n"), ("MSETNX k 1 j 1", b":1\r\n"),
        ("RANDOMKEY", b"$-1\r\n"),
    ]  # fmt: skip
    for line, reply in expectations:
        ctx.begin(now_ms=NOW_MS, write=True)
        ask(ctx, "FLUSHALL")
        ask(ctx, "SET k 7 PX 100")
        if " o " in line:
            ask(ctx, "SET o 1")
        ctx.begin(now_ms=NOW_MS + 100, write=True)
        assert ask(ctx, line) == reply, line
        assert ask(ctx, "TTL k") in (b":-1\r\n", b":-2\r\n"), line
        check_counts(ctx.keyspace)


def test_execute_write_among_reads_is_a_bug(ctx: Context) -> None:
    """A read batch never writes, whatever was put in it."""
    ctx.begin(now_ms=NOW_MS, write=False)
    for line in ("SET a 1", "INCR a", "DEL a", "EXPIRE a 1"):
        assert ask(ctx, line) == b"-ERR internal error\r\n"
    assert [type(bug) for bug in ctx.bugs] == [AssertionError] * 4
    assert ctx.keyspace.key_count == 0


def test_execute_chance_comes_from_the_seed_alone(ctx: Context) -> None:
    """The same seed over the same state chooses the same keys; another seed does not."""
    for number in range(100):
        ask(ctx, f"SET key:{number} v")

    def chosen(seed: int) -> list[bytes]:
        ctx.begin(now_ms=NOW_MS, write=True, seed=seed)
        return [ask(ctx, "RANDOMKEY") for _ in range(20)]

    assert chosen(1) == chosen(1) != chosen(2)
    assert len(set(chosen(3))) > 10


def test_execute_chance_of_reads_goes_on(ctx: Context) -> None:
    """Batches of reads have no seed of their own: one after the other they choose different keys."""
    for number in range(100):
        ask(ctx, f"SET key:{number} v")
    chosen = set()
    for _ in range(20):
        ctx.begin(now_ms=NOW_MS, write=False)
        chosen.add(ask(ctx, "RANDOMKEY"))
    assert len(chosen) > 10


def test_command_error_texts_stay_on_one_line() -> None:
    """What a client sent can't end its error's line."""
    assert CommandError(b"ERR unknown command 'a\r\n+OK'").reply == b"-ERR unknown command 'a  +OK'\r\n"


def test_execute_marks_must_be_those_of_the_data(ctx: Context) -> None:
    """Marks that count other requests than there are would shift replies between connections."""
    with pytest.raises(AssertionError):
        execute_batch(ctx, encode([b"GET", b"a"]), [(2, 2)])
